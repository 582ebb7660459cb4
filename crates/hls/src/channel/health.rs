//! How sources do: the words for it, the signs, and the budget of each.

use std::time::Duration;

use base::Time;

use super::SourceDef;
use super::session::Session;

/// What a channel does, as the API says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No source has answered yet.
    Starting,
    /// The source on air brings what it should.
    Live,
    /// The source on air is late; the next one is made ready.
    Suspect,
    /// Another source is being put on air.
    Switching,
    /// No source brings anything; players get the slate.
    Slate,
    /// No source brings anything.
    Down,
    /// Every source ended its playlist.
    Ended,
}

impl State {
    /// A stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Suspect => "suspect",
            Self::Switching => "switching",
            Self::Slate => "slate",
            Self::Down => "down",
            Self::Ended => "ended",
        }
    }
}

/// How a source does, as far as we have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// It brought what it should when it was last asked.
    Healthy,
    /// It is late, or failed a little.
    Suspect,
    /// It failed.
    Failed,
    /// It ended its playlist.
    Ended,
}

impl Health {
    /// A stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

/// A source and its circuit breaker: each failed session makes the next try come later. Only a good
/// while on air wins the budget back, so that a source which works for seconds at a time is not
/// asked without end.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) def: SourceDef,
    pub(super) health: Health,
    failures: u32,
    retry_at: Time,
    /// When its newest session began: of several sources, the one that waited longest is next.
    pub(super) tried_at: Time,
    healthy_since: Option<Time>,
}

const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// On air without a fault for so long, a source is taken for good again.
const TRUST_AFTER: Duration = Duration::from_secs(60);
/// What a provider gets that answers 429 or 509 without saying how long.
const REST: Duration = Duration::from_secs(10);

impl Source {
    pub(super) fn new(def: SourceDef) -> Self {
        Self {
            def,
            health: Health::Unknown,
            failures: 0,
            retry_at: Time::ZERO,
            tried_at: Time::ZERO,
            healthy_since: None,
        }
    }

    pub(super) fn may_be_tried(&self, now: Time) -> bool {
        self.retry_at <= now && self.health != Health::Ended
    }

    /// A session of it came to nothing. `jitter` picks the wait from the range that it is given.
    pub(super) fn failed(
        &mut self,
        now: Time,
        jitter: impl FnOnce(Duration, Duration) -> Duration,
    ) {
        self.health = Health::Failed;
        self.healthy_since = None;
        let wait = Duration::from_secs(1 << self.failures.min(3)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = self.retry_at.max(now + jitter(wait / 2, wait));
    }

    /// It, or its account, asked to be left alone.
    pub(super) fn rest(&mut self, now: Time, wish: Option<Duration>) {
        self.retry_at = self.retry_at.max(now + wish.unwrap_or(REST));
    }

    /// What was seen of it on air.
    pub(super) fn seen(&mut self, now: Time, health: Health) {
        self.health = health;
        if health != Health::Healthy {
            self.healthy_since = None;
            return;
        }
        let since = *self.healthy_since.get_or_insert(now);
        if now - since >= TRUST_AFTER {
            self.failures = 0;
        }
    }

    /// How long a session of it may take to bring its first segment: little at first, so that the
    /// next source gets its turn in time, more when all have been tried.
    pub(super) fn patience(&self, target: Duration) -> Duration {
        (target / 2 * (1 + self.failures.min(5))).max(Duration::from_secs(1))
    }
}

/// Late, or something of it failed once: the next source is made ready.
pub(super) fn is_suspect(session: &Session, now: Time) -> bool {
    session.stalled_for(now) > session.target() * 3 / 2
        || session.overdue_for(now) > session.target() * 2 / 5
        || session.load_failures() > 0
        || session.is_struggling()
}

/// It brings nothing any more. `head_start` is the time that the other source took to be ready: the
/// switch comes by so much earlier.
pub(super) fn has_failed(session: &Session, now: Time, head_start: Duration) -> bool {
    let limit = session.target() * 2 - head_start.min(session.target() / 2);
    session.stalled_for(now) > limit
        // Slower than real time, or not at all: players have already waited for it to be listed.
        || session.overdue_for(now) > session.target() * 9 / 10
        || session.load_failures() > 1
        || session.segment_failures() > 1
        || session.is_over()
}
