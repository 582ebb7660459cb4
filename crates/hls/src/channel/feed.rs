//! One media playlist of a session: loaded again and again, its new segments queued in order.
//!
//! A feed decides when to load and what is new. Fetching is asked for by [`super::session`],
//! numbering is done when a segment is published.

mod queue;
mod relink;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use base::Time;
use bytes::Bytes;
use url::Url;

use super::chance::Chance;
use super::cursor::{Advance, Cursor};
pub(super) use super::cursor::{Joint, file_name};
use super::event::Failure;
use super::flow::Flow;
use super::health::again_after;
use super::objects::{Kind, Reference};
use crate::container::Inspection;
use crate::date::DateTime;
use crate::playlist::{DateRange, Media, Segment, tag_name};
use crate::timeline::Header;
use crate::ts;

pub(super) use queue::segment_patience;

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
    pub(super) lead: Lead,
    /// The newest segment of the source that was published before: nothing up to it is taken again.
    pub(super) published: Option<Published>,
}

/// How much of what a source lists is taken at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// The newest so many segments, and at least so much of them.
    AtLeast(usize, Duration),
    /// No more than so much; nothing: begin with the next one.
    AtMost(Duration),
}

/// The newest segment of a source that players have got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) msn: u64,
    pub(super) name: String,
    /// Its number is known too, so that the list may begin before it: after a restart of ours.
    pub(super) resume: bool,
}

/// Where a playlist stands.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) msn: u64,
    pub(super) date: Option<DateTime>,
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) link: Link,
    /// Fresh links so far.
    pub(super) links: u32,
    /// The next playlist is the first of a fresh link.
    pub(super) relinked: bool,
    /// The last load was taken, so the next may be conditional.
    pub(super) conditional: bool,
    pub(super) header: Header,
    /// Names of unknown tags that stood between segments: they are no header's.
    segment_tags: HashSet<String>,
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
    /// A segment of this feed has come.
    pub(super) proven: bool,
    /// Segments in a row that did not fit the output track.
    pub(super) unfit: u32,
    /// It has picture or sound, which are listed in step with those of the session's other feeds.
    pub(super) paced: bool,
    /// The newest segment that was listed.
    pub(super) newest: Option<Newest>,
    /// Number of the newest segment that was taken or passed over.
    pub(super) passed: Option<u64>,
    /// What the output track takes of each segment, if not all.
    pub(super) keep: Option<ts::Keep>,
    /// Loads were late: it is not known how long ago something new was listed.
    late: bool,
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
    /// [`Feed::links`] when its URLs were made, and when it was last asked for.
    pub(super) link: u32,
    pub(super) asked: u32,
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
    Fetching {
        since: Time,
    },
    Ready {
        body: Bytes,
        inspection: Option<Inspection>,
    },
    /// There will be no bytes.
    Lost,
}

/// More new segments than this in one playlist are not caught up with one by one.
const SLOTS_MAX: usize = 512;
/// Names of tags that are remembered; a source has a few.
const SEGMENT_TAGS_MAX: usize = 64;

