//! Manners towards a host: how far apart requests start and how many run at a time.
//!
//! They hold for each channel and host, not for each host: twenty channels of 2 s segments from one
//! provider need more than the twenty requests a second that one shared queue would allow, and one
//! channel's trouble must not delay another's segments.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use crate::error::{Fault, Phase};

/// One channel's place in the queue of each host. Clones share it.
#[derive(Clone)]
pub struct Manners(Arc<Shared>);

struct Shared {
    spacing: Duration,
    at_once: usize,
    wait_max: Duration,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

struct Host {
    queue: Semaphore,
    slots: Arc<Semaphore>,
    /// The lock is held while its holder waits for the spacing to pass: tokio's mutex is fair, and a
    /// cancelled waiter leaves the moment untouched for the next.
    last_start: tokio::sync::Mutex<Option<Instant>>,
}

/// Leave to run one request; the place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _slot: OwnedSemaphorePermit,
    _host: Arc<Host>,
}

/// Requests of one channel that wait for one host; the channel machine has no use for more.
const QUEUE_MAX: usize = 64;

impl Manners {
    pub(crate) fn new(spacing: Duration, at_once: usize, wait_max: Duration) -> Self {
        let hosts = Mutex::default();
        Self(Arc::new(Shared {
            spacing,
            at_once: at_once.max(1),
            wait_max,
            hosts,
        }))
    }

    /// Waits, first come first served, until a request to `url`'s host may start.
    pub(crate) async fn turn(&self, url: &Url) -> Result<Turn, Fault> {
        let limit = self.0.wait_max;
        let host = self.host(url);
        timeout(limit, host.turn(self.0.spacing))
            .await
            .map_err(|_| Fault::Timeout {
                phase: Phase::Turn,
                limit,
            })?
    }

    /// The queue of `url`'s host and port. Queues that nobody uses any more go when a new one comes,
    /// so that there are never more than hosts in use and hosts just used.
    fn host(&self, url: &Url) -> Arc<Host> {
        let key = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Arc::clone(host);
        }
        hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.started_within(self.0.spacing));
        let host = Arc::new(Host {
            queue: Semaphore::new(QUEUE_MAX),
            slots: Arc::new(Semaphore::new(self.0.at_once)),
            last_start: tokio::sync::Mutex::default(),
        });
        hosts.insert(key, Arc::clone(&host));
        host
    }
}

impl Host {
    async fn turn(self: Arc<Self>, spacing: Duration) -> Result<Turn, Fault> {
        let in_queue = self.queue.try_acquire().map_err(|_| Fault::Crowded)?;
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let mut last_start = self.last_start.lock().await;
        if let Some(last) = *last_start {
            sleep_until(last + spacing).await;
        }
        *last_start = Some(Instant::now());
        drop((last_start, in_queue));
        Ok(Turn {
            _slot: slot,
            _host: self,
        })
    }

    fn started_within(&self, spacing: Duration) -> bool {
        // Locked: someone is about to start.
        self.last_start.try_lock().map_or(true, |last| {
            last.is_some_and(|last| last.elapsed() < spacing)
        })
    }
}

impl fmt::Debug for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manners")
            .field("spacing", &self.0.spacing)
            .field("at_once", &self.0.at_once)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("free", &self.slots.available_permits())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn manners() -> Manners {
        Manners::new(50 * MS, 4, 10_000 * MS)
    }

    fn url(host: usize) -> Url {
        format!("http://h{host}.example/").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn starts_are_spaced_and_only_so_many_run() {
        let (manners, began) = (manners(), Instant::now());
        let mut turns = Vec::new();
        for n in 0..4 {
            turns.push(manners.turn(&url(0)).await.unwrap());
            assert_eq!(began.elapsed(), n * 50 * MS);
        }
        let full = manners.turn(&url(0)).await.unwrap_err();
        assert_eq!(
            full,
            Fault::Timeout {
                phase: Phase::Turn,
                limit: 10_000 * MS
            }
        );
        turns.pop();
        manners.turn(&url(0)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_costs_the_next_nothing() {
        let (manners, began) = (manners(), Instant::now());
        let _first = manners.turn(&url(0)).await.unwrap();
        let cancelled =
            futures_util::future::join_all((0..8).map(async |_| manners.turn(&url(0)).await));
        assert!(timeout(20 * MS, cancelled).await.is_err());
        let _second = manners.turn(&url(0)).await.unwrap();
        assert_eq!(began.elapsed(), 50 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_given_in_the_order_of_asking() {
        let manners = manners();
        let order = Mutex::new(Vec::new());
        let all = (0..10).map(async |n| {
            let _turn = manners.turn(&url(0)).await.unwrap();
            order.lock().unwrap().push(n);
        });
        futures_util::future::join_all(all).await;
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_nobody_uses_are_forgotten() {
        let manners = manners();
        let _held = manners.turn(&url(1000)).await.unwrap();
        for host in 0..100 {
            manners.turn(&url(host)).await.unwrap();
            tokio::time::sleep(25 * MS).await;
        }
        // The held one, the last, and those started within the spacing before it.
        assert!(manners.0.hosts.lock().unwrap().len() <= 4);
        assert!(
            manners
                .0
                .hosts
                .lock()
                .unwrap()
                .contains_key("h1000.example:80")
        );
    }
}
