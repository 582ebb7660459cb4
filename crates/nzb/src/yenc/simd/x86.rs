//! SSSE3, AVX2 and AVX-512 VBMI2.

use std::arch::x86_64::*;

use super::{Block, Carry, KEEP_HIGH, KEEP_LOW, Path, decode_blocks};

pub(super) fn detect() -> impl Iterator<Item = Path> {
    let popcnt = is_x86_feature_detected!("popcnt");
    [
        (
            is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2"),
            Path::Avx512,
        ),
        (is_x86_feature_detected!("avx2"), Path::Avx2),
        (is_x86_feature_detected!("ssse3"), Path::Ssse3),
    ]
    .into_iter()
    .filter_map(move |(has, path)| (has && popcnt).then_some(path))
}

/// # Safety
/// [`detect`] named `Ssse3`.
#[target_feature(enable = "ssse3,popcnt")]
pub(super) unsafe fn ssse3(carry: &mut Carry, input: &[u8], output: &mut [u8]) -> (usize, usize) {
    // SAFETY: this function's features are the block's.
    unsafe { decode_blocks::<Ssse3>(carry, input, output) }
}

/// # Safety
/// [`detect`] named `Avx2`.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn avx2(carry: &mut Carry, input: &[u8], output: &mut [u8]) -> (usize, usize) {
    // SAFETY: this function's features are the block's.
    unsafe { decode_blocks::<Avx2>(carry, input, output) }
}

/// # Safety
/// [`detect`] named `Avx512`.
#[target_feature(enable = "avx512bw,avx512vbmi2,popcnt")]
pub(super) unsafe fn avx512(carry: &mut Carry, input: &[u8], output: &mut [u8]) -> (usize, usize) {
    // SAFETY: this function's features are the block's.
    unsafe { decode_blocks::<Avx512>(carry, input, output) }
}

#[derive(Clone, Copy)]
struct Ssse3([__m128i; 4]);

impl Block for Ssse3 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller lets 64 bytes be read and has SSE2.
        Self(std::array::from_fn(|i| unsafe {
            _mm_loadu_si128(from.add(16 * i).cast())
        }))
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        let mut mask = 0;
        for (i, lane) in self.0.into_iter().enumerate() {
            // SAFETY: the caller has SSE2.
            let bits =
                unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(lane, _mm_set1_epi8(byte as i8))) };
            mask |= u64::from(bits as u16) << (16 * i);
        }
        mask
    }

    #[inline(always)]
    unsafe fn emit(self, escaped: u64, keep: u64, to: *mut u8) -> usize {
        let mut written = 0;
        for (i, lane) in self.0.into_iter().enumerate() {
            let (escaped, keep) = ((escaped >> (16 * i)) as u16, (keep >> (16 * i)) as u16);
            // SAFETY: the caller has SSSE3; `compact` writes 8 bytes at each end of the 16 that
            // stand at `written`, which is at most 16 × i.
            unsafe {
                let spread = _mm_shuffle_epi8(
                    _mm_cvtsi32_si128(i32::from(escaped)),
                    _mm_set_epi64x(0x0101_0101_0101_0101, 0),
                );
                let bits = _mm_set1_epi64x(BIT_OF_BYTE);
                let is_escaped = _mm_cmpeq_epi8(_mm_and_si128(spread, bits), bits);
                let value = _mm_sub_epi8(
                    _mm_sub_epi8(lane, _mm_set1_epi8(42)),
                    _mm_and_si128(is_escaped, _mm_set1_epi8(64)),
                );
                written += compact(value, keep, to.add(written));
            }
        }
        written
    }
}

#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

impl Block for Avx2 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller lets 64 bytes be read and has AVX2.
        Self(std::array::from_fn(|i| unsafe {
            _mm256_loadu_si256(from.add(32 * i).cast())
        }))
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        let mut mask = 0;
        for (i, lane) in self.0.into_iter().enumerate() {
            // SAFETY: the caller has AVX2.
            let bits = unsafe {
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(lane, _mm256_set1_epi8(byte as i8)))
            };
            mask |= u64::from(bits as u32) << (32 * i);
        }
        mask
    }

    #[inline(always)]
    unsafe fn emit(self, escaped: u64, keep: u64, to: *mut u8) -> usize {
        let mut written = 0;
        for (i, lane) in self.0.into_iter().enumerate() {
            let (escaped, keep) = ((escaped >> (32 * i)) as u32, (keep >> (32 * i)) as u32);
            // SAFETY: the caller has AVX2; `compact` writes inside the 16 bytes at `written`, which
            // is at most 32 × i, and 16 more for the second half.
            unsafe {
                let spread = _mm256_shuffle_epi8(
                    _mm256_set1_epi32(escaped as i32),
                    _mm256_set_epi64x(
                        0x0303_0303_0303_0303,
                        0x0202_0202_0202_0202,
                        0x0101_0101_0101_0101,
                        0,
                    ),
                );
                let bits = _mm256_set1_epi64x(BIT_OF_BYTE);
                let is_escaped = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bits), bits);
                let value = _mm256_sub_epi8(
                    _mm256_sub_epi8(lane, _mm256_set1_epi8(42)),
                    _mm256_and_si256(is_escaped, _mm256_set1_epi8(64)),
                );
                let low = _mm256_castsi256_si128(value);
                let high = _mm256_extracti128_si256::<1>(value);
                written += compact(low, keep as u16, to.add(written));
                written += compact(high, (keep >> 16) as u16, to.add(written));
            }
        }
        written
    }
}

/// Byte *i* of a group of eight has bit *i* alone.
const BIT_OF_BYTE: i64 = 0x8040_2010_0804_0201_u64.cast_signed();

/// Writes the bytes of `value` that `keep` names; returns how many. Touches 16 bytes at most.
///
/// # Safety
/// SSSE3 is there and `to` may be written for 16 bytes.
#[inline(always)]
unsafe fn compact(value: __m128i, keep: u16, to: *mut u8) -> usize {
    let [low, high] = keep.to_le_bytes();
    let kept_low = low.count_ones() as usize;
    // SAFETY: each table row has the 8 bytes that are loaded; the second store starts at most 8
    // bytes behind the first.
    unsafe {
        let rows = (
            _mm_loadl_epi64(KEEP_LOW[usize::from(low)].as_ptr().cast()),
            _mm_loadl_epi64(KEEP_HIGH[usize::from(high)].as_ptr().cast()),
        );
        _mm_storel_epi64(to.cast(), _mm_shuffle_epi8(value, rows.0));
        _mm_storel_epi64(to.add(kept_low).cast(), _mm_shuffle_epi8(value, rows.1));
    }
    kept_low + high.count_ones() as usize
}

#[derive(Clone, Copy)]
struct Avx512(__m512i);

impl Block for Avx512 {
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller lets 64 bytes be read and has AVX-512F.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }

    #[inline(always)]
    unsafe fn equal(self, byte: u8) -> u64 {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    unsafe fn emit(self, escaped: u64, keep: u64, to: *mut u8) -> usize {
        // SAFETY: the caller has AVX-512BW and VBMI2, and lets 64 bytes be written. The compression
        // goes through a register: its form with a memory operand is many times slower on Zen 4.
        unsafe {
            let value = _mm512_sub_epi8(self.0, _mm512_set1_epi8(42));
            let value = _mm512_mask_sub_epi8(value, escaped, value, _mm512_set1_epi8(64));
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi8(keep, value));
        }
        keep.count_ones() as usize
    }
}
