//! A source that is one transport stream: it is opened once, kept open, and opened again when it
//! breaks off.

use std::time::Duration;

use super::{Context, Root, Session, cannot_feed};
use crate::channel::cutter::Piece;
use crate::channel::event::{Failure, Fetched};
use crate::channel::feed::Feed;
use crate::channel::ladder::Ladder;

/// Beyond its target duration, what a stream may take to show a random-access point.
const ACCESS: Duration = Duration::from_secs(2);
/// Target durations for which a stream that was opened again must last to be trusted again.
const TRUST: u32 = 3;

impl Session {
    /// Besides what any source may take to bring its first segment, what a stream takes: it has to
    /// wait for a place to begin, and for the end of the segment that begins there.
    pub(in crate::channel) fn cutting_takes(&self) -> Duration {
        match self.root {
            Root::Stream { .. } => self.target() + ACCESS,
            _ => Duration::ZERO,
        }
    }

    /// Whether the source turned out to be a stream.
    pub(in crate::channel) fn is_stream(&self) -> bool {
        matches!(self.root, Root::Stream { .. })
    }

    /// Whether this is an answer to the source's link that came beside the stream which is open: it was
    /// asked for again while the first request hung.
    pub(super) fn is_other_than_stream(
        &mut self,
        serial: u64,
        outcome: &Result<Fetched, Failure>,
    ) -> bool {
        if matches!(outcome, Ok(Fetched::Stream)) && !self.is_stream() {
            self.stream = Some(serial);
        }
        self.is_stream() && self.stream != Some(serial)
    }

    pub(super) fn stream_opened(&mut self, ctx: &mut Context<'_>) {
        self.root = Root::Stream { since: ctx.now };
        let ladder = ctx.ladder.get_or_insert(Ladder::Single);
        for track in ladder.track_ids() {
            if let Some(feed) = self.feeds.get_mut(&track) {
                feed.reopened(ctx.now);
                continue;
            }
            match ladder.feed_single(&track) {
                Ok(feeding) if feeding.keep.is_some() => {
                    let why = "its pictures and sound are one stream";
                    self.refused = Some(cannot_feed(&track, why));
                }
                Ok(_) => {
                    let (url, start) = (self.root_link.url().clone(), self.start(&track));
                    let target_s = ctx.aim.target_s.unwrap_or(2);
                    let feed = Feed::of_stream(ctx.now, url, start, target_s);
                    self.feeds.insert(track, feed);
                }
                Err(mismatch) => self.refuse(&track, mismatch),
            }
        }
    }

    pub(super) fn piece_arrived(&mut self, ctx: &mut Context<'_>, piece: &Piece) {
        for feed in self.feeds.values_mut().filter(|feed| feed.is_stream()) {
            feed.flowed(ctx.now, piece);
        }
        if let Err(reason) = &piece.inspection {
            self.trouble(ctx, "segment", format!("piece of the stream: {reason}"));
        }
        if let Root::Stream { since } = self.root
            && ctx.now - since >= self.target() * TRUST
        {
            self.root_failures = 0;
        }
    }
}
