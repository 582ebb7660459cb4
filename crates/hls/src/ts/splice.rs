//! Joining segments of changing sources into one continuous transport stream, as players expect it
//! that know no playlist: constant PIDs, counters and clocks that never jump.
//!
//! Decides where on the output's clock a segment lies and which of its PES packets go out.

mod layout;
mod output;
mod units;

use std::time::Duration;

use super::access::access_points;
use super::psi::Tables;
use super::{PACKET_LEN, Packets, Pid, SYNC_BYTE, StreamKind, Ticks, section};
use layout::{Languages, Layout, MAP_PID, VIDEO};
use output::Outputs;
use units::{Fate, Units};

/// Where the output's clock begins: far enough from 0 that a clock reference, which comes before
/// the first picture's time, is not before it.
const ORIGIN: Ticks = Ticks::new(10 * Ticks::PER_SECOND);

/// A segment that claims to last longer is not believed.
const DURATION_MAX: Duration = Duration::from_secs(600);

/// `EXTINF`s may be rounded to a second: that the timestamps end half a second earlier means
/// nothing.
const ROUNDING: i64 = Ticks::PER_SECOND as i64 / 2;

/// Timestamps of one source that go so far back, or leave out so much, are a discontinuity that
/// nobody marked.
const BACK_MAX: i64 = Ticks::PER_SECOND as i64;
const AHEAD_MAX: i64 = 10 * Ticks::PER_SECOND as i64;

/// How a segment follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// The same source, which goes on.
    Continuous,
    /// Another source, or the same one begins anew: `EXT-X-DISCONTINUITY`.
    Discontinuity,
}

/// Turns clear segments, one after the other, into one continuous stream.
///
/// * Program 1 with PMT PID 0x1000, video 0x100, audio 0x101 and up, subtitles 0x110 and up,
///   whatever the sources' PIDs are. Carried are one video stream, up to 15 audio streams and up to
///   15 DVB subtitle or teletext streams; streams of other types, which may hold times that this
///   module does not know how to move, are dropped. A language keeps its PID; the first audio PID is
///   always in use where a source has audio at all. The PMT's version rises with each change of it.
/// * PTS, DTS and PCR of a segment are moved by one offset, so sound and picture keep their
///   distance. After a discontinuity the segment lies where the one before ended by its duration, and
///   never so early that a stream's decoding or presentation times overlap. A PCR that would go
///   back stands still instead until its time has come.
/// * Damaged and scrambled packets are dropped, as are packets sent twice. PES packets go out whole
///   or not at all, but for pictures with a loss inside: one that goes on in the next segment is held back
///   until then, and dropped if another source comes in between.
/// * At a discontinuity the video ends with an end of sequence and starts anew with an access point,
///   if the segment has one.
///
/// A segment's output starts with PAT and PMT and holds only whole units, so one splicer serves all
/// clients: each may start at any segment. Clone it to branch off.
#[derive(Clone, Debug, Default)]
pub struct Splicer {
    layout: Option<Layout>,
    languages: Languages,
    map_version: u8,
    outputs: Outputs,
    /// What goes from the source's clock to the output's.
    offset: Ticks,
    /// Where the last segment ends by its duration, on the output's clock.
    end: Option<Ticks>,
    /// Packets of PES packets that are not whole yet, as the source sent them.
    held: Vec<u8>,
    /// The last segment could not be read: what follows cannot go on from it.
    is_broken: bool,
}

impl Splicer {
    /// Starts a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next segment's packets. `duration` is its `EXTINF`. Empty if there is no PAT or PMT to
    /// tell what its packets are: then only its time passes.
    pub fn push(&mut self, body: &[u8], joint: Joint, duration: Duration) -> Vec<u8> {
        let joint = if self.layout.is_none() || self.is_broken {
            Joint::Discontinuity
        } else {
            joint
        };
        let duration = Ticks::from(duration.min(DURATION_MAX));
        let held = std::mem::take(&mut self.held);
        let Some((layout, is_same)) = self.layout_for(body, joint) else {
            self.is_broken = true;
            self.pass(duration);
            return Vec::new();
        };

        let mut units = if joint == Joint::Continuous && is_same {
            Units::continued(&held, body, &layout, &self.outputs)
        } else {
            Units::of(body, &layout)
        };
        let mut lead = units.lead();
        let mut ended = None;
        if joint == Joint::Discontinuity || self.jumps(lead) {
            units = Units::of(body, &layout);
            self.enter(&mut units, body, &layout);
            ended = self.layout.as_ref().and_then(|last| last.kind(VIDEO));
            lead = units.lead();
            units.drop_strays(lead, duration);
            self.place(&units, lead);
        } else {
            units.drop_strays(lead, duration);
        }
        self.is_broken = false;
        match lead {
            Some(lead) => self.end = Some(lead.dts + self.offset + duration),
            None => self.pass(duration),
        }
        self.outputs.drop_late(&mut units, self.offset);
        self.held = units.held();
        let out = self.write(&units, &layout, ended);
        self.outputs.note(&units, &layout, self.offset);
        self.layout = Some(layout);
        out
    }

