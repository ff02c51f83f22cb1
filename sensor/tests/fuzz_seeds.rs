//! The seeds of the fuzzers, replayed: what a fuzzer found once stays found.
#![expect(clippy::unwrap_used, reason = "a seed that cannot be read fails the test")]

use std::{fs, path::Path};

use sensor::testing::fuzz;

#[path = "../fuzz/fuzz_targets/inspect/flows.rs"]
mod flows;

fn replay(target: &str, run: fn(&[u8]) -> anyhow::Result<()>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds = 0;
    for seed in fs::read_dir(folder).unwrap() {
        let seed = seed.unwrap().path();
        let bytes = fs::read(&seed).unwrap();
        // Whole, and cut at every byte: seeds are short.
        for len in 0..=bytes.len() {
            run(&bytes[..len]).unwrap_or_else(|error| panic!("{}, its first {len} bytes: {error:#}", seed.display()));
        }
        seeds += 1;
    }
    assert!(seeds >= 5, "{seeds} seeds of {target}");
}

#[test]
fn frames() {
    replay("frame", fuzz::frame);
}

#[test]
fn captures() {
    replay("capture", fuzz::capture);
}

#[test]
fn configurations() {
    replay("config", fuzz::config);
}

#[test]
fn folders_of_the_spool() {
    replay("spool", fuzz::spool);
}

#[test]
fn flows_of_packets() {
    replay("inspect", |bytes| {
        flows::inspect(bytes);
        Ok(())
    });
}
