//! Two network namespaces and the wires between them, gone when the guard is dropped.

use std::{fs::File, os::fd::AsFd, path::Path, process, process::Command, thread};

use anyhow::{Context, Result, bail};

use super::sys;

/// Where ip-netns(8) keeps its namespaces.
const NAMESPACES: &str = "/run/netns";

/// Two namespaces joined by veth pairs. Nothing but what a test sends crosses them: no IPv6 addresses, no ARP.
#[derive(Debug)]
pub struct Wire {
    /// Where the sensor is.
    pub sensor: String,
    /// Where senders are.
    pub peer: String,
}

/// The two ends of one pair.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Interface in the namespace of the sensor.
    pub inside: &'static str,
    /// Interface in the namespace of the senders.
    pub outside: &'static str,
}

/// The pair most tests need.
pub const LINK: Link = Link { inside: "ingress", outside: "egress" };

impl Wire {
    /// Makes the namespaces `sensor-<name>-<pid>` and `sensor-<name>-peer-<pid>` and these pairs between them.
    ///
    /// # Errors
    /// No rights, or no `ip` program.
    pub fn new(name: &str, links: &[Link], mtu: usize) -> Result<Self> {
        let pid = process::id();
        // The guard first: it also removes what was only half made.
        let wire = Self { sensor: format!("sensor-{name}-{pid}"), peer: format!("sensor-{name}-peer-{pid}") };
        for namespace in [&wire.sensor, &wire.peer] {
            ip(&["netns", "add", namespace])?;
        }
        for Link { inside, outside } in links {
            let pair = ["link", "add", inside, "type", "veth", "peer", "name", outside, "netns", &wire.peer];
            ip(&[&["-n", &wire.sensor], &pair[..]].concat())?;
            let mtu = mtu.to_string();
            for (namespace, interface) in [(&wire.sensor, inside), (&wire.peer, outside)] {
                let on = |options: &[&str]| ip(&[&["-n", namespace, "link", "set", interface], options].concat());
                on(&["addrgenmode", "none"])?;
                on(&["mtu", &mtu, "arp", "off", "up"])?;
            }
        }
        Ok(wire)
    }

    /// What `ip -d link show` says of an interface of the sensor.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn show(&self, interface: &str) -> Result<String> {
        ip(&["-n", &self.sensor, "-d", "link", "show", "dev", interface])
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.sensor, &self.peer] {
            if Path::new(NAMESPACES).join(namespace).exists()
                && let Err(error) = ip(&["netns", "delete", namespace])
            {
                tracing::error!("{error:#}");
            }
        }
    }
}

/// Does something in a network namespace: in a thread of its own, which is the only way back.
///
/// # Errors
/// There is no such namespace, or the work fails.
pub fn within<T: Send>(namespace: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = Path::new(NAMESPACES).join(namespace);
    let file = File::open(&path).with_context(|| format!("{}: no such network namespace", path.display()))?;
    let enter_and_work = || {
        sys::enter(file.as_fd()).with_context(|| format!("cannot enter network namespace {namespace}"))?;
        work()
    };
    let result = thread::scope(|scope| scope.spawn(enter_and_work).join());
    result.unwrap_or_else(|_| bail!("the work in network namespace {namespace} panicked"))
}

/// Runs a command in a network namespace and returns what it prints.
///
/// # Errors
/// There is no such program, or it fails.
pub fn run(namespace: &str, command: &[&str]) -> Result<String> {
    ip(&[&["netns", "exec", namespace], command].concat())
}

fn ip(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(arguments).output().context("cannot start `ip`: install iproute2")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {}` failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
