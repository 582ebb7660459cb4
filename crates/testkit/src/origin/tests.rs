use std::time::Duration;

use http::{Method, header};

use super::*;
use crate::checker::{Promises, Rule};
use crate::http::{Client, Fetched};
use crate::wait::wait_until;
use crate::{Clip, Player, Report, Watch};

const SPEED: f64 = 10.0;
/// Of a client that meets a fault.
const PATIENCE: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(10);

async fn start(shape: Shape, quirks: &[Quirk]) -> Origin {
    Origin::start(Spec {
        shape,
        quirks: quirks.to_vec(),
        speed: SPEED,
        ..Spec::default()
    })
    .await
    .unwrap()
}

fn watch(origin: &Origin) -> Watch {
    Watch {
        speed: SPEED,
        promises: Promises::NONE,
        timeout: Duration::from_secs(2),
        ..Watch::new(origin.url())
    }
}

/// Plays until `segments` are there, and checks that each is the one that the origin says it is.
async fn play(origin: &Origin, watch: Watch, segments: usize) -> Report {
    let player = Player::start(watch);
    player
        .until(SOON * 3, "segments", |report| {
            report.segments.len() >= segments
        })
        .await
        .unwrap();
    let report = player.stop();
    let first = report.segments[0].number - origin.shared.live.spec.first_number;
    assert_eq!(
        report.hashes(),
        origin.expected_hashes(first..first + report.segments.len() as u64),
        "{report}"
    );
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_at_ten_times_the_speed_get_all_of_it_once_and_in_order() {
    let origin = start(Shape::Ts, &[]).await;
    let encrypted = Spec {
        shape: Shape::Aes128(Iv::Implicit),
        first_number: 1 << 40,
        clip: Clip::B,
        ..Spec::default()
    };
    let encrypted = Origin::start(Spec {
        speed: SPEED,
        ..encrypted
    })
    .await
    .unwrap();
    let (ts, aes) = tokio::join!(
        play(&origin, watch(&origin), 95),
        play(&encrypted, watch(&encrypted), 95)
    );
    for mut report in [ts, aes] {
        // Half a second of hold-back is not much on a busy machine; stalls are another test's.
        report.stalls.clear();
        assert!(report.is_clean(), "{report}");
    }
    let stats = origin.stats();
    assert_eq!((stats.late, stats.early), (0, 0), "{stats}");
    assert!(
        stats.by_segment.values().all(|count| *count == 1),
        "{stats}"
    );
    assert_eq!(encrypted.stats().keys, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape_and_quirk_is_played() {
    let check = async |shape, quirks: &[Quirk], allowed: &[Rule]| {
        let origin = start(shape, quirks).await;
        let report = play(&origin, watch(&origin), 8).await;
        let broken: Vec<_> = report.violations.iter().map(|v| v.rule).collect();
        assert!(report.lost.is_empty(), "{shape:?} {quirks:?} {report}");
        assert!(broken.iter().all(|rule| allowed.contains(rule)), "{report}");
        // A rule that may be broken has to be, or the quirk is none.
        assert!(allowed.iter().all(|rule| broken.contains(rule)), "{report}");
    };
    tokio::join!(
        check(Shape::Ts, &[Quirk::Gzip, Quirk::Crlf], &[]),
        check(Shape::Ts, &[Quirk::Bom], &[Rule::Encoding]),
        check(Shape::Ts, &[Quirk::Latin1], &[Rule::Encoding]),
        check(Shape::Ts, &[Quirk::Discontinuity, Quirk::Define], &[]),
        check(Shape::Ts, &[Quirk::Redirect], &[]),
        check(Shape::Ts, &[Quirk::Token], &[Rule::SegmentChanged]),
        check(Shape::Aes128(Iv::Explicit), &[], &[]),
        check(Shape::ByteRange, &[], &[]),
        check(
            Shape::Multivariant(3),
            &[Quirk::Redirect, Quirk::Discontinuity],
            &[]
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_players_in_one_process() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let players: Vec<_> = (0..500)
        .map(|_| Player::start(Watch::greedy(origin.url())))
        .collect();
    for player in players {
        let window = |report: &Report| report.segments.len() >= 6;
        player.until(SOON, "a window", window).await.unwrap();
        let report = player.stop();
        // On a busy machine some come late.
        let first = report.segments[0].number;
        assert_eq!(
            report.hashes()[..6],
            origin.expected_hashes(first..first + 6)
        );
    }
    let stats = origin.stats();
    assert!(stats.by_segment.values().all(|count| *count <= 500));
    assert!(stats.by_segment.values().sum::<u64>() >= 500 * 6, "{stats}");
    let closed = async || (origin.stats().connections_open == 0).then_some(());
    wait_until(SOON, "all connections closed", closed)
        .await
        .unwrap();
}

#[tokio::test]
async fn variants_differ_and_the_edge_moves() {
    let origin = start(Shape::Multivariant(2), &[Quirk::Redirect]).await;
    assert_ne!(
        origin.expected_segment(3),
        origin.expected_variant_segment(1, 3)
    );
    let client = Client::new(SOON);
    let variant = origin.url().join("/edge-0/v1/index.m3u8").unwrap();
    assert_eq!(client.get(&variant).await.unwrap().status, 200);
    let segment = client
        .get(&variant.join("seg/3.ts").unwrap())
        .await
        .unwrap();
    assert_eq!(segment.body, origin.expected_variant_segment(1, 3));
    origin.move_edge();
    assert_eq!(client.get(&variant).await.unwrap().status, 404);
    assert_eq!(
        client.get(&origin.url()).await.unwrap().url.path(),
        "/edge-1/index.m3u8"
    );
}

#[tokio::test]
async fn conditional_and_range_requests_are_understood() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let client = Client::new(SOON);
    let tag = client.get(&origin.url()).await.unwrap().headers[header::ETAG]
        .to_str()
        .unwrap()
        .to_owned();
    let again = client
        .send(Method::GET, &origin.url(), &[(header::IF_NONE_MATCH, tag)])
        .await
        .unwrap();
    assert_eq!(again.status, 304);

    let segment = origin.url().join("seg/0.ts").unwrap();
    let part = client
        .send(
            Method::GET,
            &segment,
            &[(header::RANGE, "bytes=10-19".to_owned())],
        )
        .await
        .unwrap();
    assert_eq!(
        (part.status, part.body),
        (206, origin.expected_segment(0).slice(10..20))
    );
    let head = client.send(Method::HEAD, &segment, &[]).await.unwrap();
    assert_eq!(
        head.headers[header::CONTENT_LENGTH],
        origin.expected_segment(0).len().to_string()
    );
    assert_eq!(origin.stats().by_segment[&0], 1);
}

/// What a client sees of an origin with a fault: the playlist and its last segment.
async fn seen(origin: &Origin, fault: Fault) -> [Result<Fetched, String>; 2] {
    origin.set_fault(Some(fault));
    let client = Client::new(PATIENCE);
    let segment = origin
        .url()
        .join(&format!("seg/{}.ts", origin.head() - 1))
        .unwrap();
    let (playlist, segment) = (origin.url(), segment);
    let (playlist, segment) = tokio::join!(client.get(&playlist), client.get(&segment));
    [playlist, segment].map(|answer| answer.map_err(|error| error.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_seen() {
    let check = async |fault: Fault| {
        let origin = Origin::start(Spec::default()).await.unwrap();
        let [playlist, segment] = seen(&origin, fault).await;
        let media = origin.expected_segment(origin.head() - 1);
        let is_healthy = |answer: &Result<Fetched, String>| {
            answer.as_ref().is_ok_and(|answer| answer.status == 200)
        };
        let text = |answer: &Result<Fetched, String>| format!("{:?}", answer.as_ref().err());
        let (p, s) = (
            format!("{fault:?}: {playlist:?}"),
            format!("{fault:?}: {:?}", segment.as_ref().err()),
        );
        match fault {
            Fault::Dead => assert!(playlist.is_err() && segment.is_err(), "{p}"),
            Fault::Stall | Fault::Trickle | Fault::Slow(_) => {
                assert!(text(&segment).contains("no complete answer"), "{s}");
            }
            Fault::Status { code, .. } => assert_eq!(playlist.unwrap().status, code),
            Fault::Html => assert!(segment.unwrap().headers[header::CONTENT_TYPE] == "text/html"),
            Fault::RedirectLoop => assert!(
                text(&playlist).contains("redirects") && segment.is_err(),
                "{p}"
            ),
            Fault::GzipBomb => {
                assert!(is_healthy(&segment) && playlist.unwrap().body.len() == 64 << 20);
            }
            Fault::HugePlaylist => {
                let body = playlist.unwrap().body;
                assert!(
                    body.len() > 4 << 20
                        && body.iter().filter(|byte| **byte == b'\n').count() > 100_000
                );
            }
            Fault::LongLine => assert!(
                playlist
                    .unwrap()
                    .body
                    .split(|byte| *byte == b'\n')
                    .any(|line| line.len() > 1 << 20)
            ),
            Fault::EndList => assert!(playlist.unwrap().body.ends_with(b"#EXT-X-ENDLIST\n")),
            Fault::Garbage | Fault::Corrupt(_) => {
                let body = segment.unwrap().body;
                assert!(
                    is_healthy(&playlist) && body.len() == media.len() && body != media,
                    "{p}"
                );
            }
            Fault::SegmentsFail => assert!(
                is_healthy(&playlist) && segment.unwrap().status == 404,
                "{p}"
            ),
            // Too long for the client's memory, or for its patience.
            Fault::Endless => assert!(is_healthy(&playlist) && segment.is_err(), "{s}"),
            Fault::CutBody => assert!(
                is_healthy(&playlist) && text(&segment).contains("after"),
                "{s}"
            ),
            // These two show in time only.
            Fault::Freeze | Fault::Renumber => assert!(
                is_healthy(&playlist) && segment.unwrap().body == media,
                "{p}"
            ),
        }
        origin.set_fault(None);
        let client = Client::new(SOON);
        assert_eq!(
            client.get(&origin.url()).await.unwrap().status,
            200,
            "{fault:?} passes"
        );
    };
    futures_util::future::join_all(Fault::ALL.map(check)).await;
}

#[tokio::test]
async fn a_frozen_playlist_stalls_a_player_and_a_renumbered_one_goes_back() {
    let origin = start(Shape::Ts, &[]).await;
    let frozen = Player::start(watch(&origin));
    frozen
        .until(SOON, "a start", |report| report.segments.len() >= 4)
        .await
        .unwrap();
    origin.set_fault(Some(Fault::Freeze));
    frozen
        .until(SOON, "standing still", |report| {
            report.longest_unchanged > Duration::from_secs(1)
        })
        .await
        .unwrap();
    let report = frozen.stop();
    assert!(
        report
            .stalls
            .iter()
            .any(|stall| stall.lasted > Duration::from_millis(200)),
        "{report}"
    );

    origin.set_fault(None);
    let renumbered = Player::start(watch(&origin));
    renumbered
        .until(SOON, "a start", |report| report.segments.len() >= 4)
        .await
        .unwrap();
    origin.set_fault(Some(Fault::Renumber));
    assert_eq!(origin.fault(), None);
    renumbered
        .until(SOON, "going back", |report| report.rewinds == 1)
        .await
        .unwrap();
    renumbered
        .until(SOON, "playing on", |report| {
            report
                .segments
                .last()
                .is_some_and(|last| (5..20).contains(&last.number))
        })
        .await
        .unwrap();
    let report = renumbered.stop();
    assert!(
        report
            .violations
            .iter()
            .any(|violation| violation.rule == Rule::MediaSequenceBack),
        "{report}"
    );
}

#[tokio::test]
async fn a_fault_can_be_kept_to_segments() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let client = Client::new(Duration::from_millis(300));
    let segment = origin.url().join("seg/0.ts").unwrap();
    for fault in [
        Fault::Dead,
        Fault::Stall,
        Fault::Trickle,
        Fault::Status {
            code: 503,
            retry_after: Some(SOON),
        },
    ] {
        origin.set_fault_on(Target::Segments, fault);
        assert_eq!(
            client.get(&origin.url()).await.unwrap().status,
            200,
            "{fault:?}"
        );
        let answer = client.get(&segment).await;
        assert!(
            answer
                .as_ref()
                .map_or(true, |answer| answer.headers[header::RETRY_AFTER] == "10"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn signed_links_work_for_their_life_and_with_all_that_hangs_on_them() {
    let life = Duration::from_secs(2);
    let check = async |carrier: Carrier| {
        let signing = Signing {
            carrier,
            life,
            exclusive: false,
        };
        let origin = Origin::start(Spec {
            shape: Shape::Multivariant(2),
            signing: Some(signing),
            ..Spec::default()
        })
        .await
        .unwrap();
        let client = Client::new(SOON);
        let link = origin.sign();
        assert_ne!(link, origin.sign());
        let mut url = link.clone();
        // The master, a variant, a segment.
        for _ in 0..3 {
            let answer = client.get(&url).await.unwrap();
            assert_eq!(answer.status, 200, "{carrier:?} {url}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            if let Some(uri) = text.lines().rfind(|line| !line.starts_with('#')) {
                url = url.join(uri).unwrap_or(url);
            }
        }
        assert_eq!(
            client.get(&origin.url()).await.unwrap().status,
            403,
            "{carrier:?}"
        );
        let over = async || (client.get(&link).await.unwrap().status == 403).then_some(());
        wait_until(SOON, "the link's end", over).await.unwrap();
        assert_eq!(client.get(&url).await.unwrap().status, 403, "{carrier:?}");
        assert!(origin.stats().refused >= 3);
    };
    futures_util::future::join_all(Carrier::ALL.map(check)).await;
}

#[tokio::test]
async fn an_exclusive_link_ends_the_one_before_and_the_resolver_signs() {
    let signing = Signing {
        carrier: Carrier::Query,
        life: SOON,
        exclusive: true,
    };
    let origin = Origin::start(Spec {
        signing: Some(signing),
        ..Spec::default()
    })
    .await
    .unwrap();
    let client = Client::new(SOON);
    let link = origin.sign();
    assert_eq!(client.get(&link).await.unwrap().status, 200);
    let document = client.get(&origin.resolver_url()).await.unwrap().body;
    let document = String::from_utf8_lossy(&document).into_owned();
    let fresh = document
        .split('"')
        .find(|text| text.starts_with("http"))
        .unwrap();
    assert_eq!(client.get(&link).await.unwrap().status, 403);
    assert_eq!(
        client.get(&fresh.parse().unwrap()).await.unwrap().status,
        200
    );
    origin.set_resolver(false);
    assert_eq!(
        client.get(&origin.resolver_url()).await.unwrap().status,
        503
    );
    assert_eq!(origin.stats().resolved, 2);
}
