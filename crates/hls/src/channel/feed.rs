//! One media playlist of a session: loaded again and again, its new segments queued in order.
//!
//! A feed decides when to load and what is new. Fetching is asked for by [`super::session`],
//! numbering is done when a segment is published.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;
use bytes::Bytes;
use url::Url;

use super::chance::Chance;
use super::cursor::{Advance, Cursor};
pub(super) use super::cursor::{Joint, file_name};
use super::event::Failure;
use super::flow::Flow;
use super::objects::{Kind, Reference};
use crate::container::Inspection;
use crate::playlist::{DateRange, Media, Method, Segment};
use crate::timeline::Header;

/// A URL and where its redirects led: the target is asked directly until it fails.
#[derive(Clone, Debug)]
pub(super) struct Link {
    given: Url,
    landed: Option<Url>,
}

impl Link {
    pub(super) fn new(given: Url) -> Self {
        Self {
            given,
            landed: None,
        }
    }

    pub(super) fn url(&self) -> &Url {
        self.landed.as_ref().unwrap_or(&self.given)
    }

    pub(super) fn land(&mut self, url: &Url) {
        self.landed = (*url != self.given).then(|| url.clone());
    }

    /// Forgets the redirect's target. Whether there was one, and so whether trying again may help.
    pub(super) fn reset(&mut self) -> bool {
        self.landed.take().is_some()
    }
}

/// Where a feed begins in the first playlist that it loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// With the newest so many segments; 0: with the next one…
    pub(super) segments: usize,
    /// …unless this one of the source was published before.
    pub(super) published: Option<Published>,
}

/// The newest segment of a source that players have got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) msn: u64,
    pub(super) name: String,
    /// Its number is known too, so that the list may begin before it: after a restart of ours.
    pub(super) resume: bool,
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) link: Link,
    /// The last load was taken, so the next may be conditional.
    pub(super) conditional: bool,
    pub(super) header: Header,
    pub(super) date_ranges: Vec<DateRange>,
    pub(super) independent: bool,
    pub(super) target: Duration,
    /// The longest rounded EXTINF seen at the first load, and the playlist's own target duration.
    pub(super) target_s: u64,
    pub(super) ended: bool,
    pub(super) slots: VecDeque<Slot>,
    pub(super) progress: Progress,
    start: Start,
    /// The list carries on where it ended before a restart of ours.
    pub(super) resumed: bool,
    /// A segment of this feed has been published.
    pub(super) placed: bool,
    cursor: Option<Cursor>,
    base: Url,
    load: Load,
    epoch: u64,
    pub(super) next_slot: u64,
    /// When the head of the queue was last taken.
    taken_at: Time,
    /// Segments passed over since the last one that was published.
    pub(super) missed: u64,
    /// Of a stream, which is not loaded but comes.
    pub(super) flow: Option<Flow>,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Due(Time),
    Running { since: Time },
    Over,
}

/// How it goes.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// When the playlist last had something new.
    pub(super) new_at: Time,
    /// Loads that failed in a row.
    pub(super) load_failures: u32,
    /// Segments that came to nothing in a row.
    pub(super) segment_failures: u32,
}

/// A segment on its way.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) queued: Time,
    pub(super) segment: Segment,
    pub(super) url: Url,
    pub(super) joint: Joint,
    pub(super) keys: Vec<Option<Reference>>,
    pub(super) map: Option<Reference>,
    pub(super) state: SlotState,
    pub(super) attempts: u32,
    /// A decoder can begin with it, as far as we know.
    pub(super) independent: bool,
}

#[derive(Debug)]
pub(super) enum SlotState {
    Due(Time),
    Fetching,
    Ready {
        body: Bytes,
        inspection: Option<Inspection>,
    },
    /// There will be no bytes.
    Lost,
}

/// More new segments than this in one playlist are not caught up with one by one.
const SLOTS_MAX: usize = 512;
/// More lost segments in a row are a break.
const GAPS_MAX: usize = 3;
const BACKOFF_MAX: Duration = Duration::from_secs(8);

impl Feed {
    pub(super) fn new(now: Time, url: Url, start: Start) -> Self {
        Self {
            base: url.clone(),
            link: Link::new(url),
            conditional: false,
            header: Header::default(),
            date_ranges: Vec::new(),
            independent: false,
            target: Duration::from_secs(2),
            target_s: 0,
            ended: false,
            slots: VecDeque::new(),
            progress: Progress {
                new_at: now,
                load_failures: 0,
                segment_failures: 0,
            },
            start,
            resumed: false,
            placed: false,
            cursor: None,
            load: Load::Due(now),
            epoch: 0,
            next_slot: 0,
            taken_at: now,
            missed: 0,
            flow: None,
        }
    }

    /// Of a stream that is open, whose pieces are taken by [`Feed::flowed`].
    pub(super) fn of_stream(now: Time, url: Url, start: Start, target_s: u64) -> Self {
        Self {
            independent: true,
            target: Duration::from_secs(target_s),
            load: Load::Over,
            flow: Some(Flow::new(now)),
            ..Self::new(now, url, start)
        }
    }

