//! What an interface as it stands means for counting on it. Pure; each finding names the command that puts it right.

use rtnetlink::packet_route::link::LinkLayerType;

use super::links::{Attached, Link};
use crate::config::{Config, Interface, XdpMode};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// As it should be.
    Good,
    /// It works, and counts something else than one might think.
    Warning,
    /// `sensor run` would fail, or count wrong.
    Missing,
}

/// One line of the report.
pub(super) type Finding = (Severity, String);

/// Features by the names of `ethtool --show-features`, with the short name that `ethtool -K` takes. A driver that merges packets
/// hands XDP what was never on the wire, or refuses XDP.
const MERGING: [(&str, &str); 2] = [("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];
/// The same for those that take tags off.
const STRIPPING: [(&str, &str); 2] =
    [("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];
/// What the programs of a sensor are called; the kernel keeps the first 15 letters.
const OUR_PROGRAMS: &str = "sensor_";

/// An XDP program that is attached, with its name where the kernel tells it.
pub(super) type Program = (Attached, Option<String>);

/// Where records are kept, and how long; without a store nothing.
pub(super) fn of_store(config: &Config) -> Option<Finding> {
    let store = config.store.as_ref()?;
    let ages = store.retention.all().map(|(what, age)| format!("{what} {age}"));
    Some((Severity::Good, format!("records are kept in {}: {}, days forever", store.path.display(), ages.join(", "))))
}

/// Everything about one interface: its line, and what is wrong; `has_upstream_by_vlan`: a configured upstream there is told by its VLAN.
pub(super) fn of_interface(
    interface: &Interface,
    link: &Link,
    driver: Option<&str>,
    features: &[String],
    programs: &[Program],
    has_upstream_by_vlan: bool,
) -> Vec<Finding> {
    let name = interface.name.as_str();
    if link.layer != LinkLayerType::Ether {
        let text = format!(
            "interface {name} is of type {:?}: the programs read an Ethernet header first; configure an Ethernet \
             interface, which `ip -brief link` shows with a MAC address",
            link.layer
        );
        return vec![(Severity::Missing, text)];
    }
    let driver = driver.unwrap_or("unknown");
    let mut findings = vec![(Severity::Good, format!("interface {name}: MTU {}, driver {driver}", link.mtu))];
    let on = |feature: &str| features.iter().any(|name| name == feature);
    // Attaching in the network stack makes the kernel turn both off by itself.
    for (_, option) in MERGING.iter().filter(|(feature, _)| interface.xdp == XdpMode::Native && on(feature)) {
        let text = format!(
            "interface {name} merges received packets before they can be counted ({option}): `ethtool -K {name} {option} off`"
        );
        findings.push((Severity::Missing, text));
    }
    for (_, option) in STRIPPING.iter().filter(|(feature, _)| on(feature)) {
        let text = format!(
            "interface {name} takes VLAN tags off before XDP ({option}): such frames count without their tag, 4 bytes \
             less each; to see tags: `ethtool -K {name} {option} off`"
        );
        // Without its tag a frame is none of theirs: it would count for another upstream, or for none.
        let and_so = "; an [[upstream]] is told by its VLAN";
        findings.push(match has_upstream_by_vlan {
            true => (Severity::Missing, text + and_so),
            false => (Severity::Warning, text),
        });
    }
    findings.extend(programs.iter().map(|program| attached(name, program)));
    findings
}

fn attached(name: &str, (Attached { id, place }, program): &Program) -> Finding {
    let program = program.as_deref().unwrap_or("of unknown name");
    if program.starts_with(OUR_PROGRAMS) {
        let text = format!("interface {name}: program {program} (id {id}) of a sensor is attached already");
        return (Severity::Warning, text);
    }
    let text = format!(
        "interface {name} has another XDP program, {program} (id {id}), and room for one: stop whoever attached it, or where \
         nobody holds it: `ip link set dev {name} {place} off`"
    );
    (Severity::Missing, text)
}

/// Two configured interfaces of which one stands on the other.
pub(super) fn stacked(one: &str, other: &str) -> Finding {
    let text = format!(
        "interfaces {one} and {other} carry the same packets, as a bridge, bond or VLAN and its ports do, and would count them \
         twice: remove the [[interface]] of one; `ip -details link` shows how they are joined"
    );
    (Severity::Missing, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;

    fn link(layer: LinkLayerType) -> Link {
        Link { index: 3, mtu: 9000, layer, ..Link::default() }
    }

    fn findings(xdp: XdpMode, layer: LinkLayerType, features: &[&str], programs: &[Program]) -> Vec<Finding> {
        let interface = Interface::new("eth0".parse().unwrap(), Mode::Inline, xdp);
        let features: Vec<String> = features.iter().map(|name| (*name).to_owned()).collect();
        of_interface(&interface, &link(layer), Some("ixgbe"), &features, programs, false)
    }

    #[test]
    fn a_plain_interface_is_one_good_line() {
        let good = vec![(Severity::Good, "interface eth0: MTU 9000, driver ixgbe".to_owned())];
        assert_eq!(findings(XdpMode::Native, LinkLayerType::Ether, &["rx-gro", "rx-checksum"], &[]), good);
    }

    #[test]
    fn what_is_no_ethernet_is_refused() {
        for layer in [LinkLayerType::Loopback, LinkLayerType::None, LinkLayerType::Ppp, LinkLayerType::Infiniband] {
            let found = findings(XdpMode::Generic, layer, &["rx-lro"], &[]);
            assert!(found.len() == 1 && found[0].0 == Severity::Missing, "{found:?}");
            assert!(found[0].1.contains(&format!("eth0 is of type {layer:?}")), "{found:?}");
        }
    }

    #[test]
    fn offloads_with_the_command_that_turns_each_off() {
        for (feature, severity, command) in [
            ("rx-lro", Severity::Missing, "`ethtool -K eth0 lro off`"),
            ("rx-gro-hw", Severity::Missing, "`ethtool -K eth0 rx-gro-hw off`"),
            ("rx-vlan-hw-parse", Severity::Warning, "`ethtool -K eth0 rxvlan off`"),
            ("rx-vlan-stag-hw-parse", Severity::Warning, "`ethtool -K eth0 rx-vlan-stag-hw-parse off`"),
        ] {
            let found = findings(XdpMode::Native, LinkLayerType::Ether, &[feature], &[]);
            assert!(found.len() == 2 && found[1].0 == severity && found[1].1.contains(command), "{found:?}");
            let generic = findings(XdpMode::Generic, LinkLayerType::Ether, &[feature], &[]);
            assert_eq!(generic.len(), if severity == Severity::Missing { 1 } else { 2 }, "{generic:?}");
        }
    }

    #[test]
    fn an_upstream_told_by_its_vlan_needs_the_tags() {
        let interface = Interface::new("eth0".parse().unwrap(), Mode::Inline, XdpMode::Native);
        let found = |features: &[String]| {
            of_interface(&interface, &link(LinkLayerType::Ether), None, features, &[], true)
                .into_iter()
                .map(|(severity, _)| severity)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&["rx-vlan-hw-parse".to_owned()]), [Severity::Good, Severity::Missing]);
        assert_eq!(found(&[]), [Severity::Good]);
    }

    #[test]
    fn programs_of_others_and_our_own() {
        let attached = Attached { id: 12, place: "xdpgeneric" };
        let program = |name: Option<&str>| (attached, name.map(str::to_owned));
        let found = |name| findings(XdpMode::Native, LinkLayerType::Ether, &[], &[program(name)])[1].clone();
        let (severity, text) = found(Some("xdp_lb"));
        assert_eq!(severity, Severity::Missing);
        assert!(text.contains("xdp_lb (id 12)") && text.contains("`ip link set dev eth0 xdpgeneric off`"), "{text}");
        assert_eq!(found(None).0, Severity::Missing);
        assert_eq!(found(Some("sensor_inline_f")).0, Severity::Warning);
    }
}
