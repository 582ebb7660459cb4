//! The decoder of one article.

use crc32fast::Hasher;

use super::Kernel;
use super::header::{BadHeader, Begin, End, Part};
use super::kernel::{Run, State, Stop};

/// Bytes that one article may decode to. Posters use 384 KB to 3 MB, servers refuse above some 8 MB.
pub const PART_BYTES_MAX: u64 = 16 << 20;

/// Bytes that a file may have: far more than any post, and so few that sums of sizes fit `u64`.
pub const FILE_BYTES_MAX: u64 = 1 << 48;

/// Bytes of text before `=ybegin`: posters put a comment or a second header block there.
const PREAMBLE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a control line. File names end at 255 bytes; some posters put whole paths there.
const CONTROL_BYTES_MAX: usize = 1024;

/// Input is worked off in pieces whose output is still in the first cache when its CRC is taken.
const PIECE_BYTES: usize = 16 << 10;

/// What one call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// Bytes used of the input. Less than all if the article ended there or the output is full.
    pub read: usize,
    /// Bytes written to the front of the output.
    pub written: usize,
    /// The terminating line was read: what follows is the next response.
    pub done: bool,
}

/// Why an article's bytes may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No `=ybegin` within the article, or within the text that may precede it.
    #[error("no yEnc data in the article")]
    NotYenc,
    /// A control line is unusable.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// The article ended without `=yend`: it was cut.
    #[error("article ends without =yend")]
    NoEnd,
    /// Another number of bytes than the header or the trailer declares.
    #[error("{got} bytes decoded, {expected} declared")]
    Length {
        /// Bytes declared.
        expected: u64,
        /// Bytes decoded, of those that were declared.
        got: u64,
    },
    /// The bytes are not those that were posted.
    #[error("crc32 {got:08x}, {expected:08x} declared")]
    Crc {
        /// The trailer's.
        expected: u32,
        /// That of the decoded bytes.
        got: u32,
    },
}

impl Fault {
    /// What it means to the caller: another provider may have the article whole.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Corrupt
    }
}

#[derive(Clone, Debug)]
enum Phase {
    /// Lines before the data.
    Preamble {
        seen: usize,
        begin: Option<Begin>,
    },
    Data,
    /// Behind `=y` at the start of a line of the data.
    Control,
    /// Behind `=yend`, or behind a fault: nothing is decoded any more, the end is looked for.
    Drain,
    Done,
}

