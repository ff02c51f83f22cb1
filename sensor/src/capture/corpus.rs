//! The reader against tshark, over the shared captures: as many frames, as many bytes on the wire.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;

use super::{Capture, LinkType};

/// SunATM captures: Wireshark takes the pseudo-header out of both lengths of a frame, the file counts it in.
const SUNATM: LinkType = LinkType::Other(123);
const SUNATM_HEADER_LEN: u64 = 4;

/// Packets and bytes on the wire of every capture by its file name, from the manifest.
fn manifest(folder: &Path) -> HashMap<String, (u64, u64)> {
    let text = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), (row[3].parse().unwrap(), row[4].parse().unwrap()))).collect()
}

/// The same from the totals, where they are of this very file: one was made from another file of the same stem.
fn totals(folder: &Path, path: &Path) -> Option<(u64, u64)> {
    let totals = folder.join("totals").join(path.file_stem()?).with_added_extension("json");
    let totals: Value = serde_json::from_slice(&fs::read(totals).unwrap()).unwrap();
    (path.file_name()?.to_str() == totals["file"].as_str())
        .then(|| (totals["packets"].as_u64().unwrap(), totals["frame_bytes"].as_u64().unwrap()))
}

/// Packets and bytes on the wire as tshark counts them, and a line about damage.
fn read(path: &Path) -> ((u64, u64), Option<String>) {
    let mut capture = Capture::open(path).unwrap();
    let mut sums = (0, 0);
    while let Some(frame) = capture.next().unwrap() {
        sums.0 += 1;
        sums.1 += u64::from(frame.wire_len) - if frame.link_type == SUNATM { SUNATM_HEADER_LEN } else { 0 };
    }
    (sums, capture.damage().map(ToString::to_string))
}

#[test]
fn totals_agree_with_tshark() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !shared.is_dir() {
        println!("SKIP totals_agree_with_tshark: ../shared/captures absent");
        return;
    }
    let manifest = manifest(&shared);
    let (mut captures, mut with_totals, mut different) = (0, 0, vec![]);
    for entry in fs::read_dir(shared.join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let totals = totals(&shared, &path);
        let (sums, damage) = read(&path);
        captures += 1;
        with_totals += u32::from(totals.is_some());
        let expected = totals.unwrap_or(manifest[name]);
        if sums != expected {
            different.push(format!("{name}: read {sums:?}, tshark {expected:?}, damage {damage:?}"));
        } else if let Some(damage) = damage {
            println!("{name}: {damage}");
        }
    }
    println!("{captures} captures, {with_totals} with totals of their own, {} differ", different.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
}
