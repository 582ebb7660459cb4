use proptest::prelude::*;

use super::*;
use crate::entry::Kind;

const START: i64 = 1_795_176_000_000;
const SECOND: i64 = 1000;

/// A resolver that takes no time and signs links that live `life_s`; its machine, and the time.
struct World {
    refresher: Refresher,
    now: i64,
    life_s: Option<i64>,
    refresh: Refresh,
    down: bool,
    /// The same link again and again.
    stuck: bool,
    /// Sent with each link.
    headers: Vec<(String, String)>,
    runs: Vec<i64>,
    surveys: usize,
    signed: u64,
}

fn settings() -> Settings {
    Settings {
        interval: Duration::from_secs(1800),
        min_interval: Duration::from_secs(10),
        seed: 1,
    }
}

impl World {
    fn new(life_s: Option<i64>) -> Self {
        Self::with(life_s, settings(), Memory::default())
    }

    fn with(life_s: Option<i64>, settings: Settings, memory: Memory) -> Self {
        let mut world = Self {
            refresher: Refresher::new(settings, memory),
            now: START,
            life_s,
            refresh: Refresh::Overlap,
            down: false,
            stuck: false,
            headers: Vec::new(),
            runs: Vec::new(),
            surveys: 0,
            signed: 0,
        };
        world.step(Event::Tick);
        world
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Refusal> {
        if self.down {
            return Err(Refusal::transient("down"));
        }
        if !self.stuck {
            self.signed += 1;
        }
        let expires = self.life_s.map(|life_s| self.now + life_s * SECOND);
        let entry = |id: &str| Entry {
            id: id.to_owned(),
            title: "Race".to_owned(),
            url: format!("https://o.example/{id}/x.m3u8?sig={}", self.signed)
                .parse()
                .unwrap(),
            kind: Kind::Hls,
            headers: self.headers.clone(),
            quality: "1080p".to_owned(),
            language: String::new(),
            live: None,
            expires_ms: expires,
            refresh: self.refresh,
        };
        Ok(vec![entry("a"), entry("b")])
    }

    fn step(&mut self, event: Event) {
        let mut effects = self.refresher.step(self.now, event);
        while let Some(effect) = effects.pop() {
            if let Effect::Run { survey } = effect {
                self.runs.push(self.now);
                self.surveys += usize::from(survey);
                let result = self.entries();
                effects.extend(self.refresher.step(self.now, Event::Returned(result)));
            }
        }
    }

    fn used(&mut self, entry: &str) {
        self.step(Event::Used {
            entry: entry.to_owned(),
            at_ms: self.now,
        });
    }

    /// Lets `seconds` pass; `watched` are in use all the time.
    fn pass(&mut self, seconds: i64, watched: &[&str]) {
        let end = self.now + seconds * SECOND;
        while self.now < end {
            for entry in watched {
                self.used(entry);
            }
            let wake = self.refresher.wake_at_ms().unwrap_or(end);
            self.now = wake.clamp(self.now + 1, (self.now + 2 * SECOND).min(end));
            self.step(Event::Tick);
        }
    }

    fn held(&self, entry: &str) -> &Held {
        &self.refresher.memory().links[entry]
    }

    fn die(&mut self, entry: &str) {
        let generation = self.held(entry).link.generation;
        self.step(Event::Died {
            entry: entry.to_owned(),
            generation,
        });
    }
}

#[test]
fn a_link_in_use_is_never_over_and_costs_little_more_than_a_run_a_life() {
    for life_s in [20, 45, 240, 3600] {
        let interval = Duration::from_secs(1 << 30);
        let settings = Settings {
            interval,
            ..settings()
        };
        let mut world = World::with(Some(life_s), settings, Memory::default());
        let lives = 30;
        for _ in 0..life_s * lives {
            world.pass(1, &["a"]);
            assert!(world.held("a").is_usable(world.now), "life {life_s}");
        }
        let runs = world.runs.len() as f64;
        assert!(
            runs <= 1.2 * lives as f64 + 1.0,
            "life {life_s}: {runs} runs"
        );
        for pair in world.runs[1..].windows(2) {
            let share = (pair[1] - pair[0]) as f64 / (life_s * SECOND) as f64;
            assert!((0.83..=0.851).contains(&share), "life {life_s}: {share}");
        }
    }
}

#[test]
fn without_a_lease_nothing_is_refreshed() {
    let mut world = World::new(Some(20));
    world.pass(1000, &[]);
    assert_eq!(world.runs.len(), 1);
    world.pass(60, &["a"]);
    let while_watched = world.runs.len();
    assert!(while_watched >= 4);
    world.pass(1000, &[]);
    let lease = LEASE_MS / (20 * SECOND) + 2;
    assert!(
        world.runs.len() <= while_watched + lease as usize,
        "{:?}",
        world.runs
    );
}

#[test]
fn what_there_is_is_asked_for_at_intervals_and_more_often_while_something_is_live() {
    let mut world = World::new(Some(20));
    world.pass(2 * 3600, &[]);
    assert_eq!(world.surveys, 5);
    world.step(Event::Busy(true));
    world.pass(3000, &[]);
    assert_eq!(world.surveys, 5 + 10);
}

#[test]
fn two_watch_and_one_leaves() {
    let mut world = World::new(Some(20));
    world.pass(30, &["a"]);
    let before = world.runs.len();
    world.step(Event::Released {
        entry: "a".to_owned(),
    });
    world.pass(100, &["a"]);
    assert!(world.runs.len() >= before + 5);
    // The last one leaves and says so.
    world.step(Event::Released {
        entry: "a".to_owned(),
    });
    let last = world.now;
    world.pass(5, &[]);
    // Of a use of before, heard of late.
    world.step(Event::Used {
        entry: "a".to_owned(),
        at_ms: last,
    });
    world.pass(11, &[]);
    assert!(!world.refresher.is_leased("a"));
}

#[test]
fn a_death_is_answered_at_once_but_for_the_spacing() {
    let mut world = World::new(Some(3600));
    world.pass(60, &["a"]);
    let first = world.held("a").link.clone();
    world.die("a");
    assert_eq!(world.runs.last(), Some(&world.now));
    assert!(world.held("a").is_usable(world.now));
    assert_eq!(world.held("a").refreshes, 1);
    // What dies of an old link says nothing of the new one.
    world.step(Event::Died {
        entry: "a".to_owned(),
        generation: first.generation,
    });
    assert_eq!(world.runs.len(), 2);
    let at = world.now;
    world.pass(2, &["a"]);
    world.die("a");
    world.pass(20, &["a"]);
    assert_eq!(world.runs[2], at + 10 * SECOND);
}

#[test]
fn the_life_of_a_silent_link_is_learned_from_deaths() {
    let mut world = World::new(None);
    world.pass(830, &["a"]);
    for pair in world.runs.windows(2) {
        assert!(
            (199..=204).contains(&((pair[1] - pair[0]) / SECOND)),
            "{:?}",
            world.runs
        );
    }
    let age_s = (world.now - world.held("a").link.obtained_ms) / SECOND;
    world.pass(60 - age_s, &["a"]);
    world.die("a");
    let from = world.runs.len() - 1;
    world.pass(400, &["a"]);
    for pair in world.runs[from..].windows(2) {
        assert!(
            (49..=52).contains(&((pair[1] - pair[0]) / SECOND)),
            "{:?}",
            world.runs
        );
    }
}

#[test]
fn an_exclusive_link_is_replaced_only_when_it_ends_or_dies() {
    let mut world = World::new(Some(100));
    world.refresh = Refresh::Exclusive;
    world.step(Event::Wanted);
    world.pass(20, &["a"]);
    let from = world.runs.len();
    world.pass(1000, &["a"]);
    for pair in world.runs[from..].windows(2) {
        assert_eq!(pair[1] - pair[0], 100 * SECOND);
    }
    world.pass(30, &["a"]);
    world.die("a");
    assert_eq!(world.runs.last(), Some(&world.now));
}

#[test]
fn failures_come_ever_more_slowly_and_success_heals() {
    let mut world = World::new(Some(20));
    world.pass(10, &["a"]);
    world.down = true;
    let from = world.runs.len();
    world.pass(40, &["a"]);
    let tries = world.runs.len() - from;
    assert!((2..=5).contains(&tries), "{tries}");
    assert!(!world.held("a").is_usable(world.now));
    world.pass(600, &["a"]);
    assert!(world.refresher.is_open());
    let from = world.runs.len();
    world.pass(600, &["a"]);
    assert!(
        (10..=20).contains(&(world.runs.len() - from)),
        "{:?}",
        &world.runs[from..]
    );
    world.down = false;
    world.pass(61, &["a"]);
    assert!(world.held("a").is_usable(world.now) && !world.refresher.is_open());
}

#[test]
fn the_resolvers_own_wish_is_granted() {
    let mut world = World::new(Some(3600));
    world.pass(60, &["a"]);
    let wish = Refusal {
        retry_after: Some(Duration::from_secs(120)),
        ..Refusal::new(Code::RateLimited, "")
    };
    let generation = world.held("a").link.generation;
    let died = Event::Died {
        entry: "a".to_owned(),
        generation,
    };
    assert!(
        world
            .refresher
            .step(world.now, died)
            .contains(&Effect::Run { survey: false })
    );
    world.refresher.step(world.now, Event::Returned(Err(wish)));
    assert_eq!(world.refresher.wake_at_ms(), Some(world.now + 120 * SECOND));
}

#[test]
fn a_dead_link_that_comes_again_is_asked_for_ever_more_slowly() {
    let mut world = World::new(Some(3600));
    world.pass(60, &["a"]);
    world.stuck = true;
    world.die("a");
    let mut deaths = 1;
    for _ in 0..600 {
        world.pass(2, &["a"]);
        if world.held("a").is_usable(world.now) {
            world.die("a");
            deaths += 1;
        }
    }
    assert!(world.runs.len() < 60, "{}", world.runs.len());
    assert!((10..60).contains(&deaths), "{deaths} chances");
    world.stuck = false;
    world.pass(61, &["a"]);
    assert!(world.held("a").is_usable(world.now));
}

#[test]
fn one_refusal_does_not_end_a_link_that_its_resolver_stands_by() {
    let mut world = World::new(None);
    world.stuck = true;
    world.pass(30, &["a"]);
    let before = world.held("a").link.generation;
    world.die("a");
    assert!(
        world.held("a").is_usable(world.now),
        "it gets a chance at once"
    );
    assert!(
        world.held("a").link.generation > before,
        "those who hold it hear of it"
    );
    world.pass(1200, &["a"]);
    assert!(world.held("a").is_usable(world.now));
    // It lives much longer than the thirty seconds at which it was refused: that was an accident.
    let runs = world.runs.len();
    world.pass(1200, &["a"]);
    assert!(world.runs.len() - runs <= 7, "{:?}", &world.runs[runs..]);
}

#[test]
fn a_link_that_is_over_and_comes_again_is_asked_for_ever_more_slowly() {
    let mut world = World::new(Some(60));
    world.stuck = true;
    world.life_s = None;
    let link = "https://o.example/x.m3u8?exp=1795176060";
    let entry = |world: &mut World| {
        let mut entry = world.entries().unwrap().remove(0);
        entry.url = link.parse().unwrap();
        entry
    };
    let mut runs = 0;
    while world.now < START + 1200 * SECOND {
        let now = world.now;
        let used = Event::Used {
            entry: "a".to_owned(),
            at_ms: now,
        };
        let mut effects = world.refresher.step(now, used);
        while let Some(effect) = effects.pop() {
            if let Effect::Run { .. } = effect {
                runs += 1;
                let entry = entry(&mut world);
                effects.extend(world.refresher.step(now, Event::Returned(Ok(vec![entry]))));
            }
        }
        world.now += SECOND;
    }
    assert!(
        !world.held("a").is_usable(world.now),
        "it is not asked late"
    );
    assert!(runs < 60, "{runs}");
}

#[test]
fn a_token_in_a_header_is_a_new_link() {
    let mut world = World::new(Some(20));
    world.stuck = true;
    world.headers = vec![("Cookie".to_owned(), "token=1".to_owned())];
    world.pass(30, &["a"]);
    let old = world.held("a").link.clone();
    world.headers[0].1 = "token=2".to_owned();
    world.pass(30, &["a"]);
    let new = &world.held("a").link;
    assert_eq!(new.entry.url, old.entry.url);
    assert_eq!(new.entry.headers, world.headers);
    assert!(new.generation > old.generation && world.held("a").is_usable(world.now));
}

#[test]
fn what_the_resolver_says_anew_of_the_same_link_counts() {
    let mut world = World::new(Some(20));
    world.stuck = true;
    for _ in 0..120 {
        world.pass(1, &["a"]);
        assert!(world.held("a").is_usable(world.now));
    }
    assert_eq!(world.held("a").link.generation, 1);
}

#[test]
fn a_promise_of_all_time_is_taken_for_a_year() {
    for life_s in [31_622_400, i64::MAX / 4000] {
        let mut world = World::new(Some(life_s));
        world.pass(60, &["a"]);
        let end = world.held("a").link.expires_ms.unwrap();
        assert_eq!(end, START + 366 * 86_400 * SECOND);
        assert_eq!(world.runs.len(), 1);
    }
}

#[test]
fn a_dead_entry_costs_its_siblings_nothing() {
    let mut world = World::new(Some(20));
    world.pass(60, &["a", "b"]);
    for _ in 0..300 {
        world.die("b");
        world.pass(2, &["a", "b"]);
        assert!(world.held("a").is_usable(world.now) && !world.refresher.is_open());
    }
    // Each of `b`'s links was refused at once: that is no reason to hurry.
    let spaced = world.runs.len() as i64;
    assert!(spaced < 660 / 10, "{spaced}");
}

#[test]
fn a_link_that_never_worked_teaches_no_life() {
    let mut world = World::new(None);
    world.pass(30, &["a"]);
    world.die("a");
    world.pass(2, &["a"]);
    world.die("a");
    let from = world.runs.len();
    world.pass(120, &["a"]);
    assert!(world.runs.len() - from <= 5, "{:?}", &world.runs[from..]);
}

#[test]
fn an_answer_that_nothing_is_on_is_an_answer() {
    let mut machine = Refresher::new(settings(), Memory::default());
    let mut runs = 0;
    for second in 0..3600 {
        let now = START + second * SECOND;
        let mut effects = machine.step(now, Event::Tick);
        while let Some(effect) = effects.pop() {
            if let Effect::Run { .. } = effect {
                runs += 1;
                let nothing = Event::Returned(Err(Refusal::new(Code::NotLive, "")));
                effects.extend(machine.step(now, nothing));
            }
        }
    }
    assert_eq!(runs, 2, "nobody watches: it is asked each half hour");
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up() {
    let mut world = World::new(Some(20));
    world.pass(30, &["a"]);
    let memory = world.refresher.memory().clone();
    let mut after = World {
        now: START - 86_400 * SECOND,
        runs: Vec::new(),
        ..world
    };
    after.refresher = Refresher::new(settings(), memory);
    after.step(Event::Tick);
    after.die("a");
    after.pass(20, &["a"]);
    assert!(!after.runs.is_empty(), "a day is not waited for");
    after.pass(100, &[]);
    assert!(!after.refresher.is_leased("a"));
}

#[test]
fn who_leaves_again_and_again_drives_nobody_out() {
    let mut world = World::new(Some(20));
    for _ in 0..200 {
        world.pass(1, &["a"]);
        for _ in 0..2 {
            world.step(Event::Released {
                entry: "a".to_owned(),
            });
        }
        assert!(world.refresher.is_leased("a"));
    }
}

#[test]
fn an_entry_that_the_resolver_does_not_know_is_asked_for_now_and_then() {
    let mut world = World::new(Some(3600));
    world.pass(300, &["c"]);
    assert!((9..=11).contains(&world.runs.len()), "{:?}", world.runs);
}

#[test]
fn leases_and_links_survive_a_restart() {
    let mut world = World::new(Some(60));
    world.pass(20, &["a"]);
    let memory = serde_json::to_string(world.refresher.memory()).unwrap();
    let memory: Memory = serde_json::from_str(&memory).unwrap();
    assert_eq!(memory, *world.refresher.memory());
    let now = world.now;
    let mut after = World {
        now,
        runs: Vec::new(),
        ..world
    };
    after.refresher = Refresher::new(settings(), memory);
    after.step(Event::Tick);
    assert!(after.runs.is_empty(), "the last result is still good");
    after.pass(60, &[]);
    assert_eq!(after.runs.len(), 1, "the lease goes on");
    assert_eq!(after.held("a").link.generation, 2);
}

#[test]
fn entries_of_one_title_are_told_apart_by_their_ids() {
    let mut world = World::new(Some(20));
    world.pass(300, &["a", "b"]);
    for id in ["a", "b"] {
        assert!(world.held(id).link.entry.url.path().contains(id));
    }
    assert_eq!(world.held("a").refreshes, world.held("b").refreshes);
}

proptest! {
    /// Whatever happens in whatever order: one run at a time, spaced, and the machine always wakes again.
    #[test]
    fn runs_are_single_and_spaced(script in prop::collection::vec((0u8..7, 0i64..40_000), 1..200)) {
        let mut world = World::new(Some(20));
        let mut now = START;
        let mut running = false;
        let mut last = i64::MIN / 2;
        let mut machine = Refresher::new(settings(), Memory::default());
        for (what, wait) in script {
            now += wait;
            let entry = if wait % 2 == 0 { "a" } else { "x" }.to_owned();
            world.now = now;
            let event = match what {
                0 => Event::Used { entry, at_ms: now },
                1 => Event::Released { entry },
                2 => Event::Died { entry, generation: (wait % 5).unsigned_abs() },
                3 => Event::Wanted,
                4 => Event::Returned(world.entries()),
                5 => Event::Returned(Err(Refusal::transient("x"))),
                _ => Event::Busy(wait % 2 == 0),
            };
            if matches!(event, Event::Returned(_)) {
                running = false;
            }
            for effect in machine.step(now, event) {
                if let Effect::Run { .. } = effect {
                    prop_assert!(!running);
                    prop_assert!(now - last >= 10 * SECOND);
                    (running, last) = (true, now);
                }
            }
            prop_assert!(running || machine.wake_at_ms().is_some());
        }
    }
}
