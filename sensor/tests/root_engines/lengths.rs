//! The program for several buffers asks how long a frame is only where its first buffer leaves that open: what it books must not
//! tell.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::programs::{TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;
use sensor::{
    bpf::{Buffers, Hook, Instance},
    collect::Meter as _,
};
use sensor_ebpf::packet::SliceWindow;

use crate::{
    XDP_DROP, XDP_PASS,
    net::Net,
    pair::{Captured, Pair},
    plain::plain,
    prefixes,
    root::is_root,
};

/// Around the shortest frame of Ethernet, around the least that a full first buffer holds, and of one buffer and several.
const FRAMES: [usize; 11] = [54, 59, 60, 61, 1023, 1024, 1025, 1514, 4000, 9000, 20_000];
/// First buffers, from the shortest that holds every header up.
const FIRST_BUFFERS: [usize; 12] = [54, 58, 59, 60, 61, 62, 66, 128, 1023, 1024, 1025, 2000];
/// Ethernet header and tag.
const LINK: usize = 14;
const TAG: usize = 4;

/// A frame, and what is billed for it.
struct Sent {
    bytes: Vec<u8>,
    /// Where the IP packet begins, and its header.
    headers: usize,
    /// Where the length field says that the packet ends; `None` where it is 0.
    claimed: Option<usize>,
    /// L3 bytes.
    billed: usize,
}

/// Frames of `len` bytes with `tags` tags whose length fields say that they are full, padded, cut, or nothing, or less than a
/// header. UDP, so that ports are looked for.
fn frames(nets: &[Net], v4: bool, tags: usize, len: usize) -> Vec<Sent> {
    let watched = nets.iter().step_by(3).find(|net| net.v4 == v4).unwrap().first();
    let counted = nets.iter().skip(1).step_by(3).find(|net| net.v4 == v4).unwrap().first();
    let (link, header) = (LINK + TAG * tags, if v4 { 20 } else { 40 });
    if len < link + header {
        return Vec::new();
    }
    let room = len - link;
    let ends =
        [34, 54, 58, 59, 60, 61, 62, 66, 128, 1023, 1024, 1025, 2000, 3000].map(|end: usize| end.saturating_sub(link));
    let mut lengths: Vec<usize> = ends.into_iter().filter(|length| *length <= room + 1).collect();
    lengths.extend([header, header + 8, room / 2, room - 1, room, room + 1, room + 700, 65_535]);
    // Of IPv6 the field leaves out the header, and 0 is no length of a payload.
    let field = |length: usize| if v4 { Some(length) } else { length.checked_sub(header).filter(|field| *field > 0) };
    let lengths = lengths.into_iter().filter(|length| field(*length).is_some()).map(Some);
    let under = if v4 { [Some(1), Some(19)] } else { [Some(header + 1); 2] };
    let mut frames = Vec::new();
    for claimed in lengths.chain(under).chain([None]) {
        let mut bytes = plain(watched, counted, room - header);
        let stated = claimed.and_then(field).unwrap_or(0).min(65_535);
        let (at, protocol) = if v4 { (16, 23) } else { (18, 20) };
        bytes[at..at + 2].copy_from_slice(&(stated as u16).to_be_bytes());
        bytes[protocol] = 17;
        for _ in 0..tags {
            bytes.splice(12..12, [0x81, 0x00, 0, 7]);
        }
        // The largest that the field can say.
        let claimed = claimed.map(|length| length.min(stated + if v4 { 0 } else { header }));
        let billed = claimed.map_or(room, |length| length.min(room));
        frames.push(Sent { bytes, headers: link + header, claimed: claimed.map(|length| link + length), billed });
    }
    frames
}

fn all_frames(nets: &[Net]) -> Vec<Sent> {
    let kinds = [true, false].into_iter().flat_map(|v4| [0, 1, 2].map(|tags| (v4, tags)));
    kinds.flat_map(|(v4, tags)| FRAMES.map(|len| frames(nets, v4, tags, len))).flatten().collect()
}

fn whole(sent: &Sent) -> Captured {
    let len = sent.bytes.len() as u32;
    Captured { bytes: sent.bytes.clone(), wire_len: len, frame_len: len }
}

