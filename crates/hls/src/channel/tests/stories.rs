//! Random stories: channels that live through hours of faults under a seeded clock. A failing seed
//! prints, and replays with `PERENNIAL_STORY`; `PERENNIAL_HOURS` says how many channel-hours are lived
//! through.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base::Time;

use super::super::Settings;
use super::super::chance::Chance;
use super::player::Truth;
use super::sim::{Sim, settings};
use super::source::{FakeSource, Fault};

/// Hours of one story, and of all in a test run.
const STORY_HOURS: u64 = 10;
const HOURS: u64 = 10_000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// What a provider gets that answers 429 or 509 without saying how long.
const REST: Duration = Duration::from_secs(10);

/// One channel through hours of random faults.
struct Story {
    seed: u64,
    sim: Sim,
    dice: Dice,
    target: Duration,
    /// When each source last changed, and was last told to be left alone.
    changed_at: Vec<Time>,
    rests_until: Vec<Time>,
    /// When a source last failed, whichever.
    failed_at: Time,
}

struct Dice(Chance);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        let high = Duration::from_millis(bound - 1);
        self.0.between(Duration::ZERO, high).as_millis() as u64
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(Chance::new(seed));
        let target_s = dice.pick(&[2, 4, 6, 6, 8, 10]);
        let count = 1 + dice.below(4) as usize;
        // None, some or all on one account.
        let capped = dice.pick(&[0, 0, 0, 50, 100]);
        let mut sources = Vec::new();
        for &name in &NAMES[..count] {
            sources.push(FakeSource {
                duration_s: target_s,
                account: (dice.below(100) < capped).then_some("account"),
                phase_ms: dice.below(target_s * 1000),
                edge: (dice.below(4) == 0).then_some(0),
                ..FakeSource::new(name)
            });
        }
        let settings = Settings {
            warm_standby: dice.below(6) == 0,
            return_after: (dice.below(6) == 0).then_some(Duration::from_secs(60)),
            ..settings(seed)
        };
        let mut sim = Sim::with(&sources, Time::from_ms(100_000), HashMap::new(), settings);
        sim.cap = 1 + dice.below(2) as usize;
        sim.record = false;
        let target = Duration::from_secs(target_s);
        // Three target durations less one segment: what players hold back.
        sim.truth = Truth::new(vec![target * 2; count]);
        Self {
            seed,
            sim,
            dice,
            target,
            changed_at: vec![Time::ZERO; count],
            rests_until: vec![Time::ZERO; count],
            failed_at: Time::ZERO,
        }
    }

    fn change_something(&mut self) {
        let index = self.dice.below(self.sim.sources.len() as u64) as usize;
        let now_ms = self.sim.now.as_ms();
        let fault = match self.dice.below(20) {
            0 => Fault::Refused,
            1 => Fault::Stalled,
            2 => Fault::Frozen(now_ms),
            3 => Fault::BadSegments,
            4 => Fault::SomeBad(5),
            5 => Fault::Slow(60),
            6 => Fault::Slow(250),
            7 => Fault::Status(self.dice.pick(&[403, 404, 500]), None),
            8 => Fault::Status(self.dice.pick(&[429, 509]), None),
            9 => Fault::Status(
                self.dice.pick(&[429, 509, 503]),
                Some(1 + self.dice.below(30)),
            ),
            10 => Fault::Lie,
            11 => Fault::Html,
            12 => Fault::Flap(self.dice.pick(&[700, 3000, 9000])),
            13 if self.sim.sources.len() > 1 => Fault::Ended(now_ms),
            _ => Fault::None,
        };
        let source = &mut self.sim.sources[index];
        let before = std::mem::replace(&mut source.fault, fault);
        if let Fault::Status(429 | 503 | 509, wish) = before {
            let wish = wish.map_or(REST, Duration::from_secs);
            self.rests_until[index] = self.sim.now + wish;
        }
        let restarts = matches!(before, Fault::Ended(_)) || self.dice.below(8) == 0;
        if restarts && fault == Fault::None {
            source.restart(now_ms);
        }
        if let Some(edge) = &mut source.edge
            && self.dice.below(3) == 0
        {
            *edge += 1;
        }
        // It lists as much as players hold back only after a while.
        let full = if restarts {
            self.target * 4
        } else {
            Duration::ZERO
        };
        self.changed_at[index] = self.sim.now + full;
        if fault != Fault::None {
            self.failed_at = self.sim.now;
        }
        self.sim
            .log(|| format!("source {index}: {fault:?}, restarted: {restarts}"));
        self.tell_truth();
    }

    /// Says of each source since when it is sound. An account that was asked to rest is not there.
    fn tell_truth(&mut self) {
        for index in 0..self.sim.sources.len() {
            let since = self.is_sound(index).then(|| {
                let rested = self.sharing(index).map(|at| self.rests_until[at]).max();
                let since = self.changed_at[index].max(rested.unwrap_or_default());
                match self.search(index) {
                    Duration::ZERO => since,
                    search => since.max(self.failed_at) + search + self.target,
                }
            });
            self.sim.truth.set(self.sim.now, index, since);
        }
    }

    fn is_sound(&self, index: usize) -> bool {
        let fault = |at: usize| self.sim.sources[at].fault;
        let rests = |at: usize| matches!(fault(at), Fault::Status(429 | 509, _));
        fault(index) == Fault::None && !self.sharing(index).any(rests)
    }

    /// The source and those of the same account.
    fn sharing(&self, index: usize) -> impl Iterator<Item = usize> {
        let account = |at: usize| self.sim.sources[at].account;
        let same = move |at: &usize| {
            *at == index || account(index).is_some() && account(*at) == account(index)
        };
        (0..self.sim.sources.len()).filter(same)
    }

    /// Of an account only as many sources can be looked at as it has streams, each for a little more
    /// than three target durations, and only once what is on air has failed: a sound one may be behind
    /// others that are not.
    fn search(&self, index: usize) -> Duration {
        let unsound = self.sharing(index).filter(|at| !self.is_sound(*at)).count();
        let rounds = unsound.div_ceil(self.sim.cap) as u32;
        (self.target * 3 + Duration::from_secs(1)) * rounds
    }

    fn live_through(&mut self, span: Duration) -> Result<(), String> {
        let end = self.sim.now + span;
        while self.sim.now < end {
            let quiet = Duration::from_millis(5000 + self.dice.below(175_000));
            self.sim.run(quiet);
            let dead = self
                .sim
                .player
                .dead_air(self.sim.now, &self.sim.truth, self.target);
            self.sim.stalls.extend(dead);
            if let Some((from, to)) = self.sim.stalls.first() {
                let what = format!("stood still from {from} to {to}: {:?}", self.sim.truth);
                return Err(self.failed(&what));
            }
            self.check_manners()?;
            if self.sim.channel.state() == super::super::State::Ended {
                return Ok(());
            }
            self.change_something();
        }
        Ok(())
    }

    /// No source is hammered: over any half minute each is asked not much more than one that plays.
    fn check_manners(&mut self) -> Result<(), String> {
        let span = Duration::from_secs(30);
        let rounds = span.as_secs() / self.target.as_secs();
        let many = 30 + 6 * rounds as usize;
        for index in 0..self.sim.hosts.len() {
            let asked = std::mem::take(&mut self.sim.hosts[index].asked);
            let hammered = asked.windows(many).find(|w| w[many - 1] - w[0] < span);
            if let Some(window) = hammered {
                let what = format!("{many} requests to source {index} from {}", window[0]);
                return Err(self.failed(&what));
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> String {
        self.sim.dump();
        format!("seed {}: {what}", self.seed)
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn thousands_of_hours_of_failures() {
    let only = variable("PERENNIAL_STORY");
    let stories = variable("PERENNIAL_HOURS")
        .unwrap_or(HOURS)
        .div_ceil(STORY_HOURS);
    let seeds = only.map_or(0..stories, |only| only..only + 1);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let live = |seed: u64| {
        let mut story = Story::new(seed);
        story.sim.log = only.map(|_| VecDeque::new());
        story
            .live_through(Duration::from_secs(STORY_HOURS * 3600))
            .err()
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let share = |worker| seeds.clone().skip(worker).step_by(threads);
        let workers: Vec<_> = (0..threads)
            .map(|worker| scope.spawn(move || share(worker).filter_map(live).collect::<Vec<_>>()))
            .collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.flatten().collect()
    });
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>();
    assert!(
        failures.is_empty(),
        "{} stories failed; replay one with PERENNIAL_STORY=n:\n{}",
        failures.len(),
        shown.join("\n")
    );
}
