//! One run of one source under one generation: its playlists, its segments on their way, its keys
//! and maps. A session that ended takes everything it asked for with it.

mod arrivals;
mod orders;
mod relink;
mod step;
mod streaming;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{ErrorKind, Time};
use url::Url;

use super::chance::Chance;
use super::cutter::Aim;
use super::event::{Effect, Failure, Fetched, Trouble};
use super::feed::{Feed, Lead, Link, Published, Slot, SlotState, Start, covering};
use super::ladder::{Ladder, Mismatch, VariantFilter};
use super::objects::{Object, Objects, Reference};
use super::track::Unpublishable;
use super::{Notice, TrackId};
use crate::container::{Container, Inspection};
use crate::playlist::Multivariant;

pub(super) use step::APART_MAX;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) generation: u64,
    pub(super) source: usize,
    pub(super) started: Time,
    /// How source numbers became ours, by the newest segment that was published.
    pub(super) offset: Option<Offset>,
    /// What cannot be played from this source, and so ends the session.
    pub(super) refused: Option<String>,
    /// 429 or 509, and how long the provider wants to be left alone.
    pub(super) rest_wish: Option<Option<Duration>>,
    pub(super) feeds: BTreeMap<TrackId, Feed>,
    /// It counts against an account: it must not open more connections than it needs.
    pub(super) counted: bool,
    /// The open stream, among requests for the source's link.
    stream: Option<u64>,
    /// It looks at playlists only.
    pub(super) scout: bool,
    /// Its source failed before: one segment is asked for at first.
    pub(super) wary: bool,
    /// By how much players hold less of it than they should.
    pub(super) short: Duration,
    root: Root,
    root_link: Link,
    /// When a fresh link's multivariant playlist is loaded, beside the one in use.
    renewal: Option<Time>,
    root_failures: u32,
    objects: Objects,
    pending: HashMap<u64, Purpose>,
    lead: Lead,
    published: HashMap<TrackId, Published>,
}

/// `ours = source + delta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) msn: i64,
    pub(super) dsn: i64,
}

#[derive(Debug)]
enum Root {
    Due(Time),
    Loading {
        since: Time,
    },
    Media,
    /// An open transport stream.
    Stream {
        since: Time,
    },
    Multi {
        playlist: Box<Multivariant>,
        base: Url,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Root,
    /// The multivariant playlist of a fresh link.
    Renewal,
    Playlist(TrackId),
    Segment(TrackId, u64),
    Object(Reference),
}

/// What a session needs of its channel while it works.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) out: &'a mut Vec<Effect>,
    pub(super) chance: &'a mut Chance,
    pub(super) serial: &'a mut u64,
    pub(super) ladder: &'a mut Option<Ladder>,
    pub(super) filter: VariantFilter,
    pub(super) aim: Aim,
}

/// A segment whose turn has come.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) slot: Slot,
    pub(super) keys: Vec<Option<Object>>,
    pub(super) map: Option<Object>,
}

/// Tries before a segment is lost; what arrives and is no media, or is not there, is tried once less.
const SEGMENT_TRIES: u32 = 3;

impl Session {
    pub(super) fn new(
        now: Time,
        generation: u64,
        source: usize,
        url: Url,
        lead: Lead,
        published: HashMap<TrackId, Published>,
    ) -> Self {
        Self {
            generation,
            source,
            started: now,
            offset: None,
            refused: None,
            rest_wish: None,
            feeds: BTreeMap::new(),
            counted: false,
            stream: None,
            scout: false,
            wary: false,
            short: Duration::ZERO,
            root: Root::Due(now),
            root_link: Link::new(url),
            renewal: None,
            root_failures: 0,
            objects: Objects::default(),
            pending: HashMap::new(),
            lead,
            published,
        }
    }

    /// Whether each feed has a segment to begin with, or enough time has passed to begin without the
    /// slow ones.
    pub(super) fn is_ready(&self, now: Time, watched: bool) -> bool {
        let waited = now - self.started > self.target() * 2;
        match &self.root {
            Root::Due(_) | Root::Loading { .. } => false,
            _ if self.feeds.is_empty() => !watched,
            _ if waited => self.feeds.values().any(Feed::head_is_ready),
            _ => self.feeds.values().all(Feed::head_is_ready),
        }
    }

    /// The source's target duration; two seconds until it is known.
    pub(super) fn target(&self) -> Duration {
        self.feeds
            .values()
            .map(|feed| feed.target)
            .max()
            .unwrap_or(Duration::from_secs(2))
    }