/// What was sent is what either engine saw and billed.
fn is_all(pair: &mut Pair, sent: &[&Sent]) {
    let seen = pair.kernel.read().unwrap().ledger[0].seen();
    let frame_bytes: usize = sent.iter().map(|frame| frame.bytes.len()).sum();
    let billed: usize = sent.iter().map(|frame| frame.billed).sum();
    assert_eq!((seen.packets, seen.frame_bytes, seen.bytes), (sent.len() as u64, frame_bytes as u64, billed as u64));
}

#[test]
fn frames_of_any_length_and_claim_are_as_long_as_they_are() {
    if !is_root("frames_of_any_length_and_claim_are_as_long_as_they_are") {
        return;
    }
    let nets = prefixes();
    let sent = all_frames(&nets);
    let captured: Vec<Captured> = sent.iter().map(whole).collect();
    for (hook, verdict) in [(Hook::Inline, XDP_PASS), (Hook::Mirror, XDP_DROP)] {
        for buffers in [Buffers::Several, Buffers::One] {
            let mut pair = Pair::new(&nets, hook, buffers, false);
            let taken: Vec<&Captured> = captured.iter().filter(|frame| pair.takes(frame)).collect();
            for frame in &taken {
                assert_eq!(pair.count(frame), verdict);
            }
            if !pair.agree() {
                panic!("{hook:?}, {buffers:?}: {}", pair.culprit(&captured));
            }
            let taken: Vec<&Sent> =
                sent.iter().zip(&captured).filter(|(_, frame)| pair.takes(frame)).map(|(sent, _)| sent).collect();
            is_all(&mut pair, &taken);
            println!("{hook:?}, {buffers:?}: {} frames", taken.len());
        }
    }
}

/// The loaded program, to be run with a context.
fn program(instance: &mut Instance, hook: Hook) -> Xdp {
    let fd = instance.program_fd(hook, Buffers::Several).unwrap().as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let id: u32 = text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()).unwrap();
    let info = loaded_programs().map(Result::unwrap).find(|info| info.id() == id).unwrap();
    Xdp::from_program_info(info, "sensor_frags".into(), XdpAttachType::Interface).unwrap()
}

/// `struct xdp_md` as the kernel takes it: data up to the end of the first buffer, without metadata (Linux 6.18).
fn context(first_buffer: usize) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(first_buffer as u32).to_ne_bytes());
    context
}

/// As drivers do that split headers off, or that fill small buffers.
#[test]
fn frames_whose_first_buffer_ends_anywhere_are_as_long_as_they_are() {
    const TEST: &str = "frames_whose_first_buffer_ends_anywhere_are_as_long_as_they_are";
    if !is_root(TEST) {
        return;
    }
    let nets = prefixes();
    let sent = all_frames(&nets);
    for hook in [Hook::Inline, Hook::Mirror] {
        let mut pair = Pair::new(&nets, hook, Buffers::Several, false);
        let program = program(pair.kernel.instance(0).unwrap(), hook);
        let (mut split, mut given) = (0, Vec::new());
        for first_buffer in FIRST_BUFFERS {
            let context = context(first_buffer);
            for frame in &sent {
                let goes_on = frame.bytes.len() > first_buffer;
                // No driver goes on behind a first buffer that holds the packet, neither short nor full.
                let padded = (60..1024).contains(&first_buffer) && frame.claimed.is_some_and(|end| end <= first_buffer);
                if !goes_on || frame.headers > first_buffer || padded {
                    continue;
                }
                let options =
                    TestRunOptions { data_in: Some(&frame.bytes), ctx_in: Some(&context), ..TestRunOptions::new() };
                if let Err(error) = program.test_run(options) {
                    assert_eq!(split, 0, "{error}: {first_buffer} of {} bytes", frame.bytes.len());
                    return println!("SKIP {TEST}: no first buffers of a chosen length before Linux 6.18 ({error})");
                }
                pair.native.count(&SliceWindow::whole(&frame.bytes));
                split += 1;
                given.push(frame);
            }
            assert!(pair.agree(), "{hook:?}, a first buffer of {first_buffer} bytes");
        }
        is_all(&mut pair, &given);
        println!("{hook:?}: {split} frames, split");
    }
}
