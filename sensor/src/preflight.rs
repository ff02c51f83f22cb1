//! Whether this machine can do what a configuration asks, found out without attaching anything.

use std::{fs, io::Write};

use anyhow::{Context, Result, bail};

use crate::{
    bpf::{self, Hook, Kernel, Layout},
    config::{Config, Interface, Mode},
    pipeline::prefix_set,
};

/// Writes one line for each finding to `out`.
///
/// # Errors
/// Something is missing that `sensor run` needs; the lines say what.
pub fn check(config: &Config, out: &mut dyn Write) -> Result<()> {
    let mut missing = 0;
    let mut finding = |good: bool, text: String| -> Result<()> {
        missing += u32::from(!good);
        writeln!(out, "{} {text}", if good { "ok     " } else { "missing" })?;
        Ok(())
    };
    let set = prefix_set(config)?;
    let trie = set.trie()?;
    finding(true, format!("{} prefixes, {} of them watched networks' own", set.len(), set.watched()))?;
    let layout = Layout::new(&trie, set.len(), bpf::cpus()?, config.interfaces.len() as u32);
    finding(true, format!("{} MiB of kernel memory for tables and counters", layout.bytes().div_ceil(1 << 20)))?;
    for interface in &config.interfaces {
        match describe(interface) {
            Ok(text) => finding(true, text)?,
            Err(error) => finding(false, format!("{error:#}"))?,
        }
    }
    if bpf::may_load() {
        match Kernel::load(&set, &trie, 1).and_then(|mut kernel| kernel.instance(0)?.load_all(hooks(config))) {
            Ok(buffers) => finding(true, format!("the kernel takes the programs, for {buffers}"))?,
            Err(error) => finding(false, format!("{error:#}"))?,
        }
    } else {
        finding(false, String::from("the right to load eBPF programs: run as root"))?;
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

fn describe(interface: &Interface) -> Result<String> {
    let name = interface.name.as_str();
    bpf::interface_index(name)?;
    let mtu = fs::read_to_string(format!("/sys/class/net/{name}/mtu"))
        .with_context(|| format!("cannot read the MTU of {name}"))?;
    let driver = fs::read_link(format!("/sys/class/net/{name}/device/driver"));
    let driver = driver.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Ok(format!("interface {name}: MTU {}, driver {}", mtu.trim(), driver.as_deref().unwrap_or("virtual")))
}
