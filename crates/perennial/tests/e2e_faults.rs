//! Every way in which a source fails, with a healthy one behind it: a player that holds back three target
//! durations notices nothing but the discontinuity.

mod e2e;

use std::time::Duration;

use e2e::{
    FAILURES, Failing, Gateway, LATE, SOON, Source, check_clean, check_consecutive, indexes,
    until_played,
};
use futures_util::future::join_all;
use testkit::{Player, Report, wait_until};
use tokio::time::Instant;

/// The time until the playlist has a segment of another source.
async fn until_joined(gateway: &Gateway, path: &str) -> Duration {
    let since = Instant::now();
    let joined = wait_until(LATE, "another source's segment", async || {
        let answer = gateway.get(path).await;
        let text = String::from_utf8_lossy(&answer.body);
        text.contains("#EXT-X-DISCONTINUITY\n")
            .then(|| since.elapsed())
    });
    joined.await.unwrap_or_else(|late| panic!("{path}: {late}"))
}

/// The seconds of media that a player had when the second source's first segment came.
fn left(report: &Report) -> f64 {
    let before = report
        .segments
        .iter()
        .take_while(|played| !played.discontinuity);
    let shown: Duration = before.map(|played| played.duration).sum();
    let joined = report.segments.iter().find(|played| played.discontinuity);
    let (Some(first), Some(joined)) = (report.segments.first(), joined) else {
        return 0.0;
    };
    (first.at + shown).as_secs_f64() - joined.at.as_secs_f64()
}

#[track_caller]
fn check_joined(channel: &Failing, report: &Report) {
    let name = channel.name;
    check_clean(report);
    let [at] = report.discontinuities()[..] else {
        panic!("{name}: not one discontinuity: {report}");
    };
    let numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
    let (before, after) = report
        .segments
        .split_at(numbers.partition_point(|number| *number < at));
    let stretch = |origin, part| {
        let indexes: Option<Vec<u64>> = indexes(origin, part).into_iter().collect();
        check_consecutive(
            &indexes.unwrap_or_else(|| panic!("{name}: of another source: {report}")),
        );
    };
    stretch(&channel.second, after);
    if let Source::Made(first) = &channel.first {
        stretch(first, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_notices_nothing_of_any_failure() {
    let mut channels = Failing::all(&FAILURES).await;
    let config: String = channels.iter().map(Failing::config).collect();
    let gateway = Gateway::serve(&config).await;
    let paths: Vec<_> = channels.iter().map(Failing::path).collect();
    let players = join_all(paths.iter().map(|path| gateway.player(path))).await;
    join_all(players.iter().map(|player| until_played(player, 5))).await;

    let failed = channels.iter_mut().zip(&paths).enumerate();
    let failed = failed.map(|(index, (channel, path))| {
        let gateway = &gateway;
        async move {
            // At another moment of a segment's time each.
            tokio::time::sleep(Duration::from_millis(170) * index as u32).await;
            channel.fail();
            until_joined(gateway, path).await
        }
    });
    let took = join_all(failed).await;
    let mut problems = Vec::new();
    for ((channel, took), player) in channels.iter().zip(took).zip(&players) {
        let name = channel.name;
        let has = |report: &Report| {
            let at = report.discontinuities().first().copied();
            at.is_some_and(|at| {
                report
                    .segments
                    .iter()
                    .filter(|played| played.number >= at)
                    .count()
                    >= 6
            })
        };
        let waited = player
            .until(SOON, "six segments of the second source", has)
            .await;
        let report = player.report();
        println!(
            "{name:>14}: {:.1} s from the fault to the next published segment, {:.1} s left in the player's buffer",
            took.as_secs_f64(),
            left(&report)
        );
        problems.extend(waited.err().map(|late| format!("{name}: {late}")));
        problems.extend(
            report
                .problems()
                .into_iter()
                .map(|problem| format!("{name}: {problem}")),
        );
    }
    assert!(problems.is_empty(), "{problems:#?}");
    for (channel, player) in channels.iter().zip(players) {
        check_joined(channel, &Player::stop(player));
    }
}