/// Decodes the body of one BODY response, from behind its status line to its terminating line.
///
/// Bytes are handed out while the article arrives, before its CRC can be known: ask
/// [`finish`](Self::finish) once `done`. It never allocates but for the file's name, and keeps step
/// with the connection whatever the article holds.
#[derive(Clone, Debug)]
pub struct Decoder {
    kernel: Kernel,
    phase: Phase,
    state: State,
    line: Line,
    part: Option<Part>,
    fault: Option<Fault>,
    end: Option<End>,
    produced: u64,
    crc: Hasher,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder with the fastest kernel of this processor.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::best())
    }

    /// A decoder with the kernel named.
    pub fn with_kernel(kernel: Kernel) -> Self {
        Self {
            kernel,
            phase: Phase::Preamble {
                seen: 0,
                begin: None,
            },
            state: State::LineStart,
            line: Line::default(),
            part: None,
            fault: None,
            end: None,
            produced: 0,
            crc: Hasher::new(),
        }
    }

    /// Makes it ready for another article, keeping its buffers.
    pub fn reset(&mut self) {
        let line = std::mem::take(&mut self.line);
        *self = Self {
            line: line.cleared(),
            ..Self::with_kernel(self.kernel)
        };
    }

    /// The article's header, as soon as it has been read.
    pub fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    /// Bytes handed out so far.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    /// What is wrong, as soon as it is known. Nothing is handed out after that.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The verdict on an article that was read to its end: its header, or why its bytes are not
    /// those that were posted. Before the end it is [`Fault::NoEnd`].
    pub fn finish(&self) -> Result<&Part, Fault> {
        match (self.fault, &self.part, &self.phase) {
            (Some(fault), ..) => Err(fault),
            (None, Some(part), Phase::Done) => Ok(part),
            _ => Err(Fault::NoEnd),
        }
    }

    /// Whether the article carries a CRC of its own bytes, known once `=yend` was read.
    pub fn has_crc(&self) -> bool {
        self.end.is_some_and(|end| end.crc.is_some())
    }

    /// Takes the next bytes of the response. `output` behind `written` may be overwritten with
    /// anything; give it as many bytes as `input` has and everything is taken.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Progress {
        let (mut read, mut written) = (0, 0);
        loop {
            let rest = &input[read..];
            match self.phase {
                Phase::Done => break,
                _ if rest.is_empty() => break,
                Phase::Preamble { .. } => read += self.preamble(rest),
                Phase::Control => read += self.control(rest),
                Phase::Drain => read += self.drain(rest),
                Phase::Data => {
                    let run = self.data(rest, &mut output[written..]);
                    read += run.read;
                    written += run.written;
                    if run.stop == Stop::Output && self.fault.is_none() {
                        break;
                    }
                }
            }
        }
        Progress {
            read,
            written,
            done: matches!(self.phase, Phase::Done),
        }
    }

    fn data(&mut self, input: &[u8], output: &mut [u8]) -> Run {
        let piece = &input[..input.len().min(PIECE_BYTES)];
        let expected = self.part.as_ref().map_or(0, Part::len);
        let missing = usize::try_from(expected - self.produced).unwrap_or(usize::MAX);
        let is_last = output.len() >= missing;
        let room = output.len().min(missing);
        let run = self.kernel.run(&mut self.state, piece, &mut output[..room]);
        self.crc.update(&output[..run.written]);
        self.produced += run.written as u64;
        match run.stop {
            Stop::Input => {}
            Stop::Output if is_last => self.fail(Fault::Length {
                expected,
                got: self.produced.saturating_add(1),
            }),
            Stop::Output => {}
            Stop::Control => self.phase = Phase::Control,
            Stop::End => {
                self.fail(Fault::NoEnd);
                self.phase = Phase::Done;
            }
        }
        run
    }

    fn preamble(&mut self, input: &[u8]) -> usize {
        let (read, complete) = self.line.push(input);
        let Phase::Preamble { seen, begin } = &mut self.phase else {
            return 0;
        };
        *seen += read;
        let too_much = *seen > PREAMBLE_BYTES_MAX;
        if !complete {
            if too_much {
                self.state = State::Body;
                self.fail(Fault::NotYenc);
            }
            return read;
        }
        let begin = begin.take();
        match self.preamble_line(begin, too_much) {
            Ok(phase) => self.phase = phase,
            Err(fault) => self.fail(fault),
        }
        self.line.clear();
        read
    }

    /// One whole line before the data, and the phase that it leads to.
    fn preamble_line(&mut self, begin: Option<Begin>, too_much: bool) -> Result<Phase, Fault> {
        let line = self.line.text();
        if line == b"." {
            self.fault = Some(Fault::NotYenc);
            return Ok(Phase::Done);
        }
        if let Some(begin) = begin {
            let fields = line.strip_prefix(b"=ypart ").ok_or(BadHeader::NoPart)?;
            self.line.check()?;
            self.part = Some(begin.part(fields)?);
            return Ok(Phase::Data);
        }
        if let Some(fields) = line.strip_prefix(b"=ybegin ") {
            self.line.check()?;
            let begin = Begin::parse(fields)?;
            if !begin.is_multipart() {
                self.part = Some(begin.whole()?);
                return Ok(Phase::Data);
            }
            return Ok(Phase::Preamble {
                seen: 0,
                begin: Some(begin),
            });
        }
        match &self.phase {
            Phase::Preamble { seen, .. } if !too_much => Ok(Phase::Preamble {
                seen: *seen,
                begin: None,
            }),
            _ => Err(Fault::NotYenc),
        }
    }

    fn control(&mut self, input: &[u8]) -> usize {
        let (read, complete) = self.line.push(input);
        if complete {
            match self.control_line() {
                Ok(()) => self.phase = Phase::Drain,
                Err(fault) => self.fail(fault),
            }
            self.line.clear();
        }
        read
    }

    /// One whole line behind its `=y`: only `=yend` may stand there.
    fn control_line(&mut self) -> Result<(), Fault> {
        let part = self.part.as_ref().ok_or(Fault::NotYenc)?;
        let line = self.line.text();
        let fields = line.strip_prefix(b"end ").ok_or(BadHeader::Misplaced)?;
        self.line.check()?;
        let end = End::parse(fields, part.number.is_some())?;
        self.end = Some(end);
        for expected in [part.len(), end.size] {
            if expected != self.produced {
                return Err(Fault::Length {
                    expected,
                    got: self.produced,
                });
            }
        }
        let got = self.crc.clone().finalize();
        match end.crc {
            Some(expected) if expected != got => Err(Fault::Crc { expected, got }),
            _ => Ok(()),
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.phase = Phase::Drain;
    }

    /// Looks for the end; decodes into nothing, so that the end is found where the kernel finds it.
    fn drain(&mut self, input: &[u8]) -> usize {
        let mut nothing = [0; 1024];
        let piece = &input[..input.len().min(nothing.len())];
        let run = self.kernel.run(&mut self.state, piece, &mut nothing);
        match run.stop {
            Stop::End => self.phase = Phase::Done,
            Stop::Control => self.state = State::Body,
            Stop::Input | Stop::Output => {}
        }
        run.read
    }
}

/// A line that arrives in pieces. Of one that is too long the front is kept.
#[derive(Clone, Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Line {
    /// Takes bytes up to the end of the line; says how many and whether it is complete.
    fn push(&mut self, input: &[u8]) -> (usize, bool) {
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |at| at + 1);
        let room = CONTROL_BYTES_MAX - self.bytes.len();
        self.too_long |= taken > room;
        self.bytes.extend_from_slice(&input[..taken.min(room)]);
        (taken, end.is_some())
    }

    /// The line without its end.
    fn text(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\n").map_or(&*self.bytes, |line| {
            line.strip_suffix(b"\r").unwrap_or(line)
        })
    }

    fn check(&self) -> Result<(), BadHeader> {
        if self.too_long {
            return Err(BadHeader::TooLong(CONTROL_BYTES_MAX));
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.too_long = false;
    }

    fn cleared(mut self) -> Self {
        self.clear();
        self
    }
}

#[cfg(test)]
mod tests;
