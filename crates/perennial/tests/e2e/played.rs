//! What is expected of what a player got.

use std::collections::HashMap;
use std::time::Duration;

use testkit::player::Played;
use testkit::{Origin, Player, Report, Sha256};

use super::LATE;

/// Waits until the player has so many segments.
pub(crate) async fn until_played(player: &Player, segments: usize) {
    until_played_within(LATE, player, segments).await;
}

/// The same with a deadline of one's own.
pub(crate) async fn until_played_within(within: Duration, player: &Player, segments: usize) {
    let has = |report: &Report| report.segments.len() >= segments;
    let waited = player
        .until(within, &format!("{segments} segments"), has)
        .await;
    waited.unwrap_or_else(|late| panic!("{late}"));
}

/// A viewer would not complain, and every playlist kept the rules.
#[track_caller]
pub(crate) fn check_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}

/// Each number is its predecessor's plus one.
#[track_caller]
pub(crate) fn check_consecutive(numbers: &[u64]) {
    let broken = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
    assert!(
        !numbers.is_empty() && broken.is_none(),
        "{broken:?} in {numbers:?}"
    );
}

/// Which of the origin's segments these are, by index; `None` for one that is not the origin's.
pub(crate) fn indexes(origin: &Origin, played: &[Played]) -> Vec<Option<u64>> {
    let known: HashMap<Sha256, u64> = origin
        .expected_hashes(0..origin.head())
        .into_iter()
        .zip(0..)
        .collect();
    played
        .iter()
        .map(|played| known.get(&played.hash).copied())
        .collect()
}

/// The player got a stretch of the origin's segments, byte for byte, each once and in order, under
/// numbers that rise by one.
#[track_caller]
pub(crate) fn check_stretch(origin: &Origin, report: &Report) {
    let indexes: Option<Vec<u64>> = indexes(origin, &report.segments).into_iter().collect();
    let Some(indexes) = indexes else {
        panic!("bytes that the origin never sent: {report}");
    };
    check_consecutive(&indexes);
    let numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
}
