//! Segments that are no media, or damaged media; the same for the same segment each time.

use bytes::Bytes;
use hls::ts::PACKET_LEN;

/// Noise, as long as the segment.
pub(super) fn noise_like(index: u64, media: &[u8]) -> Bytes {
    let mut random = Random::new(index);
    (0..media.len())
        .map(|_| (random.next() >> 56) as u8)
        .collect()
}

/// Damages `percent` of the packets: every other one loses its sync byte, the rest get the error indicator.
pub(super) fn corrupt(index: u64, media: &[u8], percent: u8) -> Bytes {
    let mut random = Random::new(index);
    let mut body = media.to_vec();
    let mut unsync = false;
    for packet in body.chunks_exact_mut(PACKET_LEN) {
        if random.next() % 100 < u64::from(percent) {
            unsync = !unsync;
            if unsync {
                packet[0] = 0;
            } else {
                packet[1] |= 0x80;
            }
        }
    }
    body.into()
}

/// SplitMix64: enough for noise, and seeded.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
