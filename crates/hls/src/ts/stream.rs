//! Cutting an endless transport stream (a source over plain HTTP) into the segments of a live
//! playlist (RFC 8216 §3.2).
//!
//! Bytes come in as they arrive; segments go out once their end is known. Knows nothing of where
//! the bytes come from or how a playlist lists the segments.

mod framer;
mod part;

use std::time::Duration;

use super::access::{Head, is_marked};
use super::psi::{Stream, Tables};
use super::{AccessPoint, PACKET_LEN, Packet, PesHeader, Pid, Program, Ticks, section};
use framer::{Framer, Lost};
use part::{Mark, Part};

/// A stream in which no program, or no time, is known after so many bytes never had one.
const PROBE_MAX: usize = 8 << 20;

/// An access point this much before the aim is near enough: decoding times of the first pictures are
/// uneven, and frame rates like 30000/1001 never meet a whole second.
const NEAR: Duration = Duration::from_millis(150);

/// Timestamps of one stream that go so far back, or leave out so much, are another time line.
const BACK_MAX: i64 = Ticks::PER_SECOND as i64;
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// A clock that is announced to jump may do so a little after the pictures did.
const JOINT: Duration = Duration::from_secs(1);

/// A segment of the stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// PAT and PMT, then the packets.
    pub bytes: Vec<u8>,
    /// Its `EXTINF`: from its first decoding time to the next segment's.
    pub duration: Duration,
    /// `EXT-X-DISCONTINUITY` belongs before it: the timestamps jumped, the program changed, or the
    /// stream broke off.
    pub discontinuity: bool,
    /// Whether it starts with an access point.
    pub independent: bool,
    /// When its first unit is decoded.
    pub begin: Ticks,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("bytes", &self.bytes.len())
            .field("duration", &self.duration)
            .field("discontinuity", &self.discontinuity)
            .field("independent", &self.independent)
            .finish()
    }
}

/// Why a stream cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSegment {
    /// This is no transport stream, or no longer.
    #[error("no transport packets in {0} bytes")]
    NoSync(usize),
    /// No PAT or PMT.
    #[error("no program map table in {0} bytes")]
    NoProgram(usize),
    /// The program lists neither video nor audio of a known kind.
    #[error("program {0} has neither video nor audio")]
    NoStreams(u16),
    /// Its video, or without video its audio, has no timestamps.
    #[error("no timestamps in {0} bytes")]
    NoTimestamps(usize),
    /// A conditional-access system guards it.
    #[error("the stream is scrambled")]
    Scrambled,
    /// Nowhere to cut.
    #[error("no place to cut in {0} bytes")]
    TooLarge(usize),
}

impl CannotSegment {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        match self {
            Self::TooLarge(_) => base::ErrorKind::TooLarge,
            _ => base::ErrorKind::Corrupt,
        }
    }
}

/// Cuts a stream into segments.
///
/// A segment ends at the first access point that is `target` away from its beginning. Where none
/// comes in time it ends at its last access point or, without one, before any picture (or, on the
/// radio, any PES packet of sound), so that its rounded duration never passes `longest`.
///
/// From the first access point on, each packet is in exactly one segment, in order, as it came;
/// only null packets are dropped, and the counters of PAT and PMT are written anew because copies of
/// them are put in front of each segment. What comes before the first access point is dropped, as
/// no decoder could show it, unless none comes in time.
#[derive(Debug)]
pub struct Segmenter {
    limits: Limits,
    framer: Framer,
    tables: Tables,
    program: Option<Watched>,
    part: Part,
    /// Bytes since the stream began while nothing of it is known.
    probed: usize,
    /// No access point was seen yet: what comes before one will be dropped.
    is_starting: bool,
    /// The first segment need not be longer.
    first: Option<Duration>,
    /// The clock is announced to jump.
    jump_announced: bool,
    saw_scrambled: bool,
    head: Head,
    /// How long the newest unit lasts, as the one before it did.
    step: Ticks,
    failed: Option<CannotSegment>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    target: Duration,
    longest: Duration,
    bytes_max: usize,
}

/// The program that is cut.
#[derive(Debug)]
struct Watched {
    program: Program,
    /// Its access points are where it can be cut.
    lead: Stream,
}

impl Segmenter {
    /// `target` is what a segment should last, `longest` the playlist's target duration, `bytes_max`
    /// the most that is held before a segment goes out.
    pub fn new(target: Duration, longest: Duration, bytes_max: usize) -> Self {
        Self {
            limits: Limits {
                target,
                longest,
                bytes_max,
            },
            framer: Framer::default(),
            tables: Tables::default(),
            program: None,
            part: Part::default(),
            probed: 0,
            is_starting: true,
            first: None,
            jump_announced: false,
            saw_scrambled: false,
            head: Head::default(),
            step: Ticks::default(),
            failed: None,
        }
    }

