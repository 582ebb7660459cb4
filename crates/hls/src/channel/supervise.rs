//! Which source is on air: starting, doubting, switching, giving up.

use std::collections::HashMap;
use std::time::Duration;

use base::Time;

use super::event::{Effect, Notice, SwitchTo, Trouble};
use super::session::Session;
use super::{Channel, Published, SourceDef, TrackId};

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
    /// The source on air brings nothing, and no other does.
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

#[derive(Debug)]
pub(super) struct Source {
    pub(super) def: SourceDef,
    pub(super) health: Health,
    /// Sessions in a row that came to nothing.
    failures: u32,
    retry_at: Time,
}

/// A session that is made ready beside the one on air.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) session: Session,
    why: Why,
    /// The source on air publishes nothing until then, so that a manual switch is the next thing that
    /// players see.
    hold_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Start,
    Manual,
    Doubt,
}

const BACKOFF_MAX_S: u64 = 8;

impl Source {
    pub(super) fn new(def: SourceDef) -> Self {
        Self {
            def,
            health: Health::Unknown,
            failures: 0,
            retry_at: Time::ZERO,
        }
    }
}

impl Channel {
    /// Whether the session on air must wait for a manual switch.
    pub(super) fn is_held(&self, now: Time) -> bool {
        self.next
            .as_ref()
            .is_some_and(|next| next.why == Why::Manual && now < next.hold_until)
    }

    /// Makes the source of a manual switch ready; it goes on air when its first segment is there.
    pub(super) fn switch(&mut self, now: Time, to: SwitchTo) {
        let SwitchTo { index, source } = to;
        if index < self.sources.len() {
            if self.sources[index].def != source {
                self.published.retain(|(of, _), _| *of != index);
                self.sources[index] = Source::new(source);
            }
        } else {
            self.sources.push(Source::new(source));
        }
        let index = index.min(self.sources.len() - 1);
        self.begin(
            now,
            index,
            if self.current.is_some() {
                Why::Manual
            } else {
                Why::Start
            },
        );
    }

    /// Looks at both sessions and decides.
    pub(super) fn supervise(&mut self, now: Time) {
        self.judge_next(now);
        self.judge_current(now);
        if self.current.is_none() && self.next.is_none() {
            let first = (0..self.sources.len()).find(|&index| self.is_candidate(now, index));
            if let Some(index) = first {
                self.begin(now, index, Why::Start);
            }
        }
        let state = self.state_now(now);
        if state != self.state {
            self.state = state;
            self.out.push(Effect::Notice(Notice::State(state)));
        }
    }

    fn begin(&mut self, now: Time, index: usize, why: Why) {
        if let Some(old) = self.next.take() {
            self.out.push(Effect::Abandon {
                generation: old.session.generation,
            });
        }
        self.generation += 1;
        let segments = if why == Why::Start {
            self.settings.prime_segments
        } else {
            1
        };
        let published = self.published_of(index);
        let url = self.sources[index].def.url.clone();
        let session = Session::new(now, self.generation, index, url, segments, published);
        let hold = self
            .current
            .as_ref()
            .map_or(Duration::ZERO, Session::target);
        self.next = Some(Next {
            session,
            why,
            hold_until: now + hold,
        });
    }

    /// What players have of a source: in this run, or before a restart.
    fn published_of(&self, index: usize) -> HashMap<TrackId, Published> {
        let identity = &self.sources[index].def.identity;
        let stored = self
            .positions
            .iter()
            .filter(|(_, position)| position.source == *identity);
        let stored = stored.map(|(track, position)| {
            let name = position.source_name.clone();
            (
                track.clone(),
                Published {
                    msn: position.source_msn,
                    name,
                    resume: true,
                },
            )
        });
        let own = self.published.iter().filter(|((of, _), _)| *of == index);
        let own = own.map(|((_, track), published)| (track.clone(), published.clone()));
        stored.chain(own).collect()
    }

    fn judge_next(&mut self, now: Time) {
        let Some(next) = &self.next else { return };
        let wanted_now = match next.why {
            Why::Start | Why::Manual => true,
            Why::Doubt => self
                .current
                .as_ref()
                .is_none_or(|current| has_failed(current, now)),
        };
        if wanted_now
            && next.session.refused.is_none()
            && next.session.is_ready(now, self.is_watched())
        {
            self.promote(now);
        } else if let Some(reason) = gave_up(&next.session, now, self.is_watched()) {
            self.drop_next(now, reason);
        }
    }

    fn promote(&mut self, now: Time) {
        let Some(Next { mut session, .. }) = self.next.take() else {
            return;
        };
        if let Some(old) = self.current.take() {
            self.out.push(Effect::Abandon {
                generation: old.generation,
            });
            // As much as players missed meanwhile, and at least one.
            let missed = self.last_publish.map_or(Duration::ZERO, |at| now - at);
            session.keep_newest(missed.div_duration_f64(session.target()) as usize + 1);
        }
        let source = &mut self.sources[session.source];
        source.health = Health::Healthy;
        self.out.push(Effect::Notice(Notice::OnAir {
            source: session.source,
            generation: session.generation,
        }));
        self.current = Some(session);
    }