    pub(super) fn load_due(&self) -> Option<Time> {
        if let Load::Due(at) = self.load {
            Some(at)
        } else {
            None
        }
    }

    pub(super) fn loading(&mut self, now: Time) {
        self.load = Load::Running { since: now };
    }

    /// Takes a playlist that came from `url`; what is new is queued.
    pub(super) fn loaded(&mut self, now: Time, media: &Media, url: &Url) {
        let since = if let Load::Running { since } = self.load {
            since
        } else {
            now
        };
        self.link.land(url);
        self.base = url.clone();
        self.conditional = true;
        self.target = Duration::from_secs(media.target_duration_s.max(1));
        self.header = Header {
            start: media.start.clone(),
            i_frames_only: media.i_frames_only,
            tags: media.header_tags.clone(),
        };
        self.date_ranges.clone_from(&media.date_ranges);
        self.independent = media.independent_segments;
        let longest = media
            .segments
            .iter()
            .map(|s| crate::playlist::rounded_s(s.duration))
            .max();
        self.target_s = self
            .target_s
            .max(media.target_duration_s)
            .max(longest.unwrap_or(0))
            .max(1);
        self.give_up_removed(media);
        let fresh = self.take_new(now, media);
        self.progress.load_failures = 0;
        self.ended = media.ended;
        if fresh {
            self.progress.new_at = now;
        }
        // RFC 8216 §6.3.4: after a change the target duration, otherwise half of it; and half of it while
        // it is in doubt whether this source brings anything.
        let wait = if fresh && !self.is_struggling() && self.progress.segment_failures == 0 {
            self.target
        } else {
            self.target / 2
        };
        self.load = if media.ended {
            Load::Over
        } else {
            Load::Due(since + wait)
        };
    }

    /// The playlist is as it was.
    pub(super) fn not_modified(&mut self, now: Time) {
        let since = if let Load::Running { since } = self.load {
            since
        } else {
            now
        };
        self.progress.load_failures = 0;
        self.load = Load::Due(since + self.target / 2);
    }

    pub(super) fn load_failed(&mut self, now: Time, failure: &Failure, chance: &mut Chance) {
        self.conditional = false;
        // A redirect's target may have died while the original link lives: ask that one at once.
        if self.link.reset() {
            self.load = Load::Due(now);
            return;
        }
        self.progress.load_failures += 1;
        let wait = retry_wait(self.progress.load_failures, self.target, chance);
        self.load = Load::Due(now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
    }

    /// Whether the head of the queue can be published. A lost segment becomes a gap only when a later
    /// one is there: until then another source may take over without a hole.
    pub(super) fn head_is_settled(&self) -> bool {
        let has_bytes = |slot: &Slot| matches!(slot.state, SlotState::Ready { .. });
        match self.slots.front().map(|slot| &slot.state) {
            Some(SlotState::Ready { .. }) => true,
            Some(SlotState::Lost) => self.slots.iter().any(has_bytes),
            _ => false,
        }
    }

    /// Since when the source has listed a segment that is not here, and none has come.
    pub(super) fn waiting_since(&self) -> Option<Time> {
        if let Some(flow) = &self.flow {
            return flow.due(self.target);
        }
        let head = self.slots.front()?;
        let waiting = matches!(head.state, SlotState::Due(_) | SlotState::Fetching);
        waiting.then_some(head.queued.max(self.taken_at))
    }

    /// Passes over lost segments that nobody needs to hear of: before the first one that is published,
    /// and where so many were lost in a row that a break says it better than gaps.
    pub(super) fn pass_over_lost(&mut self) {
        let lost = self
            .slots
            .iter()
            .take_while(|slot| matches!(slot.state, SlotState::Lost))
            .count();
        if self.placed && lost <= GAPS_MAX {
            return;
        }
        self.slots.drain(..lost);
        if self.placed {
            self.missed += lost as u64;
        }
        if let Some(next) = self.slots.front_mut().filter(|_| self.missed > 0) {
            next.joint = Joint::Missed(std::mem::take(&mut self.missed));
        }
    }

    /// Takes the head of the queue.
    pub(super) fn take(&mut self, now: Time) -> Option<Slot> {
        self.taken_at = now;
        self.slots.pop_front()
    }

    /// Whether a segment is being tried again, or was lost.
    pub(super) fn is_struggling(&self) -> bool {
        self.slots.iter().any(|slot| slot.attempts > 0)
    }

    /// Whether the head of the queue has bytes.
    pub(super) fn head_is_ready(&self) -> bool {
        matches!(
            self.slots.front(),
            Some(Slot {
                state: SlotState::Ready { .. },
                ..
            })
        )
    }

    /// Forgets what comes before the segment after `known`. Pieces of a stream have no names to know
    /// them by.
    pub(super) fn skip_to(&mut self, known: &Published) {
        let same = |slot: &Slot| {
            slot.segment.msn == known.msn && file_name(&slot.segment.uri) == known.name
        };
        if let Some(at) = self.slots.iter().position(same)
            && !self.is_stream()
            && !self.resumed
        {
            self.slots.drain(..=at);
        }
    }

    /// Forgets all but the newest `count` that are here; what is left begins where a decoder can.
    pub(super) fn keep_newest(&mut self, count: usize) {
        let ready = |slot: &&Slot| matches!(slot.state, SlotState::Ready { .. });
        let old = self
            .slots
            .iter()
            .filter(ready)
            .count()
            .saturating_sub(count);
        let begins = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.independent);
        let dropped = (0..=old).rev().find(begins).unwrap_or(0);
        self.slots.drain(..dropped);
    }

