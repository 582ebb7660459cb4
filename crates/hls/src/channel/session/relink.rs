//! A session whose source has a fresh link: the same stream under other URLs.
//!
//! What is on its way under the old link may arrive; nothing more is asked of it. Playlists are loaded
//! anew, and segments that were queued get the URLs that the fresh playlists give them.

use std::time::Duration;

use base::Time;
use url::Url;

use super::arrivals::{corrupt, parse, unexpected};
use super::{Context, Purpose, Root, Session};
use crate::channel::event::{Failure, Fetched, What};
use crate::channel::feed::{Link, retry_wait};
use crate::playlist::{Playlist, Variables};

const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

impl Session {
    pub(in crate::channel) fn relink(&mut self, now: Time, url: &Url) {
        self.root_link = Link::new(url.clone());
        self.root_failures = 0;
        self.objects.forget_due();
        // What the old link's playlists say now is of no interest, nor that they say nothing.
        let is_open = matches!(self.root, Root::Stream { .. });
        self.pending.retain(|_, purpose| match purpose {
            Purpose::Root => is_open,
            Purpose::Playlist(_) | Purpose::Renewal => false,
            Purpose::Segment(..) | Purpose::Object(_) => true,
        });
        match &self.root {
            // What is open stays open; if it breaks off, it is opened again under the fresh link.
            Root::Stream { .. } => {}
            Root::Due(_) | Root::Loading { .. } => self.root = Root::Due(now),
            Root::Media => {
                for feed in self.feeds.values_mut() {
                    feed.relink(now, Some(url.clone()));
                }
            }
            Root::Multi { .. } => {
                self.renewal = Some(now);
                for feed in self.feeds.values_mut() {
                    feed.relink(now, None);
                }
            }
        }
    }

    /// Loads the multivariant playlist of a fresh link, beside the one that is in use.
    pub(super) fn renew_root(&mut self, ctx: &mut Context<'_>) {
        if self.renewal.is_none_or(|at| at > ctx.now) {
            return;
        }
        self.renewal = None;
        let url = self.root_link.url().clone();
        let what = What::Playlist { conditional: false };
        self.order(ctx, Purpose::Renewal, url, what, RENEWAL_TIMEOUT);
    }

    /// Takes the multivariant playlist of a fresh link, and leads the feeds to their playlists in it.
    pub(super) fn renewal_arrived(
        &mut self,
        ctx: &mut Context<'_>,
        outcome: Result<Fetched, Failure>,
    ) {
        let read = match outcome {
            Ok(Fetched::Playlist { body, final_url }) => {
                let read = parse(&body, &final_url, &Variables::default());
                read.map_err(|bad| bad.failure)
                    .map(|playlist| (playlist, final_url))
            }
            Ok(_) => Err(unexpected()),
            Err(failure) => Err(failure),
        };
        let failure = match read {
            Ok((Playlist::Multivariant(playlist), base)) => {
                self.root_failures = 0;
                self.root = Root::Multi {
                    playlist: Box::new(playlist),
                    base,
                };
                return self.relink_feeds(ctx);
            }
            Ok(_) => corrupt("media playlist instead of a multivariant playlist".to_owned()),
            Err(failure) => failure,
        };
        self.root_failures += u32::from(self.weigh(&failure));
        let wait = retry_wait(self.root_failures, self.target(), ctx.chance);
        self.renewal = Some(ctx.now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
        self.trouble(ctx, "playlist", failure.detail);
    }

    fn relink_feeds(&mut self, ctx: &Context<'_>) {
        let (Root::Multi { playlist, base }, Some(ladder)) = (&self.root, ctx.ladder.as_ref())
        else {
            return;
        };
        let mut lacking = Vec::new();
        for (track, feed) in &mut self.feeds {
            match ladder.feed(track, playlist, ctx.filter) {
                Ok(feeding) => {
                    let url = match feeding.uri {
                        Some(uri) => base.join(uri).ok(),
                        None => Some(self.root_link.url().clone()),
                    };
                    feed.relink(ctx.now, url);
                    feed.keep = feeding.keep;
                }
                Err(mismatch) => lacking.push((track.clone(), mismatch)),
            }
        }
        for (track, mismatch) in lacking {
            self.refuse(&track, mismatch);
        }
    }
}
