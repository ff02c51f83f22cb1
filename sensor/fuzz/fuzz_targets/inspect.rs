//! Bytes as packets of flows that are inspected: see `flows`.
#![no_main]

#[path = "inspect/flows.rs"]
mod flows;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flows::inspect(bytes));