    /// The longest segment, or target duration, of its playlists in seconds; 0: none has come.
    pub(super) fn longest_s(&self) -> u64 {
        let longest = self.feeds.values().map(|feed| feed.target_s);
        longest.max().unwrap_or(0)
    }

    /// Forgets all but the newest `lead` of each feed: the rest grew old while another source was on
    /// air.
    pub(super) fn keep_newest(&mut self, lead: Duration) {
        for feed in self.feeds.values_mut() {
            let ready = |slot: &&Slot| matches!(slot.state, SlotState::Ready { .. });
            let newest = feed.slots.iter().rev().filter(ready);
            let kept = covering(newest.map(|slot| slot.segment.duration), lead).max(1);
            feed.keep_newest(kept);
        }
    }

    /// Passes over what another session of this source published while this one was made ready.
    pub(super) fn skip_published(&mut self, track: &TrackId, known: &Published) {
        if let Some(feed) = self.feeds.get_mut(track).filter(|feed| !feed.placed) {
            feed.skip_to(known);
        }
    }

    /// Loads that failed in a row, of the root or of the worst feed.
    pub(super) fn load_failures(&self) -> u32 {
        self.feeds
            .values()
            .map(|feed| feed.progress.load_failures)
            .max()
            .unwrap_or(0)
            .max(self.root_failures)
    }

    /// Refuses a source whose first segment is longer than the channel's target duration allows and
    /// cannot be cut, before it takes the place of one that plays.
    pub(super) fn refuse_misfit(&mut self, target_s: u64) {
        for slot in self.feeds.values().filter_map(|feed| feed.slots.front()) {
            let SlotState::Ready { inspection, .. } = &slot.state else {
                continue;
            };
            let duration_s = crate::playlist::rounded_s(slot.segment.duration);
            let uncut = inspection.is_none_or(|found| found.container != Container::Ts);
            if duration_s > target_s && (uncut || !slot.segment.keys.is_empty()) {
                let why = "it is encrypted, or no transport stream";
                self.refused = Some(
                    Unpublishable::TooLong {
                        duration_s,
                        target_s,
                        reason: why.to_owned(),
                    }
                    .to_string(),
                );
                return;
            }
        }
    }

    /// Segments in a row that came to nothing.
    pub(super) fn segment_failures(&self) -> u32 {
        self.feeds
            .values()
            .map(|feed| feed.progress.segment_failures)
            .max()
            .unwrap_or(0)
    }

    /// Whether a segment is being tried again, or was lost a moment ago.
    pub(super) fn is_struggling(&self) -> bool {
        self.feeds.values().any(Feed::is_struggling)
    }

    /// Whether it has links of its own, which may die while the source's link lives.
    pub(super) fn is_multi(&self) -> bool {
        matches!(self.root, Root::Multi { .. })
    }

    /// Since when a feed has brought nothing new, or nothing of it could be published; of all feeds the
    /// longest.
    pub(super) fn quiet_since(&self) -> Option<Time> {
        let open = self.feeds.values().filter(|feed| !feed.ended);
        match self.root {
            // A stream that is opened again has its feeds already.
            Root::Due(_) | Root::Loading { .. } if self.feeds.is_empty() => Some(self.started),
            _ => open.map(Feed::quiet_since).min(),
        }
    }

    /// The longest time that a feed has brought nothing new.
    pub(super) fn stalled_for(&self, now: Time) -> Duration {
        self.quiet_since()
            .map_or(Duration::ZERO, |since| now - since)
    }

    /// Since when players have waited for the oldest segment that is listed and not here: a source
    /// that stalls, trickles or is slower than real time.
    pub(super) fn waiting_since(&self) -> Option<Time> {
        self.feeds.values().filter_map(Feed::waiting_since).min()
    }

    /// For how long players have waited for a segment that is listed.
    pub(super) fn overdue_for(&self, now: Time) -> Duration {
        self.waiting_since()
            .map_or(Duration::ZERO, |since| now - since)
    }

