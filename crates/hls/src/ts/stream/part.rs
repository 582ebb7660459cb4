//! The segment that is being gathered.

use std::time::Duration;

use super::super::{PACKET_LEN, Packet, Pid, Ticks, section};
use super::Segment;

/// A place to cut: where a unit of the leading stream starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    offset: usize,
    pub(super) dts: Ticks,
}

/// A segment without its end.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// PAT and PMT, then what came.
    pub(super) bytes: Vec<u8>,
    pub(super) discontinuity: bool,
    pub(super) independent: bool,
    first: Option<Mark>,
    /// The newest unit.
    pub(super) newest: Option<Mark>,
    /// The newest access point after the first unit.
    pub(super) access: Option<Mark>,
    map_pid: Option<Pid>,
    /// PAT and PMT for what is cut off this.
    pub(super) next_tables: [Vec<u8>; 2],
    /// Their last counters.
    counters: [u8; 2],
}

impl Part {
    /// Starts a program.
    pub(super) fn new(map_pid: Pid, tables: [Vec<u8>; 2]) -> Self {
        let part = Self {
            map_pid: Some(map_pid),
            next_tables: tables,
            counters: [15; 2],
            ..Self::default()
        };
        part.next(Vec::new())
    }

    /// The part after this one, which starts with `rest`.
    fn next(&self, rest: Vec<u8>) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + self.bytes.len() / 4);
        for (pid, sections) in [Some(Pid::PAT), self.map_pid].iter().zip(&self.next_tables) {
            if let Some(pid) = pid {
                // The counters are written when the segment is whole.
                section::write(*pid, sections, &mut 0, &mut bytes);
            }
        }
        bytes.extend(rest);
        Self {
            bytes,
            map_pid: self.map_pid,
            next_tables: self.next_tables.clone(),
            counters: self.counters,
            ..Self::default()
        }
    }

    /// When its first unit is decoded.
    pub(super) fn begin(&self) -> Option<Ticks> {
        self.first.map(|unit| unit.dts)
    }

    /// From its beginning to `dts`; nothing if that is before.
    pub(super) fn elapsed(&self, dts: Ticks) -> Duration {
        let ticks = self.begin().map_or(0, |begin| dts.since(begin));
        Ticks::new(u64::try_from(ticks).unwrap_or(0)).to_duration()
    }

    /// A unit of the leading stream starts here.
    pub(super) fn start_unit(&mut self, dts: Ticks) {
        let offset = self.bytes.len();
        let unit = Mark { offset, dts };
        self.first.get_or_insert(unit);
        self.newest = Some(unit);
    }

    /// Whether a cut at `mark` would leave nothing behind.
    pub(super) fn is_first(&self, mark: Mark) -> bool {
        self.elapsed(mark.dts).is_zero()
    }

    /// Cuts off what comes before `mark`; this goes on with what starts there.
    pub(super) fn cut(&mut self, mark: Mark) -> Self {
        let rest = self.bytes.split_off(mark.offset);
        let rest_len = rest.len();
        let next = self.next(rest);
        let mut before = std::mem::replace(self, next);
        let start = self.bytes.len() - rest_len;
        let moved = |unit: Mark| Mark {
            offset: unit.offset - mark.offset + start,
            ..unit
        };
        self.first = Some(moved(mark));
        self.newest = before.newest.map(moved);
        before.count(self);
        before
    }

    /// Takes all of it; this goes on empty.
    pub(super) fn take(&mut self) -> Self {
        let next = self.next(Vec::new());
        let mut before = std::mem::replace(self, next);
        before.count(self);
        before
    }

    /// Writes the counters of the tables, which go on in `next`.
    fn count(&mut self, next: &mut Self) {
        for packet in self.bytes.as_chunks_mut::<PACKET_LEN>().0 {
            let view = Packet::new(packet);
            let table = [Some(Pid::PAT), self.map_pid]
                .iter()
                .position(|pid| *pid == Some(view.pid()));
            if let Some(table) = table.filter(|_| view.has_payload() && !view.transport_error()) {
                let counter = &mut self.counters[table];
                *counter = (*counter + 1) & 0x0f;
                packet[3] = packet[3] & 0xf0 | *counter;
            }
        }
        next.counters = self.counters;
    }

    pub(super) fn into_segment(self, duration: Duration) -> Segment {
        let begin = self.begin().unwrap_or_default();
        Segment {
            bytes: self.bytes,
            duration,
            discontinuity: self.discontinuity,
            independent: self.independent,
            begin,
        }
    }
}
