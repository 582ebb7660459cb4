//! A source that is one transport stream: it is opened once, kept open, and opened again when it
//! breaks off.

use std::time::Duration;

use super::{Context, Root, Session};
use crate::channel::cutter::Piece;
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

    /// Whether its stream broke off and is asked for again, from its very link: a second session of the
    /// same source would do no more.
    pub(in crate::channel) fn reopens(&self) -> bool {
        !matches!(self.root, Root::Stream { .. }) && self.feeds.values().any(Feed::is_stream)
    }

    pub(super) fn stream_opened(&mut self, ctx: &mut Context<'_>) {
        self.root = Root::Stream { since: ctx.now };
        let ladder = ctx.ladder.get_or_insert(Ladder::Single);
        for track in ladder.track_ids() {
            if let Some(feed) = self.feeds.get_mut(&track) {
                feed.reopened(ctx.now);
                continue;
            }
            match ladder.accepts_single(&track) {
                Ok(()) => {
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