impl Feed {
    pub(super) fn new(now: Time, url: Url, start: Start) -> Self {
        Self {
            base: url.clone(),
            link: Link::new(url),
            links: 0,
            relinked: false,
            conditional: false,
            header: Header::default(),
            segment_tags: HashSet::new(),
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
            proven: false,
            unfit: 0,
            paced: false,
            newest: None,
            passed: None,
            keep: None,
            late: false,
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
        match self.load {
            Load::Due(at) => Some(at),
            // No answer: it is asked for again beside it.
            Load::Running { since } => Some(since + again_after(self.target)),
            Load::Over => None,
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
        let moved = (url.host(), url.path()) != (self.base.host(), self.base.path());
        self.base = url.clone();
        self.conditional = true;
        self.target = Duration::from_secs(media.target_duration_s.max(1));
        self.header = self.header_of(media);
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
        let renewed = self.rebase(now, media);
        self.look_again(now, media, moved && !renewed);
        let fresh = self.take_new(now, media);
        self.progress.load_failures = 0;
        self.ended = media.ended;
        if fresh {
            self.progress.new_at = now;
        } else {
            self.unchanged(now);
        }
        // RFC 8216 §6.3.4: after a change the target duration, otherwise half of it; and half of it while
        // it is in doubt whether this source brings anything.
        let doubtful = self.late || self.is_struggling() || self.progress.segment_failures > 0;
        let wait = if fresh && !doubtful {
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

    /// What a playlist says of itself. A tag of the segment that has come to be the first looks as if it were
    /// one of the header's.
    fn header_of(&mut self, media: &Media) -> Header {
        for tag in media.segments.iter().flat_map(|segment| &segment.tags) {
            if self.segment_tags.len() < SEGMENT_TAGS_MAX {
                self.segment_tags.insert(tag_name(tag).to_owned());
            }
        }
        let tags = media.header_tags.iter();
        let tags = tags.filter(|tag| !self.segment_tags.contains(tag_name(tag)));
        Header {
            start: media.start.clone(),
            i_frames_only: media.i_frames_only,
            tags: tags.cloned().collect(),
        }
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
        self.unchanged(now);
    }

    /// What comes next will be seen in time; where the link leads to may be what stands still.
    fn unchanged(&mut self, now: Time) {
        self.late = false;
        if now - self.progress.new_at > self.target * 3 / 2 {
            self.link.reset();
        }
    }

    /// `theirs` tells a fault of the source from one of ours, which is not held against it.
    pub(super) fn load_failed(
        &mut self,
        now: Time,
        failure: &Failure,
        theirs: bool,
        chance: &mut Chance,
    ) {
        // Another answer came before.
        if !matches!(self.load, Load::Running { .. }) {
            return;
        }
        self.conditional = false;
        self.late = true;
        // A redirect's target may have died while the original link lives: ask that one at once.
        if self.link.reset() {
            self.load = Load::Due(now);
            return;
        }
        self.progress.load_failures += u32::from(theirs);
        let wait = retry_wait(self.progress.load_failures, self.target, chance);
        self.load = Load::Due(now + failure.retry_after.map_or(wait, |wish| wish.max(wait)));
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
        let Place { url, keys, map } = self.place(segment);
        let joint = match std::mem::take(&mut self.missed) {
            0 => joint,
            missed => Joint::Missed(missed),
        };
        let lost = segment.gap || url.is_none() || (segment.map.is_some() && map.is_none());
        self.newest = Some(Newest {
            msn: segment.msn,
            date: segment.date,
        });
        self.slots.push_back(Slot {
            id: self.next_slot,
            link: self.links,
            asked: self.links,
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

/// Where a segment and what it needs are to be had.
struct Place {
    url: Option<Url>,
    keys: Vec<Option<Reference>>,
    map: Option<Reference>,
}

impl Feed {
    fn place(&self, segment: &Segment) -> Place {
        let resolve = |uri: &str| self.base.join(uri).ok().filter(is_http);
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
            .map(|key| reference(Kind::Key, &key.uri, None));
        let map = segment.map.as_ref();
        Place {
            url: resolve(&segment.uri),
            keys: keys.collect(),
            map: map.and_then(|map| reference(Kind::Map, &map.uri, map.byte_range)),
        }
    }
}

impl Start {
    /// The first segment to take, and whether the list carries on where it ended.
    fn index(&self, media: &Media) -> (usize, bool) {
        let count = media.segments.len();
        let newest = media.segments.iter().rev().map(|s| s.duration);
        let edge = count.saturating_sub(match self.lead {
            Lead::AtLeast(segments, lead) => covering(newest, lead).max(segments),
            Lead::AtMost(lead) => fitting(newest, lead),
        });
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

/// How many of these durations, one after the other, are needed for `length`.
pub(super) fn covering(durations: impl Iterator<Item = Duration>, length: Duration) -> usize {
    let before = durations.scan(Duration::ZERO, |sum, duration| {
        let before = *sum;
        *sum += duration;
        Some(before)
    });
    before.take_while(|before| *before < length).count()
}

/// How many of these durations, one after the other, fit into `length`.
fn fitting(durations: impl Iterator<Item = Duration>, length: Duration) -> usize {
    let after = durations.scan(Duration::ZERO, |sum, duration| {
        *sum += duration;
        Some(*sum)
    });
    after.take_while(|after| *after <= length).count()
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The first retry comes within half a target duration, later ones ever more slowly.
pub(super) fn retry_wait(failures: u32, target: Duration, chance: &mut Chance) -> Duration {
    let high = if failures <= 1 {
        target / 2
    } else {
        Duration::from_secs(1 << (failures - 2).min(3)).min(again_after(target))
    };
    chance.between(high / 2, high)
}