    fn drop_next(&mut self, now: Time, reason: String) {
        let Some(Next { session, why, .. }) = self.next.take() else {
            return;
        };
        self.out.push(Effect::Abandon {
            generation: session.generation,
        });
        let code = if why == Why::Manual {
            "switch_failed"
        } else {
            "source_failed"
        };
        self.fail(now, session.source, code, reason);
    }

    fn fail(&mut self, now: Time, index: usize, code: &'static str, detail: String) {
        let source = &mut self.sources[index];
        source.health = Health::Failed;
        let wait = Duration::from_secs(1 << source.failures.min(3))
            .min(Duration::from_secs(BACKOFF_MAX_S));
        source.failures = source.failures.saturating_add(1);
        source.retry_at = now + self.chance.between(wait / 2, wait);
        self.out.push(Effect::Notice(Notice::Trouble(Trouble {
            code,
            source: index,
            detail,
        })));
    }

    fn judge_current(&mut self, now: Time) {
        let Some(current) = &mut self.current else {
            return;
        };
        let index = current.source;
        if let Some(reason) = current.refused.take() {
            let generation = current.generation;
            self.current = None;
            self.out.push(Effect::Abandon { generation });
            self.fail(now, index, "source_refused", reason);
            return;
        }
        if current.is_over() {
            self.sources[index].health = Health::Ended;
            self.begin_other(now, index);
            if self.next.is_none() {
                self.tracks
                    .values_mut()
                    .for_each(|track| track.timeline.end());
            }
            return;
        }
        let health = if has_failed(current, now) {
            Health::Failed
        } else if is_suspect(current, now) {
            Health::Suspect
        } else {
            Health::Healthy
        };
        let source = &mut self.sources[index];
        if health == Health::Healthy && source.health != Health::Healthy {
            source.failures = 0;
        }
        source.health = health;
        match (health, self.next.as_ref().map(|next| next.why)) {
            (Health::Healthy, Some(Why::Doubt)) => {
                // It was nothing: the other source is let go.
                if let Some(next) = self.next.take() {
                    self.out.push(Effect::Abandon {
                        generation: next.session.generation,
                    });
                }
            }
            (Health::Suspect | Health::Failed, None) => self.begin_other(now, index),
            _ => {}
        }
    }

    /// Makes the next source of the list ready; the failed one itself, from its very link, when it
    /// has been silent for long and there is no other.
    fn begin_other(&mut self, now: Time, index: usize) {
        if self.next.is_some() {
            return;
        }
        let count = self.sources.len();
        let others = (1..count).map(|step| (index + step) % count);
        let silent = self
            .current
            .as_ref()
            .is_some_and(|current| current.stalled_for(now) > current.target() * 3);
        let again = Some(index).filter(|_| silent);
        if let Some(other) = others
            .chain(again)
            .find(|&other| self.is_candidate(now, other))
        {
            self.begin(now, other, Why::Doubt);
        }
    }

    /// Whether anybody watches a track of ours.
    fn is_watched(&self) -> bool {
        let ladder = self.ladder.as_ref();
        ladder.is_some_and(|ladder| self.demand.iter().any(|track| ladder.has(track)))
    }

    fn is_candidate(&self, now: Time, index: usize) -> bool {
        let source = &self.sources[index];
        source.retry_at <= now && source.health != Health::Ended
    }

    fn state_now(&self, now: Time) -> State {
        let Some(current) = &self.current else {
            return State::Starting;
        };
        if current.is_over() && self.next.is_none() {
            return State::Ended;
        }
        match (self.sources[current.source].health, &self.next) {
            (_, Some(next)) if next.why == Why::Manual => State::Switching,
            (Health::Failed, Some(_)) => State::Switching,
            (Health::Failed, None) => State::Down,
            (Health::Suspect, _) if is_suspect(current, now) => State::Suspect,
            _ => State::Live,
        }
    }
}

/// Late, or something of it failed once: the next source is made ready.
fn is_suspect(session: &Session, now: Time) -> bool {
    session.stalled_for(now) > session.target() * 3 / 2
        || session.load_failures() > 0
        || session.is_struggling()
}

/// It brings nothing any more.
fn has_failed(session: &Session, now: Time) -> bool {
    session.stalled_for(now) > session.target() * 2
        || session.load_failures() > 1
        || session.segment_failures() > 1
        || session.is_over()
}

/// Why a session that is made ready will not be.
fn gave_up(session: &Session, now: Time, watched: bool) -> Option<String> {
    if let Some(reason) = &session.refused {
        return Some(reason.clone());
    }
    if session.load_failures() > 2 {
        return Some("its playlist cannot be loaded".to_owned());
    }
    let patience = (session.target() * 3).max(Duration::from_secs(6));
    (now - session.started > patience && !session.is_ready(now, watched))
        .then(|| format!("no segment within {patience:?}"))
}
