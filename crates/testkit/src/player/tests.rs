use std::time::Duration;

use super::*;
use crate::checker::Rule;
use crate::{Fault, Origin, Spec};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_buffering_player_holds_back_and_a_greedy_one_does_not() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let check = async |watch: Watch, expected: u64| {
        let player = Player::start(watch);
        player
            .until(SOON, "a segment", |report| !report.segments.is_empty())
            .await
            .unwrap();
        let report = player.stop();
        assert_eq!(report.segments[0].number, expected, "{report}");
    };
    check(Watch::new(origin.url()), 3).await;
    check(Watch::greedy(origin.url()), 0).await;
}

#[tokio::test]
async fn removed_segments_that_go_too_early_are_noticed() {
    let origin = Origin::start(Spec {
        speed: 10.0,
        retain: 2,
        ..Spec::default()
    })
    .await
    .unwrap();
    let player = Player::start(Watch {
        speed: 10.0,
        ..Watch::new(origin.url())
    });
    player
        .until(SOON, "a broken rule", |report| {
            !report.violations.is_empty()
        })
        .await
        .unwrap();
    assert_eq!(player.stop().violations[0].rule, Rule::RemovedTooEarly);
}

#[tokio::test]
async fn what_fails_is_lost_and_the_player_goes_on() {
    let origin = Origin::start(Spec {
        speed: 10.0,
        window: 12,
        ..Spec::default()
    })
    .await
    .unwrap();
    let player = Player::start(Watch {
        speed: 10.0,
        ..Watch::new(origin.url())
    });
    player
        .until(SOON, "a start", |report| report.segments.len() >= 3)
        .await
        .unwrap();
    origin.set_fault(Some(Fault::SegmentsFail));
    player
        .until(SOON, "a loss", |report| !report.lost.is_empty())
        .await
        .unwrap();
    origin.set_fault(None);
    let lost = player.report().lost[0].number;
    let after = move |report: &Report| {
        report
            .segments
            .last()
            .is_some_and(|last| last.number > lost)
    };
    player.until(SOON, "going on", after).await.unwrap();
    let report = player.stop();
    assert!(report.segment_statuses[&404] >= 4, "{report}");
    assert!(
        !report.is_clean() && report.to_string().contains("! lost 1 from"),
        "{report}"
    );
}

#[tokio::test]
async fn an_ended_playlist_is_played_to_its_end() {
    let origin = Origin::start(Spec {
        speed: 10.0,
        ..Spec::default()
    })
    .await
    .unwrap();
    origin.set_fault(Some(Fault::EndList));
    let player = Player::start(Watch {
        speed: 10.0,
        ..Watch::new(origin.url())
    });
    player
        .until(SOON, "the end", |report| report.ended)
        .await
        .unwrap();
    let report = player.stop();
    assert_eq!(report.segments.len(), 3);
    assert!(report.is_clean(), "{report}");
}
