//! Sources that are made ready beside the one on air: begun one after the other, dropped when they
//! bring nothing, put on air when it is their turn. Each has the slot of its account first.

use std::collections::HashMap;
use std::time::Duration;

use base::Time;

use super::event::{Effect, Notice, SwitchTo, Trouble};
use super::feed::Lead;
use super::health::{Health, Source, has_failed, is_suspect};
use super::session::Session;
use super::{Channel, Published, TrackId};

/// A session that is made ready.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) session: Session,
    pub(super) why: Why,
    slot: Slot,
    /// How long it took to be ready.
    head_start: Option<Duration>,
    /// The source on air publishes nothing until then, so that a manual switch is the next thing that
    /// players see.
    hold_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing has played yet.
    Start,
    Manual,
    /// Nothing is on air, or what is may not last.
    Doubt,
    /// The preferred source may be back.
    Return,
}

/// The account's permission to open a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Granted,
    Asked { since: Time, again_at: Option<Time> },
}

/// Sources that are made ready at once: the one whose turn it is hangs as often as not.
const NEXT_MAX: usize = 3;
/// Target durations that a source begins with when it takes over from a failed one, at most.
const CATCH_UP_MAX: u32 = 8;
/// How often a full account is asked again while its old stream is being closed.
const SLOT_RETRY: Duration = Duration::from_millis(50);
const SLOT_PATIENCE: Duration = Duration::from_secs(2);
/// Before the first segment, the preferred source has so long for itself.
const START_ALONE: Duration = Duration::from_secs(2);

impl Next {
    pub(super) fn may_fetch(&self) -> bool {
        self.slot == Slot::Granted
    }

    pub(super) fn is_ready(&self) -> bool {
        self.head_start.is_some()
    }

    /// When its account is asked again.
    pub(super) fn ask_at(&self) -> Option<Time> {
        match self.slot {
            Slot::Asked { again_at, .. } => again_at,
            Slot::Granted => None,
        }
    }
}

impl Channel {
    /// Whether the session on air must wait for a manual switch.
    pub(super) fn is_held(&self, now: Time) -> bool {
        let mut nexts = self.nexts.iter();
        nexts.any(|next| next.why == Why::Manual && now < next.hold_until)
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
        self.let_all_go();
        self.begin(now, index, why);
    }

    pub(super) fn begin(&mut self, now: Time, index: usize, why: Why) {
        self.generation += 1;
        self.sources[index].tried(now);
        let own = self.current.as_ref().is_some_and(|c| c.source == index);
        let target = self.target_duration();
        let start = match why {
            Why::Start if self.tracks.is_empty() => {
                Lead::AtLeast(self.settings.prime_segments, Duration::ZERO)
            }
            Why::Manual => Lead::AtMost(self.lag(now)),
            _ if own => Lead::AtLeast(0, target * CATCH_UP_MAX),
            // By the time that it is needed, one more will be missing.
            Why::Start | Why::Doubt | Why::Return => Lead::AtLeast(2, self.missing(now) + target),
        };
        let published = self.published_of(index);
        let def = &self.sources[index].def;
        let url = def.url.clone();
        let mut session = Session::new(now, self.generation, index, url, start, published);
        session.wary = self.sources[index].is_doubted();
        session.counted = self.sources[index].def.account.is_some();
        let slot = match &def.account {
            None => Slot::Granted,
            Some(_) => {
                self.acquire(self.generation, index);
                Slot::Asked {
                    since: now,
                    again_at: None,
                }
            }
        };
        // Players hear of the next segment late enough that they must not lack more.
        let hold = (target * 2).saturating_sub(self.missing(now));
        self.nexts.push(Next {
            session,
            why,
            slot,
            head_start: None,
            hold_until: now + hold.max(target * 3 / 2),
        });
    }

