//! The 90 kHz clock of PTS, DTS and PCR base (ISO/IEC 13818-1 §2.4.3.7): 33 bits that wrap every
//! 26.5 hours.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, or a distance between two moments, on the 90 kHz clock, modulo 2³³.
///
/// Moments on a wrapping clock have no order; [`Ticks::since`] says which of two that lie within
/// 13 hours of each other is the later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticks(u64);

impl Ticks {
    /// Ticks in a second.
    pub const PER_SECOND: u64 = 90_000;

    const MODULUS: u64 = 1 << 33;

    /// `ticks` modulo 2³³.
    pub const fn new(ticks: u64) -> Self {
        Self(ticks % Self::MODULUS)
    }

    /// The 33 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is, the shorter way round the wrap: −2³² ≤ ticks < 2³².
    pub const fn since(self, earlier: Self) -> i64 {
        let forward = (self.0 + Self::MODULUS - earlier.0) % Self::MODULUS;
        if forward < Self::MODULUS / 2 {
            forward.cast_signed()
        } else {
            forward.cast_signed() - Self::MODULUS.cast_signed()
        }
    }

    /// This many ticks as time, to the nanosecond below.
    pub const fn to_duration(self) -> Duration {
        Duration::from_nanos(self.0 * 100_000 / 9)
    }
}

/// To the nearest tick, modulo 2³³.
impl From<Duration> for Ticks {
    fn from(duration: Duration) -> Self {
        let ticks = (duration.as_nanos() * 9 + 50_000) / 100_000;
        Self((ticks % u128::from(Self::MODULUS)) as u64)
    }
}

impl Add for Ticks {
    type Output = Self;

    fn add(self, distance: Self) -> Self {
        Self::new(self.0 + distance.0)
    }
}

impl Sub for Ticks {
    type Output = Self;

    fn sub(self, distance: Self) -> Self {
        Self::new(self.0 + Self::MODULUS - distance.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps_after_33_bits() {
        let last = Ticks::new((1 << 33) - 1);
        assert_eq!(last + Ticks::new(2), Ticks::new(1));
        assert_eq!(Ticks::new(1) - Ticks::new(2), last);
        assert_eq!(Ticks::new(1).since(last), 2);
        assert_eq!(last.since(Ticks::new(1)), -2);
    }

    #[test]
    fn converts_to_and_from_time() {
        assert_eq!(
            Ticks::from(Duration::from_millis(2002)),
            Ticks::new(180_180)
        );
        assert_eq!(
            Ticks::new(180_180).to_duration(),
            Duration::from_millis(2002)
        );
        assert_eq!(Ticks::from(Duration::MAX).get() >> 33, 0);
    }

    proptest! {
        #[test]
        fn since_undoes_addition(start: u64, distance in 0u64..1 << 32) {
            let start = Ticks::new(start);
            let distance = Ticks::new(distance);
            prop_assert_eq!((start + distance).since(start), distance.get() as i64);
            prop_assert_eq!(start + distance - distance, start);
            prop_assert_eq!(Ticks::from(distance.to_duration()), distance);
        }
    }
}
