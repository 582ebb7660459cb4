//! What a session does with what arrives.

use std::time::Duration;

use base::ErrorKind;
use url::Url;

use super::{Context, Root, SEGMENT_TRIES, Session};
use crate::channel::TrackId;
use crate::channel::event::{Failure, Fetched};
use crate::channel::feed::{Feed, SlotState, retry_wait};
use crate::channel::ladder::Ladder;
use crate::channel::objects::Reference;
use crate::playlist::{Limits, Media, Playlist, Variables};

/// The provider wants to be left alone.
const TOO_MANY: [u16; 2] = [429, 509];

impl Session {
    /// Notes what a failed fetch says of the provider, and whether it counts against the source: a
    /// fault of ours does not.
    fn weigh(&mut self, failure: &Failure) -> bool {
        if failure
            .status
            .is_some_and(|status| TOO_MANY.contains(&status))
        {
            self.rest_wish = Some(failure.retry_after);
        }
        failure.kind != ErrorKind::Internal
    }

    pub(super) fn root_arrived(
        &mut self,
        ctx: &mut Context<'_>,
        outcome: Result<Fetched, Failure>,
    ) {
        let (body, url) = match outcome {
            Ok(Fetched::Playlist { body, final_url }) => (body, final_url),
            Ok(Fetched::Stream) => return self.stream_opened(ctx),
            Ok(Fetched::Piece(piece)) => return self.piece_arrived(ctx, &piece),
            Ok(_) => return self.root_failed(ctx, unexpected()),
            Err(failure) => return self.root_failed(ctx, failure),
        };
        let playlist = match parse(&body, &url, &Variables::default()) {
            Ok(playlist) => playlist,
            Err(failure) => return self.root_failed(ctx, failure),
        };
        self.root_failures = 0;
        match playlist {
            Playlist::Media(media) => self.root_is_media(ctx, &media, &url),
            Playlist::Multivariant(playlist) => {
                if ctx.ladder.is_none() {
                    match Ladder::of(&playlist, &url, ctx.filter) {
                        Ok(ladder) => *ctx.ladder = Some(ladder),
                        Err(error) => return self.root_failed(ctx, corrupt(error.to_string())),
                    }
                }
                self.root = Root::Multi {
                    playlist: Box::new(playlist),
                    base: url,
                };
            }
        }
    }

    fn root_is_media(&mut self, ctx: &mut Context<'_>, media: &Media, url: &Url) {
        if !self.feeds.is_empty() {
            return self.root_failed(ctx, corrupt("playlist where a stream was".to_owned()));
        }
        self.root = Root::Media;
        let ladder = ctx.ladder.get_or_insert(Ladder::Single);
        for track in ladder.track_ids() {
            match ladder.accepts_single(&track) {
                Ok(()) => {
                    let start = self.start(&track);
                    let mut feed = Feed::new(ctx.now, self.root_link.url().clone(), start);
                    feed.loaded(ctx.now, media, url);
                    self.feeds.insert(track, feed);
                }
                Err(mismatch) => self.refuse(&track, mismatch),
            }
        }
    }