    /// Begins the next source of the list while players may run dry: one after the other, so that the
    /// first has a moment for itself, but beside each other, since the first may hang.
    pub(super) fn begin_in_doubt(&mut self, now: Time) {
        let manual = |next: &Next| next.why == Why::Manual;
        if self
            .nexts
            .iter()
            .any(|next| next.is_ready() || manual(next))
        {
            return;
        }
        let open = self.nexts.iter().filter(|next| next.may_fetch());
        let newest = open.clone().max_by_key(|next| next.session.started);
        let waits = newest.is_some_and(|next| now - next.session.started < self.stagger(next));
        if open.count() >= NEXT_MAX || waits {
            return;
        }
        let cold = self.current.is_none() && self.tracks.is_empty();
        let why = if cold { Why::Start } else { Why::Doubt };
        if let Some(index) = self.candidate(now) {
            self.begin(now, index, why);
        }
    }

    /// The source whose turn it is. That on air is its own successor, from its very link, when its
    /// variants have been silent for long and there is no other.
    pub(super) fn candidate(&self, now: Time) -> Option<usize> {
        let account = |index: usize| self.sources[index].def.account.as_deref();
        let is_next = |index: usize| self.nexts.iter().any(|next| next.session.source == index);
        // Who waits for a stream of the account comes first.
        let waits = |name: &str| {
            let waiting = self.nexts.iter().filter(|next| !next.may_fetch());
            waiting
                .map(|next| account(next.session.source))
                .any(|of| of == Some(name))
        };
        let own = self.current.as_ref().map(|current| current.source);
        let all = self.sources.iter().enumerate();
        let free = all.filter(|(index, source)| {
            let barred = is_next(*index) || account(*index).is_some_and(waits);
            Some(*index) != own && !barred && source.may_be_tried(now)
        });
        let other = free
            .min_by_key(|(index, source)| (source.turn(now), *index))
            .map(|(index, _)| index);
        let silent = |current: &&Session| {
            current.is_multi() && current.stalled_for(now) > current.target() * 3
        };
        let own = self.current.as_ref().filter(silent).map(|c| c.source);
        // An account's slots are counted by source.
        let again = |index: &usize| {
            !is_next(*index) && account(*index).is_none() && self.sources[*index].may_be_tried(now)
        };
        other.or(own.filter(again))
    }

    /// How long the newest has for itself.
    fn stagger(&self, newest: &Next) -> Duration {
        match self.target_duration_s {
            Some(target_s) if !self.tracks.is_empty() => Duration::from_secs(target_s) / 4,
            _ => START_ALONE + newest.session.cutting_takes(),
        }
    }

    /// Puts the first on air that is ready and wanted, and drops those that come to nothing.
    pub(super) fn judge_nexts(&mut self, now: Time) {
        let watched = self.is_watched();
        let on_air = self.current.as_ref().map(|current| current.source);
        let catch_up = self.target_duration() * CATCH_UP_MAX;
        let lags = self.lag(now);
        for next in self.nexts.iter_mut().filter(|next| next.may_fetch()) {
            let session = &mut next.session;
            if let Some(target_s) = self.target_duration_s {
                session.refuse_misfit(target_s);
            }
            if on_air.is_some_and(|on_air| on_air != session.source) {
                session.keep_newest(catch_up);
                // Not for ever: the two may be just so far apart.
                if next.why == Why::Manual && now < next.hold_until {
                    session.begin_level(|at| lags.saturating_sub(now - at));
                }
            }
            let ready = session.refused.is_none()
                && session.is_ready(now, watched)
                && (next.why == Why::Start || !session.has_ended());
            if !ready {
                next.head_start = None;
            } else if next.head_start.is_none() {
                next.head_start = Some(now - session.started);
            }
        }
        if let Some(at) = (0..self.nexts.len()).find(|&at| self.is_due(now, &self.nexts[at])) {
            return self.promote(now, at);
        }
        let mut at = 0;
        while at < self.nexts.len() {
            match self.gave_up(now, &self.nexts[at]) {
                Some(reason) => self.drop_next(now, at, reason),
                None => at += 1,
            }
        }
    }

