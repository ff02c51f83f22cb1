//! All CPUs at once on the same prefixes: no packet is lost, whether each CPU adds to counters of its own or all to the same.

use std::{os::fd::AsFd as _, sync::Barrier, thread};

use sensor::{
    bpf::{Buffers, Hook, InterfaceKind, Kernel, Layout, Plan, Room, cpus},
    collect::Meter as _,
    config::{DEFAULT_MEMORY, Memory},
    testing::{run, socket},
};
use sensor_ebpf::abi::{Direction, PrefixId};

use crate::{
    XDP_PASS,
    net::{Net, sorted},
    plain::plain,
    root::is_root,
    tables,
};

/// Packets of each frame that each CPU counts: a good part of a second, so that they do it at the same time.
const PACKETS: u32 = 1_000_000;

/// Two frames between prefixes, one of each family, from all CPUs at once, into so many slices.
fn every_packet_is_found(test: &str, nets: &[Net], memory: Memory, expected_slices: u32) {
    let set = tables::set(nets);
    let trie = set.trie().unwrap();
    let plan =
        Plan { set: &set, trie: &trie, interfaces: &[InterfaceKind::default()], flows: 1 << 12, labels: None, memory };
    let layout = Layout::new(&plan.wanted(cpus().unwrap(), Room::None)).unwrap();
    assert_eq!(layout.slices(), expected_slices, "slices in {memory}");
    let mut kernel = Kernel::load_for(&plan).unwrap();
    let program = kernel.instance(0).unwrap().program_fd(Hook::Inline, Buffers::Several).unwrap().try_clone().unwrap();
    // Of those that nothing more specific lies in.
    let place = |v4: bool, last: bool| {
        let longest = nets.iter().filter(|net| net.v4 == v4).map(|net| net.len).max().unwrap();
        let mut those = nets.iter().enumerate().filter(|(_, net)| net.v4 == v4 && net.len == longest);
        if last { those.next_back() } else { those.next() }.unwrap()
    };
    let ends = [true, false].map(|v4| (place(v4, false), place(v4, true)));
    let frames = ends.map(|((_, source), (_, destination))| plain(source.first(), destination.first(), 100));
    let online = online();
    let barrier = Barrier::new(online.len());
    thread::scope(|scope| {
        for cpu in &online {
            let (frames, barrier, program) = (&frames, &barrier, &program);
            scope.spawn(move || {
                socket::pin_to_cpu(*cpu).unwrap();
                for frame in frames {
                    barrier.wait();
                    let (verdict, _) = run::repeat(program.as_fd(), frame, PACKETS).unwrap();
                    assert_eq!(verdict, XDP_PASS);
                }
            });
        }
    });
    let each = online.len() as u64 * u64::from(PACKETS);
    let reading = kernel.read().unwrap();
    let seen = reading.ledger[0].seen();
    let frame_bytes: usize = frames.iter().map(Vec::len).sum();
    let bytes = frame_bytes - 2 * 14;
    let all = (seen.packets, seen.bytes, seen.frame_bytes);
    assert_eq!(
        all,
        (2 * each, each * bytes as u64, each * frame_bytes as u64),
        "the ledger of {expected_slices} slices"
    );
    for (frame, (source, destination)) in frames.iter().zip(ends) {
        for ((place, net), direction) in [(source, Direction::Out), (destination, Direction::In)] {
            let counted = reading.prefix(PrefixId::new(place as u32 + 1).unwrap(), direction);
            let expected = (each, each * (frame.len() as u64 - 14), each * frame.len() as u64);
            let counted = (counted.packets, counted.bytes, counted.frame_bytes);
            assert_eq!(counted, expected, "{}/{} {direction:?}, {expected_slices} slices", net.first().ip(), net.len);
        }
    }
    println!("{test}: {} packets in {expected_slices} slices", 2 * each);
}

/// CPUs that this process may run on.
fn online() -> Vec<usize> {
    let may = |cpu: &usize| thread::scope(|scope| scope.spawn(|| socket::pin_to_cpu(*cpu).is_ok()).join().unwrap());
    (0..cpus().unwrap() as usize).filter(may).collect()
}

/// Whether there are CPUs to count beside each other.
fn has_cpus(test: &str) -> bool {
    let several = is_root(test) && online().len() > 1;
    if !several {
        println!("SKIP {test}: needs root and two CPUs");
    }
    several
}

#[test]
fn cpus_with_slices_of_their_own_lose_no_packet() {
    const TEST: &str = "cpus_with_slices_of_their_own_lose_no_packet";
    if has_cpus(TEST) {
        let v4 = [0x0a00_0001, 0x0b00_0001].map(|address: u128| Net::new(true, address << 96, 32));
        let v6 = [0x2001_0db8, 0x2001_0db9].map(|leading: u128| Net::new(false, leading << 96, 64));
        every_packet_is_found(TEST, &[v4, v6].concat(), DEFAULT_MEMORY, cpus().unwrap().next_power_of_two());
    }
}

#[test]
fn cpus_that_share_a_slice_lose_no_packet() {
    const TEST: &str = "cpus_that_share_a_slice_lose_no_packet";
    if has_cpus(TEST) {
        // Counters of 8 MiB in each slice, so that two do not fit, and no node.
        let of_len = |len: u32| (0..1 << len).map(move |number: u128| Net::new(true, number << (128 - len), len as u8));
        let v6 = (1..4).map(|number| Net::new(false, number << 112, 16));
        let nets = (1..=16).flat_map(of_len).chain(v6);
        every_packet_is_found(TEST, &sorted(nets.collect()), "16MiB".parse().unwrap(), 1);
    }
}
