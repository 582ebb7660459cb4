//! Random stories: channels that live through hours of faults under a seeded clock. A failing seed
//! prints, and replays with `PERENNIAL_SEED`.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base::Time;

use super::super::chance::Chance;
use super::sim::{FakeSource, Fault, Sim, settings};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// One channel through hours of random faults.
struct Story {
    seed: u64,
    sim: Sim,
    chance: Chance,
    target: Duration,
    /// Since when each source has been sound.
    sound_since: Vec<Option<Time>>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let pick = |chance: &mut Chance, low: u64, high: u64| {
            chance
                .between(Duration::from_millis(low), Duration::from_millis(high))
                .as_millis() as u64
        };
        let duration_s = [2, 4, 6][pick(&mut chance, 0, 2) as usize];
        let count = pick(&mut chance, 1, 4) as usize;
        let capped = pick(&mut chance, 0, 3) == 0;
        let sources: Vec<FakeSource> = NAMES[..count]
            .iter()
            .map(|&name| FakeSource {
                duration_s,
                account: capped.then_some("account"),
                phase_ms: pick(&mut chance, 0, 5999),
                ..FakeSource::new(name)
            })
            .collect();
        let mut sim = Sim::with(
            &sources,
            Time::from_ms(100_000),
            HashMap::new(),
            settings(seed),
        );
        sim.keep_playlists = false;
        let target = Duration::from_secs(duration_s);
        Self {
            seed,
            sound_since: vec![Some(Time::ZERO); count],
            sim,
            chance,
            target,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance
            .between(Duration::ZERO, Duration::from_millis(bound - 1))
            .as_millis() as u64
    }

    fn change_something(&mut self) {
        let index = self.below(self.sim.sources.len() as u64) as usize;
        let now_ms = self.sim.now.as_ms();
        let fault = match self.below(12) {
            0 => Fault::Refused,
            1 => Fault::Stalled,
            2 => Fault::Frozen(now_ms),
            3 => Fault::BadSegments,
            4 => Fault::SomeBad(5),
            5 => Fault::Slow(60),
            6 => Fault::Slow(250),
            // 429 and 509 rest a whole account, and then nobody can play.
            7 if self.sim.sources[index].account.is_some() => Fault::Status(403),
            7 => Fault::Status([403, 404, 429, 500, 509][self.below(5) as usize]),
            8 => {
                let source = &mut self.sim.sources[index];
                (source.first_msn, source.epoch, source.began_ms) = (0, source.epoch + 1, now_ms);
                Fault::None
            }
            _ => Fault::None,
        };
        self.sim.sources[index].fault = fault;
        self.sim.log(|| format!("source {index}: {fault:?}"));
        self.sound_since[index] = (fault == Fault::None).then_some(self.sim.now);
    }

    /// Whether a player must not have stood still for longer than it holds back at `at`: one source had been sound for long enough
    /// to be found, whatever was tried before it.
    fn must_play(&self, at: Time, sound: &[Option<Time>]) -> bool {
        let enough = self.target * 3 * self.sim.sources.len() as u32 + Duration::from_secs(20);
        sound.iter().flatten().any(|&since| at - since > enough)
    }

    /// Sources that share an account with one stream cannot be made ready beside each other: there the
    /// story only shows that the account's limit is kept and numbers stay right.
    fn live_through(&mut self, span: Duration) -> Result<(), String> {
        let end = self.sim.now + span;
        while self.sim.now < end {
            let sound = self.sound_since.clone();
            let stalls = self.sim.player.stalls.len();
            let quiet = self
                .chance
                .between(Duration::from_secs(5), Duration::from_secs(180));
            self.sim.run(quiet);
            for &(at, length) in &self.sim.player.stalls[stalls..] {
                let capped = self.sim.sources[0].account.is_some();
                if length > self.target * 3 && !capped && self.must_play(at, &sound) {
                    self.sim.dump();
                    return Err(format!(
                        "seed {}: stalled for {length:?} at {at} although {sound:?}",
                        self.seed
                    ));
                }
            }
            self.check_manners()?;
            self.change_something();
        }
        Ok(())
    }

    /// No source is hammered: not more than a few requests a second for more than a moment.
    fn check_manners(&mut self) -> Result<(), String> {
        let requests = std::mem::take(&mut self.sim.requests);
        for pair in requests.windows(200) {
            let span = pair[199].0 - pair[0].0;
            if span < Duration::from_secs(30) {
                self.sim.dump();
                return Err(format!(
                    "seed {}: 200 requests within {span:?} at {}",
                    self.seed, pair[0].0
                ));
            }
        }
        self.sim.published.clear();
        self.sim.notices.clear();
        Ok(())
    }
}

/// Channel-hours that a test run lives through, in stories of so many hours.
const STORIES: u64 = 40;
const STORY: Duration = Duration::from_secs(10 * 3600);

#[test]
fn hundreds_of_hours_of_failures() {
    let only: Option<u64> = std::env::var("PERENNIAL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let stories = std::env::var("PERENNIAL_STORIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(STORIES);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let seeds = (0..stories).filter(|seed| seed % threads == worker);
                    let seeds = seeds.filter(|seed| only.is_none_or(|only| only == *seed));
                    let told = |seed| {
                        let mut story = Story::new(seed);
                        story.sim.log = only.map(|_| VecDeque::new());
                        story.live_through(STORY).err()
                    };
                    seeds.filter_map(told).collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let shown = failures
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        failures.is_empty(),
        "{} stories failed; replay one with PERENNIAL_SEED=n:\n{shown}",
        failures.len()
    );
}
