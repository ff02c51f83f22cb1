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

/// Bytes without a pattern, the same for the same seed: xorshift64*.
#[cfg(test)]
pub(in crate::inspect) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Asserts that a judge neither panics on these messages nor on what is left of them when they are cut anywhere, nor takes noise for its own.
#[cfg(test)]
pub(super) fn assert_robust(
    judge: fn(&crate::inspect::Conversation) -> Option<crate::inspect::Verdict>,
    protocol: u8,
    ports: [u16; 2],
    messages: &[(crate::inspect::End, &[u8])],
) {
    use crate::inspect::{Conversation, End};

    for cut in 0..messages.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default() {
        let cut: Vec<_> = messages.iter().map(|(from, bytes)| (*from, &bytes[..cut.min(bytes.len())])).collect();
        let _ = judge(&Conversation::of(protocol, ports, &cut));
    }
    for seed in 0..300 {
        // Every byte of the messages is spoilt once in a while.
        let spoilt: Vec<_> = messages
            .iter()
            .map(|(from, bytes)| {
                let noise = noise(seed, bytes.len());
                let mix = |(byte, noise): (&u8, &u8)| if noise % 16 == 0 { *noise } else { *byte };
                (*from, bytes.iter().zip(&noise).map(mix).collect::<Vec<_>>())
            })
            .collect();
        let spoilt: Vec<_> = spoilt.iter().map(|(from, bytes)| (*from, bytes.as_slice())).collect();
        let _ = judge(&Conversation::of(protocol, ports, &spoilt));

        let noises: Vec<_> =
            (0..8).map(|nth| noise(seed * 8 + nth + 1, (seed * 7 + nth * 31) as usize % 1500)).collect();
        let ends = [End::Client, End::Server];
        let noises: Vec<_> = noises.iter().enumerate().map(|(nth, bytes)| (ends[nth % 2], bytes.as_slice())).collect();
        assert_eq!(judge(&Conversation::of(protocol, ports, &noises)), None, "seed {seed}");
    }
}
