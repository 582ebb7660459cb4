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

/// A source and its circuit breaker. Each failed session, and each failure on air, spends of its
/// budget: it is passed over for longer while another source may be tried. Only a good while on air
/// wins the budget back, so that a source which works for seconds at a time is not gone back to
/// without end. When there is nothing else, even a spent source is asked again, though never more
/// often than one that plays.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) def: SourceDef,
    pub(super) health: Health,
    failures: u32,
    /// Passed over until then while another may be tried.
    spent_until: Time,
    /// Not tried before.
    retry_at: Time,
    /// When its newest session began: of several sources, the one that waited longest is next.
    pub(super) tried_at: Time,
    healthy_since: Option<Time>,
    /// When it was last healthy on air.
    pub(super) last_good: Option<Time>,
    /// What its last failure was.
    pub(super) why: Option<String>,
    /// The health that people were told of.
    pub(super) told: Health,
}

/// The longest wait between two tries.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(8);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// On air without a fault for so long, a source is taken for good again.
const TRUST_AFTER: Duration = Duration::from_secs(60);
/// What a provider gets that answers 429 or 509 without saying how long.
pub(super) const REST: Duration = Duration::from_secs(10);

impl Source {
    pub(super) fn new(def: SourceDef) -> Self {
        Self {
            def,
            health: Health::Unknown,
            failures: 0,
            spent_until: Time::ZERO,
            retry_at: Time::ZERO,
            tried_at: Time::ZERO,
            healthy_since: None,
            last_good: None,
            why: None,
            told: Health::Unknown,
        }
    }

    /// A session of it begins.
    pub(super) fn tried(&mut self, now: Time) {
        self.tried_at = now;
    }

    /// Sessions that came to nothing since it was last trusted.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When it may be tried again, while it may not.
    pub(super) fn retry_at(&self, now: Time) -> Option<Time> {
        Some(self.retry_at).filter(|at| *at > now)
    }

    pub(super) fn may_be_tried(&self, now: Time) -> bool {
        self.retry_at <= now
    }

    /// What is tried first is smallest: a source with a budget, then the one that waited longest.
    pub(super) fn turn(&self, now: Time) -> (bool, Time) {
        (self.spent_until > now, self.tried_at)
    }

    /// It has a fresh link, and need not wait any longer.
    pub(super) fn renew(&mut self, url: url::Url) {
        self.def.url = url;
        self.retry_at = Time::ZERO;
    }

    /// A session of it came to nothing. `jitter` picks the wait from the range that it is given.
    pub(super) fn failed(
        &mut self,
        now: Time,
        target: Duration,
        mut jitter: impl FnMut(Duration, Duration) -> Duration,
    ) {
        self.health = Health::Failed;
        self.healthy_since = None;
        let wait = Duration::from_secs(1 << self.failures.min(3)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.spent_until = now + jitter(wait / 2, wait);
        let soon = again_after(target);
        let retry_at = (self.tried_at + jitter(soon * 2 / 3, soon)).max(now + soon / 3);
        self.retry_at = self.retry_at.max(retry_at);
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
        (self.last_good, self.why) = (Some(now), None);
        let since = *self.healthy_since.get_or_insert(now);
        if now - since >= TRUST_AFTER {
            self.failures = 0;
        }
    }

    /// It ended its playlist. An encoder may begin anew at the same place.
    pub(super) fn ended(&mut self, now: Time) {
        self.seen(now, Health::Ended);
        self.rest(now, Some(BACKOFF_MAX));
    }

    /// For how long it has been healthy on air.
    pub(super) fn healthy_for(&self, now: Time) -> Duration {
        self.healthy_since
            .map_or(Duration::ZERO, |since| now - since)
    }

    /// Whether it failed since it was last taken for good.
    pub(super) fn is_doubted(&self) -> bool {
        self.failures > 0
    }

    /// How long a session of it may take to bring its first segment: little at first, so that the
    /// next source gets its turn in time, more when all have been tried.
    pub(super) fn patience(&self, target: Duration) -> Duration {
        (target / 2 * (1 + self.failures.min(5))).max(Duration::from_secs(1))
    }
}

/// The longest wait before something that failed is asked for again while nothing else plays: within
/// the player's hold-back, and less often than a source that plays is asked.
pub(super) fn again_after(target: Duration) -> Duration {
    (target * 3 / 4).clamp(BACKOFF_MIN, BACKOFF_MAX)
}

/// Late, or something of it failed once: the next source is made ready.
pub(super) fn is_suspect(session: &Session, now: Time) -> bool {
    suspect_at(session).is_some_and(|at| at <= now)
        || session.load_failures() > 0
        || session.is_struggling()
}

/// When it will be late, if nothing comes.
pub(super) fn suspect_at(session: &Session) -> Option<Time> {
    let target = session.target();
    // Sooner where players hold less than they should.
    let patience = target * 3 / 2 - session.short.min(target / 4);
    let unchanged = session.quiet_since().map(|since| since + patience);
    let overdue = session
        .waiting_since()
        .map(|since| since + overdue_after(target));
    unchanged.into_iter().chain(overdue).min()
}

/// Whether players wait for a segment that is listed.
pub(super) fn is_overdue(session: &Session, now: Time) -> bool {
    session.overdue_for(now) >= overdue_after(session.target())
}

/// A source that keeps up sends a segment in less.
fn overdue_after(target: Duration) -> Duration {
    target * 2 / 5
}

/// It brings nothing any more. `head_start` is the time that the other source took to be ready: the
/// switch comes by so much earlier.
pub(super) fn has_failed(session: &Session, now: Time, head_start: Duration) -> bool {
    let early = (head_start + session.short).min(session.target() / 2);
    let limit = session.target() * 2 - early;
    session.stalled_for(now) >= limit
        // Slower than real time, or not at all: players have already waited for it to be listed.
        || session.overdue_for(now) > session.target() * 9 / 10
        || session.load_failures() > 1
        || session.segment_failures() > 1
        || session.is_over()
}