    pub(super) fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    /// What failed before and is not listed any more will not come.
    fn give_up_removed(&mut self, media: &Media) {
        let known = |slot: &Slot| {
            media
                .segments
                .iter()
                .any(|s| s.msn == slot.segment.msn && s.uri == slot.segment.uri)
        };
        for slot in &mut self.slots {
            if slot.attempts > 0 && matches!(slot.state, SlotState::Due(_)) && !known(slot) {
                slot.state = SlotState::Lost;
            }
        }
        self.pass_over_lost();
    }

    fn take_new(&mut self, now: Time, media: &Media) -> bool {
        let (from, joint) = match &mut self.cursor {
            None => {
                if media.segments.is_empty() {
                    return false;
                }
                let (from, resumed) = self.start.index(media);
                self.resumed = resumed;
                self.cursor = Some(Cursor::start_at(media, media.segments.len()));
                (from, Joint::Seamless)
            }
            // Behind for three target durations: by then every player has run dry.
            Some(cursor) => match cursor.advance(now, media, self.target * 3) {
                Advance::Nothing => return false,
                Advance::New { from, joint } => (from, joint),
            },
        };
        if joint == Joint::Restarted {
            self.epoch += 1;
        }
        let fresh = &media.segments[from..];
        let skipped = fresh
            .len()
            .saturating_sub(SLOTS_MAX - self.slots.len().min(SLOTS_MAX));
        for (index, segment) in fresh.iter().enumerate().skip(skipped) {
            let joint = match index - skipped {
                0 if skipped > 0 => Joint::Missed(skipped as u64),
                0 => joint,
                _ => Joint::Seamless,
            };
            self.queue(now, segment, joint);
        }
        !fresh.is_empty()
    }

    fn queue(&mut self, now: Time, segment: &Segment, joint: Joint) {
        let resolve = |uri: &str| self.base.join(uri).ok().filter(is_http);
        let url = resolve(&segment.uri);
        let reference = |kind, uri: &str, range| {
            resolve(uri).map(|url| Reference {
                kind,
                url,
                range,
                epoch: self.epoch,
            })
        };
        let keys = segment
            .keys
            .iter()
            .map(|key| reference(Kind::Key, &key.uri, None))
            .collect();
        let map = segment
            .map
            .as_ref()
            .and_then(|map| reference(Kind::Map, &map.uri, map.byte_range));
        let joint = match std::mem::take(&mut self.missed) {
            0 => joint,
            missed => Joint::Missed(missed),
        };
        let lost = segment.gap || url.is_none() || (segment.map.is_some() && map.is_none());
        self.slots.push_back(Slot {
            id: self.next_slot,
            queued: now,
            segment: segment.clone(),
            url: url.unwrap_or_else(|| self.base.clone()),
            joint,
            keys,
            map,
            state: if lost {
                SlotState::Lost
            } else {
                SlotState::Due(now)
            },
            attempts: 0,
            independent: true,
        });
        self.next_slot += 1;
    }
}

impl Start {
    /// The first segment to take, and whether the list carries on where it ended.
    fn index(&self, media: &Media) -> (usize, bool) {
        let count = media.segments.len();
        let edge = count.saturating_sub(self.segments);
        // What the source itself calls lost is nothing to begin with.
        let edge = media.segments[edge..]
            .iter()
            .position(|s| !s.gap)
            .map_or(edge, |offset| edge + offset);
        let Some(published) = &self.published else {
            return (edge, false);
        };
        let known = |s: &Segment| s.msn == published.msn && file_name(&s.uri) == published.name;
        match media.segments.iter().position(known) {
            // All that players may still want comes back.
            Some(_) if published.resume => (0, true),
            Some(index) => (edge.max(index + 1), false),
            None => (edge, false),
        }
    }
}

impl Slot {
    /// The key that hides the whole segment, if one does.
    pub(super) fn aes128(&self) -> Option<(&crate::playlist::Key, Option<&Reference>)> {
        let index = self
            .segment
            .keys
            .iter()
            .position(|key| key.method == Method::Aes128)?;
        Some((&self.segment.keys[index], self.keys[index].as_ref()))
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The first retry comes within half a target duration, later ones ever more slowly.
pub(super) fn retry_wait(failures: u32, target: Duration, chance: &mut Chance) -> Duration {
    let high = if failures <= 1 {
        target / 2
    } else {
        Duration::from_secs(1 << (failures - 2).min(3)).min(BACKOFF_MAX)
    };
    chance.between(high / 2, high)
}