    fn is_due(&self, now: Time, next: &Next) -> bool {
        let Some(head_start) = next.head_start else {
            return false;
        };
        let Some(current) = &self.current else {
            return true;
        };
        let proof = self.settings.return_after.unwrap_or(Duration::MAX);
        let proven = now - next.session.started >= proof && !is_suspect(&next.session, now);
        match next.why {
            Why::Start | Why::Manual => true,
            Why::Return if proven => true,
            Why::Doubt | Why::Return => has_failed(current, now, head_start),
        }
    }

    /// Why the session that is made ready will not be.
    fn gave_up(&self, now: Time, next: &Next) -> Option<String> {
        if !next.may_fetch() {
            return None;
        }
        let session = &next.session;
        if let Some(reason) = &session.refused {
            return Some(reason.clone());
        }
        if session.rest_wish.is_some() {
            return Some("its provider asks to be left alone".to_owned());
        }
        let failures_max = match next.why {
            Why::Manual => 2,
            Why::Start => 1,
            Why::Doubt | Why::Return => 0,
        };
        if session.load_failures() > failures_max {
            return Some("its playlist cannot be loaded".to_owned());
        }
        if next.is_ready() {
            let failed = has_failed(session, now, Duration::ZERO);
            return failed.then(|| "it stopped bringing segments".to_owned());
        }
        if next.why != Why::Start && session.has_ended() {
            return Some("its playlist has ended".to_owned());
        }
        if session.segment_failures() > 0 {
            return Some("its segments are unusable".to_owned());
        }
        let patience = match self.is_crowded(next) {
            true => self.sources[session.source].patience(session.target()),
            false => (session.target() * 3).max(Duration::from_secs(6)),
        };
        let patience = patience + session.cutting_takes();
        let late = now - session.started > patience;
        late.then(|| format!("no segment within {patience:?}"))
    }

    /// Whether another source waits for the place that this one takes.
    fn is_crowded(&self, next: &Next) -> bool {
        let account = |next: &Next| self.sources[next.session.source].def.account.as_ref();
        let mut nexts = self.nexts.iter();
        let waits = |other: &Next| !other.may_fetch() && account(other) == account(next);
        let places = self.sources.len() > NEXT_MAX + 1 && self.nexts.len() >= NEXT_MAX;
        next.why != Why::Manual && (places || nexts.any(waits))
    }

    fn promote(&mut self, now: Time, at: usize) {
        let missing = self.missing(now);
        let Next {
            mut session, why, ..
        } = self.nexts.remove(at);
        if let Some(old) = self.end_current() {
            if why == Why::Doubt && old.source != session.source {
                self.leave(now, &old);
            }
            // Of the same source nothing is passed over.
            if why != Why::Manual && old.source != session.source {
                session.keep_newest(missing);
            }
        } else if !self.tracks.is_empty() {
            session.keep_newest(missing);
        }
        session.begin_in_step();
        self.let_all_go();
        self.sources[session.source].seen(now, Health::Healthy);
        let (source, generation) = (session.source, session.generation);
        self.out
            .push(Effect::Notice(Notice::OnAir { source, generation }));
        self.current = Some(session);
    }

    /// How much players are short of: a switch should leave them with as much as they began with, three
    /// target durations behind the live edge.
    pub(super) fn missing(&self, now: Time) -> Duration {
        let tracks = self.tracks.values();
        let missing =
            tracks.filter_map(|track| Some(track.hold_back().saturating_sub(track.lead(now)?)));
        missing.min().unwrap_or_default()
    }