    /// So many null packets: they keep a connection alive while there is nothing to send.
    pub fn null_packets(count: usize) -> Vec<u8> {
        let mut packet = [0xff; PACKET_LEN];
        packet[..4].copy_from_slice(&[SYNC_BYTE, 0x1f, 0xff, 0x10]);
        packet.repeat(count)
    }

    /// What the packets of `body` are, and whether that is as before. A continuous segment without
    /// tables is read by the last ones.
    fn layout_for(&mut self, body: &[u8], joint: Joint) -> Option<(Layout, bool)> {
        let mut tables = Tables::default();
        for (_, packet) in Packets::new(body).filter(|(_, packet)| !packet.transport_error()) {
            tables.push(&packet);
            if tables.program().is_some() {
                break;
            }
        }
        let Some((_, source)) = tables.sections() else {
            let known = self.layout.clone().filter(|_| joint == Joint::Continuous)?;
            return Some((known, true));
        };
        if let Some(known) = self.layout.as_ref().filter(|known| known.source == source) {
            return Some((known.clone(), true));
        }
        let layout = Layout::new(source, &mut self.languages)?;
        if self
            .layout
            .as_ref()
            .is_some_and(|last| last.map != layout.map)
        {
            self.map_version = (self.map_version + 1) & 0x1f;
        }
        Some((layout, false))
    }

    /// Time passes in which nothing is carried.
    fn pass(&mut self, duration: Ticks) {
        self.end = Some(self.end.unwrap_or(ORIGIN) + duration);
    }

    /// Whether timestamps that should go on do not.
    fn jumps(&self, lead: Option<Lead>) -> bool {
        let Some(lead) = lead else {
            return false;
        };
        self.outputs.end(lead.slot).is_some_and(|end| {
            let distance = (lead.dts + self.offset).since(end.dts);
            !(-BACK_MAX..=AHEAD_MAX).contains(&distance)
        })
    }

    /// Drops the pictures that a decoder could show only with pictures of the segment before.
    fn enter(&self, units: &mut Units<'_>, body: &[u8], layout: &Layout) {
        let points = access_points(body);
        let Some(point) = points
            .first()
            .filter(|point| layout.slot(point.pid) == Some(VIDEO))
        else {
            return;
        };
        for unit in units.list.iter_mut().filter(|unit| unit.slot == VIDEO) {
            let is_leading = unit.pts.is_some_and(|pts| pts.since(point.pts) < 0);
            if unit.offset < point.offset || is_leading {
                unit.fate = Fate::Dropped;
            }
        }
    }

    /// Chooses the offset after a discontinuity.
    fn place(&mut self, units: &Units<'_>, lead: Option<Lead>) {
        let Some(lead) = lead else {
            return;
        };
        let by_duration = self.end.unwrap_or(ORIGIN) - lead.dts;
        let no_overlap = units
            .firsts()
            .filter_map(|first| {
                let end = self.outputs.end(first.slot)?;
                Some(later(end.dts - first.dts, end.pts - first.pts))
            })
            .reduce(later);
        self.offset = match no_overlap {
            Some(earliest) if by_duration.since(earliest) < ROUNDING => earliest,
            _ => by_duration,
        };
    }

    /// `ended` is the video that goes on no more.
    fn write(&mut self, units: &Units<'_>, layout: &Layout, ended: Option<StreamKind>) -> Vec<u8> {
        let tables_max = 8 * PACKET_LEN;
        let mut out = Vec::with_capacity(units.packets.len() * PACKET_LEN + tables_max);
        let association = section::association(1, MAP_PID);
        for (pid, section) in [
            (Pid::PAT, section::section(0x00, 1, 0, &association)),
            (
                MAP_PID,
                section::section(0x02, 1, self.map_version, &layout.map),
            ),
        ] {
            let counter = self.outputs.table_counter(pid);
            section::write(pid, &section::with_crc(section), counter, &mut out);
        }
        if let Some(kind) = ended {
            self.outputs.end_sequence(kind, &mut out);
        }
        for carried in units
            .packets
            .iter()
            .filter(|carried| units.is_kept(carried))
        {
            self.outputs.write(carried, self.offset, &mut out);
        }
        out
    }
}

/// The first timestamp of the stream that leads a segment: its video or, without, its first audio.
#[derive(Clone, Copy, Debug)]
struct Lead {
    slot: usize,
    dts: Ticks,
}

/// Where a stream begins in a segment: its first decoding and its earliest presentation time.
#[derive(Clone, Copy, Debug)]
struct First {
    slot: usize,
    dts: Ticks,
    pts: Ticks,
}

fn later(a: Ticks, b: Ticks) -> Ticks {
    if a.since(b) < 0 { b } else { a }
}

#[cfg(test)]
mod tests;
