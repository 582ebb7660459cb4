//! One run of one source under one generation: its playlists, its segments on their way, its keys
//! and maps. A session that ended takes everything it asked for with it.

mod arrivals;
mod streaming;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::Time;
use url::Url;

use super::chance::Chance;
use super::cutter::Aim;
use super::event::{Effect, Failure, FetchId, Fetched, Order, Protection, Trouble, What};
use super::feed::{Feed, Link, Published, Slot, SlotState, Start};
use super::ladder::{Ladder, Mismatch, VariantFilter};
use super::objects::{Object, Objects, Reference};
use super::track::Unpublishable;
use super::{Notice, TrackId};
use crate::aes128::iv_from_sequence;
use crate::container::{Container, Inspection};
use crate::playlist::Multivariant;

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
    root: Root,
    root_link: Link,
    root_failures: u32,
    objects: Objects,
    pending: HashMap<u64, Purpose>,
    start_segments: usize,
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
    Loading,
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

#[derive(Clone, Debug)]
enum Purpose {
    Root,
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

/// Segments of one feed on their way at once.
const SEGMENTS_AT_ONCE: usize = 3;
/// Tries before a segment is lost; what arrives and is no media, or is not there, is tried once less.
const SEGMENT_TRIES: u32 = 3;
const OBJECT_TRIES: u32 = 3;

impl Session {
    pub(super) fn new(
        now: Time,
        generation: u64,
        source: usize,
        url: Url,
        start_segments: usize,
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
            root: Root::Due(now),
            root_link: Link::new(url),
            root_failures: 0,
            objects: Objects::default(),
            pending: HashMap::new(),
            start_segments,
            published,
        }
    }

    /// Asks for everything that is due.
    pub(super) fn poll(&mut self, ctx: &mut Context<'_>, wanted: &[TrackId]) {
        if let Root::Due(at) = self.root
            && at <= ctx.now
        {
            self.root = Root::Loading;
            let url = self.root_link.url().clone();
            self.order(
                ctx,
                Purpose::Root,
                url,
                What::Source(ctx.aim),
                Duration::from_secs(5),
            );
        }
        self.open_feeds(ctx, wanted);
        let tracks: Vec<TrackId> = self.feeds.keys().cloned().collect();
        for track in &tracks {
            self.load_playlist(ctx, track);
            self.fetch_segments(ctx, track);
        }
        for reference in self.objects.take_due(ctx.now) {
            let (url, range) = (reference.url.clone(), reference.range);
            self.order(
                ctx,
                Purpose::Object(reference),
                url,
                What::Object { range },
                Duration::from_secs(5),
            );
        }
    }

    /// When time alone will give [`Session::poll`] something to ask for. What is due by now and was
    /// not asked for waits for something to arrive.
    pub(super) fn wake_after(&self, now: Time) -> Option<Time> {
        let root = if let Root::Due(at) = self.root {
            Some(at)
        } else {
            None
        };
        let loads = self.feeds.values().filter_map(Feed::load_due);
        let slots = self.feeds.values().flat_map(|feed| feed.slots.iter());
        let segments = slots.filter_map(|slot| {
            if let SlotState::Due(at) = slot.state {
                Some(at)
            } else {
                None
            }
        });
        let due = root
            .into_iter()
            .chain(loads)
            .chain(segments)
            .chain(self.objects.next_due());
        due.filter(|at| *at > now).min()
    }

