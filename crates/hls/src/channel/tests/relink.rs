//! A source whose link dies and is replaced: players must not notice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;
use crate::container::{Container, Inspection};
use crate::timeline::Window;

/// How segments are named under a token.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    /// `100.ts?t=2`: the name stays.
    Stable,
    /// `2-100.ts`: only the number stays.
    Signed,
    /// `2-100.ts`, and numbers begin anew with each token.
    Another,
}

struct Origin {
    names: Names,
    multi: bool,
    valid: BTreeSet<u32>,
}

const SEGMENT_MS: u64 = 2000;
const LATENCY: Duration = Duration::from_millis(30);

fn link(token: u32) -> Url {
    format!("http://edge{token}.example/{token}/live.m3u8?t={token}")
        .parse()
        .unwrap()
}

impl Origin {
    fn answer(&self, now: Time, order: &Order) -> Result<Fetched, Failure> {
        let mut path = order.url.path_segments().unwrap();
        let token: u32 = path.next().unwrap().parse().unwrap();
        if !self.valid.contains(&token) {
            return Err(Failure {
                kind: base::ErrorKind::Denied,
                status: Some(403),
                detail: "403".into(),
                retry_after: None,
            });
        }
        let name = path.next_back().unwrap();
        let body = match name {
            "live.m3u8" if self.multi => format!(
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nlow.m3u8?t={token}\n#EXT-X-STREAM-INF:BANDWIDTH=2000\nhigh.m3u8?t={token}\n"
            ),
            name if name.ends_with(".m3u8") => self.media(now, token),
            name => {
                let body = Bytes::copy_from_slice(name.as_bytes());
                let inspection = Inspection {
                    container: Container::Ts,
                    damaged_packets: 0,
                    continuity_errors: 0,
                };
                return Ok(Fetched::Segment { body, inspection });
            }
        };
        Ok(Fetched::Playlist {
            body: body.into(),
            final_url: order.url.clone(),
        })
    }

    fn media(&self, now: Time, token: u32) -> String {
        let first = 100 + now.as_ms() / SEGMENT_MS;
        let shift = if self.names == Names::Another {
            u64::from(token) * 5000
        } else {
            0
        };
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin?t={token}\"\n",
            first + shift
        );
        for number in first..first + 6 {
            let name = match self.names {
                Names::Stable => format!("{number}.ts?t={token}"),
                Names::Signed | Names::Another => format!("{token}-{number}.ts?t={token}"),
            };
            text.push_str(&format!("#EXTINF:2.000,\n{name}\n"));
        }
        text
    }
}

/// The machine, an origin, and what is on its way between them.
struct Stage {
    channel: Channel,
    origin: Origin,
    now: Time,
    orders: BTreeMap<(Time, u64), Order>,
    /// Tokens of the requests that were sent, and how many were refused.
    tokens: Vec<u32>,
    refused: usize,
    published: Vec<String>,
    most_at_stake: Duration,
    last_publish: Time,
}

fn token(order: &Order) -> u32 {
    let mut path = order.url.path_segments().unwrap();
    path.next().unwrap().parse().unwrap()
}

impl Stage {
    fn new(names: Names, multi: bool) -> Self {
        let settings = Settings {
            window: Window {
                segments: 12,
                retain: 16,
                bytes_max: 1 << 30,
            },
            prime_segments: 3,
            variants: VariantFilter::All,
            target_duration_s: 0,
            slate: None,
            warm_standby: false,
            return_after: None,
            seed: 3,
        };
        let source = SourceDef {
            url: link(1),
            identity: "club/cam-1".into(),
            account: None,
        };
        let mut stage = Self {
            channel: Channel::new(settings, vec![source], 0, HashMap::new()),
            origin: Origin {
                names,
                multi,
                valid: [1].into(),
            },
            now: Time::ZERO,
            orders: BTreeMap::new(),
            tokens: Vec::new(),
            refused: 0,
            published: Vec::new(),
            most_at_stake: Duration::ZERO,
            last_publish: Time::ZERO,
        };
        let track = if multi {
            TrackId::from("v0".to_owned())
        } else {
            TrackId::main()
        };
        stage.step(Event::Demand(vec![track]));
        stage
    }

