//! The inner loop: bytes of a dot-stuffed body in, bytes of the file out.
//!
//! The plain path here is the definition; every SIMD path must equal it at every split. Lines end
//! with CRLF alone: a lone CR or LF is dropped, and an escaped CR is data that may still end a line,
//! because framing goes before encoding.

use super::simd;

/// What the bytes so far mean for the next one. "Line" states stand at the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// After CRLF.
    LineStart,
    /// After CRLF and a dot, which is stuffing or the end.
    LineDot,
    /// After CRLF, dot, CR.
    LineDotCr,
    /// After CRLF and `=`: an escape, or the `=y` of a control line.
    LineEscape,
    /// Within a line.
    Body,
    /// After CR.
    Cr,
    /// After `=` within a line.
    Escape,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All input is used.
    Input,
    /// The next byte needs room in the output.
    Output,
    /// `=y` at the start of a line was read; the rest of the control line follows.
    Control,
    /// The terminating `.` CRLF was read.
    End,
}

/// Bytes used of the input, bytes written to the output, and why it ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) read: usize,
    pub(super) written: usize,
    pub(super) stop: Stop,
}

/// One way to decode, known to work on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(pub(super) Path);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The fastest of this processor.
    pub fn best() -> Self {
        Self(simd::detect().next().unwrap_or(Path::Plain))
    }

    /// All that this processor can run, the fastest first and the plain one last.
    pub fn available() -> Vec<Self> {
        simd::detect().chain([Path::Plain]).map(Self).collect()
    }

    /// Its name, as the benchmark prints it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Path::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Path::Ssse3 => "ssse3",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Path::Neon => "neon",
        }
    }

    /// Decodes `input` into `output` from `state` on. Bytes of `output` behind `written` may be
    /// overwritten with anything.
    pub(super) fn run(self, state: &mut State, input: &[u8], output: &mut [u8]) -> Run {
        match self.0 {
            Path::Plain => plain(state, input, output),
            path => simd::run(path, state, input, output),
        }
    }
}

/// yEnc adds 42 to each byte, and 64 more to one behind an escape.
const SHIFT: u8 = 42;
const SHIFT_ESCAPED: u8 = 42 + 64;

pub(super) fn plain(state: &mut State, input: &[u8], output: &mut [u8]) -> Run {
    let mut written = 0;
    for (read, &byte) in input.iter().enumerate() {
        let (next, value) = match (*state, byte) {
            (State::LineStart, b'.') => (State::LineDot, None),
            (State::LineDot, b'\r') => (State::LineDotCr, None),
            (State::LineStart | State::LineDot, b'=') => (State::LineEscape, None),
            (State::LineDotCr, b'\n') | (State::LineEscape, b'y') => {
                let stop = if byte == b'y' {
                    Stop::Control
                } else {
                    Stop::End
                };
                *state = State::LineStart;
                return Run {
                    read: read + 1,
                    written,
                    stop,
                };
            }
            (State::Escape | State::LineEscape, _) => {
                let next = if byte == b'\r' {
                    State::Cr
                } else {
                    State::Body
                };
                (next, Some(byte.wrapping_sub(SHIFT_ESCAPED)))
            }
            (State::Cr, b'\n') => (State::LineStart, None),
            (_, b'\r') => (State::Cr, None),
            (_, b'\n') => (State::Body, None),
            (_, b'=') => (State::Escape, None),
            (_, _) => (State::Body, Some(byte.wrapping_sub(SHIFT))),
        };
        if let Some(value) = value {
            let Some(slot) = output.get_mut(written) else {
                return Run {
                    read,
                    written,
                    stop: Stop::Output,
                };
            };
            *slot = value;
            written += 1;
        }
        *state = next;
    }
    Run {
        read: input.len(),
        written,
        stop: Stop::Input,
    }
}

#[cfg(test)]
mod tests;