    /// How much less media was listed than time has passed since players began. A manual switch makes good
    /// just that, to the nearest segment: they are neither left with less nor behind the live edge by more.
    fn lag(&self, now: Time) -> Duration {
        let lag = self.tracks.values().filter_map(|track| track.lag(now));
        lag.min().unwrap_or_default()
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

    pub(super) fn end_current(&mut self) -> Option<Session> {
        let old = self.current.take()?;
        self.out.push(Effect::Abandon {
            generation: old.generation,
        });
        Some(old)
    }

    pub(super) fn let_all_go(&mut self) {
        while !self.nexts.is_empty() {
            self.let_go(0);
        }
    }

    /// Drops a session that is not needed any more.
    pub(super) fn let_go(&mut self, at: usize) -> Next {
        let next = self.nexts.remove(at);
        self.out.push(Effect::Abandon {
            generation: next.session.generation,
        });
        next
    }

    fn drop_next(&mut self, now: Time, at: usize, reason: String) {
        let next = self.let_go(at);
        let (index, wish) = (next.session.source, next.session.rest_wish);
        if next.session.has_ended() {
            self.sources[index].ended(now);
            return;
        }
        match (next.why, &next.session.refused) {
            (Why::Manual, _) => self.fail(now, index, "switch_failed", reason),
            (_, Some(_)) => self.refuse(now, index, reason),
            _ => self.fail(now, index, "source_failed", reason),
        }
        if let Some(wish) = wish {
            self.rest(now, index, wish);
        }
    }

    /// The account of a next session answered.
    pub(super) fn slot_answered(&mut self, now: Time, generation: u64, granted: bool) {
        let of = |next: &Next| next.session.generation == generation;
        let Some(at) = self.nexts.iter().position(of) else {
            return;
        };
        let Slot::Asked { since, .. } = self.nexts[at].slot else {
            return;
        };
        if granted {
            self.nexts[at].slot = Slot::Granted;
            self.nexts[at].session.started = now;
            return;
        }
        let index = self.nexts[at].session.source;
        if now - since > SLOT_PATIENCE && !self.holds_slot_of(index) {
            // No fault of the source: it keeps its place, and its budget.
            self.let_go(at);
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
        self.release_for(now, at);
        let (since, wait) = match self.holds_slot_of(index) {
            true => (now, self.nexts[at].session.target() / 8),
            false => (since, SLOT_RETRY),
        };
        self.nexts[at].slot = Slot::Asked {
            since,
            again_at: Some(now + wait.max(SLOT_RETRY)),
        };
    }

    /// Asks for slots again.
    pub(super) fn ask_again(&mut self, now: Time) {
        for at in 0..self.nexts.len() {
            let Slot::Asked { since, again_at } = self.nexts[at].slot else {
                continue;
            };
            let Some(again_at) = again_at else { continue };
            if self.release_for(now, at) || again_at <= now {
                let session = &self.nexts[at].session;
                self.acquire(session.generation, session.source);
                self.nexts[at].slot = Slot::Asked {
                    since,
                    again_at: None,
                };
            }
        }
    }

    fn acquire(&mut self, generation: u64, source: usize) {
        self.out.push(Effect::Acquire { generation, source });
    }

    /// Whether a session of ours has a stream of the same account.
    fn holds_slot_of(&self, index: usize) -> bool {
        let account = &self.sources[index].def.account;
        let open = self.nexts.iter().filter(|next| next.may_fetch());
        let sessions = self.current.iter().chain(open.map(|next| &next.session));
        sessions
            .map(|session| &self.sources[session.source].def.account)
            .any(|of| of == account)
    }

    /// Ends what is on air if the waiting session needs its slot, and it has failed. The other source is
    /// made ready only then, with what is left of players' hold-back: it comes sooner by what that may
    /// take, yet not before the playlist that is asked for after half a target duration of silence is there.
    fn release_for(&mut self, now: Time, at: usize) -> bool {
        let next = &self.nexts[at];
        let account = &self.sources[next.session.source].def.account;
        let Some(current) = &self.current else {
            return false;
        };
        let same = self.sources[current.source].def.account == *account;
        let head_start = current.target() / 4;
        let wanted = next.why == Why::Manual || has_failed(current, now, head_start);
        if !same || !wanted {
            return false;
        }
        let why = next.why;
        let old = self.end_current();
        if let Some(old) = old.filter(|_| why != Why::Manual) {
            self.leave(now, &old);
        }
        true
    }
}
