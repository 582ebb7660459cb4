//! A simulator: the machine under a clock of our own, against scripted sources, with a player that
//! holds back three target durations and a look at every playlist.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use base::{ErrorKind, Time};
use bytes::Bytes;

use super::super::*;
use crate::container::{Container, Inspection};

/// A live source: a segment of `duration_s` is listed when it is complete.
#[derive(Clone, Debug)]
pub(super) struct FakeSource {
    pub(super) name: &'static str,
    pub(super) account: Option<&'static str>,
    pub(super) first_msn: u64,
    /// Shifts its segments in time.
    pub(super) phase_ms: u64,
    pub(super) fault: Fault,
    pub(super) epoch: u64,
    pub(super) began_ms: u64,
    pub(super) duration_s: u64,
    pub(super) extra: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nobody answers.
    Refused,
    /// Nothing comes until the time-out.
    Stalled,
    /// The playlist stands still since then.
    Frozen(u64),
    /// Segments are no media.
    BadSegments,
    /// Every so many-th segment is no media.
    SomeBad(u64),
    /// Segments take this share of their duration to arrive, in per cent.
    Slow(u64),
    Status(u16),
    /// The playlist ended then.
    Ended(u64),
}

const WINDOW: u64 = 6;
const LATENCY: Duration = Duration::from_millis(20);

impl FakeSource {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            account: None,
            first_msn: 1000,
            phase_ms: 0,
            fault: Fault::None,
            epoch: 0,
            began_ms: 0,
            duration_s: 2,
            extra: "",
        }
    }

    fn playlist(&self, now_ms: u64) -> String {
        let now_ms = match self.fault {
            Fault::Frozen(at) | Fault::Ended(at) => at.min(now_ms),
            _ => now_ms,
        };
        let age_ms = (now_ms + self.phase_ms).saturating_sub(self.began_ms);
        let newest = age_ms / (self.duration_s * 1000);
        let first = newest.saturating_sub(WINDOW);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n{}",
            self.duration_s,
            self.first_msn + first,
            self.extra
        );
        for index in first..newest {
            text += &format!(
                "#EXTINF:{}.000,\n{}-{}-{}.ts\n",
                self.duration_s,
                self.name,
                self.epoch,
                self.first_msn + index
            );
        }
        if matches!(self.fault, Fault::Ended(at) if now_ms >= at) {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }

    /// How long a fetch takes, and whether anything comes.
    fn outcome(&self, now: Time, order: &Order) -> (Duration, Result<Fetched, Failure>) {
        let fail = |kind, status| {
            Err(Failure {
                kind,
                status,
                detail: format!("{:?}", self.fault),
                retry_after: None,
            })
        };
        let segment = matches!(order.what, What::Segment { .. });
        let number: u64 = order
            .url
            .path()
            .rsplit(['-', '.'])
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        match self.fault {
            Fault::Refused => return (LATENCY, fail(ErrorKind::Unavailable, None)),
            Fault::Stalled => return (order.timeout, fail(ErrorKind::Timeout, None)),
            Fault::Status(status) => return (LATENCY, fail(ErrorKind::Unavailable, Some(status))),
            Fault::BadSegments if segment => return (LATENCY, fail(ErrorKind::Corrupt, None)),
            Fault::SomeBad(each) if segment && number.is_multiple_of(each) => {
                return (LATENCY, fail(ErrorKind::Corrupt, None));
            }
            _ => {}
        }
        let took = match self.fault {
            Fault::Slow(percent) if segment => {
                Duration::from_millis(self.duration_s * percent * 10)
            }
            _ => LATENCY,
        };
        if took > order.timeout {
            return (order.timeout, fail(ErrorKind::Timeout, None));
        }
        (
            took,
            Ok(match order.what {
                What::Playlist { .. } | What::Source(_) => Fetched::Playlist {
                    body: self.playlist(now.as_ms()).into(),
                    final_url: order.url.clone(),
                },
                What::Segment { .. } => Fetched::Segment {
                    body: Bytes::from(order.url.path().trim_start_matches('/').to_owned()),
                    inspection: Inspection {
                        container: Container::Ts,
                        damaged_packets: 0,
                        continuity_errors: 0,
                    },
                },
                What::Object { .. } => Fetched::Object(Bytes::from_static(&[7; 16])),
            }),
        )
    }
}

