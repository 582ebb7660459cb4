//! Which source is on air: starting, doubting, switching, giving up, showing the slate.

use std::collections::HashMap;
use std::time::Duration;

use base::Time;

use super::event::{Effect, Notice, SwitchTo, Trouble};
use super::health::{Health, Source, State, has_failed, is_suspect};
use super::session::Session;
use super::slate::Showing;
use super::{Channel, Published, TrackId};

/// A session that is made ready beside the one on air.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) session: Session,
    why: Why,
    slot: Slot,
    /// How long it took to be ready.
    head_start: Option<Duration>,
    /// The source on air publishes nothing until then, so that a manual switch is the next thing that
    /// players see.
    hold_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Start,
    Manual,
    Doubt,
    /// The preferred source may be back.
    Return,
}

/// The account's permission to open a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Granted,
    Asked { at: Time },
}

/// Segments that a source begins with when it takes over from a failed one, at most.
const CATCH_UP_MAX: usize = 8;
/// How often a full account is asked again while its old stream is being closed.
const SLOT_RETRY: Duration = Duration::from_millis(50);
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

impl Next {
    pub(super) fn may_fetch(&self) -> bool {
        self.slot == Slot::Granted
    }
}

impl Channel {
    /// Whether the session on air must wait for a manual switch.
    pub(super) fn is_held(&self, now: Time) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| next.why == Why::Manual && now < next.hold_until)
    }

    /// Makes the source of a manual switch ready; it goes on air when its first segment is there.
    pub(super) fn switch(&mut self, now: Time, to: SwitchTo) {
        let SwitchTo { index, source } = to;
        let index = index.min(self.sources.len());
        match self.sources.get_mut(index) {
            Some(known) if known.def == source => {}
            Some(known) => {
                *known = Source::new(source);
                self.published.retain(|(of, _), _| *of != index);
            }
            None => self.sources.push(Source::new(source)),
        }
        let why = if self.current.is_some() {
            Why::Manual
        } else {
            Why::Start
        };
        self.begin(now, index, why);
    }

    /// The account of the next session answered.
    pub(super) fn slot_answered(&mut self, now: Time, generation: u64, granted: bool) {
        let Some(next) = self
            .next
            .as_mut()
            .filter(|next| next.session.generation == generation)
        else {
            return;
        };
        let Slot::Asked { at } = next.slot else {
            return;
        };
        if granted {
            next.slot = Slot::Granted;
            next.session.started = now;
            return;
        }
        let (index, why) = (next.session.source, next.why);
        if now - at > SLOT_PATIENCE {
            // No fault of the source: it keeps its place, and its budget.
            self.let_next_go();
            self.sources[index].rest(now, Some(SLOT_PATIENCE / 2));
            let detail = "its account has no free stream".to_owned();
            self.out.push(Effect::Notice(Notice::Trouble(Trouble {
                code: "account_full",
                source: index,
                detail,
            })));
            return;
        }
        // An account with one stream: the old one is let go first.
        let account = self.sources[index].def.account.clone();
        let same = |current: &Session| self.sources[current.source].def.account == account;
        let wanted = why == Why::Manual
            || self
                .current
                .as_ref()
                .is_none_or(|c| has_failed(c, now, Duration::ZERO));
        if wanted && self.current.as_ref().is_some_and(same) {
            self.end_current();
        }
        self.ask_slot_at = Some(now + SLOT_RETRY);
    }

    /// Looks at both sessions and decides.
    pub(super) fn supervise(&mut self, now: Time) {
        self.ask_again(now);
        self.judge_next(now);
        self.judge_current(now);
        if self.current.is_none() && self.next.is_none() {
            let first =
                (0..self.sources.len()).find(|&index| self.sources[index].may_be_tried(now));
            if let Some(index) = first {
                self.begin(now, index, Why::Start);
            }
        }
        self.show_slate(now);
        let state = self.state_now(now);
        if state != self.state {
            self.state = state;
            self.out.push(Effect::Notice(Notice::State(state)));
        }
    }

    fn begin(&mut self, now: Time, index: usize, why: Why) {
        self.let_next_go();
        self.generation += 1;
        self.sources[index].tried_at = now;
        let segments = match why {
            Why::Start if self.tracks.is_empty() => self.settings.prime_segments,
            Why::Manual => self.missing_segments(now),
            Why::Start | Why::Doubt | Why::Return => self.missing_segments(now).max(2),
        };
        let published = self.published_of(index);
        let def = &self.sources[index].def;
        let session = Session::new(
            now,
            self.generation,
            index,
            def.url.clone(),
            segments,
            published,
        );
        let target = Duration::from_secs(self.target_duration_s.unwrap_or(2));
        let slot = match &def.account {
            None => Slot::Granted,
            Some(_) => {
                let generation = self.generation;
                self.out.push(Effect::Acquire {
                    generation,
                    source: index,
                });
                Slot::Asked { at: now }
            }
        };
        self.next = Some(Next {
            session,
            why,
            slot,
            head_start: None,
            hold_until: now + target * 3 / 2,
        });
    }

    /// Asks for a slot again while the old stream of the account is being closed.
    fn ask_again(&mut self, now: Time) {
        if self.ask_slot_at.is_some_and(|at| at <= now) {
            self.ask_slot_at = None;
            if let Some(next) = self.next.as_ref().filter(|next| !next.may_fetch()) {
                let (generation, source) = (next.session.generation, next.session.source);
                self.out.push(Effect::Acquire { generation, source });
            }
        }
    }

    /// How many segments players are short of: what was published runs ahead of the clock by what the
    /// first playlist held, and a switch should leave it so.
    fn missing_segments(&self, now: Time) -> usize {
        let Some(target) = self.target_duration_s.map(Duration::from_secs) else {
            return 1;
        };
        let lead = target * u32::try_from(self.settings.prime_segments).unwrap_or(3);
        let tracks = self.tracks.values().filter_map(|track| track.lead(now));
        let missing = tracks
            .map(|have| lead.saturating_sub(have))
            .min()
            .unwrap_or(Duration::ZERO);
        (missing.div_duration_f64(target) as usize).min(CATCH_UP_MAX)
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
        let watched = self.is_watched();
        let Some(next) = &mut self.next else { return };
        if !next.may_fetch() {
            return;
        }
        if let Some(target_s) = self.target_duration_s {
            next.session.refuse_misfit(target_s);
        }
        let ready = next.session.refused.is_none() && next.session.is_ready(now, watched);
        if ready && next.head_start.is_none() {
            next.head_start = Some(now - next.session.started);
        }
        let wanted = match next.why {
            Why::Start | Why::Manual => true,
            Why::Doubt => self
                .current
                .as_ref()
                .is_none_or(|c| has_failed(c, now, next.head_start.unwrap_or_default())),
            Why::Return => {
                let proof = self.settings.return_after.unwrap_or(Duration::MAX);
                now - next.session.started >= proof && !is_suspect(&next.session, now)
            }
        };
        if ready && wanted {
            self.promote(now);
        } else if let Some(reason) = self.gave_up(now, ready) {
            self.drop_next(now, reason);
        }
    }

    /// Why the session that is made ready will not be.
    fn gave_up(&self, now: Time, ready: bool) -> Option<String> {
        let next = self.next.as_ref()?;
        let session = &next.session;
        if let Some(reason) = &session.refused {
            return Some(reason.clone());
        }
        if session.load_failures() > 2
            || (session.load_failures() > 0 && session.rest_wish.is_some())
        {
            return Some("its playlist cannot be loaded".to_owned());
        }
        let alone = self.sources.len() == 1;
        let source = &self.sources[session.source];
        let patience = match next.why {
            Why::Doubt if !alone => source.patience(session.target()),
            _ => (session.target() * 3).max(Duration::from_secs(6)),
        };
        let patience = patience + session.cutting_takes();
        let late = now - session.started > patience && !ready;
        late.then(|| format!("no segment within {patience:?}"))
    }

    fn promote(&mut self, now: Time) {
        let missing = self.missing_segments(now);
        let Some(Next {
            mut session, why, ..
        }) = self.next.take()
        else {
            return;
        };
        self.end_current();
        if why != Why::Manual && !self.tracks.is_empty() {
            session.keep_newest(missing.max(1));
        }
        self.slate = None;
        self.sources[session.source].seen(now, Health::Healthy);
        let (source, generation) = (session.source, session.generation);
        self.out
            .push(Effect::Notice(Notice::OnAir { source, generation }));
        self.current = Some(session);
    }

    fn end_current(&mut self) {
        if let Some(old) = self.current.take() {
            self.out.push(Effect::Abandon {
                generation: old.generation,
            });
        }
    }

    fn let_next_go(&mut self) {
        self.ask_slot_at = None;
        if let Some(next) = self.next.take() {
            self.out.push(Effect::Abandon {
                generation: next.session.generation,
            });
        }
    }

    fn drop_next(&mut self, now: Time, reason: String) {
        let Some(next) = &self.next else { return };
        let code = if next.why == Why::Manual {
            "switch_failed"
        } else {
            "source_failed"
        };
        let (index, wish) = (next.session.source, next.session.rest_wish);
        self.let_next_go();
        self.fail(now, index, code, reason);
        if let Some(wish) = wish {
            self.rest(now, index, wish);
        }
    }

    fn fail(&mut self, now: Time, index: usize, code: &'static str, detail: String) {
        let chance = &mut self.chance;
        self.sources[index].failed(now, |low, high| chance.between(low, high));
        self.out.push(Effect::Notice(Notice::Trouble(Trouble {
            code,
            source: index,
            detail,
        })));
    }

    /// 429 and 509 are meant for the account: all its sources are left alone.
    fn rest(&mut self, now: Time, index: usize, wish: Option<Duration>) {
        let account = self.sources[index].def.account.clone();
        for (other, source) in self.sources.iter_mut().enumerate() {
            if other == index || (account.is_some() && source.def.account == account) {
                source.rest(now, wish);
            }
        }
        self.out.push(Effect::Rest {
            source: index,
            wish,
        });
    }

    fn judge_current(&mut self, now: Time) {
        let Some(current) = &mut self.current else {
            return;
        };
        let index = current.source;
        if let Some(reason) = current.refused.take() {
            self.end_current();
            self.fail(now, index, "source_refused", reason);
            return;
        }
        if let Some(wish) = current.rest_wish.take() {
            self.end_current();
            self.fail(
                now,
                index,
                "source_failed",
                "its provider asks to be left alone".to_owned(),
            );
            self.rest(now, index, wish);
            return;
        }
        if current.is_over() {
            self.sources[index].seen(now, Health::Ended);
            self.begin_other(now, index);
            if self.next.is_none() {
                self.tracks
                    .values_mut()
                    .for_each(|track| track.timeline.end());
            }
            return;
        }
        let health = if has_failed(current, now, Duration::ZERO) {
            Health::Failed
        } else if is_suspect(current, now) {
            Health::Suspect
        } else {
            Health::Healthy
        };
        self.sources[index].seen(now, health);
        match (health, self.next.as_ref().map(|next| next.why)) {
            // It was nothing: the other source is let go.
            (Health::Healthy, Some(Why::Doubt)) if !self.settings.warm_standby => {
                self.let_next_go();
            }
            (Health::Suspect | Health::Failed, None) => self.begin_other(now, index),
            (Health::Healthy, None) if self.settings.warm_standby => self.begin_other(now, index),
            (Health::Healthy, None) if index > 0 && self.settings.return_after.is_some() => {
                if let Some(better) =
                    (0..index).find(|&better| self.sources[better].may_be_tried(now))
                {
                    self.begin(now, better, Why::Return);
                }
            }
            _ => {}
        }
    }

    /// Makes the next source of the list ready; the failed one itself, from its very link, when it
    /// has been silent for long and there is no other.
    fn begin_other(&mut self, now: Time, index: usize) {
        if self.next.is_some() {
            return;
        }
        let silent = |current: &Session| {
            current.stalled_for(now) > current.target() * 3 && !current.reopens()
        };
        let again = self.current.as_ref().is_some_and(silent);
        let other = self.candidate(now, Some(index));
        if let Some(other) =
            other.or(Some(index).filter(|_| again && self.sources[index].may_be_tried(now)))
        {
            self.begin(now, other, Why::Doubt);
        }
    }

    /// The source whose turn it is: of those that may be tried, the one that waited longest, and of
    /// those never tried the most preferred.
    fn candidate(&self, now: Time, but: Option<usize>) -> Option<usize> {
        let all = self.sources.iter().enumerate();
        let free = all.filter(|(index, source)| Some(*index) != but && source.may_be_tried(now));
        free.min_by_key(|(index, source)| (source.tried_at, *index))
            .map(|(index, _)| index)
    }

    /// Whether anybody watches a track of ours.
    fn is_watched(&self) -> bool {
        let ladder = self.ladder.as_ref();
        ladder.is_some_and(|ladder| self.demand.iter().any(|track| ladder.has(track)))
    }

    /// Begins the slate before players run dry, and goes on with it while nothing else comes.
    fn show_slate(&mut self, now: Time) {
        let Some(last) = self.last_publish else {
            return;
        };
        let over = self.current.as_ref().is_some_and(Session::is_over) && self.next.is_none();
        if over || self.settings.slate.is_none() {
            return;
        }
        let target = Duration::from_secs(self.target_duration_s.unwrap_or(2));
        if self.slate.is_none() && now - last > target * 9 / 4 {
            self.generation += 1;
            self.slate = Some(Showing::new(now, self.generation, target));
        }
    }

    fn state_now(&self, now: Time) -> State {
        if self.slate.is_some() {
            return State::Slate;
        }
        let Some(current) = &self.current else {
            return if self.tracks.is_empty() {
                State::Starting
            } else {
                State::Switching
            };
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
