//! What a session does with what arrives.

use std::time::Duration;

use base::ErrorKind;
use bytes::Bytes;
use url::Url;

use super::{Context, Root, SEGMENT_TRIES, Session, cannot_feed};
use crate::channel::TrackId;
use crate::channel::event::{Failure, Fetched};
use crate::channel::feed::{Feed, Slot, SlotState, retry_wait};
use crate::channel::ladder::Ladder;
use crate::channel::objects::Reference;
use crate::container::Container;
use crate::playlist::{Error, Limits, Media, Playlist, Variables};
use crate::ts::{self, Keep};

/// The provider wants to be left alone.
const TOO_MANY: [u16; 2] = [429, 509];

impl Session {
    /// Notes what a failed fetch says of the provider, and whether it counts against the source: a
    /// fault of ours does not.
    pub(super) fn weigh(&mut self, failure: &Failure) -> bool {
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
            Ok(_) => return self.root_failed(ctx, unexpected().into()),
            Err(failure) => return self.root_failed(ctx, failure.into()),
        };
        let playlist = match parse(&body, &url, &Variables::default()) {
            Ok(playlist) => playlist,
            Err(bad) => return self.root_failed(ctx, bad),
        };
        if !matches!(self.root, Root::Due(_) | Root::Loading { .. }) {
            return;
        }
        self.root_failures = 0;
        match playlist {
            Playlist::Media(media) => self.root_is_media(ctx, &media, &url),
            Playlist::Multivariant(playlist) => {
                if ctx.ladder.is_none() {
                    match Ladder::of(&playlist, &url, ctx.filter) {
                        Ok(ladder) => *ctx.ladder = Some(ladder),
                        Err(error) => return self.root_failed(ctx, bad(&error, &url)),
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
            let failure = corrupt("playlist where a stream was".to_owned());
            return self.root_failed(ctx, failure.into());
        }
        self.root = Root::Media;
        if ctx.ladder.get_or_insert(Ladder::Single).is_single() {
            let track = TrackId::main();
            let start = self.start(&track);
            let mut feed = Feed::new(ctx.now, self.root_link.url().clone(), start);
            feed.loaded(ctx.now, media, url);
            self.feeds.insert(track, feed);
        }
    }

    fn root_failed(&mut self, ctx: &mut Context<'_>, bad: BadPlaylist) {
        let BadPlaylist { code, failure } = bad;
        // Another answer came before.
        if !matches!(self.root, Root::Loading { .. } | Root::Stream { .. }) {
            return;
        }
        self.root_failures += u32::from(self.weigh(&failure));
        // A stream that breaks off is opened again at once; then with patience.
        let broke_off = matches!(self.root, Root::Stream { .. }) && self.root_failures <= 1;
        let wait = match broke_off {
            true => Duration::ZERO,
            false => retry_wait(self.root_failures, self.target(), ctx.chance),
        };
        self.root = Root::Due(ctx.now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
        let code = match self.feeds.values().any(Feed::is_stream) {
            true => "stream",
            false => code,
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
        let bad: BadPlaylist = match outcome {
            Ok(Fetched::NotModified) => return feed.not_modified(ctx.now),
            Ok(Fetched::Playlist { body, final_url }) => match parse(&body, &final_url, &imports) {
                Ok(Playlist::Media(media)) => {
                    return feed.loaded(ctx.now, &media, &final_url);
                }
                Ok(Playlist::Multivariant(_)) => BadPlaylist {
                    code: "playlist_is_multivariant",
                    failure: corrupt("multivariant playlist instead of a media playlist".into()),
                },
                Err(bad) => bad,
            },
            Ok(_) => unexpected().into(),
            Err(failure) => failure.into(),
        };
        let BadPlaylist { code, failure } = bad;
        let theirs = self.weigh(&failure);
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        feed.load_failed(ctx.now, &failure, theirs, ctx.chance);
        self.trouble(ctx, code, failure.detail);
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
        let keep = feed.keep;
        let Some(slot) = feed.slot(id).filter(|slot| slot.is_open()) else {
            return;
        };
        let taken = match outcome {
            Ok(Fetched::Segment { body, inspection }) => {
                let part = match keep {
                    None => Ok(body),
                    Some(keep) => part_of(&body, slot, inspection.container, keep),
                };
                part.map(|body| (body, Some(inspection)))
            }
            Ok(Fetched::Opaque(_)) if keep.is_some() => {
                Err("its pictures and sound are muxed, and encrypted")
            }
            Ok(Fetched::Opaque(body)) => Ok((body, None)),
            Ok(_) => return self.segment_failed(ctx, track, id, &unexpected()),
            Err(failure) => return self.segment_failed(ctx, track, id, &failure),
        };
        match taken {
            Ok((body, inspection)) => {
                slot.state = SlotState::Ready { body, inspection };
                feed.progress.segment_failures = 0;
                feed.proven = true;
                feed.overtake(ctx.now, id);
            }
            Err(reason) => self.refused = Some(cannot_feed(track, reason)),
        }
    }

    fn segment_failed(
        &mut self,
        ctx: &mut Context<'_>,
        track: &TrackId,
        id: u64,
        failure: &Failure,
    ) {
        self.weigh(failure);
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let target = feed.target;
        let struggling = feed.progress.segment_failures > 0;
        let (links, relinked) = (feed.links, feed.relinked);
        let Some(slot) = feed.slot(id) else { return };
        if slot.asked != links && (slot.link == links || relinked) {
            // Asked for under a link that has been replaced since: it comes again under the fresh one.
            slot.state = SlotState::Due(ctx.now);
            return;
        }
        slot.attempts += 1;
        let number = slot.segment.msn;
        let hopeless =
            failure.kind == ErrorKind::Corrupt || matches!(failure.status, Some(404 | 410));
        // The second in a row is not asked for again: it is time for another source.
        let tries = if struggling || slot.link != links {
            1
        } else {
            SEGMENT_TRIES - u32::from(hopeless)
        };
        if slot.attempts < tries {
            let wait = ctx.chance.between(target / 8, target / 4);
            let wait = failure.retry_after.map_or(wait, |wish| wish.max(wait));
            slot.state = SlotState::Due(ctx.now + wait);
        } else {
            slot.state = SlotState::Lost;
            feed.progress.segment_failures += 1;
            if feed.progress.segment_failures > 1 {
                feed.hold_off(ctx.now + target / 4);
            }
            feed.pass_over_lost();
        }
        let detail = format!("segment {number}: {}", failure.detail);
        self.trouble(ctx, "segment", detail);
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

/// What a demuxed track takes of a segment that carries pictures and sound.
fn part_of(
    body: &Bytes,
    slot: &Slot,
    container: Container,
    keep: Keep,
) -> Result<Bytes, &'static str> {
    if container != Container::Ts {
        return Err("its pictures and sound are muxed, and no transport stream");
    }
    if !slot.segment.keys.is_empty() {
        return Err("its pictures and sound are muxed, and encrypted");
    }
    match ts::select(body, keep) {
        part if part.is_empty() => Err("its transport stream lacks what the track carries"),
        part => Ok(Bytes::from(part)),
    }
}

/// Why a playlist cannot be used, and the word for it.
pub(super) struct BadPlaylist {
    code: &'static str,
    pub(super) failure: Failure,
}

impl From<Failure> for BadPlaylist {
    fn from(failure: Failure) -> Self {
        let code = match failure.kind {
            ErrorKind::Timeout => "playlist_timeout",
            ErrorKind::TooLarge => "playlist_too_large",
            ErrorKind::Denied => "playlist_denied",
            ErrorKind::NotFound => "playlist_not_found",
            ErrorKind::RateLimited => "playlist_rate_limited",
            ErrorKind::Corrupt => "playlist_unreadable",
            _ => "playlist_unavailable",
        };
        Self { code, failure }
    }
}

pub(super) fn parse(body: &[u8], url: &Url, imports: &Variables) -> Result<Playlist, BadPlaylist> {
    let parsed = Playlist::parse(body, url, imports, &Limits::default());
    let checked = parsed.and_then(|playlist| match &playlist {
        Playlist::Media(media) => media.check_schemes(url).map(|()| playlist),
        Playlist::Multivariant(_) => Ok(playlist),
    });
    checked.map_err(|error| bad(&error, url))
}

fn bad(error: &Error, url: &Url) -> BadPlaylist {
    BadPlaylist {
        code: error.code(),
        failure: corrupt(format!("{error} ({})", base::redact_url(url))),
    }
}

pub(super) fn corrupt(detail: String) -> Failure {
    Failure {
        kind: ErrorKind::Corrupt,
        status: None,
        detail,
        retry_after: None,
    }
}

pub(super) fn unexpected() -> Failure {
    Failure {
        kind: ErrorKind::Internal,
        status: None,
        detail: "answer of another kind than asked for".into(),
        retry_after: None,
    }
}
