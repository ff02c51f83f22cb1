//! The reader against captures built in code: every feature, every cut, and bytes made to hurt.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::{
    write::{ByteOrder, InterfaceOptions, PcapWriter, PcapngWriter, Precision},
    *,
};

/// 2021-01-01T00:00:00.123456789Z.
const AT: Timestamp = Timestamp::from_nanos(1_609_459_200_123_456_789);

/// A frame that owns its bytes: time, interface, link type, length on the wire, data.
type Owned = (Timestamp, u32, LinkType, u32, Vec<u8>);

fn open(bytes: &[u8]) -> Result<Capture, CaptureError> {
    Capture::from_reader(Cursor::new(bytes.to_vec()), "test")
}

fn read(bytes: &[u8]) -> (Vec<Owned>, Option<Damage>) {
    let mut capture = open(bytes).unwrap();
    let mut frames = vec![];
    while let Some(frame) = capture.next().unwrap() {
        let Frame { timestamp, interface, link_type, wire_len, data } = frame;
        frames.push((timestamp, interface, link_type, wire_len, data.to_vec()));
    }
    assert!(capture.next().unwrap().is_none(), "the end stays the end");
    assert_eq!(capture.frames(), frames.len() as u64);
    (frames, capture.damage().cloned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn pcap(order: ByteOrder, precision: Precision) -> Vec<u8> {
    let mut writer = PcapWriter::with(vec![], LinkType::Ethernet, order, precision).unwrap();
    writer.write_frame(AT, 5, b"whole").unwrap();
    writer.write_frame(AT, 1500, b"cut").unwrap();
    writer.write_frame(AT, 0, b"").unwrap();
    writer.into_inner()
}

fn pcapng() -> Vec<u8> {
    let mut writer = PcapngWriter::new(vec![], ByteOrder::Little).unwrap();
    writer.add_interface(InterfaceOptions { snap_len: 6, ..InterfaceOptions::new(LinkType::Ethernet) }).unwrap();
    writer.add_interface(InterfaceOptions { resolution: 6, ..InterfaceOptions::new(LinkType::Raw) }).unwrap();
    writer.write_frame(0, AT, 100, b"first").unwrap();
    writer.write_frame(1, AT, 6, b"second").unwrap();
    writer.write_simple(70, b"simple").unwrap();
    writer.write_block(0x0000_0bad, b"custom").unwrap();
    writer.start_section(ByteOrder::Big).unwrap();
    let options =
        InterfaceOptions { resolution: 0x80 | 30, offset: -7200, ..InterfaceOptions::new(LinkType::LinuxSll2) };
    writer.add_interface(options).unwrap();
    writer.write_frame(0, AT, 4, b"last").unwrap();
    writer.into_inner()
}

#[test]
fn classic_orders_and_precisions() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for (precision, at) in
            [(Precision::Nanos, AT), (Precision::Micros, Timestamp::from_nanos(1_609_459_200_123_456_000))]
        {
            let (frames, damage) = read(&pcap(order, precision));
            assert_eq!(damage, None);
            let frame = |wire_len, data: &[u8]| (at, 0, LinkType::Ethernet, wire_len, data.to_vec());
            assert_eq!(frames, [frame(5, b"whole"), frame(1500, b"cut"), frame(0, b"")]);
        }
    }
}

#[test]
fn classic_link_type_without_fcs_bits() {
    let mut bytes = pcap(ByteOrder::Little, Precision::Nanos);
    // The FCS is present (bit 26) and 4 bytes long (2 words in the top 4 bits).
    bytes[20..24].copy_from_slice(&0x2400_0001u32.to_le_bytes());
    assert_eq!(read(&bytes).0[0].2, LinkType::Ethernet);
}

#[test]
fn classic_before_version_2_4_swaps_lengths() {
    let mut bytes = pcap(ByteOrder::Little, Precision::Nanos);
    bytes.truncate(24 + 16 + 5);
    bytes[6..8].copy_from_slice(&2u16.to_le_bytes());
    bytes[24 + 8..24 + 16].copy_from_slice(&[9, 0, 0, 0, 5, 0, 0, 0]);
    assert_eq!(read(&bytes).0[0].3, 9);
    bytes[6..8].copy_from_slice(&3u16.to_le_bytes());
    assert_eq!(read(&bytes), (vec![(AT, 0, LinkType::Ethernet, 9, b"whole".to_vec())], None));
}

