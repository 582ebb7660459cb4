//! Tracks in step: picture and sound begin together and are listed as far as all of them reach.
//!
//! A source that dies between the segment of its sound and that of its picture would leave lists of
//! unequal lengths, and what comes next (the slate, another source) would begin at two moments: players
//! put a hole or an overlap there. RFC 8216 §6.2.4 wants matching content at matching places.
//!
//! Which segments are counterparts is told by their dates; without dates, by their numbers. Tracks of
//! other target durations, or that lie far apart, go their own way.

use std::time::Duration;

use base::Time;

use super::Session;
use crate::channel::TrackId;
use crate::channel::feed::Feed;

/// Segments by which the tracks of a source may lie apart.
pub(in crate::channel) const APART_MAX: u64 = 3;

/// Ready segments of a track that waits for another one: with more, that one does not keep up.
const HELD_MAX: usize = 1;

impl Session {
    /// Whether the head of a track may be listed: its counterparts can be too, or are not waited for.
    pub(super) fn is_in_step(&self, track: &TrackId, feed: &Feed) -> bool {
        let Some(head) = feed.slots.front() else {
            return false;
        };
        if !feed.paced || feed.ended || feed.ready() > HELD_MAX {
            return true;
        }
        let others = self.feeds.iter().filter(|(id, _)| *id != track);
        let mut begun = others.filter(|(_, other)| other.has_begun() && !other.ended);
        begun.all(|(_, other)| {
            let shift = shift(feed, other);
            shift.is_none_or(|shift| other.reaches(head.segment.msn.saturating_add_signed(shift)))
        })
    }

    /// Whether it has several tracks that do.
    pub(in crate::channel) fn keeps_step(&self) -> bool {
        self.feeds.values().filter(|feed| feed.paced).count() > 1
    }

    /// Passes over what came before a place where it may go on air: `lag` is how much the list lacked when a
    /// segment was listed. Less than half of it, and players would fall behind the live edge.
    pub(in crate::channel) fn begin_level(&mut self, lag: impl Fn(Time) -> Duration) {
        let first = |feed: &Feed| feed.first_level(&lag);
        let together = self.together(first).into_iter().min();
        self.begin_at(together, first);
    }

    /// Lets the tracks begin with counterparts, where one lists more than the other.
    pub(in crate::channel) fn begin_in_step(&mut self) {
        let first = |feed: &Feed| feed.slots.front().map(|slot| slot.segment.msn);
        let Some(latest) = self.together(first).into_iter().max() else {
            return;
        };
        let longest = self.feeds.values().map(|feed| feed.slots.len()).max();
        let mut numbers = latest..=latest.saturating_add(longest.unwrap_or(0) as u64);
        let together = numbers.find(|number| {
            let mut feeds = self.feeds.values();
            feeds.all(|feed| {
                let shift = self.pace().and_then(|pace| shift(pace, feed));
                shift.is_none_or(|shift| feed.may_begin_at(number.saturating_add_signed(shift)))
            })
        });
        if together.is_some() {
            self.begin_at(together, |_| None);
        }
    }

    /// The feed by whose numbers the others go.
    fn pace(&self) -> Option<&Feed> {
        self.feeds.values().find(|feed| feed.paced)
    }

    /// The `first` of each track that keeps step, in the numbers of [`Session::pace`].
    fn together(&self, first: impl Fn(&Feed) -> Option<u64>) -> Vec<u64> {
        let Some(pace) = self.pace() else {
            return Vec::new();
        };
        let feeds = self
            .feeds
            .values()
            .filter(|feed| !feed.placed && !feed.resumed);
        let numbers = feeds.filter_map(|feed| {
            let shift = shift(pace, feed)?;
            first(feed).map(|number| number.saturating_add_signed(-shift))
        });
        numbers.collect()
    }

    /// Forgets what comes before `together` in the tracks that keep step, and before `own` in others.
    fn begin_at(&mut self, together: Option<u64>, own: impl Fn(&Feed) -> Option<u64>) {
        let shifts: Vec<Option<i64>> = match self.pace() {
            Some(pace) => self.feeds.values().map(|feed| shift(pace, feed)).collect(),
            None => vec![None; self.feeds.len()],
        };
        for (feed, shift) in self.feeds.values_mut().zip(shifts) {
            let number = match (together, shift) {
                (Some(together), Some(shift)) => Some(together.saturating_add_signed(shift)),
                _ => own(feed),
            };
            if let Some(number) = number {
                feed.pass_over(number);
            }
        }
    }
}

/// By how much the numbers of `other` are greater where the content is the same; `None`: the two cannot
/// be compared.
fn shift(one: &Feed, other: &Feed) -> Option<i64> {
    if !one.paced || !other.paced || one.target != other.target {
        return None;
    }
    let (here, there) = (one.newest.as_ref()?, other.newest.as_ref()?);
    let numbers = there.msn.cast_signed().wrapping_sub(here.msn.cast_signed());
    let apart = match (here.date, there.date) {
        (Some(here), Some(there)) => {
            let target_ms = one.target.as_millis().max(1) as i64;
            let apart_ms = there.unix_ms.saturating_sub(here.unix_ms);
            (apart_ms.saturating_add(target_ms / 2)).div_euclid(target_ms)
        }
        _ => numbers,
    };
    (apart.unsigned_abs() <= APART_MAX).then(|| numbers.wrapping_sub(apart))
}

impl Feed {
    /// Whether its next segment is known to be the next one that players get of it.
    fn has_begun(&self) -> bool {
        self.passed.is_some() || self.head_is_ready()
    }

    /// Whether it was or can be published up to that number.
    fn reaches(&self, number: u64) -> bool {
        let here = self.slots.iter().take_while(|slot| !slot.is_open());
        let newest = here.filter(|_| self.head_is_settled()).last();
        newest.map(|slot| slot.segment.msn).or(self.passed) >= Some(number)
    }

    /// Whether that is its next segment and a decoder can begin with it, as far as it is known.
    fn may_begin_at(&self, number: u64) -> bool {
        let mut rest = self
            .slots
            .iter()
            .skip_while(|slot| slot.segment.msn < number);
        rest.next()
            .is_none_or(|slot| slot.segment.msn == number && slot.independent)
    }
}
