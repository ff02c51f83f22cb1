//! Two network namespaces and a veth pair, removed with their guard.

use std::{os::unix::process::CommandExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::exec;

/// All namespaces of demos begin with this; the process id follows.
const PREFIX: &str = "sensor-demo-";
/// Where the sensor attaches, and where the generator sends.
pub(super) const INSIDE: &str = "ingress";
pub(super) const OUTSIDE: &str = "egress";

const HINT: &str = "`ip` is in the package iproute2, and needs root";

/// The namespaces, and the pair between them.
pub(super) struct Wire {
    /// Namespace of the sensor.
    pub(super) sensor: String,
    /// Namespace of the generator.
    pub(super) peer: String,
    removed: bool,
}

/// What the kernel counted on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Wire {
    /// Makes them. Nothing but the generator's frames crosses the wire: no IPv6 addresses, no ARP.
    pub(super) fn new() -> Result<Self> {
        let pid = std::process::id();
        // The guard first: it also removes what was only half made.
        let wire = Self { sensor: format!("{PREFIX}{pid}"), peer: format!("{PREFIX}peer-{pid}"), removed: false };
        ip(&["netns", "add", &wire.sensor])?;
        ip(&["netns", "add", &wire.peer])?;
        ip(&["-n", &wire.sensor, "link", "add", INSIDE, "type", "veth", "peer", "name", OUTSIDE, "netns", &wire.peer])?;
        for (namespace, interface) in [(&wire.sensor, INSIDE), (&wire.peer, OUTSIDE)] {
            ip(&["-n", namespace, "link", "set", interface, "addrgenmode", "none"])?;
            ip(&["-n", namespace, "link", "set", interface, "arp", "off", "up"])?;
        }
        Ok(wire)
    }

    /// What the kernel counted as received where the sensor is.
    pub(super) fn received(&self) -> Result<Counters> {
        let text = ip(&["netns", "exec", &self.sensor, "cat", "/proc/net/dev"])?;
        parse(&text).with_context(|| format!("no {INSIDE} in /proc/net/dev of {}", self.sensor))
    }

    /// Removes both namespaces, and the pair with them; checks that they are gone.
    pub(super) fn remove(mut self) -> Result<()> {
        self.removed = true;
        self.remove_all()?;
        let left =
            namespaces()?.into_iter().filter(|name| [&self.sensor, &self.peer].contains(&name)).collect::<Vec<_>>();
        ensure!(left.is_empty(), "still there: {}; remove with: ip netns delete NAME", left.join(", "));
        Ok(())
    }

    fn remove_all(&self) -> Result<()> {
        let there = namespaces()?;
        for namespace in [&self.sensor, &self.peer] {
            if there.contains(namespace) {
                ip(&["netns", "delete", namespace])?;
            }
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.removed {
            let result = self.remove_all();
            report(&result);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a destructor cannot return its error")]
fn report(result: &Result<()>) {
    match result {
        Ok(()) => eprintln!("      namespaces removed"),
        Err(error) => eprintln!("      not everything was removed: {error:#}"),
    }
}

/// Namespaces of demos whose process is gone without having removed them.
pub(super) fn leftovers() -> Result<Vec<String>> {
    let is_gone = |name: &String| {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.rsplit('-').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    Ok(namespaces()?.into_iter().filter(is_gone).collect())
}

fn namespaces() -> Result<Vec<String>> {
    // A line is a name, and with a known number ` (id: 0)` behind it.
    let list = ip(&["netns", "list"])?;
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn ip(arguments: &[&str]) -> Result<String> {
    // A group of its own: a second Ctrl-C must not interrupt the cleaning up after the first.
    exec::capture(Command::new("ip").args(arguments).process_group(0), HINT)
}

/// The line `ingress: rx_bytes rx_packets ...` (proc_pid_net(5)).
fn parse(text: &str) -> Option<Counters> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(INSIDE)?.strip_prefix(':'))?;
    let mut fields = line.split_whitespace().map(|field| field.parse().ok());
    let bytes = fields.next()??;
    let packets = fields.next()??;
    Some(Counters { packets, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_interface() {
        let text = "Inter-|   Receive\n face |bytes    packets errs\n    lo:       1       2    0\ningress: 123456 789 0 0 0\n";
        assert_eq!(parse(text), Some(Counters { packets: 789, bytes: 123_456 }));
        assert_eq!(parse("ingress2: 1 2\n"), None);
    }
}
