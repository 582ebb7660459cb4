//! Cutting a segment that is too long for a playlist's target duration.

use std::iter;
use std::time::Duration;

use super::access::{Timing, find_program};
use super::psi::Sections;
use super::{PACKET_LEN, Packet, Packets, Pid};

/// A section has at most 1,024 bytes and may start anywhere in its first packet.
const TABLE_PACKETS_MAX: usize = 7;

/// `EXTINF`s may be rounded to a second (RFC 8216 §4.3.2.1), so timestamps may pass them by less.
const ROUNDING: Duration = Duration::from_secs(1);

/// A part of a segment that plays on its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// PAT and PMT, then the part.
    pub bytes: Vec<u8>,
    /// Its `EXTINF`.
    pub duration: Duration,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece")
            .field("bytes", &self.bytes.len())
            .field("duration", &self.duration)
            .finish()
    }
}

/// Why a segment cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotCut {
    /// No PAT or PMT.
    #[error("no program map table")]
    NoProgram,
    /// The program has neither video nor audio, or they have no timestamps.
    #[error("no timestamps")]
    NoTimestamps,
    /// A decoder cannot start often enough.
    #[error("no access point for {gap:?} after {after:?}, target duration {target:?}")]
    TooFarApart {
        /// Where in the segment the piece that gets too long begins.
        after: Duration,
        /// How far it is from there to the next access point, or to the end.
        gap: Duration,
        /// The target duration.
        target: Duration,
    },
    /// The timestamps jump, or pass the segment's duration.
    #[error("access point {elapsed_ms} ms after the first timestamp, segment lasts {duration:?}")]
    ClockDisagrees {
        /// The access point's time, counted from the segment's first timestamp.
        elapsed_ms: i64,
        /// The segment's `EXTINF`.
        duration: Duration,
    },
}

impl CannotCut {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Invalid
    }
}

/// Cuts a segment of the given `duration` at access points into as few pieces as possible whose
/// durations, rounded, do not pass `target_duration` (RFC 8216 §4.3.3.1: a piece of 6.006 s is fine
/// where the target is 6 s).
///
/// A segment that fits comes back whole, as it is. Else the bytes of `body` are all there, in
/// order, each once. A piece starts with the PAT and PMT that stand before its access point, else
/// with copies of the last ones: a packet sent twice, as ISO/IEC 13818-1 §2.4.3.3 allows, so no
/// counter is rewritten. Durations are differences of PTS; the last piece gets what is left of
/// `duration`.
pub fn cut(
    body: &[u8],
    duration: Duration,
    target_duration: Duration,
) -> Result<Vec<Piece>, CannotCut> {
    if fits(duration, target_duration) {
        let bytes = body.to_vec();
        return Ok(vec![Piece { bytes, duration }]);
    }
    let program = find_program(body).ok_or(CannotCut::NoProgram)?;
    let timing = Timing::of(body, &program).ok_or(CannotCut::NoTimestamps)?;
    let cuts = choose(&timing, duration, target_duration)?;

    let offsets: Vec<_> = cuts.iter().map(|cut| cut.offset).collect();
    let starts = starts(body, program.map_pid, &offsets);
    let ends = starts
        .iter()
        .skip(1)
        .map(|start| start.offset)
        .chain([body.len()]);
    let begins = iter::once(Duration::ZERO).chain(cuts.iter().map(|cut| cut.elapsed));
    let finishes = cuts.iter().map(|cut| cut.elapsed).chain([duration]);
    let pieces = iter::zip(&starts, ends).zip(begins.zip(finishes));
    Ok(pieces
        .map(|((start, end), (begin, finish))| Piece {
            bytes: [&start.tables, &body[start.offset..end]].concat(),
            duration: finish - begin,
        })
        .collect())
}

/// Whether `duration`, rounded, does not pass `target_duration`.
pub(super) fn fits(duration: Duration, target_duration: Duration) -> bool {
    let rounded = duration
        .saturating_add(Duration::from_millis(500))
        .as_secs();
    Duration::from_secs(rounded) <= target_duration
}

/// An access point as a candidate.
#[derive(Clone, Copy, Debug)]
struct Cut {
    offset: usize,
    elapsed: Duration,
}

/// Takes from each cut the farthest access point that still fits.
fn choose(timing: &Timing, duration: Duration, target: Duration) -> Result<Vec<Cut>, CannotCut> {
    let candidates = candidates(timing, duration)?;
    let mut cuts = Vec::new();
    let mut begin = Duration::ZERO;
    let mut rest = &candidates[..];
    while !fits(duration - begin, target) {
        let reach = rest.partition_point(|cut| fits(cut.elapsed - begin, target));
        let Some(&cut) = rest[..reach].last() else {
            let next = rest.first().map_or(duration, |cut| cut.elapsed);
            return Err(CannotCut::TooFarApart {
                after: begin,
                gap: next - begin,
                target,
            });
        };
        cuts.push(cut);
        begin = cut.elapsed;
        rest = &rest[reach..];
    }
    Ok(cuts)
}

