//! The task that owns a running channel: it feeds the state machine with what happens and does what
//! the machine asks for. It decides nothing about sources.

mod notices;
mod relink;
mod sources;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::Time;
use bytes::Bytes;
use hls::channel::{
    Channel as Machine, Effect, Event, Fetched, Notice, Order, Slate, SourceDef, SwitchTo, TrackId,
};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::accounts::Slot;
use crate::channel::Channel;
use crate::demand::TRACK_IDLE;
use crate::links::Links;
use crate::numbers;
use crate::spec::SourceSpec;
use crate::status::{ErrorNote, FailoverStatus, Status};
use crate::stream::{Outcome, Parts};
use crate::upstream::{Upstream, Upstreams, identity};
use crate::view::{Body, Rendered, TrackView, View};
use relink::Done;

/// What an administrator or a request asks of a running channel.
#[derive(Debug)]
pub(crate) enum Command {
    Switch {
        index: usize,
        source: SourceSpec,
    },
    /// All sources, those that were switched to by hand last; answered when it is so.
    Sources {
        all: Vec<SourceSpec>,
        answer: oneshot::Sender<()>,
    },
    Stop,
    Extra {
        index: usize,
        answer: oneshot::Sender<Option<Bytes>>,
    },
}

pub(crate) struct Driver {
    channel: Arc<Channel>,
    machine: Machine,
    sources: Vec<SourceSpec>,
    upstreams: Upstreams,
    links: Links,
    /// Sessions that hold a slot of their source's account, with the source.
    slots: HashMap<u64, usize>,
    manners: fetch::Manners,
    fetches: JoinSet<Done>,
    /// What open streams bring, and where they bring it.
    pieces: mpsc::Receiver<Outcome>,
    parts: Parts,
    running: HashMap<u64, Vec<AbortHandle>>,
    tracks: HashMap<TrackId, Stored>,
    changed: HashSet<TrackId>,
    view: View,
    errors: Vec<ErrorNote>,
    /// When the log last spoke of a source's trouble.
    warned: HashMap<(usize, &'static str), Time>,
    /// As many as the multivariant playlist names.
    extras: HashMap<usize, Arc<OnceCell<Bytes>>>,
    /// What effects brought at once, for the machine.
    answers: Vec<Event>,
    /// The source that an administrator asked for, until it is on air.
    by_hand: Option<usize>,
    was_on_air: Option<usize>,
    /// Told to stop, whoever watches.
    ending: bool,
}

/// A track's bytes.
#[derive(Default)]
struct Stored {
    segments: VecDeque<Body>,
    objects: HashMap<Arc<str>, Bytes>,
}

/// How often demand is looked at.
const LOOK: Duration = Duration::from_millis(500);
const EXTRA_TIMEOUT: Duration = Duration::from_secs(10);
/// A channel that starts waits so long for a slate from a library.
const SLATE_TIMEOUT: Duration = Duration::from_secs(2);

impl Driver {
    /// Runs until nobody watches, or the channel is stopped.
    pub(crate) async fn run(channel: Arc<Channel>, mut commands: mpsc::Receiver<Command>) {
        let mut driver = Self::new(channel).await;
        let stop = driver.channel.stop.clone();
        tracing::info!("started");
        loop {
            let now = driver.now();
            let wake = driver.machine.wake_at().min(now + LOOK);
            let wake = driver.links.wake_at().map_or(wake, |at| at.min(wake));
            tokio::select! {
                () = stop.cancelled() => driver.ending = true,
                command = commands.recv() => match command {
                    None | Some(Command::Stop) => driver.ending = true,
                    Some(command) => driver.obey(command),
                },
                Some(done) = driver.fetches.join_next() => {
                    // An abandoned fetch ends without an outcome.
                    if let Ok(done) = done {
                        driver.ended(done);
                    }
                }
                Some(piece) = driver.pieces.recv() => driver.arrived(piece),
                () = driver.channel.demand.wanted.notified() => driver.look(),
                () = driver.links.changed() => driver.relink(),
                () = tokio::time::sleep(wake - now) => {
                    driver.look();
                    driver.release(None);
                    driver.step(Event::Tick);
                }
            }
            if (driver.ending || driver.is_idle()) && driver.retire() {
                break;
            }
        }
        tracing::info!("stopped");
    }

