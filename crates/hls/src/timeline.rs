//! The live playlist of one output track (RFC 8216 §6.2.2): which segments are listed, which are
//! still fetchable, and their numbers.
//!
//! A timeline only ever appends at its end and removes from its head. It knows nothing of sources.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::Time;

use crate::container::Container;
use crate::date::DateTime;
use crate::playlist::DateRange;

/// How much a timeline lists and keeps.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Segments listed, unless three target durations need more.
    pub segments: usize,
    /// Segments kept at least; what RFC 8216 §6.2.2 asks beyond it is kept too.
    pub retain: usize,
    /// Bytes of all kept segments. When passed, the list shrinks to three target durations and then
    /// the oldest removed segments go early.
    pub bytes_max: u64,
}

/// A listed or still fetchable segment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Media sequence number.
    pub msn: u64,
    /// Discontinuity sequence number.
    pub dsn: u64,
    /// What it is.
    pub segment: Draft,
    listed_at: Time,
    removed: Option<Removed>,
    /// The longest playlist that listed it so far.
    longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Removed {
    keep_until: Time,
}

/// A segment before it has a number.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// `EXTINF` as a duration.
    pub duration: Duration,
    /// `EXTINF` as it is written.
    pub inf: String,
    /// `EXT-X-PROGRAM-DATE-TIME` as written by the source.
    pub program_date_time: Option<String>,
    /// When it begins, where known.
    pub date: Option<DateTime>,
    /// Keys that apply.
    pub keys: Arc<[EntryKey]>,
    /// The initialisation section that applies.
    pub map: Option<ObjectName>,
    /// Listed, but there are no bytes.
    pub gap: bool,
    /// `EXT-X-BITRATE`.
    pub bitrate: Option<u64>,
    /// Unknown tags before it.
    pub tags: Vec<String>,
    /// What the bytes are; decides the file ending.
    pub container: Container,
    /// Length of the bytes.
    pub bytes: u64,
    /// It can be decoded without another segment.
    pub independent: bool,
}

/// `EXT-X-KEY` as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// METHOD.
    pub method: String,
    /// Where the player gets it.
    pub uri: KeyUri,
    /// Always explicit for AES-128: the implicit one would follow our numbers, not the source's.
    pub iv: Option<[u8; 16]>,
    /// The other attributes, each with its leading comma.
    pub rest: String,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUri {
    /// Served by us, below the track.
    Object(ObjectName),
    /// No http URL (`skd:`, `data:`…): a name for the player's DRM, passed on as it is.
    Foreign(String),
}

/// The file name of an initialisation section or key, made from its content: one name never means
/// two contents.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(pub Arc<str>);

/// What the whole playlist says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `EXT-X-START`, the whole line.
    pub start: Option<String>,
    /// `EXT-X-I-FRAMES-ONLY`.
    pub i_frames_only: bool,
    /// Unknown tags, as written.
    pub tags: Vec<String>,
}

/// The live playlist of one track.
#[derive(Clone, Debug)]
pub struct Timeline {
    window: Window,
    target_duration_s: u64,
    header: Header,
    date_ranges: Vec<DateRange>,
    /// Oldest first, numbers rising; without holes from `first_listed` on.
    entries: VecDeque<Entry>,
    first_listed: usize,
    next_msn: u64,
    dsn: u64,
    bytes: u64,
    ended: bool,
    dropped_early: u64,
}

/// RFC 8216 §6.2.2: a playlist must not become shorter than this many target durations.
const TARGET_DURATIONS_MIN: u32 = 3;
/// Listed segments, unless the window wants more: three target durations of segments that last next to
/// nothing would be without end.
const LISTED_MAX: usize = 300;

impl Timeline {
    /// An empty timeline whose first segment gets the number `next_msn`, and `dsn` unless it begins
    /// with a discontinuity.
    pub fn new(window: Window, target_duration_s: u64, next_msn: u64, dsn: u64) -> Self {
        Self {
            window,
            target_duration_s,
            header: Header::default(),
            date_ranges: Vec::new(),
            entries: VecDeque::new(),
            first_listed: 0,
            next_msn,
            dsn,
            bytes: 0,
            ended: false,
            dropped_early: 0,
        }
    }

    /// `EXT-X-TARGETDURATION`, for life.
    pub fn target_duration(&self) -> Duration {
        Duration::from_secs(self.target_duration_s)
    }

    /// `EXT-X-TARGETDURATION` in seconds.
    pub fn target_duration_s(&self) -> u64 {
        self.target_duration_s
    }

    /// The number of the next segment.
    pub fn next_msn(&self) -> u64 {
        self.next_msn
    }

    /// The discontinuity sequence number of the newest segment.
    pub fn dsn(&self) -> u64 {
        self.dsn
    }

