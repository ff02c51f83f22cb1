//! Bytes as a folder of the spool: see `sensor::testing::fuzz::spool`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = sensor::testing::fuzz::spool(bytes) {
        panic!("{error:#}");
    }
});