/// A fetch on its way, and what it will come to.
type Flight = (FetchId, Order, Result<Fetched, Failure>);

pub(super) struct Sim {
    pub(super) channel: Channel,
    pub(super) now: Time,
    pub(super) sources: Vec<FakeSource>,
    flights: BTreeMap<(Time, u64), Flight>,
    flown: u64,
    steps: u64,
    pub(super) abandoned: HashSet<u64>,
    /// Streams of each account that are open, by generation.
    slots: HashMap<u64, &'static str>,
    pub(super) cap: usize,
    /// What players got: number to content.
    pub(super) published: BTreeMap<u64, String>,
    pub(super) playlists: Vec<String>,
    pub(super) keep_playlists: bool,
    pub(super) notices: Vec<Notice>,
    pub(super) requests: Vec<(Time, String)>,
    pub(super) player: Player,
    pub(super) log: Option<VecDeque<String>>,
    heard_msn: u64,
    next_start: Vec<Time>,
}

/// Plays in real time what it knows of, which is what was listed a reload ago.
#[derive(Debug, Default)]
pub(super) struct Player {
    /// When it began, and when it will run dry.
    began: Option<Time>,
    dry_at: Time,
    /// Each time it stood still: when, and for how long.
    pub(super) stalls: Vec<(Time, Duration)>,
}

