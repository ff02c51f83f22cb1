//! Frames as a border never sees them all on one day: every link layer and header the engine follows, whole, damaged, cut.

use super::{net::Net, random::Random};

/// Fewest bytes the kernel takes.
const MIN_LEN: usize = 14;
/// Protocols with ports, without, and IPv6 extension headers.
const PROTOCOLS: [u8; 16] = [6, 6, 17, 17, 1, 58, 132, 136, 33, 47, 50, 0, 43, 44, 51, 60];

/// One frame of 14 bytes and more, most of them with addresses in `nets`.
pub(crate) fn frame(random: &mut Random, nets: &[Net]) -> Vec<u8> {
    let mut frame = match random.below(16) {
        0 => noise(random),
        _ => shaped(random, nets),
    };
    if random.below(3) == 0 {
        for _ in 0..=random.below(4) {
            let reach = frame.len().min(120) as u64;
            let at = random.below(reach) as usize;
            frame[at] ^= 1 << random.below(8);
        }
    }
    if random.below(4) == 0 {
        frame.truncate(random.below(160) as usize);
    }
    frame.resize(frame.len().max(MIN_LEN), 0);
    frame
}

fn noise(random: &mut Random) -> Vec<u8> {
    let len = MIN_LEN as u64 + random.below(2000);
    (0..len).map(|_| random.word() as u8).collect()
}

fn shaped(random: &mut Random, nets: &[Net]) -> Vec<u8> {
    let payload = match random.below(200) {
        0 => 20_000 + random.below(40_000),
        1..20 => random.below(1900),
        _ => random.below(80),
    };
    let v4 = random.below(2) == 0;
    let packet = if v4 { ipv4(random, nets, payload as usize) } else { ipv6(random, nets, payload as usize) };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for _ in 0..random.below(12).saturating_sub(6) {
        let tag = [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00], [0x92, 0x00]][random.below(4) as usize];
        frame.extend(tag);
        frame.extend([random.word() as u8, random.word() as u8]);
    }
    let ethertype: [u8; 2] = if v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    match random.below(12) {
        0 => {
            frame.extend([0x88, 0x47 + random.below(2) as u8]);
            for left in (0..=random.below(9)).rev() {
                frame.extend([0, random.word() as u8, u8::from(left == 0), 64]);
            }
        }
        1 => {
            frame.extend([0x88, 0x64, 0x11, 0, 0, 7, 0, 0]);
            let number = if v4 { 0x21 } else { 0x57 };
            frame.extend(if random.below(4) == 0 { vec![number] } else { vec![0, number] });
        }
        2 => {
            frame.extend([0, 60, 0xaa, 0xaa, 3, 0, 0, 0]);
            frame.extend(ethertype);
        }
        3 if v4 => frame.extend([0, 60, 6, 6, 3]),
        4 => frame.extend([[0x08, 0x06], [0x88, 0xcc], [0x88, 0x63]][random.below(3) as usize]),
        _ => frame.extend(ethertype),
    }
    frame.extend(packet);
    frame
}

fn ipv4(random: &mut Random, nets: &[Net], payload: usize) -> Vec<u8> {
    let words = 5 + random.below(16).saturating_sub(10);
    let fragment = [0_u16, 0, 0, 0x4000, 0x2000, 0x2001, 0x1fff][random.below(7) as usize];
    let len = words as usize * 4 + payload;
    let mut header = vec![0x40 | words as u8, 0];
    header.extend(stated(random, len).to_be_bytes());
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, PROTOCOLS[random.below(16) as usize], 0, 0]);
    for _ in 0..2 {
        header.extend(&address(random, nets, true).to_be_bytes()[..4]);
    }
    header.resize(words as usize * 4, 1);
    header.extend((0..payload).map(|at| at as u8));
    header
}

fn ipv6(random: &mut Random, nets: &[Net], payload: usize) -> Vec<u8> {
    let chain: Vec<u8> =
        (0..random.below(24).saturating_sub(13)).map(|_| PROTOCOLS[11 + random.below(5) as usize]).collect();
    let protocol = PROTOCOLS[random.below(16) as usize];
    let next = |at: usize| chain.get(at).copied().unwrap_or(protocol);
    let mut body = Vec::new();
    for (at, kind) in chain.iter().enumerate() {
        let units = if *kind == 44 { 0 } else { random.below(3) };
        let fragment = if random.below(6) == 0 { [0, 9] } else { [0, 1] };
        body.extend([next(at + 1), units as u8, fragment[0], fragment[1]]);
        body.resize(body.len() + if *kind == 51 { 4 + 4 * units as usize } else { 4 + 8 * units as usize }, 0);
    }
    body.extend((0..payload).map(|at| at as u8));
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(stated(random, body.len()).to_be_bytes());
    header.extend([next(0), 64]);
    for _ in 0..2 {
        header.extend(address(random, nets, false).to_be_bytes());
    }
    header.extend(body);
    header
}

/// The length, or something else.
fn stated(random: &mut Random, len: usize) -> u16 {
    let len = len as u16;
    match random.below(12) {
        0 => 0,
        1 => len.wrapping_add(1),
        2 => random.below(64) as u16,
        3 => random.word() as u16,
        _ => len,
    }
}

fn address(random: &mut Random, nets: &[Net], v4: bool) -> u128 {
    let anything = random.wide();
    match nets.get(random.below(nets.len() as u64 * 4 / 3) as usize) {
        Some(net) if net.v4 == v4 => net.first().bits | anything.checked_shr(net.len.into()).unwrap_or(0),
        _ => anything,
    }
}