#[test]
fn pcapng_sections_interfaces_clocks() {
    let micros = Timestamp::from_nanos(1_609_459_200_123_456_000);
    let expected = vec![
        (AT, 0, LinkType::Ethernet, 100, b"first".to_vec()),
        (micros, 1, LinkType::Raw, 6, b"second".to_vec()),
        (micros, 0, LinkType::Ethernet, 70, b"simple".to_vec()),
        (AT, 2, LinkType::LinuxSll2, 4, b"last".to_vec()),
    ];
    assert_eq!(read(&pcapng()), (expected, None));
}

#[test]
fn pcapng_says_what_was_dropped() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let drops = |interface, system| Drops { interface, system };
        let mut writer = PcapngWriter::new(vec![], order).unwrap();
        for _ in 0..2 {
            writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
        }
        writer.write_drops(0, drops(5, 0)).unwrap();
        writer.write_frame(0, AT, 1, b"a").unwrap();
        // Since the capture began, not since the last time; the other interface is one of its own, and so is a third that is none.
        writer.write_drops(0, drops(8, 1)).unwrap();
        writer.write_drops(1, drops(2, 40)).unwrap();
        writer.write_drops(2, drops(1000, 1000)).unwrap();
        writer.write_frame(0, AT, 1, b"b").unwrap();
        // Less than before, and what a writer does not know.
        writer.write_drops(0, drops(7, u64::MAX)).unwrap();
        writer.write_block(5, &[0; 7]).unwrap();
        writer.start_section(order).unwrap();
        writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
        writer.write_drops(0, drops(3, 0)).unwrap();
        let mut capture = open(&writer.into_inner()).unwrap();
        let mut told = Vec::new();
        while capture.next().unwrap().is_some() {
            told.push(capture.take_drops());
        }
        told.push(capture.take_drops());
        assert_eq!(told, [drops(5, 0), drops(5, 41), drops(3, 0)], "{order:?}");
        assert_eq!(capture.damage(), None);
        assert_eq!(capture.take_drops(), Drops::default(), "it was told");
    }
}

#[test]
fn pcapng_obsolete_packet_block() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut writer = PcapngWriter::new(vec![], order).unwrap();
        writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
        let mut body = order.u16(0).to_vec();
        body.extend(order.u16(77)); // drops
        for field in [1, 2, 3, 9] {
            body.extend(order.u32(field));
        }
        body.extend(b"old");
        writer.write_block(2, &body).unwrap();
        let at = Timestamp::from_nanos((1 << 32) + 2);
        assert_eq!(read(&writer.into_inner()), (vec![(at, 0, LinkType::Ethernet, 9, b"old".to_vec())], None));
    }
}

#[test]
fn pcapng_simple_packet_before_any_time() {
    let mut writer = PcapngWriter::new(vec![], ByteOrder::Big).unwrap();
    writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
    writer.write_simple(3, b"abc").unwrap();
    let frame = (Timestamp::EPOCH, 0, LinkType::Ethernet, 3, b"abc".to_vec());
    assert_eq!(read(&writer.into_inner()), (vec![frame], None));
}

#[test]
fn gzip_by_content_also_of_several_members() {
    let bytes = pcapng();
    let (whole, _) = read(&bytes);
    assert_eq!(read(&gzip(&bytes)), (whole.clone(), None));
    let members = [gzip(&bytes[..77]), gzip(b""), gzip(&bytes[77..])].concat();
    assert_eq!(read(&members), (whole.clone(), None));
    let (frames, damage) = read(&[&members[..], b"something else"].concat());
    assert_eq!(frames, whole);
    assert_eq!(damage.unwrap().kind, DamageKind::GzipMalformed);
}

