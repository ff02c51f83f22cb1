//! What several judges ask of bytes.

/// How many different values there are among these bytes.
pub(super) fn distinct(bytes: &[u8]) -> u32 {
    let mut seen = [0u64; 4];
    for byte in bytes {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|word| word.count_ones()).sum()
}

/// Whether keys and ciphertexts could look like this: five of eight among the first 64 bytes are different ones.
pub(super) fn looks_random(bytes: &[u8]) -> bool {
    let len = bytes.len().min(64);
    distinct(&bytes[..len]) as usize * 8 >= len * 5
}

/// The 16 bits at an offset, in network order.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

/// The 32 bits at an offset, in network order.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}
