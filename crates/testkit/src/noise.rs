//! Made-up bytes and places, the same in every run.

use std::ops::Range;

/// A film of `length` bytes that players of Matroska would open: the right first bytes, then noise that
/// repeats nowhere, another for each `seed`.
pub fn film(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0x1a, 0x45, 0xdf, 0xa3];
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// So many ranges here and there in `length` bytes, each of at least one and at most `longest` bytes.
pub fn ranges(length: usize, longest: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..count).map(move |_| {
        let start = random(length);
        start..(start + 1 + random(longest)).min(length)
    })
}
