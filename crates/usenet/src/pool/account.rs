//! One provider: its queue, its connections, what is known of its limits and of its health.

use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::queue::Queue;
use super::{Answer, Job};
use crate::article::Lane;
use crate::{Circuit, ProviderSettings, ProviderStatus};

/// Failures in a row after which a provider rests.
const FAILURES_MAX: u32 = 3;
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);
/// An account that was refused is tried again after this long: refusals pass, too.
const DENIED: Duration = Duration::from_secs(600);
/// After this long without a refusal a learned limit is tried one higher.
const LIMIT_AGE: Duration = Duration::from_secs(600);
/// Answers outstanding on a connection for what a player waits for.
const URGENT_DEPTH: usize = 16;
/// And for an import: the first articles of many volumes leave in one flight, on warm connections.
const IMPORT_DEPTH: usize = 32;
/// The same for what is fetched ahead, at least and at most; in between it is as many as fill the line.
const DEPTH_MIN: usize = 2;
const DEPTH_MAX: usize = 10;

/// Why a connection could not be opened, or ended.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// More connections than the account may have; the number, if it was told.
    Limit(Option<u16>),
    /// The account is not accepted.
    Denied(String),
    /// The server is unwell.
    Unavailable(String),
    /// The connection broke, stalled, or what came over it was no NNTP.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(Some(limit)) => write!(f, "too many connections, {limit} are allowed"),
            Self::Limit(None) => f.write_str("too many connections"),
            Self::Denied(what) | Self::Unavailable(what) | Self::Broken(what) => f.write_str(what),
        }
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: u64,
    tx: mpsc::UnboundedSender<Job>,
    in_flight: usize,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: ProviderSettings,
    pub(super) queue: Queue,
    pub(super) slots: Vec<Slot>,
    pub(super) opening: usize,
    limit: usize,
    limited_at: Option<Instant>,
    failures_in_row: u32,
    rest_until: Option<Instant>,
    denied_until: Option<Instant>,
    round_trip_s: Option<f64>,
    transfer_s: f64,
    last_error: Option<String>,
    articles: u64,
    missing: u64,
    damaged: u64,
    bytes: u64,
    failures: u64,
}

impl Account {
    pub(super) fn new(settings: ProviderSettings) -> Self {
        Self {
            limit: usize::from(settings.connections.max(1)),
            settings,
            queue: Queue::default(),
            slots: Vec::new(),
            opening: 0,
            limited_at: None,
            failures_in_row: 0,
            rest_until: None,
            denied_until: None,
            round_trip_s: None,
            transfer_s: 0.0,
            last_error: None,
            articles: 0,
            missing: 0,
            damaged: 0,
            bytes: 0,
            failures: 0,
        }
    }

    /// Lower is asked first.
    pub(super) fn rank(&self) -> (bool, i32, usize) {
        let queued: usize = Lane::ALL.iter().map(|&lane| self.queue.len(lane)).sum();
        let load = (queued + self.in_flight()) * 100 / self.limit;
        (self.settings.backup, self.settings.priority, load)
    }

    pub(super) fn is_main(&self, now: Instant) -> bool {
        !self.settings.backup && !self.is_denied(now)
    }