/// The access points inside the segment; timestamps must run forward and end with `duration`.
fn candidates(timing: &Timing, duration: Duration) -> Result<Vec<Cut>, CannotCut> {
    let mut candidates: Vec<Cut> = Vec::new();
    for point in &timing.points {
        let ticks = point.pts.since(timing.begin);
        let elapsed = (point.pts - timing.begin).to_duration();
        let last = candidates.last().map_or(Duration::ZERO, |cut| cut.elapsed);
        if ticks < 0 || elapsed < last || elapsed >= duration.saturating_add(ROUNDING) {
            return Err(CannotCut::ClockDisagrees {
                elapsed_ms: ticks / 90,
                duration,
            });
        }
        if elapsed > last && elapsed < duration {
            candidates.push(Cut {
                offset: point.offset,
                elapsed,
            });
        }
    }
    Ok(candidates)
}

/// Where a piece starts in the body, and the table packets to put in front.
#[derive(Debug)]
struct Start {
    offset: usize,
    tables: Vec<u8>,
}

/// The start of the first piece and of one for each of `cuts`, offsets of packets in ascending
/// order.
fn starts(body: &[u8], map_pid: Pid, cuts: &[usize]) -> Vec<Start> {
    let mut tables = LatestTables::first_in(body, map_pid);
    let mut cuts = cuts.iter().peekable();
    let mut starts = Vec::new();
    for (offset, packet) in Packets::new(body) {
        let is_cut = cuts.next_if_eq(&&offset).is_some();
        if tables.take(offset, &packet) && !is_cut {
            continue;
        }
        if starts.is_empty() {
            let (_, tables) = tables.before(offset, body);
            starts.push(Start { offset: 0, tables });
        }
        if is_cut {
            let (offset, tables) = tables.before(offset, body);
            starts.push(Start { offset, tables });
        }
        tables.run = None;
    }
    starts
}

/// Keeps the offsets of the newest PAT and PMT packets while walking.
#[derive(Debug)]
struct LatestTables {
    map_pid: Pid,
    pat: Table,
    map: Table,
    /// The tables that stand in a row right before the packet at hand.
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    offset: usize,
    pat: bool,
    map: bool,
}

#[derive(Debug, Default)]
struct Table {
    sections: Sections,
    current: Vec<usize>,
    complete: Vec<usize>,
}

impl LatestTables {
    /// Starts out with the body's first tables: what comes before them is decoded with them too.
    fn first_in(body: &[u8], map_pid: Pid) -> Self {
        let (pat, map) = (Table::default(), Table::default());
        let mut tables = Self {
            map_pid,
            pat,
            map,
            run: None,
        };
        for (offset, packet) in Packets::new(body) {
            tables.take(offset, &packet);
            if !tables.pat.complete.is_empty() && !tables.map.complete.is_empty() {
                break;
            }
        }
        tables.run = None;
        tables
    }

    /// Takes a packet that may stand in a row of tables: a table's or a null packet.
    fn take(&mut self, offset: usize, packet: &Packet<'_>) -> bool {
        /// PIDs below carry tables only (ISO/IEC 13818-1 table 2-3).
        const STREAMS_FROM: Pid = Pid::new(0x10);

        let pid = packet.pid();
        if pid == Pid::NULL {
            return true;
        }
        if packet.transport_error() || (pid >= STREAMS_FROM && pid != self.map_pid) {
            return false;
        }
        let run = self.run.get_or_insert(Run {
            offset,
            pat: false,
            map: false,
        });
        if pid == Pid::PAT {
            run.pat |= self.pat.push(offset, packet);
        } else if pid == self.map_pid {
            run.map |= self.map.push(offset, packet);
        }
        true
    }

    /// Where a piece starts whose first media packet is at `offset`: at the row of tables before it
    /// or, if that does not hold both, at the packet itself with copies in front.
    fn before(&self, offset: usize, body: &[u8]) -> (usize, Vec<u8>) {
        if let Some(Run {
            offset,
            pat: true,
            map: true,
        }) = self.run
        {
            return (offset, Vec::new());
        }
        let mut copies = Vec::new();
        for packet in self.pat.complete.iter().chain(&self.map.complete) {
            copies.extend_from_slice(&body[*packet..packet + PACKET_LEN]);
        }
        (offset, copies)
    }
}

impl Table {
    /// Whether the packet made a section complete.
    fn push(&mut self, offset: usize, packet: &Packet<'_>) -> bool {
        if packet.unit_start() {
            self.current.clear();
        }
        if self.current.len() < TABLE_PACKETS_MAX {
            self.current.push(offset);
        }
        let mut whole = false;
        self.sections.push(packet, |_| whole = true);
        if whole {
            self.complete.clone_from(&self.current);
        }
        whole
    }
}

#[cfg(test)]
mod tests;