    async fn new(channel: Arc<Channel>) -> Self {
        let shared = channel.shared.clone();
        let (sources, start_with) = channel.all_sources();
        let settings = shared.settings();
        let manners = shared.client.manners();
        let upstreams = relink::upstreams_of(&sources, &shared, &manners);
        let positions = numbers::load(&channel).await;
        let defs: Vec<SourceDef> = sources.iter().map(def).collect();
        let mut seed = [0; 8];
        // Without entropy, retries of several channels may fall together: no reason not to start.
        let _ = getrandom::fill(&mut seed);
        let machine = Machine::new(
            settings.machine(
                channel.spec().target_duration_s,
                slate(&channel).await,
                u64::from_le_bytes(seed),
            ),
            defs,
            channel.counters.generation.load(Ordering::Relaxed),
            positions,
        );
        let (parts, pieces) = Parts::new(shared.clock.clone());
        let mut driver = Self {
            channel,
            machine,
            links: relink::links_of(&sources, &shared),
            sources,
            upstreams,
            slots: HashMap::new(),
            manners,
            fetches: JoinSet::new(),
            pieces,
            parts,
            running: HashMap::new(),
            tracks: HashMap::new(),
            changed: HashSet::new(),
            view: View::default(),
            errors: Vec::new(),
            warned: HashMap::new(),
            extras: HashMap::new(),
            answers: Vec::new(),
            by_hand: None,
            was_on_air: None,
            ending: false,
        };
        let starting = driver.machine.state();
        driver.tell(Notice::State(starting));
        driver.look();
        driver.relink();
        // By now with the links that its resolver knows already.
        let first = driver
            .machine
            .health()
            .nth(start_with)
            .map(|(def, _)| def.clone());
        driver.step(match first.filter(|_| start_with > 0) {
            Some(source) => Event::Switch(SwitchTo {
                index: start_with,
                source,
            }),
            None => Event::Tick,
        });
        driver
    }

    fn now(&self) -> Time {
        self.channel.shared.clock.now()
    }

    fn is_idle(&self) -> bool {
        let idle = self.channel.shared.settings().idle_stop;
        self.now() - self.channel.demand.last() > idle
    }

    /// Tells the machine which tracks are watched.
    fn look(&mut self) {
        let now = self.now();
        let watched = self.channel.demand.watched(now, TRACK_IDLE);
        self.channel.viewers.forget(now, self.channel.viewer_idle());
        self.step(Event::Demand(watched));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Switch { index, source } => {
                let index = index.min(self.sources.len());
                let upstream = Arc::new(self.upstream(&source, None));
                let mut def = def(&source);
                if self.sources.get(index) == Some(&source) {
                    // As the machine knows it: an entry by its newest link.
                    let known = self.machine.health().nth(index);
                    def = known.map_or(def, |(def, _)| def.clone());
                } else {
                    self.links
                        .set(index, &source, &self.channel.shared.resolvers);
                    if index == self.sources.len() {
                        self.sources.push(source);
                        self.upstreams.push(upstream);
                    } else {
                        self.sources[index] = source;
                        self.upstreams[index] = upstream;
                    }
                }
                self.by_hand = Some(index);
                self.step(Event::Switch(SwitchTo { index, source: def }));
                self.relink();
            }
            Command::Sources { all, answer } => {
                self.take_sources(all);
                // Who asked may have gone.
                let _ = answer.send(());
            }
            Command::Extra { index, answer } => self.extra(index, answer),
            Command::Stop => {}
        }
    }

    /// Fetches what the multivariant playlist refers to once for all players of this run.
    fn extra(&mut self, index: usize, answer: oneshot::Sender<Option<Bytes>>) {
        let url = self.machine.extras().get(index).cloned();
        let upstream = self
            .machine
            .on_air()
            .and_then(|source| self.upstreams.get(source))
            .cloned();
        let (Some(url), Some(upstream)) = (url, upstream) else {
            // The viewer may have gone.
            let _ = answer.send(None);
            return;
        };
        let cell = self.extras.entry(index).or_default().clone();
        task::spawn("extra", tracing::Span::current(), async move {
            let body = cell
                .get_or_try_init(|| upstream.get_object(&url, EXTRA_TIMEOUT))
                .await;
            let _ = answer.send(body.ok().cloned());
        });
    }

    fn ended(&mut self, done: Done) {
        // What a stream brought before it ended comes first.
        while let Ok(piece) = self.pieces.try_recv() {
            self.arrived(piece);
        }
        if !self.waits_for_link(&done) {
            self.arrived(done.outcome);
        }
    }

