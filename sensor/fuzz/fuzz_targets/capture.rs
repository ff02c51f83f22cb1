//! Bytes as a capture file: see `sensor::testing::fuzz::capture`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = sensor::testing::fuzz::capture(bytes) {
        panic!("{error:#}");
    }
});