impl Player {
    /// A segment was listed; the player hears of it half a target duration later at worst. One that
    /// ran dry is replaced by another, which joins three target durations behind the edge.
    fn listed(&mut self, now: Time, duration: Duration, target: Duration, length: Duration) {
        let heard = if self.began.is_some() {
            now + target / 2
        } else {
            now
        };
        self.began.get_or_insert(now);
        if self.dry_at != Time::ZERO && heard > self.dry_at {
            self.stalls.push((self.dry_at, heard - self.dry_at));
            self.dry_at = heard + length.min(target * 3);
            return;
        }
        self.dry_at = self.dry_at.max(heard) + duration;
    }
}

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
        let defs = sources.iter().map(def).collect();
        Self {
            channel: Channel::new(settings, defs, 0, positions),
            now,
            sources: sources.to_vec(),
            flights: BTreeMap::new(),
            flown: 0,
            steps: 0,
            abandoned: HashSet::new(),
            slots: HashMap::new(),
            cap: 1,
            published: BTreeMap::new(),
            playlists: Vec::new(),
            keep_playlists: true,
            notices: Vec::new(),
            requests: Vec::new(),
            player: Player::default(),
            log: None,
            heard_msn: 0,
            next_start: vec![Time::ZERO; sources.len()],
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        self.steps += 1;
        let mut answers = Vec::new();
        for effect in self.channel.step(self.now, event) {
            match effect {
                Effect::Fetch(order) => self.fetch(order),
                Effect::Abandon { generation } => {
                    self.abandoned.insert(generation);
                    self.slots.remove(&generation);
                    self.flights
                        .retain(|_, (id, ..)| id.generation != generation);
                }
                Effect::Acquire { generation, source } => {
                    let account = self.sources[source]
                        .account
                        .expect("only accounts are asked");
                    let used = self.slots.values().filter(|used| **used == account).count();
                    let granted = used < self.cap;
                    if granted {
                        self.slots.insert(generation, account);
                    }
                    answers.push(Event::Slot {
                        generation,
                        granted,
                    });
                }
                Effect::Publish { msn, body, .. } => self.took(msn, &body),
                Effect::Serve { .. } | Effect::Rest { .. } => {}
                Effect::Notice(notice) => {
                    self.log(|| format!("{notice:?}"));
                    self.notices.push(notice);
                }
            }
        }
        self.look();
        for answer in answers {
            self.step(answer);
        }
    }

    /// For replaying one story: the last things that happened.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            if log.len() == 400 {
                log.pop_front();
            }
            log.push_back(format!("{} {}", self.now, line()));
        }
    }

    fn fetch(&mut self, order: Order) {
        self.log(|| {
            format!(
                "fetch {} g{} timeout {:?}",
                order.url, order.id.generation, order.timeout
            )
        });
        let source = self.source_of(&order);
        assert!(
            self.sources[source].account.is_none() || self.slots.contains_key(&order.id.generation),
            "a fetch without a slot"
        );
        // The manners of the client: 50 ms between two requests to one host.
        let starts = self.now.max(self.next_start[source]);
        self.next_start[source] = starts + Duration::from_millis(50);
        let (took, outcome) = self.sources[source].outcome(starts, &order);
        self.flown += 1;
        self.requests.push((starts, order.url.path().to_owned()));
        self.flights
            .insert((starts + took, self.flown), (order.id, order, outcome));
    }

    fn source_of(&self, order: &Order) -> usize {
        let host = order.url.host_str().unwrap();
        self.sources
            .iter()
            .position(|source| host.starts_with(source.name))
            .unwrap()
    }

    fn took(&mut self, msn: u64, body: &Bytes) {
        let dry_at = self.player.dry_at;
        self.log(|| {
            format!(
                "published {msn} {:?}, dry at {dry_at}",
                &body[..body.len().min(20)]
            )
        });
        let text = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let before = self.published.insert(msn, text.clone());
        assert!(
            before.is_none_or(|before| before == text),
            "number {msn} given twice"
        );
    }

    /// Every playlist that players could have loaded is checked.
    fn look(&mut self) {
        let Some(timeline) = self.channel.timeline(&TrackId::main()) else {
            return;
        };
        let mut before: Option<u64> = None;
        for entry in timeline.listed() {
            // A gap is played over: it counts like any other segment.
            if entry.msn >= self.heard_msn {
                self.heard_msn = entry.msn + 1;
                let (target, length) = (timeline.target_duration(), timeline.listed_duration());
                self.player
                    .listed(self.now, entry.segment.duration, target, length);
            }
            assert!(
                before.is_none_or(|before| entry.msn == before + 1),
                "numbers have a hole"
            );
            before = Some(entry.msn);
            assert!(
                crate::playlist::rounded_s(entry.segment.duration) <= timeline.target_duration_s()
            );
        }
        if self.keep_playlists {
            let text = timeline.render("");
            if self.playlists.last() != Some(&text) {
                self.playlists.push(text);
            }
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
            assert!(
                self.steps - steps_then < 1000,
                "the machine spins at {}",
                self.now
            );
            let flight = self.flights.first_key_value().map(|(&(at, _), _)| at);
            let next = flight.unwrap_or(end).min(self.channel.wake_at()).min(end);
            self.now = next.max(self.now);
            if flight.is_some_and(|at| at <= self.now) {
                let (_, (id, _, outcome)) = self.flights.pop_first().unwrap();
                self.step(Event::Fetched(id, outcome));
            } else if next < end {
                self.step(Event::Tick);
            }
        }
    }

    pub(super) fn dump(&self) {
        for line in self.log.iter().flatten() {
            println!("{line}");
        }
    }

    pub(super) fn switch(&mut self, index: usize) {
        let source = def(&self.sources[index]);
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
            assert!(
                self.published.contains_key(&msn) || gap(),
                "number {msn} is missing"
            );
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

pub(super) fn def(source: &FakeSource) -> SourceDef {
    SourceDef {
        url: format!("http://{}.example/live.m3u8", source.name)
            .parse()
            .unwrap(),
        identity: source.name.to_owned(),
        account: source.account.map(str::to_owned),
    }
}
