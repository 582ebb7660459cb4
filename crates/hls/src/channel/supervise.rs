//! Which source is on air: starting, doubting, leaving, showing the slate.

use std::time::Duration;

use base::Time;

use super::Channel;
use super::event::{Effect, Notice, Trouble};
use super::health::{BACKOFF_MAX, Health, Source, State, has_failed, is_suspect, suspect_at};
use super::next::{Next, Why};
use super::session::Session;
use super::slate::Showing;
use super::track::Track;
use super::watch::Silence;

impl Channel {
    /// Looks at all sessions and decides.
    pub(super) fn supervise(&mut self, now: Time) {
        self.ask_again(now);
        self.judge_nexts(now);
        self.judge_current(now);
        self.begin_nexts(now);
        self.show_slate(now);
        self.tell_health(now);
        let state = self.state_now(now);
        if state != self.state {
            self.state = state;
            self.out.push(Effect::Notice(Notice::State(state)));
        }
    }

    /// When supervision looks next, if nothing arrives before: when the source on air would be late, or
    /// a few times in each target duration while anything is in doubt.
    pub(super) fn look_at(&self, now: Time) -> Time {
        let target = self
            .current
            .as_ref()
            .map_or(Duration::from_secs(2), Session::target);
        let often = now + (target / 8).max(Duration::from_millis(100));
        match &self.current {
            Some(current) if self.nexts.is_empty() && self.state == State::Live => {
                suspect_at(current).unwrap_or(often).max(now)
            }
            _ => often,
        }
    }

    /// Its failure costs a source of its budget.
    pub(super) fn spend(&mut self, now: Time, index: usize) {
        let target = self.target_duration();
        let chance = &mut self.chance;
        self.sources[index].failed(now, target, |low, high| chance.between(low, high));
    }

    /// Its session on air is left for another source's.
    pub(super) fn leave(&mut self, now: Time, session: &Session) {
        let index = session.source;
        if self.sources[index].health != Health::Failed {
            self.tell_silence(index, Silence::of(session, now));
        }
        self.spend(now, index);
    }

    pub(super) fn fail(&mut self, now: Time, index: usize, code: &'static str, detail: String) {
        self.spend(now, index);
        self.sources[index].why = Some(detail.clone());
        self.out.push(Effect::Notice(Notice::Trouble(Trouble {
            code,
            source: index,
            detail,
        })));
    }

    /// What cannot be played is not asked for again soon: it is likely to be as it was.
    pub(super) fn refuse(&mut self, now: Time, index: usize, reason: String) {
        self.fail(now, index, "source_refused", reason);
        self.sources[index].rest(now, Some(BACKOFF_MAX));
    }