    /// Whether the source ended its playlists and everything of them is published.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() && self.feeds.values().all(Feed::is_spent)
    }

    /// Whether the source ended its playlists.
    pub(super) fn has_ended(&self) -> bool {
        !self.feeds.is_empty() && self.feeds.values().all(|feed| feed.ended)
    }

    /// Takes an outcome. Unknown serials are of another life and are dropped.
    pub(super) fn fetched(
        &mut self,
        ctx: &mut Context<'_>,
        serial: u64,
        outcome: Result<Fetched, Failure>,
    ) {
        let goes_on = matches!(outcome, Ok(Fetched::Stream | Fetched::Piece(_)));
        let purpose = match goes_on {
            true => self.pending.get(&serial).cloned(),
            false => self.pending.remove(&serial),
        };
        let Some(purpose) = purpose else {
            return;
        };
        if purpose == Purpose::Root && self.is_other_than_stream(serial, &outcome) {
            self.pending.remove(&serial);
            return;
        }
        // It was asked for again meanwhile, and may come yet.
        if let Err(failure) = &outcome
            && failure.kind == ErrorKind::Timeout
            && self.pending.values().any(|other| *other == purpose)
        {
            let code = match purpose {
                Purpose::Root | Purpose::Renewal | Purpose::Playlist(_) => "playlist_timeout",
                Purpose::Segment(..) => "segment",
                Purpose::Object(_) => "object",
            };
            self.trouble(ctx, code, failure.detail.clone());
            if let Purpose::Segment(track, id) = &purpose
                && let Some(slot) = self.feeds.get_mut(track).and_then(|feed| feed.slot(*id))
            {
                slot.attempts += 1;
            }
            return;
        }
        match purpose {
            Purpose::Root => self.root_arrived(ctx, outcome),
            Purpose::Renewal => self.renewal_arrived(ctx, outcome),
            Purpose::Playlist(track) => self.playlist_arrived(ctx, &track, outcome),
            Purpose::Segment(track, id) => self.segment_arrived(ctx, &track, id, outcome),
            Purpose::Object(reference) => self.object_arrived(ctx, &reference, outcome),
        }
    }

    /// Whether a segment can be published.
    pub(super) fn has_settled(&self) -> bool {
        let mut feeds = self.feeds.iter();
        feeds.any(|(track, feed)| self.is_settled(track, feed))
    }

    /// When each of its feeds had been opened or brought a segment.
    pub(super) fn taken_at(&self) -> Time {
        let feeds = self.feeds.values().map(Feed::taken_at);
        feeds.min().unwrap_or(self.started)
    }

    fn is_settled(&self, track: &TrackId, feed: &Feed) -> bool {
        feed.head_is_settled() && self.is_in_step(track, feed)
    }

    /// Takes the next segment of a track in its source's order, when it and all it needs are there.
    pub(super) fn take_settled(&mut self, now: Time, track: &TrackId) -> Option<Settled> {
        let feed = self.feeds.get(track)?;
        if !self.is_settled(track, feed) {
            return None;
        }
        let head = feed.slots.front()?;
        let lost = matches!(head.state, SlotState::Lost);
        let map = match head.map.clone().filter(|_| !lost) {
            Some(reference) => Some(self.objects.get(now, &reference)?.clone()),
            None => None,
        };
        let mut keys = Vec::new();
        for reference in head.keys.clone() {
            keys.push(match reference.filter(|_| !lost) {
                Some(reference) => Some(self.objects.get(now, &reference)?.clone()),
                None => None,
            });
        }
        let slot = self.feeds.get_mut(track)?.take(now)?;
        Some(Settled { slot, keys, map })
    }

    /// A source that lacks what picture and sound need is refused; one that only lacks subtitles or
    /// trick play is taken, and that track stands still.
    fn refuse(&mut self, track: &TrackId, mismatch: Mismatch) {
        if mismatch.fatal {
            self.refused = Some(cannot_feed(track, mismatch.reason));
        }
    }

    fn start(&self, track: &TrackId) -> Start {
        Start {
            lead: self.lead,
            published: self.published.get(track).cloned(),
        }
    }

    fn trouble(&self, ctx: &mut Context<'_>, code: &'static str, detail: String) {
        ctx.out.push(Effect::Notice(Notice::Trouble(Trouble {
            code,
            source: self.source,
            detail,
        })));
    }
}

fn cannot_feed(track: &TrackId, reason: &str) -> String {
    format!("source cannot feed track {}: {reason}", track.as_str())
}

impl Settled {
    /// What the clear bytes are, where we could look.
    pub(super) fn inspection(&self) -> Option<Inspection> {
        match &self.slot.state {
            SlotState::Ready { inspection, .. } => *inspection,
            _ => None,
        }
    }
}
