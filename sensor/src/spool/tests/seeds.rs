//! The seeds of the fuzzer `spool`: folders as the spool itself writes them, whole and harmed.

use super::{
    super::fuzz::{self, pack},
    *,
};
use crate::testing::rng::Rng;

/// Records of an interval.
const RECORDS: u64 = 4;
/// Folders that are made of the seeds at random.
const CHANGED: u64 = 1000;

/// A folder of some intervals, of which one exporter has some.
fn folder(bounds: Bounds, intervals: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open_on(Arc::new(FileSystem), folder.path(), bounds, 500, &["a", "b"]).unwrap();
    let mut reader = spool.reader("a").unwrap();
    for sequence in 0..intervals {
        spool.append(&summary(sequence, RECORDS)).unwrap();
        if sequence == 0 {
            let piece = reader.peek().unwrap().unwrap();
            reader.acknowledge(&piece);
            reader.save();
        }
    }
    drop((spool, reader));
    folder
}

/// A piece whose lines would be more than a piece may have.
fn bomb() -> Vec<u8> {
    let payload = zstd::bulk::compress(&vec![b'\n'; 4 * cut::PIECE_LEN], 1).unwrap();
    let key = summary(0, 1).key;
    let cut = cut::Cut { before: 0, records: 1, is_last: true, payload };
    [piece::begin(1, 0), Header::new(&key, &cut, 1, 1).encode(&cut.payload)].concat()
}

/// Writes them; what is there is written again when the format changes: `cargo test -p sensor --lib seeds -- --ignored`.
#[test]
#[ignore = "writes into the repository"]
fn write_seeds() {
    let write = |name: &str, bytes: &[u8]| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/spool").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let narrow = Bounds { max_bytes: 2 << 10, ..WIDE };
    let pack = |folder: &tempfile::TempDir, is_repaired| pack(&folder.path().join(FOLDER), is_repaired);
    let whole = folder(WIDE, 3);
    write("whole", &pack(&whole, true));
    write("segments", &pack(&folder(narrow, 4), true));
    let torn = folder(WIDE, 2);
    let path = &segments(torn.path())[0];
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
    write("torn_end", &pack(&torn, false));
    let merged = folder(narrow, 6);
    let (spool, _) = Spool::open_on(Arc::new(FileSystem), merged.path(), narrow, 500, &["b"]).unwrap();
    spool.merge();
    drop(spool);
    write("merged", &pack(&merged, true));
    let twice = folder(narrow, 2);
    let [first, second, ..] = &segments(twice.path())[..] else { panic!("too few segments") };
    fs::copy(first, second).unwrap();
    write("segment_in_two_places", &pack(&twice, true));
    let empty = folder(WIDE, 0);
    let place = |name: &str| empty.path().join(FOLDER).join(name);
    fs::write(place("merging"), b"half").unwrap();
    fs::write(place("00000000000000000007.open"), b"").unwrap();
    write("empty_segment_and_draft", &pack(&empty, false));
    fs::remove_file(place("00000000000000000007.open")).unwrap();
    fs::write(place("00000000000000000001.open"), bomb()).unwrap();
    write("bomb", &pack(&empty, false));
    let mut other = bomb();
    other[8] = 9;
    fs::write(place("00000000000000000001.open"), &other).unwrap();
    write("another_version_damaged", &pack(&empty, false));
}

/// Nothing of it counts as lines, and no memory is taken for it.
#[test]
fn a_piece_that_unpacks_to_more_than_a_piece_is_refused() {
    let bomb = bomb();
    let payload = &bomb[(piece::SEGMENT_HEADER_LEN + piece::HEADER_LEN) as usize..];
    assert!(payload.len() < 64 << 10, "{}", payload.len());
    let error = cut::lines(payload).unwrap_err().to_string();
    assert_eq!(error, "more lines than a piece has");
    let most = zstd::bulk::compress(&vec![b'\n'; cut::MAX_LINES_LEN], 1).unwrap();
    assert_eq!(cut::lines(&most).unwrap().len(), cut::MAX_LINES_LEN);
}

/// Changes some bytes: others, fewer, more, a part of another seed.
fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..rng.between(1, 6) {
        let at = rng.below(bytes.len() + 1);
        let end = (at + rng.below(64)).min(bytes.len());
        match rng.below(6) {
            0 => bytes[at..end].fill(rng.pick(&[0, 0xff, 0x80])),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let from = rng.below(other.len() + 1);
                let to = (from + rng.below(512)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next_u64() as u8;
                }
            }
        }
    }
}

/// What the fuzzer does, as far as that goes without its instruments; for longer with `SENSOR_FUZZ_SECONDS`.
#[test]
fn folders_of_changed_bytes_are_answered() {
    let seeds = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/spool")).unwrap();
    let seeds: Vec<Vec<u8>> = seeds.map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
    let seconds = std::env::var("SENSOR_FUZZ_SECONDS").map_or(0, |text| text.parse().unwrap());
    let until = std::time::Instant::now() + Duration::from_secs(seconds);
    let mut seed = 0;
    while seed < CHANGED || std::time::Instant::now() < until {
        let mut rng = Rng::new(seed);
        let mut bytes = seeds[rng.below(seeds.len())].clone();
        change(&mut bytes, &seeds[rng.below(seeds.len())], &mut rng);
        fuzz::run(&bytes).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        seed += 1;
    }
    println!("{seed} folders");
}
