//! Captures cut where they are not meant to end, read and counted as a replay does: what stands before the cut is counted to the
//! last frame, the place is named, and nothing panics.
//!
//! `SENSOR_CUTS=131072` cuts every capture of up to so many bytes at each of them, and each record of longer ones; without it only
//! small ones are cut everywhere.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "how much was cut belongs to the test report")]

#[path = "cut_captures/cut.rs"]
mod cut;
#[path = "cut_captures/walk.rs"]
mod walk;

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use sensor::{
    capture::{
        LinkType, Timestamp,
        write::{ByteOrder, InterfaceOptions, PcapWriter, PcapngWriter, Precision},
    },
    testing::rng::Rng,
};

use self::{cut::Reader, walk::Shape};

const SEED: u64 = 20_261;
/// Captures up to so many bytes are cut at each of them, unless `SENSOR_CUTS` says otherwise.
const SMALL: usize = 1_500;
/// The same for their compressed form, which takes a decoder for each cut.
const SMALL_GZIP: usize = 600;
/// Larger ones are cut in so many evenly spread places, in as many random ones ...
const SPREAD: usize = 8;
/// ... and so many bytes around the end of each record.
const AROUND: usize = 2;
/// Compressed bytes of a large capture that are read, and cut in random places.
const LARGE_PART: u64 = 1 << 20;

fn gzip(bytes: &[u8]) -> Arc<[u8]> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

/// How many bytes a gzip stream that was cut still gives, and whether it ends as it should.
fn inflated(bytes: &[u8]) -> (usize, bool) {
    let mut plain = Vec::new();
    let whole = MultiGzDecoder::new(bytes).read_to_end(&mut plain).is_ok();
    (plain.len(), whole)
}

fn every_byte(reader: &mut Reader, bytes: &Arc<[u8]>, shape: &Shape, damaged: Option<usize>) {
    for len in 0..=bytes.len() {
        reader.check(bytes, shape, damaged, len);
    }
}

fn every_byte_of_gzip(reader: &mut Reader, compressed: &Arc<[u8]>, shape: &Shape) {
    for len in 2..=compressed.len() {
        reader.check_gzip(compressed, shape, inflated(&compressed[..len]), len);
    }
}

/// A moment of the captures made here.
const AT: Timestamp = Timestamp::from_nanos(1_795_255_200_123_456_789);

/// Frames of an IPv4 packet, something else, one cut by its snap length, none at all.
fn frames() -> [(u32, Vec<u8>); 5] {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
    packet.extend([192, 0, 2, 1, 198, 51, 100, 7, 8, 0, 0, 0, 0, 1, 0, 1]);
    [(42, packet.clone()), (7, b"not one".to_vec()), (1500, packet[..33].to_vec()), (0, vec![]), (60, packet)]
}

fn classic(order: ByteOrder, precision: Precision) -> Vec<u8> {
    let mut writer = PcapWriter::with(Vec::new(), LinkType::Ethernet, order, precision).unwrap();
    for (wire_len, data) in frames() {
        writer.write_frame(AT, wire_len, &data).unwrap();
    }
    writer.into_inner()
}

/// Two sections of either byte order, with two interfaces and one, simple packets and a block that nobody knows.
fn pcapng(first: ByteOrder, second: ByteOrder) -> Vec<u8> {
    let mut writer = PcapngWriter::new(Vec::new(), first).unwrap();
    writer.add_interface(InterfaceOptions { snap_len: 64, ..InterfaceOptions::new(LinkType::Ethernet) }).unwrap();
    writer.add_interface(InterfaceOptions { resolution: 6, ..InterfaceOptions::new(LinkType::Raw) }).unwrap();
    for (number, (wire_len, data)) in frames().into_iter().enumerate() {
        writer.write_frame(number as u32 % 2, AT, wire_len, &data).unwrap();
    }
    writer.write_simple(6, b"simple").unwrap();
    writer.write_block(0x0000_0bad, b"nobody knows").unwrap();
    writer.start_section(second).unwrap();
    writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
    for (wire_len, data) in frames() {
        writer.write_frame(0, AT, wire_len, &data).unwrap();
    }
    writer.into_inner()
}

fn made_here() -> Vec<(String, Vec<u8>)> {
    let mut captures = Vec::new();
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for precision in [Precision::Micros, Precision::Nanos] {
            captures.push((format!("classic {order:?} {precision:?}"), classic(order, precision)));
        }
        for second in [ByteOrder::Little, ByteOrder::Big] {
            captures.push((format!("pcapng {order:?} {second:?}"), pcapng(order, second)));
        }
    }
    captures
}

#[test]
fn captures_of_every_format_are_read_up_to_the_cut() {
    let mut reader = Reader::new();
    for (name, bytes) in made_here() {
        println!("{name}, {} bytes", bytes.len());
        let shape = Shape::of(&bytes);
        assert_eq!(shape.end(), bytes.len(), "the lengths can be followed to the end");
        let frames = if name.starts_with("classic") { 5 } else { 11 };
        assert_eq!(shape.cut(bytes.len()).0, frames);
        every_byte(&mut reader, &bytes.clone().into(), &shape, None);
        every_byte_of_gzip(&mut reader, &gzip(&bytes), &shape);
        // Two members that meet within a record, as of two files put together.
        let members = [gzip(&bytes[..100]), gzip(&bytes[100..])].concat();
        every_byte_of_gzip(&mut reader, &members.into(), &shape);
    }
    println!("{} cuts", reader.cuts);
}

