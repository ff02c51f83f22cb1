//! Whether this machine can do what a configuration asks, found out without attaching anything.

mod findings;
mod links;
mod sys;
mod table;

use std::io::Write;

use anyhow::{Context, Result, bail};
use aya::programs::loaded_programs;

use self::{
    findings::{Finding, Program, Severity},
    links::Link,
};
use crate::{
    bpf::{self, Hook, InterfaceKind, Kernel, LabelPlan, Layout, Plan, Room},
    config::{Config, Interface, Mode, Role},
    counterpart::Counterparts,
    lists::Lists,
    pipeline::prefix_set,
};

/// Writes one line for each finding to `out`: what is `ok`, what counts differently than one might think (`warning`), and what is
/// `missing`, each of the latter two with the command that puts it right.
///
/// # Errors
/// Something is missing that `sensor run` needs; the lines say what.
pub fn check(config: &Config, out: &mut dyn Write) -> Result<()> {
    let mut missing = 0;
    let mut finding = |(severity, text): Finding| -> Result<()> {
        missing += u32::from(severity == Severity::Missing);
        let word = match severity {
            Severity::Good => "ok",
            Severity::Warning => "warning",
            Severity::Missing => "missing",
        };
        writeln!(out, "{word:7} {text}")?;
        Ok(())
    };
    let set = prefix_set(config)?;
    let trie = set.trie()?;
    table::prefixes(&set).into_iter().try_for_each(&mut finding)?;
    let cpus = bpf::cpus()?;
    let room = if config.keep.is_some() { Room::ForReloads } else { Room::None };
    let kinds = vec![InterfaceKind::default(); config.interfaces.len()];
    let counterparts = Counterparts::of(config, &Lists::read(&config.lists)?)?;
    counterparts.iter().map(table::counterparts).try_for_each(&mut finding)?;
    let labels =
        counterparts.as_ref().map(|table| LabelPlan { trie: &table.trie, rows: config.limits.max_counterparts });
    let (flows, memory) = (config.limits.flows, config.memory);
    let plan = Plan { set: &set, trie: &trie, interfaces: &kinds, flows, labels, memory };
    let layout = Layout::new(&plan.wanted(cpus, room));
    table::memory(&set, &trie, &layout, cpus, config.memory).into_iter().try_for_each(&mut finding)?;
    match links::read() {
        Ok(links) => interfaces(config, &links).into_iter().try_for_each(&mut finding)?,
        Err(error) => finding((Severity::Missing, format!("{error:#}")))?,
    }
    findings::of_store(config).into_iter().try_for_each(&mut finding)?;
    if let Some(keep) = &config.keep {
        finding(match bpf::check_bpffs(&keep.bpffs) {
            Ok(()) => (Severity::Good, format!("maps and links can be pinned in {}", keep.bpffs.display())),
            Err(error) => (Severity::Missing, format!("{error:#}")),
        })?;
    }
    if !bpf::may_load() {
        finding((Severity::Missing, String::from("the right to load eBPF programs: run as root")))?;
    } else if layout.is_ok() {
        let load = |mut kernel: Kernel| {
            let instance = kernel.instance(0)?;
            if config.interfaces.iter().any(|interface| interface.egress) {
                instance.load_egress()?;
            }
            instance.load_all(hooks(config))
        };
        match Kernel::load_for(&Plan { interfaces: &[InterfaceKind::default()], ..plan }).and_then(load) {
            Ok(buffers) => finding((Severity::Good, format!("the kernel takes the programs, for {buffers}")))?,
            Err(error) => finding((Severity::Missing, format!("{error:#}")))?,
        }
    }
    if missing > 0 {
        bail!("{missing} of the above must be put right before `sensor run` can work");
    }
    Ok(())
}

fn hooks(config: &Config) -> impl Iterator<Item = Hook> {
    config.interfaces.iter().map(|interface| match interface.mode {
        Mode::Inline => Hook::Inline,
        Mode::Mirror => Hook::Mirror,
    })
}

/// Each configured interface, and each two of them.
fn interfaces(config: &Config, links: &[Link]) -> Vec<Finding> {
    let mut findings = vec![];
    let mut found: Vec<(&str, u32)> = vec![];
    for interface in &config.interfaces {
        let name = interface.name.as_str();
        match find(interface, links) {
            Ok(link) => {
                let has_upstream_by_vlan = config.upstreams.iter().any(|upstream| {
                    upstream.vlan.is_some() && upstream.interface.as_ref().is_none_or(|at| *at == interface.name)
                });
                findings.extend(describe(interface, link, has_upstream_by_vlan));
                // One of them that bills nothing counts nothing twice.
                if interface.role == Role::Internal {
                    continue;
                }
                let above_or_below = found.iter().filter(|(_, other)| links::stacked(links, *other, link.index));
                findings.extend(above_or_below.map(|(other, _)| findings::stacked(other, name)));
                found.push((name, link.index));
            }
            Err(error) => findings.push((Severity::Missing, format!("{error:#}"))),
        }
    }
    findings
}

/// An interface by its index, because a configuration may use one of its other names.
fn find<'a>(interface: &Interface, links: &'a [Link]) -> Result<&'a Link> {
    let name = interface.name.as_str();
    let index = bpf::interface_index(name)?;
    let link = links.iter().find(|link| link.index == index);
    link.with_context(|| format!("interface {name} came while it was looked for; try again"))
}

fn describe(interface: &Interface, link: &Link, has_upstream_by_vlan: bool) -> Vec<Finding> {
    let name = interface.name.as_str();
    // Neither is known of every interface, and nothing can be done about that.
    let (driver, features) = (sys::driver(name).ok(), sys::features(name).unwrap_or_default());
    let programs: Vec<Program> = link.programs.iter().map(|program| (*program, program_name(program.id))).collect();
    findings::of_interface(interface, link, driver.as_deref(), &features, &programs, has_upstream_by_vlan)
}

/// Name of a loaded program, where this process may ask for it.
fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs().flatten().find(|program| program.id() == id)?;
    program.name_as_str().map(str::to_owned)
}
