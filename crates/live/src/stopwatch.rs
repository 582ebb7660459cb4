//! For how long something has been so, in all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Time;

/// Counts the time between being set and being unset.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    before: Duration,
    since: Option<Time>,
}

impl Stopwatch {
    /// It runs, or stands.
    pub(crate) fn set(&self, runs: bool, now: Time) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (runs, state.since) {
            (true, None) => state.since = Some(now),
            (false, Some(since)) => {
                *state = State {
                    before: state.before + (now - since),
                    since: None,
                };
            }
            _ => {}
        }
    }

    /// All its time so far.
    pub(crate) fn read(&self, now: Time) -> Duration {
        let state = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.before + state.since.map_or(Duration::ZERO, |since| now - since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_runs() {
        let (watch, s) = (Stopwatch::default(), |s: u64| Time::from_ms(s * 1000));
        watch.set(false, s(1));
        watch.set(true, s(2));
        watch.set(true, s(3));
        assert_eq!(watch.read(s(5)), Duration::from_secs(3));
        watch.set(false, s(6));
        watch.set(true, s(10));
        assert_eq!(watch.read(s(11)), Duration::from_secs(5));
    }
}