/// Cuts a capture after every byte: no panic, never fewer frames than with a byte less, damage exactly where the cut is
/// not at a record's end.
fn cut_everywhere(bytes: &[u8], boundaries: Option<&[usize]>) {
    let (whole, damage) = read(bytes);
    assert_eq!(damage, None);
    let mut frames_before = 0;
    for len in 0..bytes.len() {
        let mut capture = match open(&bytes[..len]) {
            Ok(capture) => capture,
            Err(error) => {
                assert_eq!(frames_before, 0, "a longer cut is refused: {error}");
                assert!(!error.to_string().contains('\n'));
                continue;
            }
        };
        let mut frames = 0;
        while let Some(frame) = capture.next().unwrap() {
            assert_eq!(frame.data, whole[frames].4);
            frames += 1;
        }
        assert!(frames >= frames_before);
        frames_before = frames;
        let whole_records = boundaries.is_some_and(|boundaries| boundaries.contains(&len));
        assert_eq!(capture.damage().is_none(), whole_records, "cut after {len} bytes: {:?}", capture.damage());
    }
    assert!(frames_before + 1 >= whole.len());
}

#[test]
fn cuts() {
    cut_everywhere(&pcap(ByteOrder::Little, Precision::Nanos), Some(&[24, 45, 64]));
    let bytes = pcapng();
    let mut boundaries = vec![];
    let (mut end, mut big) = (0, false);
    while end < bytes.len() {
        big |= end > 0 && bytes[end..].starts_with(&[0x0a, 0x0d]);
        let len: [u8; 4] = *bytes[end + 4..].first_chunk().unwrap();
        end += if big { u32::from_be_bytes(len) } else { u32::from_le_bytes(len) } as usize;
        boundaries.push(end);
    }
    cut_everywhere(&bytes, Some(&boundaries));
    cut_everywhere(&gzip(&bytes), None);
    cut_everywhere(&gzip(&pcap(ByteOrder::Big, Precision::Micros)), None);
}

#[test]
fn damage_says_what_and_where() {
    let mut bytes = pcap(ByteOrder::Little, Precision::Nanos);
    let text = |bytes: &[u8]| read(bytes).1.unwrap().to_string();
    assert_eq!(
        text(&bytes[..bytes.len() - 1]),
        "the capture is cut inside a record at byte 64, after 2 frames; what follows is not read"
    );
    bytes[45 + 8..45 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        text(&bytes),
        "a frame claims 4294967295 captured bytes (at most 262144 are accepted) at byte 45, after 1 frame; what \
         follows is not read"
    );
}

#[test]
fn hostile_block_lengths() {
    let mut writer = PcapngWriter::new(vec![], ByteOrder::Little).unwrap();
    writer.add_interface(InterfaceOptions { resolution: 255, ..InterfaceOptions::new(LinkType::Ethernet) }).unwrap();
    let good = writer.into_inner();
    let kind = |block: &[u8]| read(&[&good, block].concat()).1.unwrap().kind;
    for len in [0, 4, 11, 13, MAX_BLOCK_LEN + 4, u32::MAX] {
        let block = [6u32.to_le_bytes(), len.to_le_bytes(), [0; 4]].concat();
        assert_eq!(kind(&block), DamageKind::BlockLength(len));
    }
    let block = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(kind(&block(&[6, MAX_BLOCK_LEN, 0])), DamageKind::Cut);
    assert_eq!(kind(&block(&[99, 12, 16])), DamageKind::BlockTrailer { first: 12, last: 16 });
    assert_eq!(kind(&block(&[6, 12, 12])), DamageKind::Block(6));
    assert_eq!(kind(&block(&[6, 32, 0, 0, 0, 4, 4, 32])), DamageKind::Block(6));
    assert_eq!(kind(&block(&[6, 32, 0, 0, 0, u32::MAX, 4, 32])), DamageKind::Block(6));
    assert_eq!(kind(&block(&[6, 32, 7, 0, 0, 0, 0, 32])), DamageKind::Interface(7));
    assert_eq!(kind(&block(&[2, 12, 12])), DamageKind::Block(2));
    assert_eq!(kind(&block(&[2, 32, 0, 0, 0, u32::MAX, 4, 32])), DamageKind::FrameLength(u32::MAX));
    assert_eq!(kind(&block(&[3, 16, 9, 16])), DamageKind::Block(3));
    assert_eq!(kind(&block(&[0x0a0d_0d0a, 28, 0, 0, 0, 0, 28])), DamageKind::Section);
    assert_eq!(kind(&block(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 2, 0, 0, 28])), DamageKind::Section);
    let (frames, _) = read(&[&good[..], &block(&[6, 32, 0, !0, !0, 0, 4, 32])].concat());
    assert_eq!(frames[0].0, Timestamp::EPOCH, "2^-127 seconds a tick");
}