    /// Whether each feed has a segment to begin with, or enough time has passed to begin without the
    /// slow ones.
    pub(super) fn is_ready(&self, now: Time, watched: bool) -> bool {
        let waited = now - self.started > self.target() * 2;
        match &self.root {
            Root::Due(_) | Root::Loading => false,
            Root::Multi { .. } if self.feeds.is_empty() => !watched,
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

    /// Forgets all but the newest `count` segments of each feed: the rest grew old while another
    /// source was on air.
    pub(super) fn keep_newest(&mut self, count: usize) {
        for feed in self.feeds.values_mut() {
            feed.keep_newest(count);
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

    /// The longest time that a feed has brought nothing new.
    pub(super) fn stalled_for(&self, now: Time) -> Duration {
        let open = self.feeds.values().filter(|feed| !feed.ended);
        let oldest = match self.root {
            // A stream that is opened again has its feeds already.
            Root::Due(_) | Root::Loading if self.feeds.is_empty() => Some(self.started),
            _ => open.map(|feed| feed.progress.new_at).min(),
        };
        oldest.map_or(Duration::ZERO, |since| now - since)
    }

    /// How long players have waited for the oldest segment that is listed and not here: a source that
    /// stalls, trickles or is slower than real time.
    pub(super) fn overdue_for(&self, now: Time) -> Duration {
        let overdue = self.feeds.values().filter_map(|feed| feed.waiting_since());
        overdue
            .map(|since| now - since)
            .max()
            .unwrap_or(Duration::ZERO)
    }

    /// Whether the source ended its playlists and everything of them is published.
    pub(super) fn is_over(&self) -> bool {
        !self.feeds.is_empty()
            && self
                .feeds
                .values()
                .all(|feed| feed.ended && feed.slots.is_empty())
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
        match purpose {
            Some(Purpose::Root) => self.root_arrived(ctx, outcome),
            Some(Purpose::Playlist(track)) => self.playlist_arrived(ctx, &track, outcome),
            Some(Purpose::Segment(track, id)) => self.segment_arrived(ctx, &track, id, outcome),
            Some(Purpose::Object(reference)) => self.object_arrived(ctx, &reference, outcome),
            None => {}
        }
    }

    /// Takes the next segment of a track in its source's order, when it and all it needs are there.
    pub(super) fn take_settled(&mut self, now: Time, track: &TrackId) -> Option<Settled> {
        let feed = self.feeds.get_mut(track)?;
        if !feed.head_is_settled() {
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
        let slot = feed.take(now)?;
        Some(Settled { slot, keys, map })
    }

    /// Opens a feed for each wanted track and closes those that nobody watches.
    fn open_feeds(&mut self, ctx: &mut Context<'_>, wanted: &[TrackId]) {
        let Root::Multi { playlist, base } = &self.root else {
            return;
        };
        self.feeds.retain(|track, _| wanted.contains(track));
        let Some(ladder) = ctx.ladder.as_ref() else {
            return;
        };
        let mut lacking = Vec::new();
        for track in wanted {
            if self.feeds.contains_key(track) || !ladder.has(track) {
                continue;
            }
            match ladder.feed(track, playlist, ctx.filter) {
                Ok(uri) => {
                    if let Ok(url) = base.join(uri) {
                        let start = self.start(track);
                        self.feeds
                            .insert(track.clone(), Feed::new(ctx.now, url, start));
                    }
                }
                Err(mismatch) => lacking.push((track, mismatch)),
            }
        }
        for (track, mismatch) in lacking {
            self.refuse(track, mismatch);
        }
    }

    fn load_playlist(&mut self, ctx: &mut Context<'_>, track: &TrackId) {
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        if feed.load_due().is_none_or(|at| at > ctx.now) {
            return;
        }
        feed.loading(ctx.now);
        let (url, what) = (
            feed.link.url().clone(),
            What::Playlist {
                conditional: feed.conditional,
            },
        );
        let timeout = feed
            .target
            .clamp(Duration::from_secs(3), Duration::from_secs(10));
        self.order(ctx, Purpose::Playlist(track.clone()), url, what, timeout);
    }

    fn fetch_segments(&mut self, ctx: &mut Context<'_>, track: &TrackId) {
        self.lose_without_objects(track);
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let running = feed
            .slots
            .iter()
            .filter(|slot| matches!(slot.state, SlotState::Fetching))
            .count();
        let mut orders = Vec::new();
        for slot in &mut feed.slots {
            if running + orders.len() == SEGMENTS_AT_ONCE {
                break;
            }
            if !matches!(slot.state, SlotState::Due(at) if at <= ctx.now) {
                continue;
            }
            for reference in slot.map.iter().chain(slot.keys.iter().flatten()) {
                self.objects.get(ctx.now, reference);
            }
            let Some(protection) = protection(ctx.now, slot, &mut self.objects) else {
                continue;
            };
            slot.state = SlotState::Fetching;
            let what = What::Segment {
                range: slot.segment.byte_range,
                protection,
            };
            orders.push((
                Purpose::Segment(track.clone(), slot.id),
                slot.url.clone(),
                what,
            ));
        }
        let timeout = (feed.target * 2).clamp(Duration::from_secs(4), Duration::from_secs(30));
        for (purpose, url, what) in orders {
            self.order(ctx, purpose, url, what, timeout);
        }
    }

    /// A segment whose key or map does not come is lost, also when its own bytes are there.
    fn lose_without_objects(&mut self, track: &TrackId) {
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let mut any = false;
        for slot in feed
            .slots
            .iter_mut()
            .filter(|slot| !matches!(slot.state, SlotState::Lost))
        {
            let mut needed = slot.map.iter().chain(slot.keys.iter().flatten());
            if needed.any(|reference| self.objects.failures(reference) >= OBJECT_TRIES) {
                slot.state = SlotState::Lost;
                feed.progress.segment_failures += 1;
                any = true;
            }
        }
        if any {
            feed.pass_over_lost();
        }
    }

    fn order(
        &mut self,
        ctx: &mut Context<'_>,
        purpose: Purpose,
        url: Url,
        what: What,
        timeout: Duration,
    ) {
        *ctx.serial += 1;
        let id = FetchId {
            generation: self.generation,
            serial: *ctx.serial,
        };
        self.pending.insert(id.serial, purpose);
        ctx.out.push(Effect::Fetch(Order {
            id,
            source: self.source,
            url,
            what,
            timeout,
        }));
    }

    /// A source that lacks what picture and sound need is refused; one that only lacks subtitles or
    /// trick play is taken, and that track stands still.
    fn refuse(&mut self, track: &TrackId, mismatch: Mismatch) {
        if mismatch.fatal {
            self.refused = Some(format!(
                "source cannot feed track {}: {}",
                track.as_str(),
                mismatch.reason
            ));
        }
    }

    fn start(&self, track: &TrackId) -> Start {
        Start {
            segments: self.start_segments,
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

/// How to look into the segment; `None` while its key is on its way.
fn protection(now: Time, slot: &Slot, objects: &mut Objects) -> Option<Protection> {
    let Some((key, reference)) = slot.aes128() else {
        // Sample encryption leaves the container in the clear; of other methods we know nothing.
        let opaque = slot
            .segment
            .keys
            .iter()
            .any(|key| !key.method.as_str().starts_with("SAMPLE-AES"));
        return Some(if opaque {
            Protection::Opaque
        } else {
            Protection::Clear
        });
    };
    let Some(reference) = reference.filter(|_| key.is_identity()) else {
        return Some(Protection::Opaque);
    };
    let object = objects.get(now, reference)?;
    let iv = key.iv.unwrap_or_else(|| iv_from_sequence(slot.segment.msn));
    Some(match <[u8; 16]>::try_from(&object.body[..]) {
        Ok(key) => Protection::Aes128 { key, iv },
        // Not 16 bytes: the player will say so, we cannot look inside.
        Err(_) => Protection::Opaque,
    })
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
