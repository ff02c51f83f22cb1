//! Generated frames of every kind, from packet sockets of both kinds.

use std::thread;

use sensor::{
    bpf::EgressHook,
    testing::{
        frames::{Generator, Mix},
        netns::{LINK, within},
        offload::RingSender,
        socket::pin_to_cpu,
    },
};

use crate::{
    root::is_root,
    stage::{JUMBO_MTU, MTU, Sent, Stage, without_complaint},
};

/// Enough for every kind of frame and every prefix.
const FRAMES: u64 = 20_000;
const FEW: u64 = 3_000;

fn everything_is_counted(name: &str, mtu: usize, mix: Mix, how: EgressHook) {
    let mut stage = Stage::new(name, mtu, how);
    let sent = without_complaint(|| stage.send(mtu as u64, FRAMES, (mtu, mix)));
    assert!(sent.arrived.prefixes.len() > 16, "most prefixes in both directions");
    stage.check(&sent);
}

#[test]
fn every_frame_is_counted() {
    if is_root("every_frame_is_counted") {
        everything_is_counted("all", MTU, Mix::Everything, EgressHook::Best);
    }
}

#[test]
fn plain_packets_are_counted() {
    if is_root("plain_packets_are_counted") {
        everything_is_counted("plain", MTU, Mix::Plain, EgressHook::Tcx);
    }
}

/// Of a frame longer than a page a packet socket leaves only the link header in the linear part.
#[test]
fn jumbo_frames_are_counted_whole() {
    if is_root("jumbo_frames_are_counted_whole") {
        everything_is_counted("jumbo", JUMBO_MTU, Mix::Everything, EgressHook::Tcx);
    }
}

#[test]
fn a_clsact_filter_counts_the_same() {
    if is_root("a_clsact_filter_counts_the_same") {
        everything_is_counted("clsact", MTU, Mix::Everything, EgressHook::Clsact);
    }
}

#[test]
fn frames_with_nothing_linear_but_their_link_header_are_counted() {
    if !is_root("frames_with_nothing_linear_but_their_link_header_are_counted") {
        return;
    }
    for (mtu, mix, seed) in [(MTU, Mix::Everything, 11), (JUMBO_MTU, Mix::Everything, 12), (MTU, Mix::Plain, 13)] {
        let mut stage = Stage::new(&format!("ring{seed}"), mtu, EgressHook::Tcx);
        let mut sender = within(&stage.wire.sensor, || RingSender::open(LINK.inside)).unwrap();
        let mut generator = Generator::new(seed, stage.table.prefixes(), mtu, mix);
        let mut sent = Sent::default();
        for _ in 0..FEW {
            let frame = generator.frame();
            sender.send(&frame.bytes).unwrap();
            sent.left.count(&stage.table, &frame);
            sent.arrived.count(&stage.table, &frame);
        }
        println!("seed {seed}: {FEW} frames sent from a ring");
        stage.check(&sent);
    }
}

#[test]
fn senders_on_all_cpus_lose_no_count() {
    if !is_root("senders_on_all_cpus_lose_no_count") {
        return;
    }
    let mut stage = Stage::new("cpus", MTU, EgressHook::Tcx);
    let cpus = thread::available_parallelism().unwrap().get();
    let send = |number: usize| {
        pin_to_cpu(number % cpus).unwrap();
        stage.send(20 + number as u64, FRAMES, (MTU, Mix::Everything))
    };
    let mut all = Sent::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cpus.max(2)).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().for_each(|thread| all.add(&thread.join().unwrap()));
    });
    stage.check(&all);
}
