//! How long a body may keep us waiting: for its next bytes, in all, and for its pace.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{Fault, Phase};
use crate::request::{Pace, Timeouts};

/// The patience left with one body.
#[derive(Debug)]
pub(crate) struct Patience {
    idle: Duration,
    total: Total,
    pace: Pace,
    /// Since when bytes have been missing; kept when a read is cancelled and begun again.
    waiting_since: Option<Instant>,
    /// Time waited and bytes received since the pace was last looked at.
    waited: Duration,
    received: u64,
}

/// The end of a whole request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    limit: Duration,
    at: Instant,
}

/// What "no limit" is to a timer.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Total {
    pub(crate) fn starting_now(timeouts: &Timeouts) -> Self {
        let limit = timeouts.total.unwrap_or(FOREVER).min(FOREVER);
        Self {
            limit,
            at: Instant::now() + limit,
        }
    }

    /// `work`, unless the request ends first.
    pub(crate) async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, Fault> {
        timeout_at(self.at, work).await.map_err(|_| self.passed())
    }

    const fn passed(self) -> Fault {
        Fault::Timeout {
            phase: Phase::Total,
            limit: self.limit,
        }
    }
}

impl Patience {
    pub(crate) const fn new(timeouts: &Timeouts, total: Total, pace: Pace) -> Self {
        Self {
            idle: timeouts.idle,
            total,
            pace,
            waiting_since: None,
            waited: Duration::ZERO,
            received: 0,
        }
    }

    /// No end but silence of `idle`.
    pub(crate) fn endless(&mut self, idle: Duration) {
        self.idle = idle;
        self.total = Total {
            limit: FOREVER,
            at: Instant::now() + FOREVER,
        };
    }

    /// Waits for a piece of the body. Safe to cancel.
    pub(crate) async fn wait<T>(&mut self, piece: impl Future<Output = T>) -> Result<T, Fault> {
        let now = Instant::now();
        // A timer lets a piece that is there already pass, however late it is.
        if now >= self.total.at {
            return Err(self.total.passed());
        }
        let since = *self.waiting_since.get_or_insert(now);
        let idle_at = since + self.idle.min(FOREVER);
        let piece = timeout_at(idle_at.min(self.total.at), piece)
            .await
            .map_err(|_| {
                if idle_at <= self.total.at {
                    Fault::Timeout {
                        phase: Phase::Idle,
                        limit: self.idle,
                    }
                } else {
                    self.total.passed()
                }
            })?;
        self.waiting_since = None;
        self.waited += since.elapsed();
        Ok(piece)
    }

    /// Takes note of `bytes`, and refuses a body that has been too slow for a window. Looking only
    /// when something arrives is enough: silence is what `idle` ends.
    pub(crate) fn received(&mut self, bytes: u64) -> Result<(), Fault> {
        self.received += bytes;
        if self.waited < self.pace.window {
            return Ok(());
        }
        let least = u128::from(self.pace.bytes_per_s) * self.waited.as_millis() / 1000;
        if u128::from(self.received) < least {
            return Err(Fault::Slow {
                bytes_per_s: self.pace.bytes_per_s,
                window: self.pace.window,
            });
        }
        (self.waited, self.received) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::{advance, timeout};

    const S: Duration = Duration::from_secs(1);

    fn patience(total: Option<Duration>) -> Patience {
        let timeouts = Timeouts {
            idle: 5 * S,
            total,
            ..Timeouts::default()
        };
        let pace = Pace {
            bytes_per_s: 100,
            window: 10 * S,
        };
        Patience::new(&timeouts, Total::starting_now(&timeouts), pace)
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_ends_even_a_body_that_is_always_ready() {
        let mut patience = patience(Some(20 * S));
        patience.wait(ready(())).await.unwrap();
        advance(20 * S).await;
        let fault = patience.wait(ready(())).await.unwrap_err();
        assert_eq!(
            fault,
            Fault::Timeout {
                phase: Phase::Total,
                limit: 20 * S
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_read_is_not_a_new_beginning() {
        let mut patience = patience(None);
        let began = Instant::now();
        while timeout(S, patience.wait(pending::<()>())).await.is_err() {}
        assert_eq!(began.elapsed(), 5 * S);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_counts_waiting_and_nothing_else() {
        let mut patience = patience(None);
        let piece = async |patience: &mut Patience, wait: Duration, bytes| {
            patience.wait(tokio::time::sleep(wait)).await.unwrap();
            patience.received(bytes)
        };
        for _ in 0..10 {
            piece(&mut patience, 2 * S, 200).await.unwrap();
            advance(100 * S).await;
        }
        let slow = Err(Fault::Slow {
            bytes_per_s: 100,
            window: 10 * S,
        });
        for last in [false, false, false, false, true] {
            assert_eq!(
                piece(&mut patience, 2 * S, 199).await,
                if last { slow.clone() } else { Ok(()) }
            );
        }
    }
}
