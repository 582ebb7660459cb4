//! A feed that is not loaded but comes: the pieces of an open transport stream, queued in order, and
//! whether they keep up with real time.

use std::sync::Arc;
use std::time::Duration;

use base::Time;

use super::cursor::Joint;
use super::cutter::Piece;
use super::feed::{Feed, Slot, SlotState};
use crate::playlist::Segment;
use crate::ts::Ticks;

/// How a stream flows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// When this connection was opened.
    opened: Time,
    /// It is not the first, and has brought nothing yet.
    reopened: bool,
    /// When the newest piece would have been here, had none been late.
    on_time: Option<Time>,
    /// Where the newest piece ends on the stream's own clock.
    end: Option<Ticks>,
}

/// Pieces that wait to be published; older ones are dropped while another source is on air.
const PIECES_MAX: usize = 8;
/// Of a piece's duration, what is forgiven of earlier lateness.
const FORGIVEN: u32 = 100;
/// What servers send a new client again, at most.
const AGAIN_MAX: Duration = Duration::from_secs(30);

impl Flow {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            opened: now,
            reopened: false,
            on_time: None,
            end: None,
        }
    }

    /// Since when players wait for the next piece, which may last `target`. A time in the future
    /// means that they do not.
    pub(super) fn due(&self, target: Duration) -> Option<Time> {
        self.on_time.map(|on_time| on_time + target)
    }

    /// Whether players got this already, before the connection broke: some servers begin with what
    /// they kept for new clients. That comes at once; an encoder that began anew does not.
    fn repeats(&self, now: Time, piece: &Piece, target: Duration) -> bool {
        let Some(end) = self.end.filter(|_| now - self.opened < target) else {
            return false;
        };
        let middle = piece.begin + Ticks::from(piece.duration / 2);
        let behind = end.since(middle);
        behind > 0 && behind < Ticks::from(AGAIN_MAX).get().cast_signed()
    }

    fn take(&mut self, now: Time, piece: &Piece) {
        let expected = self
            .on_time
            .map(|on_time| on_time + piece.duration + piece.duration / FORGIVEN);
        self.on_time = Some(expected.map_or(now, |expected| expected.min(now)));
        self.end = Some(piece.begin + Ticks::from(piece.duration));
        self.reopened = false;
    }
}

impl Feed {
    pub(super) const fn is_stream(&self) -> bool {
        self.flow.is_some()
    }

    /// The stream broke off and is open again.
    pub(super) fn reopened(&mut self, now: Time) {
        if let Some(flow) = &mut self.flow {
            (flow.opened, flow.reopened, flow.on_time) = (now, true, None);
        }
    }

    /// Takes a piece of the stream.
    pub(super) fn flowed(&mut self, now: Time, piece: &Piece) {
        let Some(flow) = &mut self.flow else { return };
        if flow.repeats(now, piece, self.target) {
            return;
        }
        let joint = match flow.reopened {
            true => Joint::Restarted,
            false => Joint::Seamless,
        };
        flow.take(now, piece);
        self.target = Duration::from_secs(piece.target_s);
        self.target_s = piece.target_s;
        self.progress.new_at = now;
        let state = match &piece.inspection {
            Ok(inspection) => SlotState::Ready {
                body: piece.body.clone(),
                inspection: Some(*inspection),
            },
            Err(_) => SlotState::Lost,
        };
        self.progress.segment_failures = match state {
            SlotState::Lost => self.progress.segment_failures + 1,
            _ => 0,
        };
        self.slots.push_back(Slot {
            link: self.links,
            asked: self.links,
            id: self.next_slot,
            queued: now,
            segment: segment(self.next_slot, piece),
            url: self.link.url().clone(),
            joint,
            keys: Vec::new(),
            map: None,
            state,
            attempts: 0,
            independent: piece.independent,
        });
        self.next_slot += 1;
        self.pass_over_lost();
        self.pass_over_old();
    }

    /// Nobody wants the oldest pieces while another source is on air.
    fn pass_over_old(&mut self) {
        let before = self.slots.len();
        if before > PIECES_MAX {
            self.keep_newest(PIECES_MAX);
            if self.placed {
                self.missed += (before - self.slots.len()) as u64;
                self.pass_over_lost();
            }
        }
    }
}

/// A piece as if a playlist had listed it.
fn segment(number: u64, piece: &Piece) -> Segment {
    Segment {
        msn: number,
        dsn: 0,
        discontinuity: piece.discontinuity,
        duration: piece.duration,
        inf: format!("{:.3},", piece.duration.as_secs_f64()),
        uri: String::new(),
        byte_range: None,
        keys: Arc::new([]),
        map: None,
        program_date_time: None,
        date: None,
        gap: false,
        bitrate: None,
        tags: Vec::new(),
    }
}
