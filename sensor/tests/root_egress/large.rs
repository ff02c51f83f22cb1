//! Packets that a packet socket hands over uncut and uncounted, and tags beside the bytes.

use sensor::{
    bpf::EgressHook,
    testing::{
        classifier::{Act, Classifier, Place},
        frames::{Frame, Generator, Mix},
        netns::{LINK, within},
        offload::{Large, LargeSender, Shape},
        rng::Rng,
        socket::Sender,
        truth::Sum,
    },
};

use crate::{
    root::is_root,
    stage::{MTU, Sent, Stage, sent, sum, without_complaint},
};

const SEED: u64 = 31;
const PACKETS: usize = 600;
const FRAMES: usize = 2_000;
/// Packets sent before the witness must have seen them: what they are cut into fits the 256 frames that a veth queues.
const MOST_QUEUED: u64 = 160;
/// Bytes of an 802.1Q tag.
const TAG_LEN: u64 = 4;

/// Payloads around multiples of the segment, more than one of it: less than that the kernel does not cut.
fn shape(rng: &mut Rng, most_tags: usize) -> Shape {
    let tcp = if rng.one_in(4) { None } else { Some(20 + 4 * rng.below(11)) };
    let segment = rng.pick(&[536_u16, 1000, 1220, 1330, 1380]);
    let around = rng.between(0, 160);
    let payload = rng.between(1, 40) * usize::from(segment) + around;
    let payload = payload.saturating_sub(80).max(usize::from(segment) + 1);
    Shape { v4: rng.one_in(2), tcp, jumbo: false, tags: rng.below(most_tags + 1), payload, segment }
}

/// Packets of all shapes, with at most so many tags.
fn packets(seed: u64, count: usize, most_tags: usize) -> Vec<Large> {
    let mut rng = Rng::new(seed);
    let one = |_| {
        let shape = shape(&mut rng, most_tags);
        Large::new(&mut rng, shape)
    };
    (0..count).map(one).collect()
}

/// Sends packets to be cut, waiting for the witness now and then, and returns what must have been counted.
fn send(stage: &mut Stage, packets: &[Large]) -> Sum {
    let sender = within(&stage.wire.sensor, || LargeSender::open(LINK.inside)).unwrap();
    let (mut truth, mut queued) = (stage.witnessed(), 0);
    for packet in packets {
        sender.send(packet).unwrap();
        truth.add(packet.truth);
        queued += packet.truth.packets;
        if queued > MOST_QUEUED - 50 {
            stage.arrived(truth.packets);
            queued = 0;
        }
    }
    truth
}

#[test]
fn packets_of_an_unknown_number_of_segments_are_counted_as_they_are_cut() {
    if !is_root("packets_of_an_unknown_number_of_segments_are_counted_as_they_are_cut") {
        return;
    }
    for how in [EgressHook::Tcx, EgressHook::Clsact] {
        let mut stage = Stage::new(&format!("large-{how:?}").to_lowercase(), MTU, how);
        let packets = packets(SEED, PACKETS, 2);
        let truth = without_complaint(|| send(&mut stage, &packets));
        println!("seed {SEED}: {PACKETS} packets, {} on the wire", truth.packets);
        assert!(truth.packets > 10 * PACKETS as u64);
        assert_eq!(stage.settled(), (truth, truth), "egress, witness, and what was sent");
    }
}

/// Beyond 65,535 bytes the kernel writes a header that never reaches the wire.
#[test]
fn a_jumbo_header_is_not_counted() {
    if !is_root("a_jumbo_header_is_not_counted") {
        return;
    }
    let mut stage = Stage::new("jumbo-header", MTU, EgressHook::Tcx);
    let mut rng = Rng::new(SEED + 2);
    let mut large = |payload| {
        let shape = Shape { v4: false, tcp: Some(32), jumbo: true, tags: 0, payload, segment: 1380 };
        Large::new(&mut rng, shape)
    };
    let packets: Vec<_> = [66_000, 70_000, 100_000, 138_000, 138_001, 150_000].map(&mut large).into();
    let truth = send(&mut stage, &packets);
    assert_eq!(stage.settled(), (truth, truth), "egress, witness, and what was sent");
}

/// Longer than a segment by the options of its header alone: the kernel marks it, and finds nothing to cut.
#[test]
fn a_packet_of_one_segment_is_one_packet() {
    if !is_root("a_packet_of_one_segment_is_one_packet") {
        return;
    }
    let mut stage = Stage::new("one", MTU, EgressHook::Tcx);
    let sender = within(&stage.wire.sensor, || LargeSender::open(LINK.inside)).unwrap();
    let mut truth = Sum::default();
    for (v4, payload) in [(true, 1000), (true, 970), (false, 1000), (false, 961)] {
        let shape = Shape { v4, tcp: Some(60), jumbo: false, tags: 0, payload, segment: 1000 };
        let packet = Large::new(&mut Rng::new(SEED), shape);
        assert_eq!(packet.truth.packets, 1);
        // It is counted before the kernel finds that out, and throws it away.
        let _ = sender.send(&packet);
        truth.add(packet.truth);
    }
    assert_eq!(sum(sent(&stage.counted()).seen()), truth);
}

/// Whether the interface puts tags into the bytes itself; the kernel does it before, where it does not.
fn let_the_interface_insert_tags(stage: &Stage, insert: bool) {
    stage.run(&["ethtool", "-K", LINK.inside, "txvlan", if insert { "on" } else { "off" }]);
}

#[test]
fn a_tag_beside_the_bytes_is_frame_bytes() {
    if !is_root("a_tag_beside_the_bytes_is_frame_bytes") {
        return;
    }
    for insert in [false, true] {
        let mut stage = Stage::new(&format!("tag{}", u8::from(insert)), MTU, EgressHook::Tcx);
        let_the_interface_insert_tags(&stage, insert);
        let _tags =
            within(&stage.wire.sensor, || Classifier::attach(LINK.inside, Act::PushTag(7), Place::First)).unwrap();
        let mut sender = within(&stage.wire.sensor, || Sender::open(LINK.inside)).unwrap();
        let mut generator = Generator::new(SEED, stage.table.prefixes(), MTU, Mix::Plain);
        let mut truth = Sent::default();
        for _ in 0..FRAMES {
            let frame = generator.frame();
            let tagged = Frame { bytes: [&frame.bytes[..], &[0; TAG_LEN as usize]].concat(), ..frame.clone() };
            let before = sender.retries();
            sender.send(&frame.bytes).unwrap();
            (before..=sender.retries()).for_each(|_| truth.left.count(&stage.table, &tagged));
            // A veth hands the tag over beside the bytes, where XDP does not see it.
            truth.arrived.count(&stage.table, if insert { &frame } else { &tagged });
        }
        stage.check(&truth);
    }
}

#[test]
fn a_tag_beside_the_bytes_is_in_every_segment() {
    if !is_root("a_tag_beside_the_bytes_is_in_every_segment") {
        return;
    }
    let mut stage = Stage::new("large-tag", MTU, EgressHook::Tcx);
    let_the_interface_insert_tags(&stage, false);
    let _tags = within(&stage.wire.sensor, || Classifier::attach(LINK.inside, Act::PushTag(7), Place::First)).unwrap();
    let mut truth = send(&mut stage, &packets(SEED + 1, PACKETS / 2, 0));
    truth.frame_bytes += TAG_LEN * truth.packets;
    assert_eq!(stage.settled(), (truth, truth), "egress, witness, and what was sent");
}
