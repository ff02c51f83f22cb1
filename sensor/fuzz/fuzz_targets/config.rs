//! Bytes as a configuration file: see `sensor::testing::fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = sensor::testing::fuzz::config(bytes) {
        panic!("{error:#}");
    }
});
