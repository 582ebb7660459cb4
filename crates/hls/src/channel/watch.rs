//! What people are told of the machine's decisions: how each source does and why, and how far down
//! the ladder the channel is. Decides nothing.

use base::Time;

use super::Channel;
use super::event::{Effect, Notice, Trouble};
use super::health::{Health, is_overdue, is_suspect};
use super::session::Session;

/// How a source does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// As far as we have seen.
    pub health: Health,
    /// Why it is not healthy.
    pub why: Option<String>,
    /// When it last was, if it is not now.
    pub last_good: Option<Time>,
    /// Sessions that came to nothing since it was last trusted.
    pub failures: u32,
    /// Whether it may be tried.
    pub breaker: Breaker,
    /// When it may be tried again, while it may not.
    pub retry_at: Option<Time>,
}

/// A source's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It may be used.
    Closed,
    /// It failed, and is left alone for a while.
    Open,
    /// It failed, and is being tried again.
    HalfOpen,
}

/// How far down the ladder a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is wrong.
    Playing,
    /// The source on air is in doubt and is asked again.
    Retrying,
    /// Another source is made ready beside the one on air.
    Preparing,
    /// Another source is put on air.
    Switching,
    /// Players get the slate.
    Slate,
    /// Every source is left alone for a while.
    Waiting,
}

/// What is done about a channel's trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Where on the ladder.
    pub step: Step,
    /// The source that is made ready.
    pub preparing: Option<usize>,
    /// What began it.
    pub why: Option<String>,
}

impl Breaker {
    /// A stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Step {
    /// A stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Playing => "playing",
            Self::Retrying => "retrying",
            Self::Preparing => "preparing",
            Self::Switching => "switching",
            Self::Slate => "slate",
            Self::Waiting => "waiting",
        }
    }
}

impl Channel {
    /// How each source does, in order.
    pub fn reports(&self, now: Time) -> Vec<SourceReport> {
        let preparing = self.preparing();
        let sources = self.sources.iter().enumerate();
        let report = sources.map(|(index, source)| {
            let retry_at = source.retry_at(now);
            let breaker = match (source.failures(), retry_at) {
                (0, None) => Breaker::Closed,
                (_, Some(_)) => Breaker::Open,
                _ if preparing == Some(index) => Breaker::HalfOpen,
                _ => Breaker::Closed,
            };
            SourceReport {
                health: source.health,
                why: self.why(now, index),
                last_good: source
                    .last_good
                    .filter(|_| source.health != Health::Healthy),
                failures: source.failures(),
                breaker,
                retry_at,
            }
        });
        report.collect()
    }

    /// How far down the ladder the channel is.
    pub fn failover(&self, now: Time) -> Failover {
        let preparing = self.preparing();
        let doubt = self.current.as_ref().and_then(|current| sign(current, now));
        let step = match (&self.current, preparing) {
            _ if self.slate.is_some() => Step::Slate,
            (None, None) => Step::Waiting,
            (None, Some(_)) => Step::Switching,
            (Some(_), Some(_)) => Step::Preparing,
            (Some(_), None) if doubt.is_some() => Step::Retrying,
            (Some(_), None) => Step::Playing,
        };
        let failed = || {
            let newest = self.sources.iter().filter(|source| source.why.is_some());
            newest.max_by_key(|source| source.tried_at)?.why.clone()
        };
        let why = match step {
            Step::Playing => None,
            _ => doubt.map(str::to_owned).or_else(failed),
        };
        Failover {
            step,
            preparing,
            why,
        }
    }

    /// Says so when a source's health is another.
    pub(super) fn tell_health(&mut self, now: Time) {
        for index in 0..self.sources.len() {
            let health = self.sources[index].health;
            if health != self.sources[index].told {
                self.sources[index].told = health;
                let why = self.why(now, index);
                self.out.push(Effect::Notice(Notice::Health {
                    source: index,
                    health,
                    why,
                }));
            }
        }
    }

    /// Names what a source fails by, if nothing that it answered did so.
    pub(super) fn tell_silence(&mut self, source: usize, silence: Option<Silence>) {
        if let Some(Silence { code, words }) = silence {
            self.sources[source].why = Some(words.to_owned());
            self.out.push(Effect::Notice(Notice::Trouble(Trouble {
                code,
                source,
                detail: words.to_owned(),
            })));
        }
    }

    fn preparing(&self) -> Option<usize> {
        self.nexts.first().map(|next| next.session.source)
    }

    fn why(&self, now: Time, index: usize) -> Option<String> {
        let source = &self.sources[index];
        if !matches!(source.health, Health::Suspect | Health::Failed) {
            return None;
        }
        let current = self
            .current
            .as_ref()
            .filter(|current| current.source == index);
        let sign = current.and_then(|current| sign(current, now));
        sign.map(str::to_owned).or_else(|| source.why.clone())
    }
}

/// What makes us doubt a session; the same words for as long as it is the same.
fn sign(session: &Session, now: Time) -> Option<&'static str> {
    if !is_suspect(session, now) {
        return None;
    }
    Some(if session.segment_failures() > 0 {
        "its segments come to nothing"
    } else if session.load_failures() > 0 {
        "it cannot be loaded"
    } else if session.is_struggling() {
        "a segment has to be asked for again"
    } else {
        Silence::kind(session, now).words
    })
}

/// What is said of a source that does nothing wrong, and not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    code: &'static str,
    words: &'static str,
}

impl Silence {
    /// Of a session that is given up; `None`: its failures have been told.
    pub(super) fn of(session: &Session, now: Time) -> Option<Self> {
        let told = session.segment_failures() > 0 || session.load_failures() > 0;
        (!told && !session.has_ended()).then(|| Self::kind(session, now))
    }

    fn kind(session: &Session, now: Time) -> Self {
        let (code, words) = match is_overdue(session, now) {
            true => ("source_slow", "it is slower than real time"),
            false => ("playlist_unchanged", "nothing new comes from it"),
        };
        Self { code, words }
    }
}