    fn root_failed(&mut self, ctx: &mut Context<'_>, failure: Failure) {
        self.root_failures += u32::from(self.weigh(&failure));
        // A stream that breaks off is opened again at once; then with patience.
        let broke_off = matches!(self.root, Root::Stream { .. }) && self.root_failures <= 1;
        let wait = match broke_off {
            true => Duration::ZERO,
            false => retry_wait(self.root_failures, Duration::from_secs(1), ctx.chance),
        };
        self.root = Root::Due(ctx.now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
        let code = if self.feeds.values().any(Feed::is_stream) {
            "stream"
        } else {
            "playlist"
        };
        self.trouble(ctx, code, failure.detail);
    }

    pub(super) fn playlist_arrived(
        &mut self,
        ctx: &mut Context<'_>,
        track: &TrackId,
        outcome: Result<Fetched, Failure>,
    ) {
        let imports = match &self.root {
            Root::Multi { playlist, .. } => playlist.variables.clone(),
            _ => Variables::default(),
        };
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let failure = match outcome {
            Ok(Fetched::NotModified) => return feed.not_modified(ctx.now),
            Ok(Fetched::Playlist { body, final_url }) => match parse(&body, &final_url, &imports) {
                Ok(Playlist::Media(media)) => {
                    return feed.loaded(ctx.now, &media, &final_url);
                }
                Ok(Playlist::Multivariant(_)) => {
                    corrupt("multivariant playlist instead of a media playlist".into())
                }
                Err(failure) => failure,
            },
            Ok(_) => unexpected(),
            Err(failure) => failure,
        };
        self.weigh(&failure);
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        feed.load_failed(ctx.now, &failure, ctx.chance);
        self.trouble(ctx, "playlist", failure.detail);
    }

    pub(super) fn segment_arrived(
        &mut self,
        ctx: &mut Context<'_>,
        track: &TrackId,
        id: u64,
        outcome: Result<Fetched, Failure>,
    ) {
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let target = feed.target;
        let struggling = feed.progress.segment_failures > 0;
        let Some(slot) = feed.slot(id) else { return };
        let failure = match outcome {
            Ok(Fetched::Segment { body, inspection }) => {
                slot.state = SlotState::Ready {
                    body,
                    inspection: Some(inspection),
                };
                feed.progress.segment_failures = 0;
                return;
            }
            Ok(Fetched::Opaque(body)) => {
                slot.state = SlotState::Ready {
                    body,
                    inspection: None,
                };
                feed.progress.segment_failures = 0;
                return;
            }
            Ok(_) => unexpected(),
            Err(failure) => failure,
        };
        slot.attempts += 1;
        if failure
            .status
            .is_some_and(|status| TOO_MANY.contains(&status))
        {
            self.rest_wish = Some(failure.retry_after);
        }
        let hopeless =
            failure.kind == ErrorKind::Corrupt || matches!(failure.status, Some(404 | 410));
        let mut lost = false;
        // The second in a row is not asked for again: it is time for another source.
        let tries = if struggling {
            1
        } else {
            SEGMENT_TRIES - u32::from(hopeless)
        };
        if slot.attempts >= tries {
            slot.state = SlotState::Lost;
            feed.progress.segment_failures += 1;
            lost = true;
        } else {
            let wait = ctx.chance.between(target / 8, target / 4);
            slot.state =
                SlotState::Due(ctx.now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
        }
        let number = slot_number(feed, id);
        if lost {
            feed.pass_over_lost();
        }
        self.trouble(
            ctx,
            "segment",
            format!("segment {number}: {}", failure.detail),
        );
    }

    pub(super) fn object_arrived(
        &mut self,
        ctx: &mut Context<'_>,
        reference: &Reference,
        outcome: Result<Fetched, Failure>,
    ) {
        let failure = match outcome {
            Ok(Fetched::Object(body)) => return self.objects.arrived(reference, body),
            Ok(_) => unexpected(),
            Err(failure) => failure,
        };
        let failures = self.objects.failures(reference) + 1;
        let wait = retry_wait(failures, Duration::from_secs(1), ctx.chance);
        self.objects.failed(ctx.now, reference, wait);
        self.trouble(ctx, "object", failure.detail);
    }
}

fn slot_number(feed: &Feed, id: u64) -> u64 {
    feed.slots
        .iter()
        .find(|slot| slot.id == id)
        .map_or(0, |slot| slot.segment.msn)
}

fn parse(body: &[u8], url: &Url, imports: &Variables) -> Result<Playlist, Failure> {
    Playlist::parse(body, url, imports, &Limits::default())
        .map_err(|error| corrupt(format!("{error} ({})", base::redact_url(url))))
}

fn corrupt(detail: String) -> Failure {
    Failure {
        kind: ErrorKind::Corrupt,
        status: None,
        detail,
        retry_after: None,
    }
}

fn unexpected() -> Failure {
    Failure {
        kind: ErrorKind::Internal,
        status: None,
        detail: "answer of another kind than asked for".into(),
        retry_after: None,
    }
}
