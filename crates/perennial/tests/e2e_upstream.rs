//! Sources that restart, stand still, move and write oddly: played through.

mod e2e;

use std::time::Duration;

use e2e::{
    Gateway, LATE, channel, check_clean, check_consecutive, check_stretch, indexes, until_played,
};
use testkit::gear::{Format, Live};
use testkit::{Clip, Fault, Origin, Player, Quirk, Shape, Spec, wait_until};

async fn origin(quirks: &[Quirk], spec: Spec) -> Origin {
    let spec = Spec {
        quirks: quirks.to_vec(),
        ..spec
    };
    Origin::start(spec).await.expect("an origin starts")
}

async fn gateway(origin: &Origin) -> Gateway {
    Gateway::live(&[&origin.url()]).await
}

fn index(channel: &str) -> String {
    format!("/live/{channel}/index.m3u8")
}

/// Waits until the origin has made so many further segments.
async fn until_made(origin: &Origin, further: u64) {
    let enough = origin.head() + further;
    let made = wait_until(LATE, "further segments", async || {
        (origin.head() >= enough).then_some(())
    });
    made.await.expect("origins go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_texts_are_played() {
    let oddities: [(&str, &[Quirk]); 8] = [
        ("gzip", &[Quirk::Gzip]),
        ("crlf", &[Quirk::Crlf]),
        ("bom", &[Quirk::Bom]),
        ("latin1", &[Quirk::Latin1]),
        ("define", &[Quirk::Define]),
        ("token", &[Quirk::Token]),
        ("discontinuity", &[Quirk::Discontinuity]),
        (
            "all",
            &[
                Quirk::Gzip,
                Quirk::Crlf,
                Quirk::Bom,
                Quirk::Latin1,
                Quirk::Define,
                Quirk::Token,
            ],
        ),
    ];
    let mut origins = Vec::new();
    for (_, quirks) in oddities {
        origins.push(origin(quirks, Spec::default()).await);
    }
    let channels = oddities.iter().zip(&origins);
    let channels = channels.map(|((id, _), origin)| channel(id, &[&origin.url()]));
    let gateway = Gateway::serve(&channels.collect::<String>()).await;
    let mut players = Vec::new();
    for (id, _) in oddities {
        players.push(gateway.player(&index(id)).await);
    }
    for ((player, origin), (id, _)) in players.into_iter().zip(&origins).zip(oddities) {
        until_played(&player, 12).await;
        let report = player.stop();
        check_clean(&report);
        check_stretch(origin, &report);
        let indexes = indexes(origin, &report.segments);
        let broken =
            |index: Option<u64>| id == "discontinuity" && index.is_some_and(|n| n % 5 == 4);
        // What stands before the first segment is nothing that a player sees.
        for (index, played) in indexes.into_iter().zip(&report.segments).skip(1) {
            assert_eq!(played.discontinuity, broken(index), "{id}: {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renumbering_encoder_is_played_through() {
    let origin = origin(
        &[],
        Spec {
            first_number: 5000,
            ..Spec::default()
        },
    )
    .await;
    let encrypted = Spec {
        shape: Shape::Aes128(testkit::origin::Iv::Implicit),
        ..Spec::default()
    };
    let encrypted = Origin::start(encrypted).await.unwrap();
    let config = channel("clear", &[&origin.url()]) + &channel("aes", &[&encrypted.url()]);
    let gateway = Gateway::serve(&config).await;
    let players = [
        (gateway.player(&index("clear")).await, &origin),
        (gateway.player(&index("aes")).await, &encrypted),
    ];
    for (player, _) in &players {
        until_played(player, 5).await;
    }
    for _ in 0..2 {
        origin.set_fault(Some(Fault::Renumber));
        encrypted.set_fault(Some(Fault::Renumber));
        until_made(&origin, 4).await;
    }
    for (player, origin) in players {
        until_played(&player, 14).await;
        let report = player.stop();
        check_clean(&report);
        check_stretch(origin, &report);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playlist_that_stands_still_for_twenty_seconds_loses_nothing() {
    // A player of the first holds back less than the 20 s, one of the second more.
    let short = origin(
        &[],
        Spec {
            window: 20,
            ..Spec::default()
        },
    )
    .await;
    let long = Spec {
        segment: Duration::from_secs(10),
        ..Spec::default()
    };
    let long = origin(&[], long).await;
    let config = channel("short", &[&short.url()]) + &channel("long", &[&long.url()]);
    let gateway = Gateway::serve(&config).await;
    let players = [
        (gateway.player(&index("short")).await, &short, 20),
        (gateway.player(&index("long")).await, &long, 6),
    ];
    for (player, ..) in &players {
        until_played(player, 3).await;
    }
    for (_, origin, _) in &players {
        origin.set_fault(Some(Fault::Freeze));
    }
    until_made(&short, 10).await;
    for (_, origin, _) in &players {
        origin.set_fault(None);
    }
    for (player, origin, segments) in players {
        until_played(&player, segments).await;
        let report = player.stop();
        check_clean(&report);
        if segments == 20 {
            // Ten segments' time is more than players hold back: the card was shown meanwhile.
            assert_eq!(report.discontinuities().len(), 2, "{report}");
            let of_origin = indexes(origin, &report.segments).into_iter().flatten();
            check_consecutive(&of_origin.collect::<Vec<_>>());
        } else {
            check_stretch(origin, &report);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_followed_again_when_its_target_dies() {
    let origin = origin(&[Quirk::Redirect], Spec::default()).await;
    let gateway = gateway(&origin).await;
    let player = gateway.player(&index("news")).await;
    for edge in 1..=2 {
        until_played(&player, 5 * edge).await;
        origin.move_edge();
    }
    until_played(&player, 16).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&origin, &report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_ffmpeg_is_played_through() {
    let mut live = Live::start(Clip::A, Format::Ts { segment_s: 2 })
        .await
        .expect("ffmpeg and nginx run");
    let recorder = Player::start(testkit::Watch::greedy(live.url().clone()));
    until_played(&recorder, 4).await;
    let gateway = Gateway::live(&[live.url()]).await;
    let player = gateway.player(&index("news")).await;
    until_played(&player, 6).await;
    live.restart_ffmpeg(Clip::B)
        .await
        .expect("ffmpeg runs again");
    let restarted = player.report().segments.len();
    until_played(&player, restarted + 6).await;
    let mut report = player.stop();
    // There was nothing to see while it restarted.
    report.stalls.clear();
    check_clean(&report);
    let numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
    assert_eq!(report.discontinuities().len(), 1, "{report}");
    let recorded = recorder.stop();
    let places = report.segments.iter().map(|played| {
        recorded
            .hashes()
            .iter()
            .position(|hash| *hash == played.hash)
    });
    let places: Option<Vec<usize>> = places.collect();
    let places = places.unwrap_or_else(|| panic!("never sent by the origin: {report}{recorded}"));
    assert!(
        places.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{places:?} {report}{recorded}"
    );
}
