//! A player, and when it must not stand still.
//!
//! The player begins three target durations behind the live edge and plays in real time. It hears of
//! a segment half a target duration after it was listed, at worst. It is the unluckiest of all that
//! may watch: one that joined just after the segment after which the least was published since.
//!
//! It stands still for good reason only at an instant at which no source had been sound for as long
//! as it takes to find one. That is computed from what the script says of the sources alone, never
//! from what the machine did. What players hold at such an instant is lost through no fault of the
//! machine, so that the one looked at from then on has joined after it.

use std::time::Duration;

use base::Time;

/// What the script says: which sources are sound, and since when.
#[derive(Debug)]
pub(super) struct Truth {
    sound_since: Vec<Option<Time>>,
    /// How long each must have been sound before players may count on it.
    needed: Vec<Duration>,
    /// When players could count on one that is not sound any more.
    past: Vec<(Time, Time)>,
}

impl Truth {
    pub(super) fn new(needed: Vec<Duration>) -> Self {
        Self {
            sound_since: vec![Some(Time::ZERO); needed.len()],
            needed,
            past: Vec::new(),
        }
    }

    /// A source is sound from `since` on, which may lie ahead, or is not. One that is to be found sooner
    /// than was said before, since others mended, is so from now on and not in hindsight.
    pub(super) fn set(&mut self, now: Time, source: usize, since: Option<Time>) {
        let before = self.sound_since[source];
        let since = since.map(|since| match before {
            Some(before) => since.max(before.min(now)),
            None => since,
        });
        self.sound_since[source] = since;
        let counted = before.map(|before| before + self.needed[source]);
        if before != since
            && let Some(from) = counted.filter(|from| *from < now)
        {
            self.past.push((from, now));
        }
        let old = |to: Time| now - to > Duration::from_secs(120);
        self.past.retain(|(_, to)| !old(*to));
    }

    /// When players could, and can from now on, count on a source.
    fn spans(&self) -> impl Iterator<Item = (Time, Time)> {
        let open = self.sound_since.iter().zip(&self.needed);
        let open = open.filter_map(|(since, needed)| Some((*since.as_ref()? + *needed, END)));
        open.chain(self.past.iter().copied())
    }

    /// Whether there is such a time between the two.
    fn ever(&self, from: Time, to: Time) -> bool {
        self.spans().any(|(start, end)| start < to && from < end)
    }

    /// Whether there was no other time.
    fn always(&self, from: Time, to: Time) -> bool {
        let mut at = from;
        while at <= to {
            let ends = self
                .spans()
                .filter(|(start, end)| *start <= at && at < *end);
            match ends.map(|(_, end)| end).max() {
                Some(end) => at = end,
                None => return false,
            }
        }
        true
    }
}

const END: Time = Time::from_ms(u64::MAX);

#[derive(Debug, Default)]
pub(super) struct Player {
    /// When the list last grew.
    fed_at: Option<Time>,
    /// When it will have nothing to play; `None` until it joins.
    dry_at: Option<Time>,
}

impl Player {
    /// The list, now of `length`, grew by `duration`. Returns from when until when the player stood
    /// still, if that must not be.
    pub(super) fn listed(
        &mut self,
        now: Time,
        truth: &Truth,
        (duration, length): (Duration, Duration),
        target: Duration,
    ) -> Option<(Time, Time)> {
        let heard_at = now + target / 2;
        let hold_back = target * 3;
        let dead = self.dead_air(now, truth, target);
        let fed_at = self.fed_at.replace(now);
        if !fed_at.is_some_and(|fed_at| truth.always(fed_at, now)) {
            self.dry_at = None;
        }
        let Some(dry_at) = self.dry_at else {
            if truth.always(now, now) && length >= hold_back {
                self.dry_at = Some(now + hold_back);
            }
            return dead;
        };
        let dry = (dry_at < heard_at && truth.ever(dry_at, heard_at)).then_some((dry_at, heard_at));
        self.dry_at = Some((dry_at.max(now) + duration).min(now + hold_back));
        dead.or(dry)
    }

    /// Whoever joined before now has nothing to play, and should have.
    pub(super) fn dead_air(
        &self,
        now: Time,
        truth: &Truth,
        target: Duration,
    ) -> Option<(Time, Time)> {
        let dry_at = self.fed_at? + target * 3;
        let heard_at = now + target / 2;
        (dry_at < heard_at && truth.ever(dry_at, heard_at)).then_some((dry_at, heard_at))
    }
}