    fn arrived(&mut self, outcome: Outcome) {
        self.channel
            .counters
            .bytes_in
            .fetch_add(outcome.bytes, Ordering::Relaxed);
        let inspection = match &outcome.result {
            Ok(Fetched::Segment { inspection, .. }) => Some(inspection),
            Ok(Fetched::Piece(piece)) => piece.inspection.as_ref().ok(),
            _ => None,
        };
        let damaged = inspection.map_or(0, |inspection| inspection.damaged_packets);
        self.channel
            .counters
            .damaged_packets
            .fetch_add(damaged.into(), Ordering::Relaxed);
        if let Err(failure) = &outcome.result {
            tracing::debug!(
                generation = outcome.id.generation,
                detail = failure.detail,
                "fetch failed"
            );
        }
        self.step(Event::Fetched(outcome.id, outcome.result));
    }

    fn step(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            for effect in self.machine.step(self.now(), next) {
                self.perform(effect);
            }
            event = self.answers.pop();
        }
        self.show();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(order) => self.fetch(order),
            Effect::Acquire { generation, source } => self.acquire(generation, source),
            Effect::Rest { source, wish } => {
                let now = self.now();
                if let Some(source) = self.sources.get(source) {
                    self.channel
                        .shared
                        .accounts
                        .rest(&source.account, now, wish);
                }
            }
            Effect::Abandon { generation } => {
                // The slot goes back with the last of its connections.
                if let Some(index) = self.slots.remove(&generation) {
                    self.connect(index, None);
                }
                for handle in self.running.remove(&generation).into_iter().flatten() {
                    handle.abort();
                }
            }
            Effect::Publish { track, msn, body } => {
                let timeline = self.machine.timeline(&track);
                let entry =
                    timeline.and_then(|timeline| timeline.kept().find(|entry| entry.msn == msn));
                let Some(container) = entry.map(|entry| entry.segment.container) else {
                    return;
                };
                let stored = self.tracks.entry(track.clone()).or_default();
                stored.segments.push_back(Body::new(msn, container, body));
                self.changed.insert(track);
            }
            Effect::Changed { track } => {
                self.changed.insert(track);
            }
            Effect::Serve { track, name, body } => {
                let stored = self.tracks.entry(track.clone()).or_default();
                stored.objects.insert(name.0, body);
                self.changed.insert(track);
            }
            Effect::Notice(notice) => self.tell(notice),
        }
    }

    fn fetch(&mut self, order: Order) {
        let Some(upstream) = self.upstreams.get(order.source).cloned() else {
            return;
        };
        let Ok(link) = self.may_ask(order.id, order.source) else {
            return;
        };
        self.channel
            .counters
            .requests_upstream
            .fetch_add(1, Ordering::Relaxed);
        let generation = order.id.generation;
        let parts = self.parts.clone();
        let mut fetch = Box::pin(async move {
            let outcome = upstream.carry_out(&order, &parts).await;
            Done {
                outcome,
                upstream,
                link,
            }
        });
        // The runtime may start the newest task first. Polled here once, requests take their
        // places in the host's queue in the order of the machine.
        let begun = fetch.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let handle = match begun {
            Poll::Pending => self.fetches.spawn(fetch),
            Poll::Ready(outcome) => self.fetches.spawn(std::future::ready(outcome)),
        };
        let running = self.running.entry(generation).or_default();
        running.retain(|handle| !handle.is_finished());
        running.push(handle);
    }

    /// Takes a slot of the source's account, with connections that are closed when it is given back.
    fn acquire(&mut self, generation: u64, index: usize) {
        let now = self.now();
        let Some(source) = self.sources.get(index) else {
            return;
        };
        let slot = self.channel.shared.accounts.acquire(&source.account, now);
        let granted = slot.is_some();
        if granted {
            self.connect(index, slot);
            self.slots.insert(generation, index);
        }
        self.answers.push(Event::Slot {
            generation,
            granted,
        });
    }

    fn upstream(&self, source: &SourceSpec, slot: Option<Slot>) -> Upstream {
        let shared = &self.channel.shared;
        let own = slot
            .as_ref()
            .and_then(|_| match shared.client.with_own_connections() {
                Ok(client) => Some(client),
                Err(error) => {
                    tracing::error!(%error, "connections of an account are shared");
                    None
                }
            });
        let client = own.as_ref().unwrap_or(&shared.client);
        Upstream::new(
            source,
            &shared.settings().user_agent,
            client,
            &self.manners,
            slot,
        )
    }

    /// Publishes a new snapshot if anything changed.
    fn show(&mut self) {
        let now = self.now();
        for (track, shown) in &self.view.tracks {
            if !shown.primed && self.machine.is_primed(now, track) {
                self.changed.insert(track.clone());
            }
        }
        let status = self.status();
        let ladder_changed =
            self.view.multivariant.is_none() && self.machine.multivariant().is_some();
        if self.changed.is_empty() && !ladder_changed && status == self.view.status {
            return;
        }
        for track in std::mem::take(&mut self.changed) {
            self.show_track(&track);
        }
        if ladder_changed {
            let text = self.machine.multivariant().unwrap_or_default().to_owned();
            // It never changes while the channel runs; caches ask again soon after a restart.
            self.view.multivariant = Some(Arc::new(Rendered::new(text, Duration::from_secs(1))));
        }
        self.view.offered = self.machine.track_ids();
        self.view.status = status;
        let generation = self.machine.generation();
        self.channel
            .counters
            .generation
            .store(generation, Ordering::Relaxed);
        self.channel.view.send_replace(Arc::new(self.view.clone()));
    }

    fn show_track(&mut self, track: &TrackId) {
        let (Some(timeline), Some(stored)) =
            (self.machine.timeline(track), self.tracks.get_mut(track))
        else {
            return;
        };
        let first = timeline.kept().next().map_or(0, |entry| entry.msn);
        while stored.segments.front().is_some_and(|body| body.msn < first) {
            stored.segments.pop_front();
        }
        let used: HashSet<&Arc<str>> = timeline.object_names().map(|name| &name.0).collect();
        stored.objects.retain(|name, _| used.contains(name));
        let segments = stored.segments.iter().cloned().collect();
        let primed = self
            .machine
            .is_primed(self.channel.shared.clock.now(), track);
        let shown = TrackView::new(timeline.clone(), primed, segments, stored.objects.clone());
        self.view.tracks.insert(track.clone(), Arc::new(shown));
        if let Some(position) = self.machine.position(track) {
            numbers::save(&self.channel, track, position);
        }
    }

    fn status(&self) -> Status {
        let mut status = Status::of(&self.machine, &self.errors, &*self.channel.shared.clock);
        for (index, source) in status.sources.iter_mut().enumerate() {
            source.name = self.source_name(index);
        }
        status
    }

    /// The URL that it was configured with: a link of a resolver is shown to nobody.
    fn source_name(&self, source: usize) -> String {
        let source = self.sources.get(source);
        source.map_or_else(String::new, |source| base::redact_url(&source.url))
    }

    /// Leaves a snapshot without media: memory is given back, the errors stay readable.
    fn retire(&self) -> bool {
        self.channel.retire(self.ending, || {
            let shared = &self.channel.shared;
            self.channel.counters.slate.set(false, shared.clock.now());
            let status = Status {
                state: "idle",
                on_air: None,
                failover: FailoverStatus::default(),
                tracks: Vec::new(),
                ..self.status()
            };
            self.channel.view.send_replace(Arc::new(View {
                status,
                ..View::default()
            }));
            self.channel
                .shared
                .emit(self.channel.id(), "state", None, "idle".to_owned());
        })
    }
}

fn def(source: &SourceSpec) -> SourceDef {
    SourceDef {
        url: source.url.clone(),
        identity: identity(&source.url),
        account: Some(source.account.clone()).filter(|account| !account.is_empty()),
    }
}

/// What the channel shows without a picture. A file that has gone bad since it was checked is no
/// reason to show nothing, and a library that is slow none to wait for long.
async fn slate(channel: &Channel) -> Arc<Slate> {
    let shared = &channel.shared;
    let name = &channel.spec().slate;
    let loading = crate::slate::load(name, &shared.libraries);
    let reason = match tokio::time::timeout(SLATE_TIMEOUT, loading).await {
        Ok(Ok(slate)) => return slate,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("slate {name} was not there within {SLATE_TIMEOUT:?}"),
    };
    tracing::warn!("the built-in card is shown: {reason}");
    shared.emit(channel.id(), "slate", None, reason);
    crate::slate::built_in()
}
