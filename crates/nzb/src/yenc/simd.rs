//! The kernels that work on 64 bytes at once. The only module of the crate with `unsafe` code.
//!
//! One loop serves all instruction sets: it turns a block into bit masks (bit *i* is byte *i*),
//! decides by arithmetic on them what is dropped and what was escaped, and lets the instruction set
//! write what remains. Whatever the masks cannot decide (a control line, the end, `==`) it leaves to
//! the plain path for one block.
#![expect(
    unsafe_code,
    reason = "std::arch intrinsics and block loads and stores"
)]

use super::kernel::{Path, Run, State, Stop, plain};

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

const BLOCK: usize = 64;

/// The SIMD paths that this processor has, the fastest first.
pub(super) fn detect() -> impl Iterator<Item = Path> {
    #[cfg(target_arch = "x86_64")]
    let paths = x86::detect();
    #[cfg(target_arch = "aarch64")]
    let paths = neon::detect();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let paths = std::iter::empty();
    paths
}

/// Decodes by `path`, which [`detect`] named.
pub(super) fn run(path: Path, state: &mut State, input: &[u8], output: &mut [u8]) -> Run {
    let (mut read, mut written) = (0, 0);
    loop {
        if let Some(mut carry) = Carry::of(*state) {
            let (used, put) = blocks(path, &mut carry, &input[read..], &mut output[written..]);
            *state = carry.state();
            read += used;
            written += put;
        }
        // What the blocks left: one that they could not decide, or the tail.
        let rest = &input[read..];
        let tail = rest.len() < BLOCK || output.len() - written < BLOCK;
        let odd = match Carry::of(*state) {
            _ if tail => rest.len(),
            Some(_) => BLOCK,
            None => 1,
        };
        let step = plain(state, &rest[..odd], &mut output[written..]);
        read += step.read;
        written += step.written;
        if step.stop != Stop::Input || tail {
            return Run {
                read,
                written,
                stop: step.stop,
            };
        }
    }
}

fn blocks(path: Path, carry: &mut Carry, input: &[u8], output: &mut [u8]) -> (usize, usize) {
    match path {
        Path::Plain => (0, 0),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a path other than `Plain` exists only where `detect` saw its instructions.
        Path::Ssse3 => unsafe { x86::ssse3(carry, input, output) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx2 => unsafe { x86::avx2(carry, input, output) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx512 => unsafe { x86::avx512(carry, input, output) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Path::Neon => unsafe { neon::neon(carry, input, output) },
    }
}

/// What the byte before a block means for it: each is 0 or 1, standing at bit 0 of its mask.
#[derive(Clone, Copy)]
struct Carry {
    escape: u64,
    cr: u64,
    line: u64,
}

impl Carry {
    /// `None` for the states that need a look at the next byte.
    fn of(state: State) -> Option<Self> {
        let (escape, cr, line) = match state {
            State::Body => (0, 0, 0),
            State::Escape => (1, 0, 0),
            State::Cr => (0, 1, 0),
            State::LineStart => (0, 0, 1),
            State::LineDot | State::LineDotCr | State::LineEscape => return None,
        };
        Some(Self { escape, cr, line })
    }

    fn state(self) -> State {
        match (self.escape, self.cr, self.line) {
            (1, _, _) => State::Escape,
            (_, 1, _) => State::Cr,
            (_, _, 1) => State::LineStart,
            _ => State::Body,
        }
    }
}

/// Sixty-four bytes in the registers of one instruction set.
trait Block: Copy {
    /// # Safety
    /// The instruction set is there and `from` may be read for 64 bytes.
    unsafe fn load(from: *const u8) -> Self;

    /// The bytes that equal `byte`.
    ///
    /// # Safety
    /// The instruction set is there.
    unsafe fn equal(self, byte: u8) -> u64;

    /// Writes the decoded bytes that `keep` names, in order, and returns how many.
    ///
    /// # Safety
    /// The instruction set is there and `to` may be written for 64 bytes.
    unsafe fn emit(self, escaped: u64, keep: u64, to: *mut u8) -> usize;
}

/// Decodes whole blocks until one needs the plain path, or input or room ends. Returns bytes read
/// and written.
///
/// # Safety
/// The instruction set of `B` is there.
#[inline(always)]
unsafe fn decode_blocks<B: Block>(
    carry: &mut Carry,
    input: &[u8],
    output: &mut [u8],
) -> (usize, usize) {
    let (mut read, mut written) = (0, 0);
    let Carry {
        mut escape,
        mut cr,
        mut line,
    } = *carry;
    while input.len() - read >= BLOCK && output.len() - written >= BLOCK {
        // SAFETY: the loop's condition leaves 64 bytes behind `read`; the caller vouches for `B`.
        let block = unsafe { B::load(input.as_ptr().add(read)) };
        // SAFETY: the caller vouches for `B`.
        let equal = |byte| unsafe { block.equal(byte) };
        let (crs, lfs, equals) = (equal(b'\r'), equal(b'\n'), equal(b'='));
        let escaped = equals << 1 | escape;
        let line_ends = (crs << 1 | cr) & lfs;
        let lines = line_ends << 1 | line;
        let dots = lines & equal(b'.');
        let controls = lines & equals;
        // A line that begins with `=` is rare enough for a branch to cost less than the comparison.
        let control_lines = if controls == 0 {
            0
        } else {
            controls << 1 & equal(b'y')
        };
        // `==`; a dot before CR or `=`, or one whose next byte is not here; `=y`, or the same.
        let undecided = (equals & escaped)
            | ((dots << 1) & (crs | equals))
            | control_lines
            | ((dots | controls) >> 63);
        if undecided != 0 {
            break;
        }
        let dropped = ((crs | lfs | equals) & !escaped) | dots;
        // SAFETY: the loop's condition leaves room for 64 bytes; the caller vouches for `B`.
        written += unsafe { block.emit(escaped, !dropped, output.as_mut_ptr().add(written)) };
        read += BLOCK;
        (escape, cr, line) = (equals >> 63, crs >> 63, line_ends >> 63);
    }
    *carry = Carry { escape, cr, line };
    (read, written)
}

/// For each mask of eight bytes the indices that it keeps, in order. What follows them is written
/// too and then overwritten.
static KEEP_LOW: [[u8; 8]; 256] = keep_table(0);
/// The same for the upper half of a 16-byte register.
static KEEP_HIGH: [[u8; 8]; 256] = keep_table(8);

const fn keep_table(base: u8) -> [[u8; 8]; 256] {
    let mut table = [[base; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut kept) = (0, 0);
        while bit < 8 {
            if mask >> bit & 1 == 1 {
                table[mask][kept] = base + bit;
                kept += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
}
