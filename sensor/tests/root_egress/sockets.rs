//! What programs send through the kernel's own sockets: super-packets, which the classifier sees before they are cut.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use aya::sys::{Stats, enable_stats};
use sensor::{
    bpf::{EgressHook, Hook},
    testing::{
        netns::{LINK, run, within},
        offload::cut_datagrams,
        truth::Sum,
    },
};

use crate::{
    root::is_root,
    stage::{MTU, Stage, without_complaint},
};

/// Bytes sent over one connection.
const BULK: usize = 20_000_000;
const PIECE: usize = 1 << 16;
const INSIDE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const OUTSIDE: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const PORT: u16 = 7000;
/// Link, network and UDP header, by family.
const HEADERS: [(u64, u64); 2] = [(14, 28), (14, 48)];

/// A wire with addresses at both ends.
fn stage(name: &str) -> Stage {
    let stage = Stage::with(name, MTU, EgressHook::Tcx, Hook::Inline, &[LINK]);
    let ends = [(&stage.wire.sensor, LINK.inside, INSIDE), (&stage.wire.peer, LINK.outside, OUTSIDE)];
    let mac = |end: usize| format!("02:00:5e:20:00:0{}", end + 1);
    for (end, (namespace, interface, _)) in ends.iter().enumerate() {
        run(namespace, &["ip", "link", "set", "dev", interface, "address", &mac(end)]).unwrap();
    }
    for (end, (namespace, interface, [v4, v6])) in ends.iter().enumerate() {
        let [_, _, [peer_v4, peer_v6]] = [["", ""], ["", ""], ends[1 - end].2];
        run(namespace, &["ip", "address", "add", &format!("{v4}/24"), "dev", interface]).unwrap();
        run(namespace, &["ip", "address", "add", &format!("{v6}/64"), "dev", interface, "nodad"]).unwrap();
        for peer in [peer_v4, peer_v6] {
            let neighbour = ["ip", "neigh", "replace", peer, "lladdr", &mac(1 - end), "dev", interface];
            run(namespace, &[&neighbour[..], &["nud", "permanent"]].concat()).unwrap();
        }
    }
    // A queue that waits where the peer's is full, instead of none that drops.
    stage.run(&["tc", "qdisc", "replace", "dev", LINK.inside, "root", "pfifo", "limit", "10000"]);
    stage
}

fn outside(family: usize) -> SocketAddr {
    SocketAddr::new(OUTSIDE[family].parse().unwrap(), PORT)
}

/// Sends so many bytes over a connection and waits until the other end has them all.
fn send_bulk(stage: &Stage, family: usize) {
    let listener = within(&stage.wire.peer, || Ok(TcpListener::bind(outside(family))?)).unwrap();
    thread::scope(|scope| {
        let received = scope.spawn(|| io::copy(&mut listener.accept().unwrap().0, &mut io::sink()).unwrap());
        let mut stream = within(&stage.wire.sensor, || Ok(TcpStream::connect(outside(family))?)).unwrap();
        let piece = vec![7; PIECE];
        let mut left = BULK;
        while left > 0 {
            let now = left.min(PIECE);
            stream.write_all(&piece[..now]).unwrap();
            left -= now;
        }
        drop(stream);
        assert_eq!(received.join().unwrap(), BULK as u64);
    });
}

#[test]
fn tcp_in_bulk_is_counted_as_the_peer_receives_it() {
    if !is_root("tcp_in_bulk_is_counted_as_the_peer_receives_it") {
        return;
    }
    let mut stage = stage("tcp");
    let _stats = enable_stats(Stats::RunTime).unwrap();
    for family in [0, 1] {
        let calls = stage.calls();
        let (before, _) = stage.settled();
        without_complaint(|| send_bulk(&stage, family));
        let (sent, witnessed) = stage.settled();
        let calls = stage.calls() - calls;
        println!("{} packets of {} frame bytes in {calls} socket buffers", sent.packets, sent.frame_bytes);
        assert_eq!(sent, witnessed, "egress, and the witness");
        assert!(sent.bytes - before.bytes > BULK as u64);
        assert!(calls * 4 < sent.packets - before.packets, "super-packets");
    }
}

#[test]
fn datagrams_that_the_kernel_cuts_are_counted_one_by_one() {
    if !is_root("datagrams_that_the_kernel_cuts_are_counted_one_by_one") {
        return;
    }
    let mut stage = stage("udp");
    let _stats = enable_stats(Stats::RunTime).unwrap();
    for (family, (link, headers)) in HEADERS.into_iter().enumerate() {
        let _receiver = within(&stage.wire.peer, || Ok(UdpSocket::bind(outside(family))?)).unwrap();
        let open = || Ok(UdpSocket::bind(SocketAddr::new(INSIDE[family].parse()?, 0))?);
        let socket = within(&stage.wire.sensor, open).unwrap();
        socket.connect(outside(family)).unwrap();
        let (mut truth, calls) = (stage.settled().0, stage.calls());
        let mut sends = 0;
        for segment in [200_u16, 997, 1200, 1400] {
            cut_datagrams(&socket, segment).unwrap();
            for payload in [1, usize::from(segment), usize::from(segment) + 1, 9_999, 12_000, 12_345] {
                assert_eq!(socket.send(&vec![0; payload]).unwrap(), payload);
                let packets = payload.div_ceil(segment.into()) as u64;
                let bytes = payload as u64 + packets * headers;
                truth.add(Sum { packets, bytes, frame_bytes: bytes + packets * link });
                stage.arrived(truth.packets);
                sends += 1;
            }
        }
        assert_eq!(stage.settled(), (truth, truth), "egress, witness, and what was sent");
        assert_eq!(stage.calls() - calls, sends, "socket buffers");
    }
}