    /// 429 and 509 are meant for the account: all its sources are left alone.
    pub(super) fn rest(&mut self, now: Time, index: usize, wish: Option<Duration>) {
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
            self.refuse(now, index, reason);
            return;
        }
        if let Some(wish) = current.rest_wish.take() {
            self.end_current();
            let detail = "its provider asks to be left alone".to_owned();
            self.fail(now, index, "source_failed", detail);
            self.rest(now, index, wish);
            return;
        }
        if current.is_over() {
            self.end_current();
            self.sources[index].ended(now);
            return;
        }
        let health = if has_failed(current, now, Duration::ZERO) {
            Health::Failed
        } else if is_suspect(current, now) {
            Health::Suspect
        } else {
            Health::Healthy
        };
        let silence = Silence::of(current, now);
        if health == Health::Failed && self.sources[index].health != Health::Failed {
            self.tell_silence(index, silence);
        }
        self.sources[index].seen(now, health);
    }

    /// Makes other sources ready as long as that is needed, and lets them go when it is not.
    fn begin_nexts(&mut self, now: Time) {
        if self.is_over(now) {
            return self.end();
        }
        let Some(current) = &self.current else {
            return self.begin_in_doubt(now);
        };
        let (index, target) = (current.source, current.target());
        if self.sources[index].health != Health::Healthy {
            return self.begin_in_doubt(now);
        }
        let doubt = |next: &Next| next.why == Why::Doubt;
        // It was nothing, and was not for a while: the others are let go.
        if self.sources[index].healthy_for(now) >= target * 2 {
            let ready = self
                .nexts
                .iter()
                .position(|next| doubt(next) && next.is_ready());
            let first = ready.or_else(|| self.nexts.iter().position(doubt));
            let kept = first.filter(|_| self.settings.warm_standby);
            for at in (0..self.nexts.len()).rev() {
                if doubt(&self.nexts[at]) && Some(at) != kept {
                    self.let_go(at);
                }
            }
        }
        if self.settings.return_after.is_some() {
            self.begin_return(now, index);
        }
        if self.settings.warm_standby && self.nexts.is_empty() {
            self.begin_in_doubt(now);
        }
    }

    /// Looks at a source that is preferred to the one on air; one that stands by is looked at already.
    fn begin_return(&mut self, now: Time, on_air: usize) {
        let preferred = |next: &&mut Next| next.session.source < on_air && next.why == Why::Doubt;
        if let Some(next) = self.nexts.iter_mut().find(preferred) {
            next.why = Why::Return;
        } else if self.nexts.iter().all(|next| next.why == Why::Doubt) {
            let mut preferred = 0..on_air;
            if let Some(better) = preferred.find(|&at| self.sources[at].may_be_tried(now)) {
                self.begin(now, better, Why::Return);
            }
        }
    }

    /// Whether every source has ended its playlist, and none has begun again since.
    fn is_over(&self, now: Time) -> bool {
        let ended = |source: &Source| source.health == Health::Ended && !source.may_be_tried(now);
        let over = self.tracks.values().any(|track| track.timeline.ended());
        let idle = self.current.is_none() && self.nexts.is_empty();
        idle && (over || self.sources.iter().all(ended))
    }

    fn end(&mut self) {
        let open = |track: &&mut Track| !track.timeline.ended();
        for track in self.tracks.values_mut().filter(open) {
            track.timeline.end();
            let track = track.id.clone();
            self.out.push(Effect::Changed { track });
        }
    }

    pub(super) fn target_duration(&self) -> Duration {
        Duration::from_secs(self.target_duration_s.unwrap_or(2))
    }

    /// Whether anybody watches a track of ours.
    pub(super) fn is_watched(&self) -> bool {
        let ladder = self.ladder.as_ref();
        ladder.is_some_and(|ladder| self.demand.iter().any(|track| ladder.has(track)))
    }

    /// Begins the slate before players run dry, and goes on with it while nothing else comes. A source in
    /// good health whose segments are longer than the channel's brings several at once, and then none for a while.
    fn show_slate(&mut self, now: Time) {
        let Some(last) = self.last_publish else {
            return;
        };
        if self.settings.slate.is_none() || self.is_over(now) {
            return;
        }
        // Nobody plays any of its tracks, or it is held for a manual switch.
        let current = self.current.as_ref();
        if current.is_some_and(|current| current.feeds.is_empty() || current.has_settled()) {
            return;
        }
        // Tracks that are played again have been waited for since then.
        let last = last.max(current.map_or(last, Session::taken_at));
        let is_well = |of: &&Session| self.sources[of.source].health == Health::Healthy;
        let well = current.filter(is_well);
        let expected = well.map_or(Duration::ZERO, Session::target) * 7 / 4;
        let dry = self.target_duration() * 9 / 4;
        if self.slate.is_none() && now - last > dry.max(expected) {
            // One track may hold what the other lacks, and they would go on apart: they begin anew together.
            if current.is_some_and(Session::keeps_step)
                && let Some(old) = self.end_current()
            {
                self.leave(now, &old);
            }
            self.generation += 1;
            self.slate = Some(Showing::new(now, self.generation, self.target_duration()));
        }
    }

    fn state_now(&self, now: Time) -> State {
        if self.slate.is_some() {
            return State::Slate;
        }
        if self.is_over(now) {
            return State::Ended;
        }
        let Some(current) = &self.current else {
            return match (self.tracks.is_empty(), self.nexts.is_empty()) {
                (true, _) => State::Starting,
                (false, true) => State::Down,
                (false, false) => State::Switching,
            };
        };
        let manual = self.nexts.iter().any(|next| next.why == Why::Manual);
        match (self.sources[current.source].health, self.nexts.first()) {
            _ if manual => State::Switching,
            (Health::Failed, Some(_)) => State::Switching,
            (Health::Failed, None) => State::Down,
            (Health::Suspect, _) if is_suspect(current, now) => State::Suspect,
            _ => State::Live,
        }
    }
}
