//! Sources that are one open transport stream.

use std::time::Duration;

use base::{ErrorKind, Time};
use bytes::Bytes;

use super::super::*;
use super::sim::settings;
use super::source::FakeSource;
use crate::container::{Container, Inspection};
use crate::ts::Ticks;
use crate::ts::build::Mux;

const S: Duration = Duration::from_secs(1);

/// A channel, and everything that it asked for.
struct Bench {
    channel: Channel,
    now: Time,
    orders: Vec<Order>,
    published: Vec<(u64, Bytes)>,
    troubles: Vec<&'static str>,
    healths: Vec<(usize, Health)>,
}

impl Bench {
    fn new(sources: usize) -> Self {
        let defs = ["a", "b", "c"][..sources].iter();
        let defs = defs.map(|name| FakeSource::new(name).def()).collect();
        let mut bench = Self {
            channel: Channel::new(settings(7), defs, 0, HashMap::new()),
            now: Time::from_ms(10_000),
            orders: Vec::new(),
            published: Vec::new(),
            troubles: Vec::new(),
            healths: Vec::new(),
        };
        bench.step(Event::Demand(vec![TrackId::main()]));
        // The others are only asked for their target durations.
        bench.orders.truncate(1);
        bench
    }

    fn step(&mut self, event: Event) {
        for effect in self.channel.step(self.now, event) {
            match effect {
                Effect::Fetch(order) => self.orders.push(order),
                Effect::Publish { msn, body, .. } => self.published.push((msn, body)),
                Effect::Notice(Notice::Trouble(trouble)) => self.troubles.push(trouble.code),
                Effect::Notice(Notice::Health { source, health, .. }) => {
                    self.healths.push((source, health));
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now = self
                .channel
                .wake_at()
                .max(self.now + Duration::from_millis(1))
                .min(end);
            self.step(Event::Tick);
        }
    }

    /// The newest order, which must be for a source's own URL.
    fn source(&self) -> (FetchId, usize, Aim) {
        let order = self.orders.last().expect("something is asked for");
        match order.what {
            What::Source(aim) => (order.id, order.source, aim),
            ref other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, id: FetchId, fetched: Fetched) {
        self.step(Event::Fetched(id, Ok(fetched)));
    }

    fn breaks(&mut self, id: FetchId) {
        let failure = Failure {
            kind: ErrorKind::Unavailable,
            status: None,
            detail: "the stream ended".into(),
            retry_after: None,
        };
        self.step(Event::Fetched(id, Err(failure)));
    }

    /// Opens the newest order and plays `seconds` of two-second pieces in real time, from `from` on the
    /// stream's clock.
    fn plays(&mut self, id: FetchId, from: u64, seconds: u64) {
        for at in (from..from + seconds).step_by(2) {
            self.run(2 * S);
            self.tell(id, Fetched::Piece(piece(at)));
        }
    }

    fn playlist(&self) -> String {
        let main = TrackId::main();
        self.channel
            .timeline(&main)
            .map_or_else(String::new, |timeline| timeline.render(""))
    }
}

/// Two seconds from `at` on the stream's clock.
fn piece(at: u64) -> Piece {
    Piece {
        body: Bytes::from(at.to_string()),
        duration: 2 * S,
        discontinuity: false,
        independent: true,
        begin: Ticks::new(at * Ticks::PER_SECOND),
        target_s: 2,
        inspection: Ok(Inspection {
            container: Container::Ts,
            damaged_packets: 0,
            continuity_errors: 0,
        }),
    }
}

fn discontinuities(playlist: &str) -> usize {
    playlist.matches("#EXT-X-DISCONTINUITY\n").count()
}

#[test]
fn a_stream_is_opened_once_and_every_piece_is_published_once() {
    let mut bench = Bench::new(2);
    let (id, source, aim) = bench.source();
    assert_eq!(
        (source, aim),
        (
            0,
            Aim {
                target_s: None,
                hasty: false
            }
        )
    );
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 60);
    assert_eq!(bench.orders.len(), 1, "{:?}", bench.orders);
    assert_eq!(bench.channel.state(), State::Live);
    let expected = (0..30).map(|n| (n, Bytes::from((n * 2).to_string())));
    assert_eq!(bench.published, expected.collect::<Vec<_>>());
    let playlist = bench.playlist();
    assert!(playlist.contains("#EXT-X-TARGETDURATION:2\n"), "{playlist}");
    assert_eq!(discontinuities(&playlist), 0, "{playlist}");
}

#[test]
fn a_stream_that_breaks_off_is_opened_again_at_once() {
    let mut bench = Bench::new(1);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    bench.breaks(id);
    let (again, source, aim) = bench.source();
    assert_eq!((bench.orders.len(), source), (2, 0));
    assert_eq!(
        aim,
        Aim {
            target_s: Some(2),
            hasty: true
        }
    );
    bench.tell(again, Fetched::Stream);
    // The server begins with what it kept for new clients.
    for at in [4, 6, 8, 10] {
        bench.tell(again, Fetched::Piece(piece(at)));
    }
    bench.plays(again, 12, 20);
    let bodies: Vec<_> = bench
        .published
        .iter()
        .map(|(_, body)| body.clone())
        .collect();
    let expected = (0..16).map(|n| Bytes::from((n * 2).to_string()));
    assert_eq!(bodies, expected.collect::<Vec<_>>());
    assert_eq!(discontinuities(&bench.playlist()), 1);
    // Having lasted, it is trusted as at first.
    bench.breaks(again);
    assert_eq!(bench.orders.len(), 3);
}

#[test]
fn an_encoder_that_began_anew_repeats_nothing() {
    let mut bench = Bench::new(1);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    bench.breaks(id);
    let (again, ..) = bench.source();
    bench.tell(again, Fetched::Stream);
    bench.plays(again, 0, 10);
    assert_eq!(bench.published.len(), 10);
    assert_eq!(discontinuities(&bench.playlist()), 1);
}

#[test]
fn a_stream_that_cannot_be_opened_again_yields_to_the_next_source() {
    let mut bench = Bench::new(2);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    bench.breaks(id);
    // Both are asked: the broken one again, and the next beside it.
    let asked: Vec<_> = bench.orders[1..].iter().map(|order| order.source).collect();
    assert_eq!(asked, [0, 1]);
    bench.breaks(bench.orders[1].id);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 500, 10);
    assert_eq!(bench.channel.on_air(), Some(1));
    assert_eq!(bench.published[5].1, "500");
    assert_eq!(discontinuities(&bench.playlist()), 1);
}

#[test]
fn the_only_stream_is_asked_for_by_one_session_until_it_is_back() {
    let mut bench = Bench::new(1);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    let mut asked = 1;
    bench.breaks(id);
    for _ in 0..30 {
        bench.run(2 * S);
        if bench.orders.len() > asked {
            asked = bench.orders.len();
            bench.breaks(bench.orders[asked - 1].id);
        }
    }
    // Each time perhaps once more beside the first request, which may hang.
    assert!((8..=62).contains(&asked), "{asked}");
    assert!(bench.orders.iter().all(|order| order.id.generation == 1));
    bench.run(10 * S);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.run(2 * S);
    assert_eq!(bench.source().0, id, "nobody else is asked while it begins");
    bench.plays(id, 900, 20);
    assert_eq!(
        (bench.published.len(), bench.channel.state()),
        (15, State::Live)
    );
    assert_eq!(discontinuities(&bench.playlist()), 1);
}

#[test]
fn people_are_told_each_step_down_the_ladder_and_why() {
    let mut bench = Bench::new(2);
    let told = |bench: &Bench| {
        let failover = bench.channel.failover(bench.now);
        (failover.step, failover.preparing, failover.why)
    };
    assert_eq!(told(&bench), (Step::Switching, Some(0), None));
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    assert_eq!(told(&bench), (Step::Playing, None, None));
    let good = bench.now;
    bench.breaks(id);
    let why = Some("it cannot be loaded".to_owned());
    assert_eq!(told(&bench), (Step::Preparing, Some(1), why.clone()));
    let reports = bench.channel.reports(bench.now);
    assert_eq!(
        (reports[0].health, &reports[0].why),
        (Health::Suspect, &why)
    );
    assert!(reports[0].last_good.is_some_and(|at| good - at < 2 * S));
    assert_eq!(
        (reports[0].breaker, reports[1].breaker),
        (Breaker::Closed, Breaker::Closed)
    );
    // The other one comes to nothing: it is left alone for a while.
    for _ in 0..4 {
        let newest = bench
            .orders
            .iter()
            .rfind(|order| order.source == 1)
            .unwrap()
            .id;
        bench.breaks(newest);
        bench.run(Duration::from_millis(900));
    }
    let report = &bench.channel.reports(bench.now)[1];
    assert!(
        report.health == Health::Failed && report.failures > 0,
        "{report:?}"
    );
    let open = report.breaker == Breaker::Open && report.retry_at.is_some_and(|at| at > bench.now);
    let tried = report.breaker == Breaker::HalfOpen && report.retry_at.is_none();
    assert!(open || tried, "{report:?}");
    assert!(report.why.is_some(), "{report:?}");
    assert_eq!(
        bench.healths[..3],
        [
            (0, Health::Healthy),
            (0, Health::Suspect),
            (1, Health::Failed)
        ]
    );
}

/// After `then` a stream that played well has been left for the next source.
#[track_caller]
fn check_left(then: impl FnOnce(&mut Bench, FetchId)) {
    let mut bench = Bench::new(2);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    then(&mut bench, id);
    let (next, source, _) = bench.source();
    assert_eq!(source, 1, "{:?}", bench.orders);
    bench.tell(next, Fetched::Stream);
    bench.tell(next, Fetched::Piece(piece(700)));
    bench.run(S);
    assert_eq!(bench.channel.on_air(), Some(1));
}

#[test]
fn a_stream_that_is_silent_or_slow_is_left() {
    check_left(|bench, _| bench.run(Duration::from_millis(3_500)));
    check_left(|bench, id| {
        for at in [10, 12, 14, 16] {
            bench.run(Duration::from_millis(2_800));
            bench.tell(id, Fetched::Piece(piece(at)));
        }
        bench.run(2 * S);
    });
}

#[test]
fn a_little_lateness_is_forgiven() {
    let mut bench = Bench::new(2);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    for at in (0..400).step_by(2) {
        bench.run(Duration::from_millis(if at % 100 == 0 {
            2_400
        } else {
            2_000
        }));
        bench.tell(id, Fetched::Piece(piece(at)));
    }
    assert_eq!(bench.orders.len(), 1, "{:?}", bench.orders);
}

#[test]
fn pieces_that_cannot_be_played_are_gaps_and_two_in_a_row_a_failure() {
    let mut bench = Bench::new(2);
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 10);
    let bad = |at| Piece {
        inspection: Err("9 of 10 packets damaged".into()),
        ..piece(at)
    };
    bench.tell(id, Fetched::Piece(bad(10)));
    bench.tell(id, Fetched::Piece(piece(12)));
    assert!(
        bench.playlist().contains("#EXT-X-GAP"),
        "{}",
        bench.playlist()
    );
    assert_eq!((bench.published.len(), bench.orders.len()), (6, 1));
    bench.tell(id, Fetched::Piece(bad(14)));
    bench.tell(id, Fetched::Piece(bad(16)));
    let (_, source, _) = bench.source();
    assert_eq!((source, &bench.troubles[..]), (1, &["segment"; 3][..]));
}

