//! Switches by hand: however many there are, players stay as far behind the live edge as they began, and
//! none of them stands still.

use std::collections::HashMap;
use std::time::Duration;

use base::Time;

use super::super::chance::Chance;
use super::player::Truth;
use super::sim::{Sim, settings};
use super::source::FakeSource;

const SWITCHES: usize = 20;

/// Three sources whose segments come at other moments, switched at any moment.
fn check(seed: u64, target_s: u64) {
    let mut chance = Chance::new(seed);
    let (target, ms) = (Duration::from_secs(target_s), Duration::from_millis(1));
    let sources = ["a", "b", "c"].map(|name| FakeSource {
        duration_s: target_s,
        phase_ms: chance.between(Duration::ZERO, target - ms).as_millis() as u64,
        ..FakeSource::new(name)
    });
    let start = Time::from_ms(100_000);
    let mut sim = Sim::with(&sources, start, HashMap::new(), settings(seed));
    // Each is sound all the time.
    sim.truth = Truth::new(vec![Duration::ZERO; sources.len()]);
    sim.run(target * 3);
    let start = most_ahead(&mut sim, target);
    for switch in 1..=SWITCHES {
        sim.switch(switch % sources.len());
        sim.run(chance.between(target * 3 / 2, target * 4));
        let on_air = sim.channel.on_air();
        assert!(
            on_air.is_some() && !sim.published.is_empty(),
            "seed {seed}: {on_air:?}"
        );
    }
    sim.run(target * 2);
    assert_eq!(sim.channel.on_air(), Some(SWITCHES % sources.len()));
    let end = most_ahead(&mut sim, target);
    let (target_ms, gained) = (target.as_millis() as i64, end - start);
    assert!(
        gained <= target_ms && gained >= -3 * target_ms / 2,
        "seed {seed}: {gained} ms further behind the live edge"
    );
    assert!(sim.stalls.is_empty(), "seed {seed}: {:?}", sim.stalls);
}

/// By how many milliseconds more media than time has passed, at the end of the list, at most over a while:
/// what a player that plays on without a pause is behind the live edge, but for a constant.
fn most_ahead(sim: &mut Sim, target: Duration) -> i64 {
    let mut most = i64::MIN;
    for _ in 0..20 {
        sim.run(target / 10);
        let listed_ms = sim.listed().as_millis() as i64;
        most = most.max(listed_ms - sim.now.as_ms().cast_signed());
    }
    most
}

#[test]
fn twenty_switches_leave_players_as_far_behind_the_live_edge_as_they_were() {
    for seed in 0..400 {
        check(seed, [2, 4, 6, 10][seed as usize % 4]);
    }
}