/// The last records before a place with all that they need in front: file header, or section header and everything that is no
/// frame. What is read of a record must not depend on more.
fn excerpt(bytes: &[u8], shape: &Shape, number: usize) -> Vec<u8> {
    let section = shape.pieces[..=number].iter().rposition(|piece| piece.section).unwrap_or(0);
    let mut part = if shape.pieces.iter().any(|piece| piece.section) { vec![] } else { bytes[..shape.header].to_vec() };
    for (place, piece) in shape.pieces[..=number].iter().enumerate().skip(section) {
        if piece.frame.is_none() || place + 1 >= number {
            part.extend(&bytes[piece.start..piece.end]);
        }
    }
    part
}

/// Cuts one of the shared captures.
fn cut_capture(reader: &mut Reader, path: &Path, everywhere: Option<usize>) {
    let bytes: Arc<[u8]> = fs::read(path).unwrap().into();
    let mut shape = Shape::of(&bytes);
    let whole = reader.read(&bytes, bytes.len()).unwrap();
    let damaged = whole.damage.map(|(_, offset)| offset as usize);
    if let Some(offset) = damaged {
        shape.end_at(offset);
    }
    assert_eq!(shape.end(), damaged.unwrap_or(bytes.len()));
    assert_eq!((whole.frames, whole.bytes), (shape.cut(bytes.len()).0, shape.cut(bytes.len()).1));
    if bytes.len() <= SMALL_GZIP {
        // A capture that is damaged by itself would need to be told from one whose stream is.
        if damaged.is_none() {
            every_byte_of_gzip(reader, &gzip(&bytes), &shape);
        }
    }
    if bytes.len() <= everywhere.unwrap_or(SMALL) {
        every_byte(reader, &bytes, &shape, damaged);
        return;
    }
    for number in 0..shape.pieces.len() {
        let part: Arc<[u8]> = excerpt(&bytes, &shape, number).into();
        let of_part = Shape::of(&part);
        assert_eq!(of_part.end(), part.len());
        let len = shape.pieces[number].end - shape.pieces[number].start;
        let start = part.len() - len;
        let around = (start..=start + AROUND).chain(part.len().saturating_sub(AROUND)..=part.len());
        match everywhere {
            Some(_) => (start..=part.len()).for_each(|cut| reader.check(&part, &of_part, None, cut)),
            None => around.for_each(|cut| reader.check(&part, &of_part, None, cut)),
        }
    }
    let mut random = Rng::new(SEED ^ bytes.len() as u64);
    for number in 0..SPREAD {
        reader.check(&bytes, &shape, damaged, bytes.len() * number / SPREAD);
        reader.check(&bytes, &shape, damaged, random.below(bytes.len()));
    }
}

/// The folder of shared captures; says so where there is none.
fn shared(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !folder.is_dir() {
        println!("SKIP {test}: ../shared/captures absent");
    }
    folder.is_dir().then_some(folder)
}

#[test]
fn shared_captures_are_read_up_to_the_cut() {
    let Some(folder) = shared("shared_captures_are_read_up_to_the_cut") else { return };
    let everywhere = env::var("SENSOR_CUTS").ok().map(|text| text.parse().expect("SENSOR_CUTS: a number of bytes"));
    let entries = fs::read_dir(folder.join("captures")).unwrap();
    let mut paths: Vec<(u64, PathBuf)> =
        entries.map(Result::unwrap).map(|entry| (entry.metadata().unwrap().len(), entry.path())).collect();
    // The long ones first, so that all threads end together.
    paths.sort_by(|a, b| b.cmp(a));
    let (next, failures, started) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    let work = || {
        let mut reader = Reader::new();
        while let Some((_, path)) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(AssertUnwindSafe(|| cut_capture(&mut reader, path, everywhere))).is_err() {
                failures.lock().unwrap().push(format!("{} cut after {} bytes", path.display(), reader.cut));
                reader = Reader::new();
            }
        }
        (reader.cuts, reader.frames)
    };
    let threads = thread::available_parallelism().unwrap().get();
    let (cuts, frames) = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let sums = threads.into_iter().map(|thread| thread.join().unwrap());
        sums.fold((0, 0), |sum, (cuts, frames)| (sum.0 + cuts, sum.1 + frames))
    });
    println!("seed {SEED}: {} captures, {cuts} cuts, {frames} frames in {:?}", paths.len(), started.elapsed());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_large_compressed_capture_is_read_up_to_the_cut() {
    let Some(folder) = shared("a_large_compressed_capture_is_read_up_to_the_cut") else { return };
    for entry in fs::read_dir(folder.join("large")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".pcap.gz") {
            continue;
        }
        let mut compressed = Vec::new();
        fs::File::open(&path).unwrap().take(LARGE_PART).read_to_end(&mut compressed).unwrap();
        let mut plain = Vec::new();
        let error =
            MultiGzDecoder::new(&compressed[..]).read_to_end(&mut plain).map(drop).map_err(|error| error.kind());
        assert!(matches!(error, Ok(()) | Err(io::ErrorKind::UnexpectedEof)), "{error:?}");
        let (shape, compressed) = (Shape::of(&plain), Arc::<[u8]>::from(compressed));
        let (mut reader, mut random) = (Reader::new(), Rng::new(SEED));
        for _ in 0..SPREAD {
            let len = random.below(compressed.len());
            reader.check_gzip(&compressed, &shape, inflated(&compressed[..len]), len);
        }
        println!("{}: seed {SEED}, {} cuts, {} frames", path.display(), reader.cuts, reader.frames);
    }
}
