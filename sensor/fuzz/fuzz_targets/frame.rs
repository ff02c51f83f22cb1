//! Bytes as a frame: see `sensor::testing::fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = sensor::testing::fuzz::frame(bytes) {
        panic!("{error:#}");
    }
});
