//! NEON, which every 64-bit ARM processor has.

use std::arch::aarch64::*;

use super::{Block, Carry, KEEP_HIGH, KEEP_LOW, Path, decode_blocks};

pub(super) fn detect() -> impl Iterator<Item = Path> {
    std::arch::is_aarch64_feature_detected!("neon")
        .then_some(Path::Neon)
        .into_iter()
}

/// # Safety
/// [`detect`] named `Neon`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn neon(carry: &mut Carry, input: &[u8], output: &mut [u8]) -> (usize, usize) {
    // SAFETY: this function's features are the block's.
    unsafe { decode_blocks::<Neon>(carry, input, output) }
}

#[derive(Clone, Copy)]
struct Neon([uint8x16_t; 4]);

/// Byte *i* of a group of eight has bit *i* alone.
const BIT_OF_BYTE: u64 = 0x8040_2010_0804_0201;

impl Block for Neon {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller lets 64 bytes be read and has NEON.
        Self(std::array::from_fn(|i| unsafe {
            vld1q_u8(from.add(16 * i))
        }))
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller has NEON. Each byte keeps its own bit of eight, and three rounds of
        // pairwise sums gather eight bytes into one.
        unsafe {
            let bits = vreinterpretq_u8_u64(vdupq_n_u64(BIT_OF_BYTE));
            let wanted = vdupq_n_u8(byte);
            let [a, b, c, d] = self.0.map(|lane| vandq_u8(vceqq_u8(lane, wanted), bits));
            let pairs = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)))
        }
    }

    #[inline(always)]
    unsafe fn emit(self, escaped: u64, keep: u64, to: *mut u8) -> usize {
        let mut written = 0;
        for (i, lane) in self.0.into_iter().enumerate() {
            let [escaped_low, escaped_high] = ((escaped >> (16 * i)) as u16).to_le_bytes();
            let [low, high] = ((keep >> (16 * i)) as u16).to_le_bytes();
            // SAFETY: the caller has NEON and lets 64 bytes be written: before lane i at most
            // 16 × i are, and each of the two stores covers 8 of its 16.
            unsafe {
                let spread = vcombine_u8(vdup_n_u8(escaped_low), vdup_n_u8(escaped_high));
                let bits = vreinterpretq_u8_u64(vdupq_n_u64(BIT_OF_BYTE));
                let extra = vandq_u8(vtstq_u8(spread, bits), vdupq_n_u8(64));
                let value = vsubq_u8(vsubq_u8(lane, vdupq_n_u8(42)), extra);
                let rows = (
                    vld1_u8(KEEP_LOW[usize::from(low)].as_ptr()),
                    vld1_u8(KEEP_HIGH[usize::from(high)].as_ptr()),
                );
                vst1_u8(to.add(written), vqtbl1_u8(value, rows.0));
                written += low.count_ones() as usize;
                vst1_u8(to.add(written), vqtbl1_u8(value, rows.1));
                written += high.count_ones() as usize;
            }
        }
        written
    }
}
