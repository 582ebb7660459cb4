//! Picture and sound in playlists of their own.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::sim::settings;
use super::*;
use crate::container::{Container, Inspection};
use crate::ts::build::Mux;

const LATENCY: Duration = Duration::from_millis(30);
const MASTER: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"sound.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.42c01e,mp4a.40.2\",AUDIO=\"a\"\npicture.m3u8\n";

/// A source's two playlists.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// Which of them is ahead, and by how much.
    ahead: (&'static str, Duration),
    /// When it lists its segments, against our clock.
    phase: Duration,
    /// Segments have dates, and those of the sound other numbers than their counterparts.
    dated: bool,
    segment_s: u64,
    dies: Time,
    /// Segments of this playlist cannot be had from then on.
    lost: Option<(&'static str, Time)>,
}

impl Origin {
    fn answer(&self, now: Time, url: &Url) -> Option<Bytes> {
        let name = url.path_segments().unwrap().next_back().unwrap();
        let lost = |(which, since): &(&str, Time)| name.starts_with(which) && now >= *since;
        match name.rsplit_once('.').unwrap() {
            _ if now >= self.dies => None,
            ("live", _) => Some(Bytes::from_static(MASTER.as_bytes())),
            (track, "m3u8") => Some(self.media(now, track).into()),
            _ if self.lost.as_ref().is_some_and(lost) => None,
            _ if self.segment_s > 2 => Some(clip(self.segment_s).into()),
            _ => Some(Bytes::copy_from_slice(name.as_bytes())),
        }
    }

    fn media(&self, now: Time, track: &str) -> String {
        let ahead = match self.ahead.0 == track {
            true => self.ahead.1,
            false => Duration::ZERO,
        };
        let length_s = self.segment_s;
        let first = 100 + (now + self.phase + ahead).as_ms() / 1000 / length_s;
        let apart = u64::from(self.dated && track == "sound") * 2;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{length_s}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            first + apart
        );
        if self.dated {
            let (minutes, seconds) = (first / 30, first % 30 * 2);
            text.push_str(&format!(
                "#EXT-X-PROGRAM-DATE-TIME:2026-11-20T09:{minutes:02}:{seconds:02}.000Z\n"
            ));
        }
        for number in first..first + 6 {
            text.push_str(&format!("#EXTINF:{length_s}.000,\n{track}-{number}.ts\n"));
        }
        text
    }
}

/// The machine with both of its tracks watched, its origins, and what is on its way.
struct Stage {
    channel: Channel,
    origins: Vec<Origin>,
    now: Time,
    orders: BTreeMap<(Time, u64), Order>,
    published: BTreeMap<TrackId, Vec<String>>,
    states: Vec<State>,
}

fn track(name: &str) -> TrackId {
    TrackId::from(name.to_owned())
}

impl Stage {
    fn new(origins: &[Origin], slate: Option<Arc<Slate>>) -> Self {
        let settings = Settings {
            slate,
            target_duration_s: 2,
            ..settings(5)
        };
        let sources = (0..origins.len()).map(source).collect();
        let mut stage = Self {
            channel: Channel::new(settings, sources, 0, HashMap::new()),
            origins: origins.to_vec(),
            now: Time::ZERO,
            orders: BTreeMap::new(),
            published: BTreeMap::new(),
            states: Vec::new(),
        };
        stage.step(Event::Demand(vec![track("v0"), track("a0")]));
        stage
    }

