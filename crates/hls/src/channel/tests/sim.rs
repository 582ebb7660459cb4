//! A simulator: the machine under a clock of our own, against scripted sources, with the manners of
//! our client, a player, and a look at every playlist.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use base::Time;
use bytes::Bytes;

use super::super::*;
use super::player::{Player, Truth};
use super::rules::Rules;
use super::source::{FakeSource, Outcome};

pub(super) struct Sim {
    pub(super) channel: Channel,
    pub(super) now: Time,
    pub(super) sources: Vec<FakeSource>,
    /// Streams that each account allows at once.
    pub(super) cap: usize,
    pub(super) abandoned: HashSet<u64>,
    pub(super) notices: Vec<Notice>,
    /// What is kept for looking at afterwards; hours of it would be too much.
    pub(super) record: bool,
    /// What players got: number to content.
    pub(super) published: BTreeMap<u64, String>,
    pub(super) playlists: Vec<String>,
    pub(super) requests: Vec<(Time, String)>,
    pub(super) log: Option<VecDeque<String>>,
    pub(super) truth: Truth,
    pub(super) player: Player,
    /// The player stood still although it must not: from when until when.
    pub(super) stalls: Vec<(Time, Time)>,
    pub(super) hosts: Vec<Host>,
    flights: Vec<Flight>,
    steps: u64,
    /// Streams of accounts that are open, by generation.
    slots: Vec<(u64, &'static str)>,
    /// Streams that are being closed, until then.
    closing: Vec<(Time, &'static str)>,
    rules: Rules,
    /// The newest segment, and what it was.
    newest: Option<(u64, Bytes)>,
}

/// One host, as our client sees it.
#[derive(Debug, Default)]
pub(super) struct Host {
    waiting: VecDeque<Order>,
    running: usize,
    next_start: Time,
    /// When requests were made; emptied by who looks.
    pub(super) asked: Vec<Time>,
}

/// A fetch on its way, and what it will come to.
struct Flight {
    ends: Time,
    order: Order,
    outcome: Outcome,
}

const SPACING: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 4;
/// How long a connection takes to be closed.
const CLOSING: Duration = Duration::from_millis(30);

impl Sim {
    pub(super) fn new(sources: &[FakeSource]) -> Self {
        Self::with(sources, Time::from_ms(20_000), HashMap::new(), settings(7))
    }

    pub(super) fn with(
        sources: &[FakeSource],
        now: Time,
        positions: HashMap<TrackId, Position>,
        settings: Settings,
    ) -> Self {
        let defs = sources.iter().map(FakeSource::def).collect();
        Self {
            channel: Channel::new(settings, defs, 0, positions),
            now,
            sources: sources.to_vec(),
            cap: 1,
            abandoned: HashSet::new(),
            notices: Vec::new(),
            record: true,
            published: BTreeMap::new(),
            playlists: Vec::new(),
            requests: Vec::new(),
            log: None,
            truth: Truth::new(vec![Duration::MAX; sources.len()]),
            player: Player::default(),
            stalls: Vec::new(),
            hosts: sources.iter().map(|_| Host::default()).collect(),
            flights: Vec::new(),
            steps: 0,
            slots: Vec::new(),
            closing: Vec::new(),
            rules: Rules::default(),
            newest: None,
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.step(Event::Tick);
        let (mut moved, mut steps_then) = (self.now, self.steps);
        while self.now < end {
            if self.now > moved {
                (moved, steps_then) = (self.now, self.steps);
            }
            let spins = self.steps - steps_then >= 1000;
            assert!(!spins, "the machine spins at {}", self.now);
            let flights = self.flights.iter().enumerate();
            let flight = flights.map(|(at, flight)| (flight.ends, at)).min();
            let wake = self.channel.wake_at().min(end).max(self.now);
            match flight {
                Some((ends, at)) if ends <= wake => {
                    self.now = ends.max(self.now);
                    let flight = self.flights.swap_remove(at);
                    self.landed(flight.order.source);
                    self.step(Event::Fetched(flight.order.id, flight.outcome));
                }
                _ => {
                    self.now = wake;
                    if wake < end {
                        self.step(Event::Tick);
                    }
                }
            }
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        self.steps += 1;
        let mut answers = Vec::new();
        let mut published = false;
        for effect in self.channel.step(self.now, event) {
            match effect {
                Effect::Fetch(order) => self.fetch(order),
                Effect::Abandon { generation } => self.abandon(generation),
                Effect::Acquire { generation, source } => {
                    let granted = self.acquire(generation, source);
                    answers.push(Event::Slot {
                        generation,
                        granted,
                    });
                }
                Effect::Publish { msn, body, .. } => {
                    published = true;
                    self.took(msn, &body);
                }
                Effect::Changed { .. } => published = true,
                Effect::Serve { .. } | Effect::Rest { .. } => {}
                Effect::Notice(notice) => {
                    self.log(|| format!("{notice:?}"));
                    if self.record {
                        self.notices.push(notice);
                    }
                }
            }
        }
        if published {
            self.look();
        }
        for answer in answers {
            self.step(answer);
        }
    }

    /// For replaying one story: the last things that happened.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            if log.len() == 4000 {
                log.pop_front();
            }
            log.push_back(format!("{} {}", self.now, line()));
        }
    }

    fn acquire(&mut self, generation: u64, source: usize) -> bool {
        let account = self.sources[source]
            .account
            .expect("only accounts are asked");
        let now = self.now;
        self.closing.retain(|(until, _)| *until > now);
        let used = self.slots.iter().map(|(_, used)| used);
        let used = used.chain(self.closing.iter().map(|(_, used)| used));
        let granted = used.filter(|used| **used == account).count() < self.cap;
        if granted {
            self.slots.push((generation, account));
        }
        self.log(|| format!("slot for g{generation}: {granted}"));
        granted
    }

    fn abandon(&mut self, generation: u64) {
        if self.record {
            self.abandoned.insert(generation);
        }
        if let Some(at) = self.slots.iter().position(|(of, _)| *of == generation) {
            let (_, account) = self.slots.swap_remove(at);
            self.closing.push((self.now + CLOSING, account));
        }
        for host in &mut self.hosts {
            host.waiting
                .retain(|order| order.id.generation != generation);
        }
        while let Some(at) = self
            .flights
            .iter()
            .position(|f| f.order.id.generation == generation)
        {
            let flight = self.flights.swap_remove(at);
            self.landed(flight.order.source);
        }
    }

    fn fetch(&mut self, order: Order) {
        let (source, generation) = (order.source, order.id.generation);
        self.log(|| {
            format!(
                "fetch {} g{generation} timeout {:?}",
                order.url, order.timeout
            )
        });
        let mut slots = self.slots.iter();
        assert!(
            self.sources[source].account.is_none() || slots.any(|(of, _)| *of == generation),
            "a fetch without a slot"
        );
        let waiting = self.hosts.iter().flat_map(|host| &host.waiting);
        let mut asked = waiting.chain(self.flights.iter().map(|flight| &flight.order));
        let beside = asked.find(|other| other.id.generation == generation);
        assert!(
            self.sources[source].account.is_none() || beside.is_none(),
            "a session of an account asks for {order:?} beside {beside:?}"
        );
        self.hosts[source].waiting.push_back(order);
        self.take_off(source);
    }

    fn landed(&mut self, source: usize) {
        self.hosts[source].running -= 1;
        self.take_off(source);
    }

    /// The manners of the client: 50 ms between two requests to one host, four at a time.
    fn take_off(&mut self, source: usize) {
        let host = &mut self.hosts[source];
        while host.running < AT_ONCE
            && let Some(order) = host.waiting.pop_front()
        {
            let starts = self.now.max(host.next_start);
            host.next_start = starts + SPACING;
            host.running += 1;
            host.asked.push(starts);
            if self.record {
                self.requests.push((starts, order.url.path().to_owned()));
            }
            let (took, outcome) = self.sources[source].outcome(starts, &order);
            let ends = starts + took;
            self.flights.push(Flight {
                ends,
                order,
                outcome,
            });
        }
    }

    fn took(&mut self, msn: u64, body: &Bytes) {
        self.log(|| {
            format!(
                "published {msn} {}",
                String::from_utf8_lossy(&body[..body.len().min(20)])
            )
        });
        if self.record {
            let text = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let before = self.published.insert(msn, text.clone());
            let same = before.is_none_or(|before| before == text);
            assert!(same, "number {msn} given twice");
        }
        if let Some((before, of)) = self.newest.replace((msn, body.clone()))
            && !follows(&of, body, msn - before)
        {
            let timeline = self.channel.timeline(&TrackId::main()).unwrap();
            let mut between = timeline.listed().filter(|entry| entry.msn > before);
            let marked = between.any(|entry| entry.segment.discontinuity);
            assert!(marked, "{of:?} and {body:?} without a discontinuity");
        }
    }

    /// Every playlist that players could have loaded is checked.
    fn look(&mut self) {
        let Some(timeline) = self.channel.timeline(&TrackId::main()) else {
            return;
        };
        let fresh = self.rules.look(self.now, timeline);
        if fresh > 0 {
            let newest = timeline.listed().skip(timeline.listed().len() - fresh);
            let duration = newest.map(|entry| entry.segment.duration).sum();
            let length = timeline.listed_duration();
            let target = timeline.target_duration();
            let fed = (duration, length);
            let stall = self.player.listed(self.now, &self.truth, fed, target);
            self.stalls.extend(stall);
        }
        if self.record {
            let text = timeline.render("");
            if self.playlists.last() != Some(&text) {
                self.playlists.push(text);
            }
        }
    }

    /// All the media that was ever listed.
    pub(super) fn listed(&self) -> Duration {
        let timeline = self.channel.timeline(&TrackId::main());
        let target = timeline.map(|timeline| timeline.target_duration());
        let published = u32::try_from(self.published.len()).unwrap_or(u32::MAX);
        target.unwrap_or_default() * published
    }

    pub(super) fn dump(&self) {
        for line in self.log.iter().flatten() {
            println!("{line}");
        }
    }

    pub(super) fn switch(&mut self, index: usize) {
        let source = self.sources[index].def();
        self.step(Event::Switch(SwitchTo { index, source }));
    }

    /// The contents in order of their numbers, which have no hole but what is listed as a gap.
    #[track_caller]
    pub(super) fn contents(&self) -> Vec<&str> {
        let first = *self
            .published
            .first_key_value()
            .expect("something is published")
            .0;
        let last = *self
            .published
            .last_key_value()
            .expect("something is published")
            .0;
        for msn in first..=last {
            let line = format!("#EXT-X-GAP\n#EXTINF:2.000,\n{msn}.ts");
            let gap = || self.playlists.iter().any(|text| text.contains(&line));
            let there = self.published.contains_key(&msn) || gap();
            assert!(there, "number {msn} is missing");
        }
        self.published.values().map(String::as_str).collect()
    }

    pub(super) fn position(&self) -> HashMap<TrackId, Position> {
        let main = TrackId::main();
        HashMap::from([(main.clone(), self.channel.position(&main).unwrap().clone())])
    }

    pub(super) fn troubles(&self) -> Vec<&'static str> {
        let code = |notice: &Notice| match notice {
            Notice::Trouble(trouble) => Some(trouble.code),
            _ => None,
        };
        self.notices.iter().filter_map(code).collect()
    }
}

/// Whether `a-0-17.ts` comes `steps` after another segment of the same encoder. Other contents, keys
/// and the slate among them, say nothing.
fn follows(before: &Bytes, after: &Bytes, steps: u64) -> bool {
    let parts = |body: &Bytes| {
        let name = std::str::from_utf8(body)
            .ok()?
            .strip_suffix(".ts")?
            .to_owned();
        let (encoder, number) = name.rsplit_once('-')?;
        Some((encoder.to_owned(), number.parse::<u64>().ok()?))
    };
    match (parts(before), parts(after)) {
        (Some((a, from)), Some((b, to))) => a == b && from + steps == to,
        _ => true,
    }
}

pub(super) fn settings(seed: u64) -> Settings {
    Settings {
        window: Window {
            segments: 12,
            retain: 16,
            bytes_max: u64::MAX,
        },
        prime_segments: 3,
        variants: VariantFilter::All,
        target_duration_s: 0,
        slate: None,
        warm_standby: false,
        return_after: None,
        seed,
    }
}