    /// Ends the first segment once it lasts `first`, wherever that is: for players that wait.
    #[must_use]
    pub fn hasty(self, first: Duration) -> Self {
        Self {
            first: Some(first),
            ..self
        }
    }

    /// What segments should last from here on, and what they may.
    pub fn aim(&mut self, target: Duration, longest: Duration) {
        self.limits = Limits {
            target,
            longest,
            ..self.limits
        };
    }

    /// Takes the stream's next bytes and gives the segments that end in them. A stream that cannot be
    /// cut is given up: each further call fails too, until [`Segmenter::finish`] makes ready for
    /// another.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Segment>, CannotSegment> {
        let mut done = Vec::new();
        if self.failed.is_none() {
            self.framer.push(bytes);
            self.failed = self.cut(&mut done).err();
        }
        match &self.failed {
            // What came before the fault goes out first.
            Some(error) if done.is_empty() => Err(error.clone()),
            _ => Ok(done),
        }
    }

    /// The stream broke off: gives what is left of it. Bytes that are pushed from here on are those of
    /// a new connection, and its first segment is marked as a discontinuity.
    pub fn finish(&mut self) -> Option<Segment> {
        let rest = self.part.begin().is_some().then(|| self.close_at_end());
        let limits = self.limits;
        *self = Self::new(limits.target, limits.longest, limits.bytes_max);
        self.part.discontinuity = true;
        rest
    }

    fn cut(&mut self, done: &mut Vec<Segment>) -> Result<(), CannotSegment> {
        while let Some(packet) = self.framer.next_packet()? {
            self.take(&Packet::new(&packet), done)?;
        }
        Ok(())
    }

    fn take(&mut self, packet: &Packet<'_>, done: &mut Vec<Segment>) -> Result<(), CannotSegment> {
        let pid = packet.pid();
        if pid == Pid::NULL {
            return Ok(());
        }
        let is_whole = !packet.transport_error();
        if is_whole {
            self.read_tables(packet, done)?;
        }
        let Some(watched) = &self.program else {
            return self.probe(CannotSegment::NoProgram);
        };
        if is_whole && pid == watched.program.pcr_pid {
            self.jump_announced |= packet
                .adaptation()
                .is_some_and(|field| field.discontinuity() && field.pcr().is_some());
        }
        if is_whole && pid == watched.lead.pid {
            let lead = watched.lead;
            self.follow(packet, lead, done);
        }
        self.part.bytes.extend_from_slice(packet.bytes());
        if self.part.begin().is_none() {
            return self.probe(if self.saw_scrambled {
                |_| CannotSegment::Scrambled
            } else {
                CannotSegment::NoTimestamps
            });
        }
        if self.part.bytes.len() > self.limits.bytes_max && !self.relieve(done) {
            return Err(CannotSegment::TooLarge(self.part.bytes.len()));
        }
        Ok(())
    }

    /// Counts a packet of which nothing is known.
    fn probe(&mut self, unknown: impl Fn(usize) -> CannotSegment) -> Result<(), CannotSegment> {
        self.probed += PACKET_LEN;
        if self.probed > PROBE_MAX.min(self.limits.bytes_max) {
            return Err(unknown(self.probed));
        }
        Ok(())
    }

    /// Looks for the program and for changes of it. The tables come again and again.
    fn read_tables(
        &mut self,
        packet: &Packet<'_>,
        done: &mut Vec<Segment>,
    ) -> Result<(), CannotSegment> {
        self.tables.push(packet);
        let (Some(program), Some((association, map))) =
            (self.tables.program(), self.tables.sections())
        else {
            return Ok(());
        };
        let program = program.clone();
        let tables = [association, map].map(|section| section::with_crc(section.to_vec()));
        self.tables = Tables::preferring(program.number);
        if self
            .program
            .as_ref()
            .is_some_and(|known| known.program == program)
        {
            // Whatever else changed holds from the next segment on.
            self.part.next_tables = tables;
            return Ok(());
        }
        let lead = program.video().or(program.audio());
        let lead = lead.ok_or(CannotSegment::NoStreams(program.number))?;
        if self.part.begin().is_some() {
            self.close_at_joint(done);
        }
        let discontinuity = self.part.discontinuity;
        self.part = Part::new(program.map_pid, tables);
        self.part.discontinuity = discontinuity;
        self.program = Some(Watched { program, lead });
        self.head.clear();
        self.probed = 0;
        Ok(())
    }

    /// Takes a packet of the leading stream.
    fn follow(&mut self, packet: &Packet<'_>, lead: Stream, done: &mut Vec<Segment>) {
        let Some(payload) = packet.payload() else {
            return;
        };
        if packet.is_scrambled() {
            self.saw_scrambled = true;
            return;
        }
        let is_access = if packet.unit_start() {
            self.head.clear();
            let Some(header) = PesHeader::parse(payload) else {
                return;
            };
            let (Some(pts), content) = (header.pts, &payload[header.len..]) else {
                return;
            };
            self.start_unit(header.dts.unwrap_or(pts), done);
            let point = AccessPoint {
                offset: self.part.bytes.len(),
                pid: lead.pid,
                pts,
            };
            is_marked(packet, lead) || self.head.start(point, content, lead.kind).is_some()
        } else {
            self.head.extend(payload, lead.kind).is_some()
        };
        if is_access {
            self.access(done);
        }
    }

    /// A unit of the leading stream starts with the packet at hand.
    fn start_unit(&mut self, dts: Ticks, done: &mut Vec<Segment>) {
        if self.part.begin().is_some() {
            if self.jumps(dts) {
                self.close_at_joint(done);
            } else {
                let step = self.part.newest.map_or(0, |unit| dts.since(unit.dts));
                self.step = Ticks::new(step.unsigned_abs());
                while !self.limits.allow(self.part.elapsed(dts)) && self.relieve(done) {}
                let enough = |first: Duration| self.part.elapsed(dts) >= first;
                if !self.is_starting && self.first.is_some_and(enough) {
                    self.relieve(done);
                }
            }
        }
        self.jump_announced = false;
        self.part.start_unit(dts);
    }

    /// Whether the time line ends before the unit that is decoded at `dts`.
    fn jumps(&self, dts: Ticks) -> bool {
        let Some(newest) = self.part.newest else {
            return false;
        };
        let ahead = Ticks::from(self.limits.longest.min(AHEAD_MAX)).get();
        let distance = dts.since(newest.dts);
        if distance < -BACK_MAX || distance > ahead.cast_signed() {
            return true;
        }
        let just_jumped = self.part.discontinuity && self.part.elapsed(dts) < JOINT;
        self.jump_announced && !just_jumped
    }

    /// The newest unit proves to be an access point.
    fn access(&mut self, done: &mut Vec<Segment>) {
        let Some(newest) = self.part.newest else {
            return;
        };
        if self.is_starting {
            self.is_starting = false;
            let unseen = self.part.cut(newest);
            self.part.discontinuity = unseen.discontinuity;
            self.part.independent = true;
        } else if self.part.is_first(newest) {
            self.part.independent = true;
        } else if !self.part.independent || self.limits.reached(self.part.elapsed(newest.dts)) {
            self.close_at(newest, true, done);
        } else {
            self.part.access = Some(newest);
        }
    }

    /// Ends the segment before it gets too long. `false` if there is no place.
    fn relieve(&mut self, done: &mut Vec<Segment>) -> bool {
        let first = |mark: &Mark| self.part.is_first(*mark);
        let access = self.part.access;
        let Some(mark) = access.or(self.part.newest.filter(|mark| !first(mark))) else {
            return false;
        };
        self.is_starting = false;
        self.close_at(mark, access.is_some(), done);
        true
    }

    fn close_at(&mut self, mark: Mark, independent: bool, done: &mut Vec<Segment>) {
        self.first = None;
        let duration = self.part.elapsed(mark.dts);
        done.push(self.part.cut(mark).into_segment(duration));
        self.part.independent = independent;
    }

    /// Ends the segment where another time line or program begins.
    fn close_at_joint(&mut self, done: &mut Vec<Segment>) {
        let before = self.close_at_end();
        if self.is_starting {
            // What could not be shown is dropped, its mark is not.
            self.part.discontinuity = before.discontinuity;
        } else {
            self.part.discontinuity = true;
            done.push(before);
        }
    }

    /// Ends the segment with its newest unit, which lasts as long as the one before.
    fn close_at_end(&mut self) -> Segment {
        let newest = self.part.newest.map_or(Ticks::default(), |unit| unit.dts);
        let whole = self.part.elapsed(newest + self.step);
        let duration = if self.limits.allow(whole) {
            whole
        } else {
            self.part.elapsed(newest)
        };
        self.part.take().into_segment(duration)
    }
}

impl Limits {
    /// Whether a segment of this duration may stand in the playlist.
    fn allow(&self, duration: Duration) -> bool {
        super::cut::fits(duration, self.longest)
    }

    fn reached(&self, elapsed: Duration) -> bool {
        elapsed + NEAR >= self.target
    }
}

impl From<Lost> for CannotSegment {
    fn from(Lost(bytes): Lost) -> Self {
        Self::NoSync(bytes)
    }
}

#[cfg(test)]
mod tests;