#[test]
fn what_waits_for_its_turn_stays_small_and_begins_where_a_decoder_can() {
    let mut bench = Bench::new(2);
    bench.channel.settings.warm_standby = true;
    let (id, ..) = bench.source();
    bench.tell(id, Fetched::Stream);
    bench.plays(id, 0, 2);
    let (spare, source, _) = bench.source();
    assert_eq!(source, 1);
    bench.tell(spare, Fetched::Stream);
    for at in (0..100).step_by(2) {
        bench.run(2 * S);
        bench.tell(id, Fetched::Piece(piece(at + 2)));
        let independent = at % 4 == 0;
        bench.tell(
            spare,
            Fetched::Piece(Piece {
                independent,
                ..piece(at + 1000)
            }),
        );
    }
    let before = bench.published.len();
    bench.breaks(id);
    bench.breaks(bench.orders.last().unwrap().id);
    bench.run(S);
    let first: u64 = std::str::from_utf8(&bench.published[before].1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(first >= 1084 && first.is_multiple_of(4), "{first}");
}

#[test]
fn sources_are_told_apart_by_their_first_bytes() {
    #[track_caller]
    fn check(start: &[u8], is_all: bool, expected: Option<SourceKind>) {
        assert_eq!(SourceKind::of(start, is_all), expected);
    }
    let mut mux = Mux::new();
    for frame in 0..20 {
        mux.tables();
        mux.video(frame * 3600, true, 200);
    }
    let stream = &mux.bytes;
    check(b"", false, None);
    check(b"#EXTM3", false, None);
    for list in [
        &b"#EXTM3U"[..],
        b"\xef\xbb\xbf#EXTM3U",
        b"\n #EXTM3U\n#EXTINF:1,\n",
    ] {
        check(list, false, Some(SourceKind::Playlist));
    }
    check(stream, false, Some(SourceKind::Stream));
    check(&stream[100..], false, Some(SourceKind::Stream));
    check(&stream[..500], false, None);
    check(&stream[..500], true, Some(SourceKind::Playlist));
    check(&[0x47; 1][..], false, None);
    check(&[b'x'; PROBE], false, Some(SourceKind::Playlist));
    check(b"<html>", true, Some(SourceKind::Playlist));
}

/// A stream of pictures 40 ms apart, one in `gop` of them a key frame.
fn stream(frames: u64, gop: u64) -> Vec<u8> {
    let mut mux = Mux::new();
    for frame in 0..frames {
        if frame % gop == 0 {
            mux.tables();
        }
        mux.video(frame * 3600, frame % gop == 0, 400);
    }
    mux.bytes
}

/// What `aim` makes of 40 seconds with a key frame every `gop` pictures: the target duration, and
/// durations in ms.
#[track_caller]
fn check_cut(aim: Aim, gop: u64, target_s: u64, expected: &[u128]) {
    let mut cutter = Cutter::new(aim);
    let pieces = cutter.push(&stream(1000, gop)).unwrap();
    assert!(pieces.iter().all(|piece| piece.target_s == target_s));
    let durations: Vec<_> = pieces
        .iter()
        .map(|piece| piece.duration.as_millis())
        .collect();
    assert_eq!(durations[..expected.len()], *expected);
}

#[test]
fn the_first_segment_decides_how_a_stream_is_cut() {
    let open = Aim {
        target_s: None,
        hasty: false,
    };
    check_cut(open, 50, 2, &[2000; 5]);
    check_cut(open, 12, 2, &[1920; 5]);
    check_cut(open, 75, 3, &[3000; 5]);
    check_cut(open, 2000, 6, &[6480, 6480, 6480]);
    let known = Aim {
        target_s: Some(4),
        hasty: false,
    };
    check_cut(known, 50, 4, &[4000; 5]);
    let hasty = Aim {
        target_s: Some(2),
        hasty: true,
    };
    check_cut(hasty, 50, 2, &[480, 1520, 2000, 2000]);
}

#[test]
fn a_stream_faster_than_real_time_is_left_to_wait() {
    let mut cutter = Cutter::new(Aim {
        target_s: None,
        hasty: false,
    });
    let (file, start) = (stream(2500, 50), Time::from_ms(5_000));
    assert_eq!(cutter.rest(start), Duration::ZERO);
    // 98 seconds are out, six may be.
    cutter.push(&file).unwrap();
    let rest = cutter.rest(start);
    assert!(rest > 91 * S && rest < 92 * S, "{rest:?}");
    assert_eq!(cutter.rest(start + rest), Duration::ZERO);
    // What was late before does not make up for haste.
    assert_eq!(cutter.rest(start + 1000 * S), Duration::ZERO);
    cutter.push(&stream(500, 50)).unwrap();
    assert!(cutter.rest(start + 1000 * S) > 10 * S);
}