#[test]
fn a_frame_larger_than_the_buffer() {
    let data = vec![7; MAX_FRAME_LEN as usize];
    let mut writer = PcapngWriter::new(vec![], ByteOrder::Little).unwrap();
    writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
    writer.write_frame(0, AT, 1, &data).unwrap();
    writer.write_block(0x0bad, &vec![0; 1 << 20]).unwrap();
    writer.write_frame(0, AT, 1, &data).unwrap();
    let bytes = writer.into_inner();
    let (frames, damage) = read(&bytes);
    assert_eq!((frames.len(), damage), (2, None));
    assert_eq!(read(&gzip(&bytes)).0, frames);
}

#[test]
fn what_is_no_capture() {
    let text = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    assert_eq!(text(b""), "test is empty; record it again, or check the pipe it comes from");
    assert_eq!(
        text(b"hello world"),
        "test is not a capture (it starts with 68656c6c); give a pcap or pcapng file, plain or gzip"
    );
    assert_eq!(text(&gzip(b"")), "test is empty; record it again, or check the pipe it comes from");
    assert!(text(&gzip(b"hello")).contains("68656c6c"));
    assert_eq!(
        text(&[0x34, 0xcd, 0xb2, 0xa1, 2, 0, 4, 0]),
        "test is a modified pcap (Kuznetzov) file, which is not supported; convert it with editcap -F pcap"
    );
    assert_eq!(text(&pcapng()[..20]), "test ends inside its file header, after 20 bytes; record it again");
    assert!(text(&[&pcapng()[..8], &[0; 30]].concat()).contains("its file header is malformed"));
}

#[test]
fn paths() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Capture::open(folder.path()), Err(CaptureError::Directory { .. })));
    assert!(matches!(Capture::open(&folder.path().join("none")), Err(CaptureError::Open { .. })));
    let path = folder.path().join("named.txt");
    let bytes = gzip(&pcapng());
    std::fs::write(&path, &bytes).unwrap();
    let mut capture = Capture::open(&path).unwrap();
    assert_eq!(capture.size(), Some(bytes.len() as u64));
    while capture.next().unwrap().is_some() {}
    assert_eq!(capture.bytes_read(), bytes.len() as u64);
}

/// A pipe gives what it likes: here one byte at a time.
#[test]
fn short_reads() {
    struct Drip(Cursor<Vec<u8>>);
    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(1);
            self.0.read(&mut buffer[..len])
        }
    }
    for bytes in [pcapng(), gzip(&pcapng()), pcap(ByteOrder::Big, Precision::Nanos)] {
        let mut capture = Capture::from_reader(Drip(Cursor::new(bytes.clone())), "pipe").unwrap();
        let mut frames = 0;
        while capture.next().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!((frames, capture.damage().cloned()), (read(&bytes).0.len(), None));
    }
}

proptest! {
    #[test]
    fn random_bytes_after_a_valid_start(
        start in prop::sample::select(vec![0usize, 1, 2, 3]),
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let start = match start {
            0 => pcapng(),
            1 => pcapng()[..28].to_vec(),
            2 => pcap(ByteOrder::Big, Precision::Micros)[..24].to_vec(),
            _ => vec![0x1f, 0x8b],
        };
        let mut bytes = start;
        bytes.extend(tail);
        if let Ok(mut capture) = open(&bytes) {
            while capture.next().unwrap().is_some() {}
        }
    }

    #[test]
    fn flipped_bytes(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for mut bytes in [pcapng(), pcap(ByteOrder::Little, Precision::Nanos), gzip(&pcapng())] {
            for (at, value) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if let Ok(mut capture) = open(&bytes) {
                while capture.next().unwrap().is_some() {}
            }
        }
    }
}
