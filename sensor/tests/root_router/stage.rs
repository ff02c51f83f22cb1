//! A router between two upstream networks and an inside one, each in a namespace of its own.
//!
//! ```text
//! a (198.51.100.0/25, 2001:db8:a::/48)   -- up-a \
//!                                                 router -- in0 -- i (192.0.2.0/24, 2001:db8::/48)
//! b (198.51.100.128/25, 2001:db8:b::/48) -- up-b /
//! ```

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{self, Command, Stdio},
    time::Duration,
};

use sensor::{
    cidr::Cidr,
    testing::{
        netns::{run, within},
        truth::Table,
    },
};
use serde_json::Value;

use crate::{
    agent::{Agent, eventually},
    packets::{NEIGHBOUR_MAC, ROUTER_MAC},
    pinned::{Keep, sensor_in},
};

/// Interfaces of the router; each leads to `far` in the namespace of a neighbour.
pub(crate) const UP_A: &str = "up-a";
pub(crate) const UP_B: &str = "up-b";
pub(crate) const INSIDE: &str = "in0";
pub(crate) const FAR: &str = "far";
const LINKS: [(&str, &str); 3] = [(UP_A, "a"), (UP_B, "b"), (INSIDE, "i")];

/// Addresses of the router and of its neighbour on each link, and what is behind the neighbour.
pub(crate) const ROUTER: [[&str; 2]; 3] =
    [["203.0.113.1", "fd00:a::1"], ["203.0.113.129", "fd00:b::1"], ["192.0.2.254", "2001:db8::fe"]];
pub(crate) const NEIGHBOUR: [[&str; 2]; 3] =
    [["203.0.113.2", "fd00:a::2"], ["203.0.113.130", "fd00:b::2"], ["192.0.2.10", "2001:db8::10"]];
const LENGTHS: [[u8; 2]; 3] = [[25, 64], [25, 64], [24, 48]];
const BEHIND: [&[&str]; 3] = [&["198.51.100.0/25", "2001:db8:a::/48"], &["198.51.100.128/25", "2001:db8:b::/48"], &[]];

/// Networks by name, and prefixes that are only counted.
const NETWORKS: [(&str, &[&str]); 3] = [
    ("inside", &["192.0.2.0/24", "2001:db8::/48"]),
    ("behind-a", &["198.51.100.0/26"]),
    ("behind-b", &["2001:db8:b::/48"]),
];
const COUNTED: [&str; 5] =
    ["192.0.2.64/26", "198.51.100.0/25", "198.51.100.128/25", "2001:db8:a::/48", "203.0.113.0/24"];

/// The namespaces, gone when dropped.
pub(crate) struct Router {
    namespaces: Vec<String>,
    keep: Keep,
}