    fn step(&mut self, event: Event) {
        for effect in self.channel.step(self.now, event) {
            match effect {
                Effect::Fetch(order) => {
                    let at = self.now + LATENCY;
                    self.tokens.push(token(&order));
                    self.orders.insert((at, order.id.serial), order);
                }
                Effect::Publish { body, .. } => {
                    self.most_at_stake = self.most_at_stake.max(self.now - self.last_publish);
                    self.last_publish = self.now;
                    self.published
                        .push(String::from_utf8_lossy(&body).into_owned());
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            let wake = self.channel.wake_at();
            let first = self.orders.first_key_value().map(|((at, _), _)| *at);
            self.now = first.map_or(wake, |first| first.min(wake)).max(self.now);
            if first.is_some_and(|first| first <= self.now) {
                let (_, order) = self.orders.pop_first().unwrap();
                let token = token(&order);
                let outcome = match order.what {
                    What::Object { .. } if self.origin.valid.contains(&token) => {
                        Ok(Fetched::Object(Bytes::from_static(&[7; 16])))
                    }
                    _ => self.origin.answer(self.now, &order),
                };
                self.refused += usize::from(outcome.is_err());
                self.step(Event::Fetched(order.id, outcome));
            } else {
                self.step(Event::Tick);
            }
        }
    }

    /// The resolver has a fresh link. The old one works for so long as `overlap` says.
    fn relink(&mut self, token: u32, overlap: bool) {
        if !overlap {
            self.origin.valid.clear();
        }
        self.origin.valid.insert(token);
        self.tokens.clear();
        self.step(Event::Relinked {
            source: 0,
            url: link(token),
        });
    }

    /// The number of each published segment, whatever token its name has.
    fn numbers(&self) -> Vec<u64> {
        let number = |name: &String| {
            let name = name.trim_end_matches(".ts");
            name.rsplit('-').next().unwrap().parse().unwrap()
        };
        self.published.iter().map(number).collect()
    }

    fn playlist(&self) -> String {
        let id = self.channel.track_ids()[0].clone();
        self.channel.timeline(&id).unwrap().render("")
    }
}

fn is_consecutive(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

#[test]
fn the_same_stream_carries_on_without_a_discontinuity() {
    for names in [Names::Stable, Names::Signed] {
        for multi in [false, true] {
            let mut stage = Stage::new(names, multi);
            for token in 2..8 {
                // At any moment of a segment.
                stage.run(7);
                stage.now = stage.now + Duration::from_millis(u64::from(token) * 270);
                stage.relink(token, true);
            }
            stage.run(10);
            assert!(stage.published.len() > 25, "{:?}", stage.published);
            assert!(is_consecutive(&stage.numbers()), "{:?}", stage.published);
            assert!(
                !stage.playlist().contains("DISCONTINUITY"),
                "{}",
                stage.playlist()
            );
            assert!(
                stage.tokens.iter().all(|token| *token == 7),
                "{:?}",
                stage.tokens
            );
            assert_eq!((stage.refused, stage.channel.generation()), (0, 1));
            assert!(
                stage.most_at_stake < Duration::from_secs(4),
                "{:?}",
                stage.most_at_stake
            );
        }
    }
}

#[test]
fn another_stream_behind_the_fresh_link_is_one_discontinuity() {
    let mut stage = Stage::new(Names::Another, false);
    stage.run(9);
    stage.relink(2, true);
    stage.run(11);
    let playlist = stage.playlist();
    assert_eq!(
        playlist.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{playlist}"
    );
}

#[test]
fn what_the_old_link_refuses_comes_again_under_the_fresh_one() {
    for multi in [false, true] {
        let mut stage = Stage::new(Names::Stable, multi);
        stage.run(9);
        let refused = stage.refused;
        // Whatever is on its way is refused; the link is replaced before that is known.
        stage.relink(2, false);
        stage.run(12);
        assert!(stage.refused <= refused + 4);
        assert!(is_consecutive(&stage.numbers()), "{:?}", stage.published);
        assert!(!stage.playlist().contains("DISCONTINUITY"));
        assert_eq!(stage.channel.generation(), 1, "no other session was needed");
    }
}

#[test]
fn a_source_that_rests_goes_on_as_soon_as_its_link_is_fresh() {
    let mut stage = Stage::new(Names::Stable, false);
    stage.run(9);
    stage.origin.valid.clear();
    stage.run(60);
    assert!(stage.now - stage.last_publish > Duration::from_secs(45));
    stage.relink(2, false);
    stage.run(3);
    assert!(
        stage.now - stage.last_publish < Duration::from_secs(3),
        "{:?}",
        stage.published
    );
    assert_eq!(stage.channel.state(), State::Live);
}

#[test]
fn the_key_is_asked_for_under_the_fresh_link_and_served_once() {
    let mut stage = Stage::new(Names::Stable, false);
    stage.run(9);
    stage.relink(2, false);
    stage.run(12);
    assert!(
        stage.tokens.iter().all(|token| *token == 2),
        "{:?}",
        stage.tokens
    );
    let playlist = stage.playlist();
    let keys: BTreeSet<&str> = playlist
        .lines()
        .filter_map(|l| l.split("URI=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(keys.len(), 1, "{playlist}");
}