    fn step(&mut self, event: Event) {
        for effect in self.channel.step(self.now, event) {
            match effect {
                Effect::Fetch(order) => {
                    self.orders
                        .insert((self.now + LATENCY, order.id.serial), order);
                }
                Effect::Notice(Notice::State(state)) => self.states.push(state),
                Effect::Publish { track, body, .. } => {
                    let body = match body.first() {
                        Some(0x47) => "card".to_owned(),
                        _ => String::from_utf8_lossy(&body).into_owned(),
                    };
                    self.published.entry(track).or_default().push(body);
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            let wake = self.channel.wake_at();
            let first = self.orders.first_key_value().map(|((at, _), _)| *at);
            self.now = first.map_or(wake, |first| first.min(wake)).max(self.now);
            match first.filter(|first| *first <= self.now) {
                None => self.step(Event::Tick),
                Some(_) => {
                    let (_, order) = self.orders.pop_first().unwrap();
                    let answer = self.origins[order.source].answer(self.now, &order.url);
                    self.step(Event::Fetched(order.id, fetched(&order, answer)));
                }
            }
        }
    }

    fn switch(&mut self, index: usize) {
        let source = source(index);
        self.step(Event::Switch(SwitchTo { index, source }));
    }

    /// What players got of a track, by number in its source; cards are `None`.
    fn numbers(&self, name: &str) -> Vec<Option<u64>> {
        let number = |body: &String| body.strip_suffix(".ts")?.rsplit('-').next()?.parse().ok();
        self.published[&track(name)].iter().map(number).collect()
    }

    fn dsns(&self, name: &str) -> Vec<(u64, u64)> {
        let timeline = self.channel.timeline(&track(name)).unwrap();
        timeline
            .listed()
            .map(|entry| (entry.msn, entry.dsn))
            .collect()
    }
}

fn source(index: usize) -> SourceDef {
    SourceDef {
        url: format!("http://{index}.example/live.m3u8").parse().unwrap(),
        identity: index.to_string(),
        account: None,
    }
}

fn fetched(order: &Order, answer: Option<Bytes>) -> Result<Fetched, Failure> {
    let Some(body) = answer else {
        return Err(Failure {
            kind: base::ErrorKind::Unavailable,
            status: None,
            detail: "refused".into(),
            retry_after: None,
        });
    };
    Ok(match order.what {
        What::Segment { .. } => Fetched::Segment {
            body,
            inspection: Inspection {
                container: Container::Ts,
                damaged_packets: 0,
                continuity_errors: 0,
            },
        },
        _ => Fetched::Playlist {
            body,
            final_url: order.url.clone(),
        },
    })
}

fn card() -> Arc<Slate> {
    Arc::new(Slate::new(&clip(2), Duration::from_secs(1)).unwrap())
}

/// Pictures and sound, with a key frame every second.
fn clip(seconds: u64) -> Vec<u8> {
    let mut mux = Mux::new();
    for frame in 0..seconds * 25 {
        if frame % 25 == 0 {
            mux.tables();
        }
        mux.video(90_000 + frame * 3600, frame % 25 == 0, 300);
        mux.audio(90_000 + frame * 3600, 100);
    }
    mux.bytes
}

fn ahead(which: &'static str, ms: u64) -> Origin {
    Origin {
        ahead: (which, Duration::from_millis(ms)),
        phase: Duration::ZERO,
        dated: false,
        segment_s: 2,
        dies: Time::from_ms(u64::MAX),
        lost: None,
    }
}

/// Whenever the source dies, its lists end at one moment and the card begins there.
#[test]
fn a_source_that_dies_between_picture_and_sound_leaves_both_in_step() {
    for_each(|origin| {
        for dies_ms in (30_000..32_000).step_by(200) {
            let dies = Time::from_ms(dies_ms);
            let origin = Origin { dies, ..origin };
            let mut stage = Stage::new(&[origin], Some(card()));
            stage.run(seconds(50));
            let (picture, sound) = (stage.numbers("v0"), stage.numbers("a0"));
            assert_eq!(picture, sound, "{origin:?}");
            assert!(picture.contains(&None), "no card: {picture:?}");
            assert_eq!(stage.dsns("v0"), stage.dsns("a0"));
        }
    });
}

/// Whenever another source takes over, both tracks of it begin with the same number.
#[test]
fn another_source_begins_in_step() {
    for_each(|other| {
        let mut stage = Stage::new(&[ahead("sound", 0), other], None);
        stage.run(seconds(30));
        stage.switch(1);
        stage.run(seconds(20));
        let (picture, sound) = (stage.numbers("v0"), stage.numbers("a0"));
        let both = picture.len().min(sound.len());
        assert_eq!(picture[..both], sound[..both], "{other:?}");
        assert!(picture.len().abs_diff(sound.len()) <= 1);
        assert_eq!(stage.dsns("v0").last().unwrap().1, 1);
    });
}

fn for_each(check: impl Fn(Origin)) {
    let numbered = ["picture", "sound"].map(|which| (which, false));
    let dated = ["picture", "sound"].map(|which| (which, true));
    for (which, dated) in numbered.into_iter().chain(dated) {
        for phase_ms in (0..2000).step_by(100) {
            check(Origin {
                phase: Duration::from_millis(phase_ms),
                dated,
                ..ahead(which, 900)
            });
        }
    }
}

/// Segments that are cut come three at a time, and then none for a while: that is no failure.
#[test]
fn a_source_of_longer_segments_is_not_broken_up_by_cards() {
    let long = Origin {
        segment_s: 6,
        ..ahead("sound", 0)
    };
    let mut stage = Stage::new(&[ahead("sound", 0), long], Some(card()));
    stage.run(seconds(30));
    stage.switch(1);
    stage.run(seconds(60));
    assert_eq!(stage.channel.on_air(), Some(1));
    assert!(!stage.states.contains(&State::Slate), "{:?}", stage.states);
    assert_eq!(stage.dsns("v0").last().unwrap().1, 1);
}

/// Until a source that came back has been listed, the card goes on as it was.
#[test]
fn a_card_is_begun_once_and_left_once() {
    for_each(|origin| {
        let dies = Time::from_ms(20_000);
        let mut stage = Stage::new(&[Origin { dies, ..origin }], Some(card()));
        stage.run(seconds(40));
        stage.origins[0].dies = Time::from_ms(u64::MAX);
        stage.run(seconds(20));
        let (picture, sound) = (stage.numbers("v0"), stage.numbers("a0"));
        let both = picture.len().min(sound.len());
        assert_eq!(picture[..both], sound[..both], "{origin:?}");
        assert_eq!(stage.dsns("v0").last().unwrap().1, 2, "{origin:?}");
        assert_eq!(stage.dsns("a0").last().unwrap().1, 2, "{origin:?}");
    });
}

/// What nobody asks for does not fail to come.
#[test]
fn tracks_that_nobody_plays_show_no_card() {
    let mut stage = Stage::new(&[ahead("sound", 0)], Some(card()));
    stage.run(seconds(20));
    stage.step(Event::Demand(Vec::new()));
    stage.run(seconds(30));
    stage.step(Event::Demand(vec![track("v0"), track("a0")]));
    let before = stage.numbers("v0").len();
    stage.run(seconds(10));
    assert!(!stage.states.contains(&State::Slate), "{:?}", stage.states);
    assert!(stage.numbers("v0").len() > before + 4);
}

/// Nobody goes without pictures because the sound of one language is lost.
#[test]
fn a_track_that_does_not_keep_up_is_not_waited_for() {
    let origin = Origin {
        lost: Some(("sound", Time::from_ms(20_000))),
        ..ahead("sound", 0)
    };
    let mut stage = Stage::new(&[origin], None);
    stage.run(seconds(40));
    let picture: Vec<u64> = stage.numbers("v0").into_iter().flatten().collect();
    assert!(picture.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let newest = 105 + stage.now.as_ms() / 2000;
    let behind = newest - picture.last().unwrap();
    assert!(behind <= 2, "{behind} segments behind");
}
