//! The channel state machine: which source is on air, what is fetched from it, what players get.
//!
//! [`Channel::step`] takes what happened and returns what to do; it never waits and never does
//! anything itself, so that a simulator can run years of failures in seconds. The driver carries
//! effects out and reads timelines and status afterwards.
//!
//! One source is on air: the *current* session. A few more may be made ready beside it: the *next*
//! sessions, for a manual switch or because the current one is in doubt. A switch is the moment when
//! one of them becomes the current; nothing of the old one is published after it.

mod chance;
mod cursor;
mod cutter;
mod event;
mod feed;
mod flow;
mod health;
mod ladder;
mod next;
mod objects;
mod scout;
mod session;
mod slate;
mod sources;
mod supervise;
#[cfg(test)]
mod tests;
mod track;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::Time;
use url::Url;

pub use cutter::{Aim, Cutter, PROBE, Piece, SourceKind};
pub use event::{
    Effect, Event, Failure, FetchId, Fetched, Notice, Order, Protection, SwitchTo, Trouble, What,
};
pub use health::{Health, State};
pub use ladder::VariantFilter;
pub use slate::{BadSlate, Slate};
pub use watch::{Breaker, Failover, SourceReport, Step};

use crate::timeline::{Timeline, Window};
use chance::Chance;
use feed::Published;
use health::Source;
use ladder::Ladder;
use next::Next;
use session::{Context, Session};
use slate::Showing;
use track::Track;

/// An output track's name in URLs: `main`, or `v0`, `a0`, `s0`, `i0`… of a multivariant playlist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(Arc<str>);

impl TrackId {
    /// The only track of a channel without a multivariant playlist.
    pub fn main() -> Self {
        Self("main".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TrackId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for TrackId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

/// What a channel is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much each track lists and keeps.
    pub window: Window,
    /// Segments in the first playlist of a cold channel.
    pub prime_segments: usize,
    /// Which variants are offered.
    pub variants: VariantFilter,
    /// `EXT-X-TARGETDURATION`; 0: from the sources.
    pub target_duration_s: u64,
    /// What plays while no source brings anything.
    pub slate: Option<Arc<Slate>>,
    /// Keep the next source ready all the time, at the price of its traffic.
    pub warm_standby: bool,
    /// Go back to a preferred source once it was healthy for so long beside the one on air.
    pub return_after: Option<Duration>,
    /// For jitter.
    pub seed: u64,
}

/// A source as the machine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDef {
    /// The playlist.
    pub url: Url,
    /// What stays the same while tokens change; kept in [`Position`].
    pub identity: String,
    /// The provider's account whose streams are counted.
    pub account: Option<String>,
}

/// Where a track's numbers stand: what has to survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the next segment.
    pub next_msn: u64,
    /// First number of the newest playlist.
    pub head_msn: u64,
    /// Discontinuity sequence number of the newest segment.
    pub dsn: u64,
    /// The newest segment that began with a discontinuity; 0: none.
    pub discontinuity_msn: u64,
    /// [`SourceDef::identity`] of the newest segment's source.
    pub source: String,
    /// The newest segment's number in its source.
    pub source_msn: u64,
    /// The newest segment's file name in its source.
    pub source_name: String,
    /// `EXT-X-TARGETDURATION`.
    pub target_duration_s: u64,
}

/// One live channel.
#[derive(Debug)]
pub struct Channel {
    settings: Settings,
    sources: Vec<Source>,
    state: State,
    ladder: Option<Ladder>,
    tracks: BTreeMap<TrackId, Track>,
    /// Fixed with the first segment.
    target_duration_s: Option<u64>,
    /// From before a restart, until each track goes on from it.
    positions: HashMap<TrackId, Position>,
    /// The newest segment of each source and track that players got.
    published: HashMap<(usize, TrackId), Published>,
    current: Option<Session>,
    /// Made ready beside it.
    nexts: Vec<Next>,
    slate: Option<Showing>,
    /// Asking the other sources of a cold channel for their target durations.
    scouts: Vec<Session>,
    scouted: bool,
    demand: Vec<TrackId>,
    generation: u64,
    serial: u64,
    chance: Chance,
    last_publish: Option<Time>,
    wake_at: Time,
    out: Vec<Effect>,
}

impl Channel {
    /// A cold channel with at least one source, first the preferred one. `generation` is the last
    /// one that was used, `positions` are what the store kept.
    pub fn new(
        settings: Settings,
        sources: Vec<SourceDef>,
        generation: u64,
        positions: HashMap<TrackId, Position>,
    ) -> Self {
        let chance = Chance::new(settings.seed);
        Self {
            settings,
            sources: sources.into_iter().map(Source::new).collect(),
            state: State::Starting,
            ladder: None,
            tracks: BTreeMap::new(),
            target_duration_s: None,
            positions,
            published: HashMap::new(),
            current: None,
            nexts: Vec::new(),
            slate: None,
            scouts: Vec::new(),
            scouted: false,
            demand: Vec::new(),
            generation,
            serial: 0,
            chance,
            last_publish: None,
            wake_at: Time::ZERO,
            out: Vec::new(),
        }
    }

