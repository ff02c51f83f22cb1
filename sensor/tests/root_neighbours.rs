//! The kernel's neighbour table as the agent reads it, in a namespace of its own.

#[path = "support/root.rs"]
mod root;

use sensor::{
    bpf::interface_index,
    testing::netns::{LINK, Link, Wire, run, within},
    upstream::read_neighbours,
};

use self::root::is_root;

const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa];

#[test]
fn what_answers_for_an_address_is_read() {
    if !is_root("what_answers_for_an_address_is_read") {
        return;
    }
    let wire = Wire::new("neighbours", &[LINK, SECOND], 1500).unwrap();
    let ip = |words: &str| run(&wire.sensor, &[&["ip"], &*words.split(' ').collect::<Vec<_>>()].concat()).unwrap();
    for (interface, address, mac, state) in [
        (LINK.inside, "192.0.2.1", "02:00:00:00:00:0a", "permanent"),
        (LINK.inside, "192.0.2.2", "02:00:00:00:00:0a", "reachable"),
        (LINK.inside, "fe80::1", "02:00:00:00:00:0a", "stale"),
        (LINK.inside, "192.0.2.3", "02:00:00:00:00:0b", "noarp"),
        (SECOND.inside, "192.0.2.1", "02:00:00:00:00:0a", "permanent"),
    ] {
        ip(&format!("neigh add {address} lladdr {mac} dev {interface} nud {state}"));
    }
    let table = within(&wire.sensor, || {
        // The first interface is not of interest.
        read_neighbours(&[u32::MAX, interface_index(LINK.inside)?])
    })
    .unwrap();
    let has = |place, address: &str| table.has(place, MAC, address.parse().unwrap());
    assert!(["192.0.2.1", "192.0.2.2", "fe80::1"].into_iter().all(|address| has(1, address)));
    assert!(!has(0, "192.0.2.1") && !has(1, "192.0.2.3") && !has(1, "192.0.2.4"));
    assert!(!table.has(1, [2, 0, 0, 0, 0, 0xb], "192.0.2.3".parse().unwrap()));
    // Another answers from now on.
    ip(&format!("neigh replace 192.0.2.1 lladdr 02:00:00:00:00:0c dev {} nud permanent", LINK.inside));
    let table = within(&wire.sensor, || read_neighbours(&[interface_index(LINK.inside)?])).unwrap();
    assert!(table.has(0, [2, 0, 0, 0, 0, 0xc], "192.0.2.1".parse().unwrap()));
    assert!(!table.has(0, MAC, "192.0.2.1".parse().unwrap()));
    // Without entries, and outside of any interface, there is nothing to say.
    assert_eq!(within(&wire.sensor, || read_neighbours(&[])).unwrap(), Default::default());
}
