//! The embedded object is the one the agent was written for: its maps, their values, its programs. Read without a kernel.
#![expect(clippy::unwrap_used, reason = "an object that cannot be read fails the test")]

use std::{collections::BTreeMap, fs, mem::size_of};

use aya_obj::{Object, ProgramSection, generated::bpf_map_type};
use sensor_ebpf::abi::{
    Budget, ControlBlock, Counter, FlowSet, MAX_EXTERNAL, Neighbour, Node, Open, Pending, Progress, Row, Settings,
    Words, map_name,
};

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;

fn object() -> Vec<u8> {
    fs::read(env!("SENSOR_EBPF_OBJECT")).unwrap()
}

#[test]
fn every_other_shared_map_is_an_array_of_its_type_that_can_be_mapped() {
    let bytes = object();
    let object = Object::parse(&bytes).unwrap();
    let values = BTreeMap::from([
        (map_name::CONTROL, size_of::<ControlBlock>()),
        (map_name::ROOTS, size_of::<Words>()),
        (map_name::NODES, size_of::<Node>()),
        (map_name::BLOCKS, size_of::<Words>()),
        (map_name::PREFIXES, size_of::<Counter>()),
        (map_name::PENDING, size_of::<Pending>()),
        (map_name::LEDGER, size_of::<Counter>()),
        (map_name::FLOWS, size_of::<FlowSet>()),
        (map_name::OPEN, size_of::<Open>()),
        (map_name::CHANGES, size_of::<u64>()),
        (map_name::PROGRESS, size_of::<Progress>()),
        (map_name::BREAKDOWN, size_of::<Row>()),
        (map_name::COUNTERPARTS, size_of::<Row>()),
        (map_name::LABEL_ROOTS, size_of::<Words>()),
        (map_name::LABEL_NODES, size_of::<Node>()),
        (map_name::LABEL_BLOCKS, size_of::<Words>()),
        (map_name::NEIGHBOURS, size_of::<Neighbour>()),
        (map_name::BUDGETS, size_of::<Budget>()),
    ]);
    let others = [map_name::EXTERNAL, map_name::SAMPLES];
    for name in map_name::SHARED.into_iter().filter(|name| !others.contains(name)) {
        let map = object.maps.get(name).unwrap_or_else(|| panic!("the object has no map {name}"));
        let found = (map.map_type(), map.key_size(), map.value_size() as usize, map.map_flags());
        assert_eq!(found, (bpf_map_type::BPF_MAP_TYPE_ARRAY as u32, 4, values[name], MMAPABLE), "{name}");
    }
}

#[test]
fn the_external_interfaces_are_a_hash_of_their_indices() {
    let bytes = object();
    let object = Object::parse(&bytes).unwrap();
    let map = &object.maps[map_name::EXTERNAL];
    let found = (map.map_type(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags());
    assert_eq!(found, (bpf_map_type::BPF_MAP_TYPE_HASH as u32, 4, 4, MAX_EXTERNAL, 0));
}

#[test]
fn samples_come_by_a_ring() {
    let bytes = object();
    let object = Object::parse(&bytes).unwrap();
    let map = &object.maps[map_name::SAMPLES];
    let found = (map.map_type(), map.key_size(), map.value_size(), map.map_flags());
    assert_eq!(found, (bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32, 0, 0, 0));
}

#[test]
fn nothing_else_in_the_object_can_be_mapped_or_counts() {
    let bytes = object();
    let object = Object::parse(&bytes).unwrap();
    let strangers = object
        .maps
        .iter()
        .filter(|(name, map)| map.map_flags() & MMAPABLE != 0 && !map_name::SHARED.contains(&name.as_str()));
    let strangers: Vec<&String> = strangers.map(|(name, _)| name).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn there_is_a_program_for_every_hook_in_its_section() {
    let bytes = object();
    let object = Object::parse(&bytes).unwrap();
    let sections: BTreeMap<&str, &str> = object
        .programs
        .iter()
        .map(|(name, program)| {
            let section = if matches!(program.section, ProgramSection::Xdp { frags: true, .. }) {
                "xdp.frags"
            } else if matches!(program.section, ProgramSection::Xdp { frags: false, .. }) {
                "xdp"
            } else if matches!(program.section, ProgramSection::SchedClassifier) {
                "classifier"
            } else {
                "another"
            };
            (name.as_str(), section)
        })
        .collect();
    let expected = [
        ("sensor_egress", "classifier"),
        ("sensor_inline", "xdp"),
        ("sensor_inline_frags", "xdp.frags"),
        ("sensor_mirror", "xdp"),
        ("sensor_mirror_frags", "xdp.frags"),
    ];
    assert_eq!(sections, BTreeMap::from(expected));
}

#[test]
fn the_licence_lets_the_kernel_offer_its_helpers() {
    let bytes = object();
    assert_eq!(Object::parse(&bytes).unwrap().license.to_str().unwrap(), "Dual MIT/GPL");
}

#[test]
fn the_settings_can_be_set_before_loading_and_only_at_their_size() {
    let bytes = object();
    let set = |len: usize| {
        let value = vec![0; len];
        Object::parse(&bytes).unwrap().patch_map_data([(map_name::SETTINGS, (value.as_slice(), true))].into())
    };
    assert!(set(size_of::<Settings>()).is_ok());
    assert!(set(size_of::<Settings>() + 4).is_err());
    assert!(set(size_of::<Settings>() - 4).is_err());
}