    /// Takes what happened and returns what to do, in order.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Effect> {
        match event {
            Event::Tick => {}
            Event::Demand(tracks) => self.demand = tracks,
            Event::Switch(to) => self.switch(now, to),
            Event::Sources(defs) => self.set_sources(defs),
            Event::Fetched(id, outcome) => self.fetched(now, id, outcome),
            Event::Relinked { source, url } => self.relinked(now, source, &url),
            Event::Slot {
                generation,
                granted,
            } => self.slot_answered(now, generation, granted),
        }
        self.supervise(now);
        self.scout(now);
        self.poll(now);
        self.publish(now);
        self.publish_slate(now);
        self.wake_at = self.next_wake(now);
        std::mem::take(&mut self.out)
    }

    /// When the machine wants its next [`Event::Tick`].
    pub fn wake_at(&self) -> Time {
        self.wake_at
    }

    /// The multivariant playlist, if the channel has one.
    pub fn multivariant(&self) -> Option<&str> {
        match &self.ladder {
            Some(Ladder::Multi(multi)) => Some(&multi.text),
            _ => None,
        }
    }

    /// What `extra-{n}.bin` of the multivariant playlist stands for.
    pub fn extras(&self) -> &[Url] {
        match &self.ladder {
            Some(Ladder::Multi(multi)) => &multi.extras,
            _ => &[],
        }
    }

    /// The tracks that the channel offers; empty until its first source answered.
    pub fn track_ids(&self) -> Vec<TrackId> {
        self.ladder
            .as_ref()
            .map(Ladder::track_ids)
            .unwrap_or_default()
    }

    /// What players see of a track.
    pub fn timeline(&self, track: &TrackId) -> Option<&Timeline> {
        self.tracks.get(track).map(|track| &track.timeline)
    }

    /// Where a track's numbers stand.
    pub fn position(&self, track: &TrackId) -> Option<&Position> {
        self.tracks.get(track)?.position()
    }

    /// Whether a track lists what a player should find at first: `prime_segments`, or what the source
    /// had, or what came within a target duration. Players that know the list from before a restart
    /// must find all of it again.
    pub fn is_primed(&self, now: Time, track: &TrackId) -> bool {
        let Some(shown) = self.tracks.get(track) else {
            return false;
        };
        let feed = self
            .current
            .as_ref()
            .and_then(|session| session.feeds.get(track));
        let Some(feed) = feed.filter(|feed| !feed.slots.is_empty()) else {
            return true;
        };
        let enough = !feed.resumed && shown.timeline.listed().len() >= self.settings.prime_segments;
        let waited = shown
            .began()
            .is_some_and(|began| now - began > shown.timeline.target_duration());
        enough || waited
    }

    /// What the channel does.
    pub fn state(&self) -> State {
        self.state
    }

    /// Index of the source that players get.
    pub fn on_air(&self) -> Option<usize> {
        self.current.as_ref().map(|session| session.source)
    }

    /// The newest session's number.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How each source does, in order.
    pub fn health(&self) -> impl Iterator<Item = (&SourceDef, Health)> {
        self.sources
            .iter()
            .map(|source| (&source.def, source.health))
    }

    /// Sessions of the source go on from its fresh link; one that rests gets another chance.
    fn relinked(&mut self, now: Time, index: usize, url: &Url) {
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        source.renew(url.clone());
        let nexts = self.nexts.iter_mut().map(|next| &mut next.session);
        let sessions = self.current.iter_mut().chain(nexts);
        for session in sessions.filter(|session| session.source == index) {
            session.relink(now, url);
        }
    }

    fn fetched(&mut self, now: Time, id: FetchId, outcome: Result<Fetched, Failure>) {
        let is_asking = |session: &Session| session.generation == id.generation;
        if self.scouts.iter().any(is_asking) {
            let mut outcome = Some(outcome);
            return self.with_scouts(now, |scout, context| {
                if let Some(outcome) = outcome.take_if(|_| is_asking(scout)) {
                    scout.fetched(context, id.serial, outcome);
                }
            });
        }
        let current = self
            .current
            .as_mut()
            .filter(|session| session.generation == id.generation);
        let mut nexts = self.nexts.iter_mut().map(|next| &mut next.session);
        let Some(session) =
            current.or_else(|| nexts.find(|session| session.generation == id.generation))
        else {
            return;
        };
        let aim = aim(self.target_duration_s, &self.settings);
        let mut context = Context {
            now,
            out: &mut self.out,
            chance: &mut self.chance,
            serial: &mut self.serial,
            ladder: &mut self.ladder,
            filter: self.settings.variants,
            aim,
        };
        session.fetched(&mut context, id.serial, outcome);
    }

    /// Lets both sessions ask for what is due.
    fn poll(&mut self, now: Time) {
        let aim = aim(self.target_duration_s, &self.settings);
        let mut context = Context {
            now,
            out: &mut self.out,
            chance: &mut self.chance,
            serial: &mut self.serial,
            ladder: &mut self.ladder,
            filter: self.settings.variants,
            aim,
        };
        let nexts = self.nexts.iter_mut().filter(|next| next.may_fetch());
        for session in self
            .current
            .iter_mut()
            .chain(nexts.map(|next| &mut next.session))
        {
            session.poll(&mut context, &self.demand);
        }
        if !self.scouts.is_empty() {
            let demand = self.demand.clone();
            self.with_scouts(now, |scout, context| scout.poll(context, &demand));
        }
    }

    /// Publishes what is settled of the session on air.
    fn publish(&mut self, now: Time) {
        if !self.current.as_ref().is_some_and(Session::has_settled) || self.is_held(now) {
            return;
        }
        let Some(mut session) = self.current.take() else {
            return;
        };
        let ids: Vec<TrackId> = session.feeds.keys().cloned().collect();
        for id in &ids {
            if let Some(known) = self.published.get(&(session.source, id.clone())) {
                session.skip_published(id, known);
            }
            while session.refused.is_none() {
                let Some(settled) = session.take_settled(now, id) else {
                    break;
                };
                self.publish_one(now, &mut session, id, settled);
            }
        }
        self.current = Some(session);
    }

    fn publish_one(
        &mut self,
        now: Time,
        session: &mut Session,
        id: &TrackId,
        settled: session::Settled,
    ) {
        let source = session.source;
        let (msn, uri) = (settled.slot.segment.msn, settled.slot.segment.uri.clone());
        let wanted_s = session.feeds.get(id).map_or(1, |feed| feed.target_s);
        let identity = self.sources[source].def.identity.clone();
        let track = self.track(id, wanted_s);
        let mut out = Vec::new();
        match track.publish(now, session, settled, &identity, &mut out) {
            Ok(()) => {
                let name = feed::file_name(&uri).to_owned();
                let published = Published {
                    msn,
                    name,
                    resume: false,
                };
                self.published.insert((source, id.clone()), published);
                if out.iter().any(|it| matches!(it, Effect::Publish { .. })) {
                    self.last_publish = Some(now);
                    self.slate = None;
                    session.short = self.missing(now);
                }
                if self
                    .tracks
                    .get(id)
                    .is_some_and(|track| track.timeline.is_crowded())
                {
                    let reason = "its segments last next to nothing";
                    session.refused = Some(reason.to_owned());
                }
            }
            Err(error) => session.refused = Some(error.to_string()),
        }
        self.out.append(&mut out);
    }

    /// The track, made with the numbers that it had before a restart.
    fn track(&mut self, id: &TrackId, wanted_s: u64) -> &mut Track {
        if !self.tracks.contains_key(id) {
            let position = self.positions.remove(id);
            let known = position
                .as_ref()
                .map_or(0, |position| position.target_duration_s);
            let channel_s = self
                .target_duration_s
                .unwrap_or(self.settings.target_duration_s)
                .max(known);
            let target_s = channel_s.max(wanted_s).max(self.scouted_s());
            self.target_duration_s.get_or_insert(target_s);
            let (next_msn, dsn) = position
                .as_ref()
                .map_or((0, 0), |position| (position.next_msn, position.dsn));
            let timeline = Timeline::new(self.settings.window, target_s, next_msn, dsn);
            self.tracks
                .insert(id.clone(), Track::new(id.clone(), timeline, position));
        }
        self.tracks.get_mut(id).expect("inserted above")
    }

    fn next_wake(&self, now: Time) -> Time {
        let nexts = self.nexts.iter();
        let sessions = self.current.iter().chain(nexts.clone().map(|n| &n.session));
        let sessions = sessions.chain(&self.scouts);
        let due = sessions.filter_map(|session| session.wake_after(now)).min();
        let slot = nexts.filter_map(Next::ask_at).min();
        let slate = self.slate.as_ref().map(|showing| showing.due);
        let look = self.look_at(now);
        let wakes = [due, slot, slate].into_iter().flatten();
        wakes.fold(look, Time::min).max(now)
    }
}

/// How a source that is a stream is to be cut: as the channel's segments are, if they are known.
fn aim(fixed_s: Option<u64>, settings: &Settings) -> Aim {
    let configured = Some(settings.target_duration_s).filter(|target_s| *target_s > 0);
    Aim {
        target_s: fixed_s.or(configured),
        hasty: fixed_s.is_some(),
    }
}
