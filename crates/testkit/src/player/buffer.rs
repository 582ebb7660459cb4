//! A player's buffer as a sum: what has arrived less what has been shown. Pure; the caller brings the
//! time.

use std::time::Duration;

/// A time without picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// When the buffer ran dry, after the player's start.
    pub at: Duration,
    /// For how long.
    pub lasted: Duration,
}

/// Stalls that are kept.
const STALLS_MAX: usize = 1000;

/// Wall-clock time throughout. Playback begins with the first segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buffer {
    /// When what has arrived will have been shown.
    dry_at: Option<Duration>,
    /// The least that was left when something arrived.
    pub(super) least: Option<Duration>,
    pub(super) stalls: Vec<Stall>,
}

impl Buffer {
    /// A segment that shows for `lasts` has arrived at `now`.
    pub(super) fn add(&mut self, now: Duration, lasts: Duration) {
        let from = match self.dry_at {
            None => now,
            Some(dry_at) => {
                let left = dry_at.saturating_sub(now);
                self.least = Some(self.least.map_or(left, |least| least.min(left)));
                self.settle(now);
                dry_at.max(now)
            }
        };
        self.dry_at = Some(from + lasts);
    }

    /// Takes down the stall that is going on at `now`, if one is.
    pub(super) fn settle(&mut self, now: Duration) {
        let Some(dry_at) = self.dry_at.filter(|dry_at| *dry_at < now) else {
            return;
        };
        if self.stalls.len() < STALLS_MAX {
            self.stalls.push(Stall {
                at: dry_at,
                lasted: now - dry_at,
            });
        }
        self.dry_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_segment_stalls_by_how_late_it_is() {
        let s = Duration::from_secs;
        let mut buffer = Buffer::default();
        buffer.add(s(1), s(2));
        buffer.add(s(1), s(2));
        buffer.add(s(4), s(2));
        assert_eq!((buffer.least, buffer.stalls.len()), (Some(s(1)), 0));
        buffer.add(s(10), s(2));
        buffer.settle(s(11));
        buffer.settle(s(15));
        assert_eq!(
            buffer.stalls,
            [
                Stall {
                    at: s(7),
                    lasted: s(3)
                },
                Stall {
                    at: s(12),
                    lasted: s(3)
                }
            ]
        );
        assert_eq!(buffer.least, Some(s(0)));
    }
}