impl Router {
    /// With links, addresses, routes and neighbours; nothing crosses the links but what a test sends.
    pub(crate) fn new(name: &str) -> Self {
        let names = ["r", "a", "b", "i"].map(|place| format!("sensor-rt-{name}-{place}-{}", process::id()));
        let router = Self { namespaces: names.to_vec(), keep: Keep::new() };
        for namespace in &router.namespaces {
            assert!(Command::new("ip").args(["netns", "add", namespace]).status().unwrap().success());
        }
        for (interface, place) in LINKS {
            router.link(interface, place);
        }
        // No redirects, and packets from addresses that nobody has a route to: so nobody gets an answer.
        for setting in ["all.forwarding=1", "all.rp_filter=0", "all.send_redirects=0", "default.send_redirects=0"] {
            run(router.sensor(), &["sysctl", "-qw", &format!("net.ipv4.conf.{setting}")]).unwrap();
        }
        for interface in [UP_A, UP_B, INSIDE] {
            router.permit(interface);
        }
        run(router.sensor(), &["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]).unwrap();
        router
    }

    /// Joins the router with a neighbour.
    pub(crate) fn link(&self, interface: &str, place: &str) {
        let quiet = |name, mac| {
            format!("link set {name} addrgenmode none\nlink set {name} address {mac}\nlink set {name} arp off up\n")
        };
        let pair = format!("link add {interface} type veth peer name {FAR} netns {}\n", self.namespace(place));
        self.ip("r", &(pair + &quiet(interface, ROUTER_MAC)));
        self.ip(place, &quiet(FAR, NEIGHBOUR_MAC));
    }

    /// Has packets from anywhere forwarded that an interface receives.
    pub(crate) fn permit(&self, interface: &str) {
        for setting in ["send_redirects=0", "rp_filter=0"] {
            run(self.sensor(), &["sysctl", "-qw", &format!("net.ipv4.conf.{interface}.{setting}")]).unwrap();
        }
    }

    /// Gives the router its addresses, at its interfaces or at others that take their place.
    pub(crate) fn address(&self, at: [&str; 3]) {
        let mut lines = String::new();
        for (link, interface) in at.iter().enumerate() {
            for family in [0, 1] {
                let (own, length) = (ROUTER[link][family], LENGTHS[link][family]);
                let no_dad = if family == 1 { " nodad" } else { "" };
                let _ = writeln!(lines, "address add {own}/{length} dev {interface}{no_dad}");
                let neighbour = NEIGHBOUR[link][family];
                let _ =
                    writeln!(lines, "neigh replace {neighbour} lladdr {NEIGHBOUR_MAC} dev {interface} nud permanent");
                if let Some(prefix) = BEHIND[link].get(family) {
                    let _ = writeln!(lines, "route add {prefix} via {neighbour} dev {interface}");
                }
            }
        }
        self.ip("r", &lines);
        // Everybody inside is one neighbour.
        let mut everybody = String::new();
        for host in 1..=200 {
            let _ =
                writeln!(everybody, "neigh replace 192.0.2.{host} lladdr {NEIGHBOUR_MAC} dev {} nud permanent", at[2]);
            let _ = writeln!(
                everybody,
                "neigh replace 2001:db8::{host:x} lladdr {NEIGHBOUR_MAC} dev {} nud permanent",
                at[2]
            );
        }
        self.ip("r", &everybody);
    }

    /// Namespace of `r`, `a`, `b` or `i`.
    pub(crate) fn namespace(&self, place: &str) -> &str {
        self.namespaces.iter().find(|name| name.contains(&format!("-{place}-"))).unwrap()
    }

    /// Where the sensor is.
    pub(crate) fn sensor(&self) -> &str {
        self.namespace("r")
    }

    /// Runs `ip` with a command for each line.
    pub(crate) fn ip(&self, place: &str, lines: &str) {
        let mut command = Command::new("ip");
        command.args(["-n", self.namespace(place), "-batch", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{lines}");
    }

    /// Starts an agent at these interfaces, each with its role, and waits for its first interval.
    pub(crate) fn start(&self, interfaces: &[(&str, &str)]) -> Agent {
        let mut sections = String::new();
        for (name, role) in interfaces {
            let _ = writeln!(sections, "[[interface]]\nname = {name:?}\nrole = {role:?}");
        }
        for (name, prefixes) in NETWORKS {
            let _ = writeln!(sections, "[[network]]\nname = {name:?}\nprefixes = {prefixes:?}");
        }
        sections += "[accounting]\ntables = [\"counted.txt\"]\n";
        let file = self.keep.configure(&sections);
        fs::write(file.with_file_name("counted.txt"), COUNTED.join("\n")).unwrap();
        let mut command = sensor_in(self.sensor());
        ready(Agent::spawn(command.args(["run", "--format", "jsonl", "--config"]).arg(file)))
    }

    /// The same without a file: all of them are external, and nothing outlives the agent.
    pub(crate) fn start_ad_hoc(&self, interfaces: [&str; 3]) -> Agent {
        let mut command = sensor_in(self.sensor());
        command.args(["run", "--format", "jsonl", "--interval", "1s"]);
        command.args(NETWORKS.iter().flat_map(|(_, prefixes)| *prefixes).flat_map(|prefix| ["--watch", prefix]));
        ready(Agent::spawn(command.args(interfaces.iter().flat_map(|name| ["-i", name]))))
    }

    /// Ends the agent, and takes the programs off; all its records.
    pub(crate) fn stop(&self, agent: Agent) -> Vec<Value> {
        let ended = agent.stop("TERM");
        assert!(ended.status.success(), "{:#?}", ended.messages);
        assert!(!ended.messages.iter().any(|line| line.contains("ERROR")), "{:#?}", ended.messages);
        ended.records
    }

    /// Packets that an interface of a namespace has received and sent, by its own counters.
    pub(crate) fn packets(&self, place: &str, interface: &str) -> [u64; 2] {
        let read = || Ok(fs::read_to_string("/proc/thread-self/net/dev")?);
        let text = within(self.namespace(place), read).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':')).unwrap();
        let fields: Vec<u64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
        [fields[1], fields[9]]
    }

    /// What the agent counts.
    pub(crate) fn table() -> Table {
        let parse = |text: &&str| text.parse::<Cidr>().unwrap();
        let watched: Vec<Cidr> = NETWORKS.iter().flat_map(|(_, prefixes)| prefixes.iter().map(parse)).collect();
        Table::new(&watched, &COUNTED.iter().map(parse).collect::<Vec<_>>())
    }

    /// Of each prefix that belongs to a network the network.
    pub(crate) fn networks() -> Vec<(&'static str, &'static str)> {
        let pair = |(name, prefixes): &(&'static str, &'static [&'static str])| {
            prefixes.iter().map(|prefix| (*prefix, *name)).collect::<Vec<_>>()
        };
        let mut pairs: Vec<_> = NETWORKS.iter().flat_map(pair).collect();
        // A more-specific that is only counted bills the network above it.
        pairs.push(("192.0.2.64/26", "inside"));
        pairs
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            // One that was never made cannot be removed.
            let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
        }
    }
}

/// Waits for the end of an agent's first interval.
fn ready(agent: Agent) -> Agent {
    let ready = eventually(|| agent.records().iter().any(|record| record["record"] == "ledger"));
    assert!(ready, "{:#?}", agent.stop("KILL").messages);
    agent
}

/// Between two looks at counters that should stand still.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
