//! A recording player: follows a live playlist as RFC 8216 §6.3 tells clients to, fetches and hashes each
//! segment, models its own buffer, and runs the [`crate::checker`] on all it is given.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! # let url: url::Url = "http://127.0.0.1:8080/live/news/index.m3u8".parse().expect("a URL");
//! use std::time::Duration;
//! use testkit::{Player, Watch};
//!
//! let player = Player::start(Watch::new(url));
//! player.until(Duration::from_secs(60), "20 segments", |report| report.segments.len() >= 20).await?;
//! let report = player.stop();
//! assert!(report.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```

mod buffer;
mod fetch;
mod follow;
mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderName;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::Error;
use crate::checker::Promises;
use crate::http::Client;
use crate::wait::wait_until;

pub use buffer::Stall;
pub use report::{Lost, Played, Report};

/// Segments that wait to be fetched; beyond it the player has fallen behind, and they are lost.
const QUEUE_MAX: usize = 256;

/// Slower is standing still.
const SPEED_MIN: f64 = 0.001;

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct Watch {
    /// A media playlist, or a multivariant one whose first variant is played.
    pub url: Url,
    /// How a real player behaves, or one that only collects.
    pub mode: Mode,
    /// The speed of the stream against the wall clock, as in [`crate::Spec`].
    pub speed: f64,
    /// What the playlists are held to beyond the RFC.
    pub promises: Promises,
    /// Whether segments that left the playlist are asked for once more, with `HEAD`, just before they may
    /// go.
    pub check_removed: bool,
    /// Each request is given up after this.
    pub timeout: Duration,
    /// Sent with each request.
    pub headers: Vec<(HeaderName, String)>,
}

/// Where a player begins and whether it keeps time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Begins three target durations before the end (§6.3.3) and notes stalls.
    Buffering,
    /// Begins with the first segment listed and notes no stalls.
    Greedy,
}

impl Watch {
    /// A real player of `url`, held to what Perennial promises.
    pub const fn new(url: Url) -> Self {
        Self {
            url,
            mode: Mode::Buffering,
            speed: 1.0,
            promises: Promises::PERENNIAL,
            check_removed: true,
            timeout: Duration::from_secs(30),
            headers: Vec::new(),
        }
    }

    /// A collector of everything at `url`, held to the RFC only.
    pub fn greedy(url: Url) -> Self {
        let watch = Self::new(url);
        Self {
            mode: Mode::Greedy,
            promises: Promises::NONE,
            check_removed: false,
            ..watch
        }
    }
}

/// A player that plays until it is stopped or dropped.
#[derive(Debug)]
pub struct Player {
    shared: Arc<Shared>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// What both tasks of a player share.
#[derive(Debug)]
struct Shared {
    watch: Watch,
    client: Client,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    report: Report,
    buffer: buffer::Buffer,
}

impl Player {
    /// Begins to play. Needs a tokio runtime.
    pub fn start(watch: Watch) -> Self {
        let shared = Arc::new(Shared {
            client: Client::new(watch.timeout),
            started: Instant::now(),
            state: Mutex::default(),
            watch,
        });
        shared.lock().report.url = base::redact_url(&shared.watch.url);
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let follow = tokio::spawn(follow::run(shared.clone(), queue));
        let fetch = tokio::spawn(fetch::run(shared.clone(), queued));
        Self {
            shared,
            _tasks: [
                AbortOnDropHandle::new(follow),
                AbortOnDropHandle::new(fetch),
            ],
        }
    }

    /// What happened so far.
    pub fn report(&self) -> Report {
        let state = self.shared.lock();
        let mut buffer = state.buffer.clone();
        let now = self.shared.started.elapsed();
        if !state.report.ended {
            buffer.settle(now);
        }
        Report {
            ran: now,
            stalls: buffer.stalls,
            buffer_least: buffer.least,
            ..state.report.clone()
        }
    }

    /// Waits until `fact` is true of the report (stalls and the running time, which [`Player::report`]
    /// works out, are not in it yet).
    ///
    /// # Errors
    /// [`Error::Deadline`], with the report, when `within` has passed.
    pub async fn until(
        &self,
        within: Duration,
        what: &str,
        fact: impl Fn(&Report) -> bool,
    ) -> Result<(), Error> {
        let waited = wait_until(within, what, async || {
            fact(&self.shared.lock().report).then_some(())
        })
        .await;
        waited.map_err(|_| Error::Deadline {
            what: format!("{what}; {}", self.report()),
            waited: within,
        })
    }

    /// Stops playing.
    pub fn stop(self) -> Report {
        self.report()
    }
}

/// Errors that are kept in words.
const ERRORS_MAX: usize = 20;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Media time as wall-clock time.
    fn wall(&self, media: Duration) -> Duration {
        media.div_f64(self.watch.speed.max(SPEED_MIN))
    }

    fn error(&self, error: &str) {
        let mut state = self.lock();
        if state.report.errors.len() < ERRORS_MAX {
            state
                .report
                .errors
                .push(format!("at {:.3?}: {error}", self.started.elapsed()));
        }
    }
}

#[cfg(test)]
mod tests;