    /// Whether it refuses the account: as if there were no such provider.
    pub(super) fn is_denied(&self, now: Instant) -> bool {
        self.denied_until.is_some_and(|until| now < until)
    }

    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.is_denied(now) || self.rest_until.is_some_and(|until| now < until)
    }

    pub(super) fn trouble(&self) -> String {
        let what = self.last_error.as_deref().unwrap_or("does not answer");
        format!("{}: {what}", self.settings.host)
    }

    pub(super) fn open_or_opening(&self) -> usize {
        self.slots.len() + self.opening
    }

    /// How many connections are to be kept open. A backup's are opened when they are needed.
    pub(super) fn warm(&self, warm: usize) -> usize {
        if self.settings.backup {
            0
        } else {
            warm.min(self.limit)
        }
    }

    fn in_flight(&self) -> usize {
        self.slots.iter().map(|slot| slot.in_flight).sum()
    }

    /// Answers outstanding on a connection that keep the line full: the next command must have
    /// arrived when an answer ends.
    fn depth(&self) -> usize {
        let round_trips = match self.round_trip_s {
            Some(round_trip_s) if self.transfer_s > 0.0 => (round_trip_s / self.transfer_s).ceil(),
            _ => 1.0,
        };
        // A float beyond the range saturates.
        (round_trips as usize + 1).clamp(DEPTH_MIN, DEPTH_MAX)
    }

    pub(super) fn width(&self) -> usize {
        self.limit * self.depth()
    }

    fn cap(&self, lane: Lane) -> usize {
        match lane {
            Lane::Demand | Lane::Near => URGENT_DEPTH,
            Lane::Import => IMPORT_DEPTH,
            Lane::ReadAhead => self.depth(),
            Lane::Health => DEPTH_MIN,
        }
    }

    /// Hands jobs to the connections with the fewest answers outstanding.
    pub(super) fn hand_out(&mut self) {
        for lane in Lane::ALL {
            let cap = self.cap(lane);
            // One connection is kept clear of what nobody waits for, so that a seek meets no queue.
            let is_patient = lane >= Lane::ReadAhead;
            loop {
                let busy = self.slots.iter().filter(|slot| slot.in_flight > 0).count();
                let may_start = !is_patient || busy + 1 < self.slots.len() || self.slots.len() == 1;
                let slot = (self.slots.iter_mut())
                    .filter(|slot| slot.in_flight < cap && (may_start || slot.in_flight > 0))
                    .min_by_key(|slot| slot.in_flight);
                let Some(slot) = slot else { break };
                let Some(job) = self.queue.pop(lane) else {
                    break;
                };
                if !job.begin() {
                    continue;
                }
                slot.in_flight += 1;
                let id = slot.id;
                if let Err(mpsc::error::SendError(job)) = slot.tx.send(job) {
                    // Its task is ending, and tells so in a moment.
                    self.slots.retain(|other| other.id != id);
                    if let super::Ask::Body(article) = &job.ask {
                        article.requeue();
                    }
                    self.queue.push(lane, job);
                }
            }
        }
    }

    /// How many more connections what waits is worth.
    pub(super) fn lacking(&self) -> usize {
        if self.is_resting(Instant::now()) {
            return 0;
        }
        let wanted = [
            (Lane::Demand, 1),
            (Lane::Near, 2),
            (Lane::ReadAhead, self.depth()),
            (Lane::Import, IMPORT_DEPTH),
            (Lane::Health, IMPORT_DEPTH),
        ];
        let wanted: usize = wanted
            .iter()
            .map(|&(lane, each)| self.queue.len(lane).div_ceil(each))
            .sum();
        let room = self.limit.saturating_sub(self.open_or_opening());
        wanted.saturating_sub(self.opening).min(room)
    }

    /// Before a connection is opened after failures: so that many do not come at once.
    pub(super) fn jitter(&self) -> Duration {
        if self.failures_in_row == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(20 + u64::from(random_byte()))
    }

    pub(super) fn opened(&mut self, id: u64, tx: mpsc::UnboundedSender<Job>) {
        self.slots.push(Slot {
            id,
            tx,
            in_flight: 0,
        });
        (self.rest_until, self.denied_until) = (None, None);
        // Several are opened at once: one that was refused may have learned too low a limit.
        self.limit = self.limit.max(self.slots.len());
    }

    pub(super) fn refused(&mut self, refusal: &Refusal, now: Instant) {
        match refusal {
            // A sign-in that is refused while others stand is a limit, whatever the words.
            Refusal::Limit(_) | Refusal::Denied(_) if !self.slots.is_empty() => {
                let told = match refusal {
                    Refusal::Limit(told) => told.map(usize::from),
                    _ => None,
                };
                let open = self.slots.len();
                let limit = told.map_or(open, |told| told.min(self.limit)).max(1);
                self.limit = (limit - limit / 10).min(self.limit);
                self.limited_at = Some(now);
                tracing::info!(host = %self.settings.host, limit = self.limit, "connection limit learned");
            }
            Refusal::Denied(what) => {
                self.denied_until = Some(now + DENIED);
                self.last_error = Some(what.clone());
                tracing::error!(host = %self.settings.host, error = %what, "provider refuses the account");
            }
            Refusal::Limit(_) => self.failed("too many connections of this account", now),
            Refusal::Unavailable(what) | Refusal::Broken(what) => self.failed(what, now),
        }
    }

    /// A connection that was open ended by failure.
    pub(super) fn broke(&mut self, refusal: &Refusal, now: Instant) {
        match refusal {
            Refusal::Limit(_) => self.refused(refusal, now),
            Refusal::Denied(what) | Refusal::Unavailable(what) | Refusal::Broken(what) => {
                self.failed(what, now);
            }
        }
    }

    fn failed(&mut self, what: &str, now: Instant) {
        self.failures += 1;
        self.last_error = Some(what.to_owned());
        tracing::debug!(host = %self.settings.host, error = %what, "connection failed");
        // Several are opened at once, and fail together: that is one reason to rest longer, not several.
        if self.is_resting(now) {
            return;
        }
        self.failures_in_row += 1;
        if self.failures_in_row >= FAILURES_MAX && self.slots.is_empty() {
            let doublings = (self.failures_in_row - FAILURES_MAX).min(6);
            let rest = (REST_MIN * 2_u32.pow(doublings)).min(REST_MAX);
            let rest = rest + rest * u32::from(random_byte()) / 1024;
            if self.rest_until.is_none() {
                tracing::warn!(host = %self.settings.host, error = %what, "provider does not answer");
            }
            self.rest_until = Some(now + rest);
        }
    }

    pub(super) fn answered(&mut self, slot: u64, answer: &Answer) {
        if let Some(slot) = self.slots.iter_mut().find(|other| other.id == slot) {
            slot.in_flight = slot.in_flight.saturating_sub(1);
        }
        match answer {
            Answer::Done => self.articles += 1,
            Answer::NoArticle => self.missing += 1,
            Answer::Damaged(what) => {
                self.damaged += 1;
                self.last_error = Some(what.clone());
            }
        }
        if self.failures_in_row >= FAILURES_MAX {
            tracing::info!(host = %self.settings.host, "provider answers again");
        }
        self.failures_in_row = 0;
    }

    pub(super) fn measured(
        &mut self,
        round_trip: Option<Duration>,
        transfer: Duration,
        bytes: u64,
    ) {
        self.bytes += bytes;
        let smooth = |old: f64, new: f64| old + (new - old) / 8.0;
        if let Some(new) = round_trip.map(|time| time.as_secs_f64()) {
            self.round_trip_s = Some(self.round_trip_s.map_or(new, |old| smooth(old, new)));
        }
        if bytes > 0 {
            let new = transfer.as_secs_f64().max(1e-5);
            self.transfer_s = if self.transfer_s == 0.0 {
                new
            } else {
                smooth(self.transfer_s, new)
            };
        }
    }

    pub(super) fn may_stay(&mut self, slot: u64, warm: usize) -> bool {
        let is_busy = |other: &Slot| other.id == slot && other.in_flight > 0;
        if self.slots.len() <= self.warm(warm) || self.slots.iter().any(is_busy) {
            return true;
        }
        self.slots.retain(|other| other.id != slot);
        false
    }

    pub(super) fn look_after(&mut self, now: Instant) {
        let configured = usize::from(self.settings.connections.max(1));
        let is_old = self.limited_at.is_some_and(|at| now - at > LIMIT_AGE);
        if is_old && self.limit < configured {
            self.limit += 1;
            self.limited_at = Some(now);
        }
    }

    pub(super) fn status(&self) -> ProviderStatus {
        let now = Instant::now();
        let queued: usize = Lane::ALL.iter().map(|&lane| self.queue.len(lane)).sum();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        ProviderStatus {
            host: format!("{}:{}", self.settings.host, self.settings.port),
            circuit: match (self.is_denied(now), self.is_resting(now)) {
                (true, _) => Circuit::Denied,
                (false, true) => Circuit::Open,
                (false, false) => Circuit::Closed,
            },
            connections: count(self.slots.len()),
            opening: count(self.opening),
            connections_max: count(self.limit),
            in_flight: count(self.in_flight()),
            queued: count(queued),
            articles: self.articles,
            missing: self.missing,
            damaged: self.damaged,
            bytes: self.bytes,
            failures: self.failures,
            round_trip_ms: self.round_trip_s.map(|s| s * 1000.0),
            last_error: self.last_error.clone(),
        }
    }
}

/// Zero where the system has no randomness: jitter may fail.
fn random_byte() -> u8 {
    let mut byte = [0];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => 0,
    }
}
