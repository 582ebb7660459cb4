//! Monotonic time as a value. Pure crates receive a [`Time`]; only drivers own a [`Clock`].

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on a monotonic clock, in milliseconds since that clock's own beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The beginning of the clock.
    pub const ZERO: Self = Self(0);

    /// The moment `ms` milliseconds after the clock's beginning.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the clock's beginning.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the end of the clock; parts of a millisecond round up, so that a timer set for
    /// the result never fires early.
    fn add(self, rhs: Duration) -> Self {
        let ms = u64::try_from(rhs.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

/// Where a driver reads the time. Tests inject their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Monotonic time.
    fn now(&self) -> Time;

    /// Wall-clock time in milliseconds since the Unix epoch, for people and for the store.
    fn unix_ms(&self) -> i64;
}