    /// Every segment that can still be fetched, oldest first.
    pub fn kept(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The segments of the playlist.
    pub fn listed(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.range(self.first_listed..)
    }

    /// The keys and initialisation sections that kept segments need.
    pub fn object_names(&self) -> impl Iterator<Item = &ObjectName> {
        self.entries.iter().flat_map(|entry| {
            let keys = entry.segment.keys.iter().filter_map(|key| match &key.uri {
                KeyUri::Object(name) => Some(name),
                KeyUri::Foreign(_) => None,
            });
            keys.chain(&entry.segment.map)
        })
    }

    /// The playlist's duration.
    pub fn listed_duration(&self) -> Duration {
        self.listed().map(|entry| entry.segment.duration).sum()
    }

    /// Whether segments had to go although the list is shorter than RFC 8216 §6.2.2 wants it, because each
    /// lasts next to nothing.
    pub fn is_crowded(&self) -> bool {
        self.listed().len() >= self.listed_max()
            && self.listed_duration() < self.target_duration() * TARGET_DURATIONS_MIN
    }

    fn listed_max(&self) -> usize {
        self.window.segments.max(LISTED_MAX)
    }

    /// Bytes of all kept segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Segments that the byte limit removed before RFC 8216 §6.2.2 allowed it.
    pub fn dropped_early(&self) -> u64 {
        self.dropped_early
    }

    /// Whether `EXT-X-ENDLIST` is listed.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Nothing will be added.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Replaces what the source says of the whole playlist.
    pub fn set_header(&mut self, header: Header, date_ranges: &[DateRange]) {
        self.header = header;
        for range in date_ranges {
            match self
                .date_ranges
                .iter_mut()
                .find(|known| known.id == range.id)
            {
                Some(known) => known.clone_from(range),
                None => self.date_ranges.push(range.clone()),
            }
        }
    }

    /// Begins the list at `msn`, below [`Timeline::next_msn`]: for a restart that found the segments
    /// it had numbered before. Only an empty timeline can.
    pub fn begin_at(&mut self, msn: u64) {
        debug_assert!(
            self.entries.is_empty(),
            "numbers of a running playlist never go back"
        );
        if self.entries.is_empty() {
            self.next_msn = msn;
        }
    }

    /// Leaves a hole in the numbers, for a track that nobody watched meanwhile: what was listed is
    /// removed, and the next segment gets `msn`, and `dsn` unless it begins with a discontinuity.
    pub fn jump(&mut self, now: Time, msn: u64, dsn: u64) {
        while self.first_listed < self.entries.len() {
            self.remove_first(now);
        }
        self.next_msn = self.next_msn.max(msn);
        self.dsn = self.dsn.max(dsn);
    }

    /// Adds a segment at the end and removes at the head what need not be listed any more. Returns
    /// its number.
    pub fn push(&mut self, now: Time, segment: Draft) -> u64 {
        let msn = self.next_msn;
        self.next_msn += 1;
        self.dsn += u64::from(segment.discontinuity);
        self.bytes += segment.bytes;
        self.entries.push_back(Entry {
            msn,
            dsn: self.dsn,
            segment,
            listed_at: now,
            removed: None,
            longest: Duration::ZERO,
        });
        self.shrink(now);
        let length = self.listed_duration();
        for entry in self.entries.range_mut(self.first_listed..) {
            entry.longest = entry.longest.max(length);
        }
        self.forget(now);
        msn
    }

    /// Drops removed segments whose time is over. [`Timeline::push`] does it too.
    pub fn forget(&mut self, now: Time) {
        while let Some(first) = self.entries.front() {
            let Some(removed) = first.removed else { break };
            let over = removed.keep_until <= now && self.entries.len() > self.window.retain;
            let full = self.bytes > self.window.bytes_max;
            if !over && !full {
                break;
            }
            self.dropped_early += u64::from(!over);
            self.bytes -= first.segment.bytes;
            self.entries.pop_front();
            self.first_listed -= 1;
        }
        let head = self.listed().find_map(|entry| entry.segment.date);
        if let Some(head) = head {
            self.date_ranges
                .retain(|range| match (range.end, range.start) {
                    (Some(end), _) => end.unix_ms >= head.unix_ms,
                    // Open ranges stay for a day at most.
                    (None, Some(start)) => start.unix_ms >= head.unix_ms - 86_400_000,
                    (None, None) => false,
                });
        }
        let surplus = self.date_ranges.len().saturating_sub(DATE_RANGES_MAX);
        self.date_ranges.drain(..surplus);
    }

    /// Removes from the head of the list what the window, or the byte limit, does not want.
    fn shrink(&mut self, now: Time) {
        let shortest = self.target_duration() * TARGET_DURATIONS_MIN;
        let mut length = self.listed_duration();
        while let Some(first) = self.entries.get(self.first_listed) {
            let count = self.entries.len() - self.first_listed;
            let full = self.bytes > self.window.bytes_max;
            let left = length - first.segment.duration;
            // What came in a burst stays until every player has loaded a playlist that lists it.
            let fresh = now - first.listed_at < self.target_duration() * 2;
            let wanted = left < shortest || ((count <= self.window.segments || fresh) && !full);
            if wanted && count <= self.listed_max() {
                break;
            }
            length = left;
            self.remove_first(now);
        }
    }

    fn remove_first(&mut self, now: Time) {
        let entry = &mut self.entries[self.first_listed];
        let keep_until = now + entry.segment.duration + entry.longest;
        entry.removed = Some(Removed { keep_until });
        self.first_listed += 1;
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn date_ranges(&self) -> &[DateRange] {
        &self.date_ranges
    }
}

const DATE_RANGES_MAX: usize = 256;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn draft(duration_ms: u64) -> Draft {
        Draft {
            discontinuity: false,
            duration: Duration::from_millis(duration_ms),
            inf: format!("{}.{:03},", duration_ms / 1000, duration_ms % 1000),
            program_date_time: None,
            date: None,
            keys: Arc::new([]),
            map: None,
            gap: false,
            bitrate: None,
            tags: Vec::new(),
            container: Container::Ts,
            bytes: 1000,
            independent: true,
        }
    }

    fn window() -> Window {
        Window {
            segments: 4,
            retain: 6,
            bytes_max: u64::MAX,
        }
    }

    fn numbers(timeline: &Timeline) -> (Vec<u64>, Vec<u64>) {
        (
            timeline.kept().map(|e| e.msn).collect(),
            timeline.listed().map(|e| e.msn).collect(),
        )
    }

    #[test]
    fn lists_the_window_and_keeps_removed_segments_as_long_as_players_may_ask() {
        let mut timeline = Timeline::new(window(), 2, 10, 0);
        for second in 0..12 {
            timeline.push(Time::from_ms(second * 2000), draft(2000));
        }
        // 22 s on: removed at r, a segment stays for 2 s and the 8 s of the playlist that listed it.
        let (kept, listed) = numbers(&timeline);
        assert_eq!(listed, [18, 19, 20, 21]);
        assert_eq!(kept.first(), Some(&13));
    }

    #[test]
    fn a_burst_is_listed_whole_until_players_have_seen_it() {
        let mut timeline = Timeline::new(window(), 2, 0, 0);
        for _ in 0..20 {
            timeline.push(Time::ZERO, draft(2000));
        }
        assert_eq!(timeline.listed().len(), 20);
        timeline.push(Time::from_ms(4000), draft(2000));
        assert_eq!(timeline.listed().len(), 4);
    }

    #[test]
    fn never_lists_less_than_three_target_durations() {
        let mut timeline = Timeline::new(window(), 6, 0, 0);
        for second in 0..40 {
            timeline.push(Time::from_ms(second * 1000), draft(1000));
            let listed = timeline.listed_duration().as_secs();
            assert!(listed >= 18.min(second + 1), "{listed}");
        }
        assert_eq!(timeline.listed().len(), 18);
    }

    #[test]
    fn a_full_buffer_shrinks_the_list_first_and_then_forgets_early() {
        let tight = Window {
            segments: 12,
            retain: 16,
            bytes_max: 5000,
        };
        let mut timeline = Timeline::new(tight, 2, 0, 0);
        for second in 0..20 {
            timeline.push(Time::from_ms(second * 2000), draft(2000));
            assert!(timeline.bytes() <= 5000);
        }
        assert_eq!(timeline.listed().len(), 3);
        assert!(timeline.dropped_early() > 0);
    }

    #[test]
    fn a_jump_unlists_and_numbers_on() {
        let mut timeline = Timeline::new(window(), 2, 0, 0);
        timeline.push(Time::ZERO, draft(2000));
        timeline.jump(Time::ZERO, 50, 3);
        timeline.push(Time::ZERO, draft(2000));
        assert_eq!(numbers(&timeline), (vec![0, 50], vec![50]));
        assert_eq!(timeline.dsn(), 3);
    }

    proptest! {
        #[test]
        fn numbers_rise_by_one_and_removed_segments_stay_long_enough(
            steps in prop::collection::vec((100u64..6000, 0u64..8000, any::<bool>()), 1..120)
        ) {
            let mut timeline = Timeline::new(window(), 6, 0, 0);
            let mut now = Time::ZERO;
            let mut removed_at = std::collections::HashMap::new();
            for (duration_ms, wait_ms, discontinuity) in steps {
                let before = numbers(&timeline).1;
                let length = timeline.listed_duration();
                now = now + Duration::from_millis(wait_ms);
                let segment = Draft { discontinuity, ..draft(duration_ms) };
                timeline.push(now, segment);
                let (kept, listed) = numbers(&timeline);
                prop_assert!(listed.windows(2).all(|pair| pair[1] == pair[0] + 1));
                prop_assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
                for gone in before.iter().filter(|msn| !listed.contains(msn)) {
                    removed_at.insert(*gone, (now, length));
                }
                for (msn, (at, length)) in &removed_at {
                    if now - *at < *length {
                        prop_assert!(kept.contains(msn), "{msn} went too early");
                    }
                }
                let dsns: Vec<_> = timeline.listed().map(|e| e.dsn - u64::from(e.segment.discontinuity)).collect();
                prop_assert!(dsns.is_sorted());
            }
        }
    }
}
