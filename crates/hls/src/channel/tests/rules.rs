//! What every version of a live playlist must be beside the one before (RFC 8216 §6.2.1, §6.2.2).

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;

use crate::timeline::Timeline;

/// What was listed when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Rules {
    target_s: u64,
    listed: VecDeque<Line>,
    /// Numbers that were removed, and until when they stay fetchable.
    removed: VecDeque<(u64, Time)>,
    ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    msn: u64,
    dsn: u64,
    discontinuity: bool,
    duration: Duration,
    /// The longest playlist that listed it.
    longest: Duration,
}

impl Rules {
    /// Looks at a list that changed. Returns the number of segments that are new.
    pub(super) fn look(&mut self, now: Time, timeline: &Timeline) -> usize {
        let target_s = timeline.target_duration_s();
        assert!(
            self.target_s == 0 || self.target_s == target_s,
            "target duration changed"
        );
        assert!(
            !self.ended || timeline.ended(),
            "a playlist that ended goes on"
        );
        (self.target_s, self.ended) = (target_s, timeline.ended());
        let length = timeline.listed_duration();
        let Some(first) = timeline.listed().next().map(|entry| entry.msn) else {
            return 0;
        };
        let removed = self
            .listed
            .iter()
            .take_while(|line| line.msn < first)
            .count();
        if removed > 0 {
            assert!(
                length >= timeline.target_duration() * 3,
                "shorter than three target durations"
            );
        }
        for line in self.listed.drain(..removed) {
            let until = now + line.duration + line.longest;
            self.removed.push_back((line.msn, until));
        }
        let mut entries = timeline.listed();
        for (line, entry) in self.listed.iter_mut().zip(entries.by_ref()) {
            assert_eq!((line.msn, line.dsn), (entry.msn, entry.dsn), "renumbered");
            assert_eq!(
                line.discontinuity, entry.segment.discontinuity,
                "{}",
                line.msn
            );
            assert_eq!(line.duration, entry.segment.duration, "{}", line.msn);
            line.longest = line.longest.max(length);
        }
        let known = self.listed.len();
        let mut entries = timeline.listed().skip(known);
        entries.by_ref().for_each(|entry| {
            let segment = &entry.segment;
            if let Some(last) = self.listed.back() {
                assert_eq!(entry.msn, last.msn + 1, "numbers have a hole");
                let dsn = last.dsn + u64::from(segment.discontinuity);
                assert_eq!(entry.dsn, dsn, "discontinuities are miscounted");
            }
            assert!(crate::playlist::rounded_s(segment.duration) <= target_s);
            self.listed.push_back(Line {
                msn: entry.msn,
                dsn: entry.dsn,
                discontinuity: segment.discontinuity,
                duration: segment.duration,
                longest: length,
            });
        });
        self.look_at_removed(now, timeline);
        self.listed.len() - known
    }

    /// What was removed stays fetchable for its duration and that of the longest list that had it.
    fn look_at_removed(&mut self, now: Time, timeline: &Timeline) {
        while self.removed.front().is_some_and(|(_, until)| *until <= now) {
            self.removed.pop_front();
        }
        if let Some((msn, _)) = self.removed.front() {
            let kept = timeline.kept().next().map(|entry| entry.msn);
            assert!(
                kept.is_some_and(|kept| kept <= *msn),
                "{msn} went too early"
            );
        }
    }
}
