//! When a resolver is asked: the pure machine of one resolver.
//!
//! [`Refresher::step`] takes what happened and returns what to do; it reads no clock and starts nothing.
//! All times are wall-clock milliseconds, because links tell their ends so and because leases outlive
//! the process.
//!
//! A link is refreshed for those who use it. Every request for a stream renews its *lease*; without one
//! nothing is refreshed. One run of the resolver brings new links for all of its entries at once, so
//! there is one run at a time, whatever asked for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::document::{Code, Refusal};
use crate::entry::{Entry, Link, Refresh};

/// What a refresher is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often the resolver is asked what there is, whoever watches.
    pub interval: Duration,
    /// The least time between the beginnings of two runs.
    pub min_interval: Duration,
    /// For jitter.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The moment asked for by [`Refresher::wake_at_ms`] has come.
    Tick,
    /// Somebody used an entry at `at_ms`.
    Used {
        /// Its id.
        entry: String,
        /// When.
        at_ms: i64,
    },
    /// The only one who said that he watches has left: the lease ends soon unless it is renewed.
    Released {
        /// The entry's id.
        entry: String,
    },
    /// The upstream refused a link.
    Died {
        /// The entry's id.
        entry: String,
        /// Of the link that was refused. One that has been replaced meanwhile says nothing.
        generation: u64,
    },
    /// An administrator wants to know what there is.
    Wanted,
    /// Something on the schedule is live, or not any more.
    Busy(bool),
    /// The run that was asked for ended.
    Returned(Result<Vec<Entry>, Refusal>),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the resolver, and answer with [`Event::Returned`].
    Run {
        /// To find out what there is, and not only for fresh links.
        survey: bool,
    },
    /// Links changed: tell those who use them, and keep them.
    Publish,
}

/// What a restart must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The newest link of each entry.
    pub links: BTreeMap<String, Held>,
    /// When each lease ends, in milliseconds since the Unix epoch.
    pub leases: BTreeMap<String, i64>,
    /// When the newest run began.
    pub last_run_ms: Option<i64>,
    /// When the newest run that found out what there is began.
    pub last_survey_ms: Option<i64>,
}

/// A link and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The link.
    pub link: Link,
    /// When a fresh one is due; `None`: only when it has died.
    due_ms: Option<i64>,
    /// The upstream refused it.
    pub dead: bool,
    /// The newest result still has it.
    pub listed: bool,
    /// How often it was replaced.
    pub refreshes: u64,
    /// When it was last replaced or confirmed.
    pub refreshed_ms: i64,
    /// How long its links live that do not say so, as the last death told.
    #[serde(default)]
    life_ms: Option<i64>,
    /// Links in a row that were of no use: refused at once, or over when they came.
    #[serde(default)]
    setbacks: u32,
}

/// The machine of one resolver.
#[derive(Debug)]
pub struct Refresher {
    settings: Settings,
    memory: Memory,
    running: Option<Running>,
    /// Failures in a row.
    failures: u32,
    /// No run before, unless an administrator wants one.
    not_before_ms: i64,
    busy: bool,
    wanted: bool,
    /// When the last declared viewer of an entry left: uses of before do not renew its lease.
    released: BTreeMap<String, i64>,
    chance: Chance,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    survey: bool,
}

/// A lease without requests ends after so long.
pub const LEASE_MS: i64 = 90_000;
/// What is left of a lease whose last declared viewer has gone: others who play ask within it.
const RELEASED_MS: i64 = 15_000;
/// Uses are told by other clocks than leavings.
const RELEASE_BLUR_MS: i64 = 1000;
/// Leases of one resolver; the one that ends first makes room.
const LEASES_MAX: usize = 1000;
/// The life of a link that says nothing, until one has been seen to die.
const LIFE_GUESS_MS: i64 = 240_000;
/// A link that was refused at this age never worked: it tells no life, and the next one has less hurry.
const YOUNG_MS: i64 = 10_000;
const LIFE_MAX_MS: i64 = 24 * 3_600_000;
/// The share of its life that a link has left when a fresh one is fetched.
const LEAD_PERCENT: i64 = 15;
/// How much earlier, at most, in thousandths of its life: clients of one provider should not come together.
const JITTER_PERMILLE: i64 = 10;
/// While something is live.
const BUSY_INTERVAL_MS: i64 = 300_000;
const BACKOFF_MIN_MS: i64 = 1_000;
const BACKOFF_MAX_MS: i64 = 60_000;
/// So many failures in a row open the circuit: until the next try, those who wait are told at once.
const FAILURES_MAX: u32 = 5;
/// An entry that is in use and that the resolver does not list is asked for again after so long.
const ABSENT_MS: i64 = 30_000;
const RETRY_AFTER_MAX_MS: i64 = 3_600_000;

impl Refresher {
    /// A refresher that goes on where `memory` ended.
    pub fn new(settings: Settings, memory: Memory) -> Self {
        Self {
            chance: Chance(settings.seed),
            settings,
            memory,
            running: None,
            failures: 0,
            not_before_ms: 0,
            busy: false,
            wanted: false,
            released: BTreeMap::new(),
        }
    }

    /// Takes what happened at `now_ms` and returns what to do.
    pub fn step(&mut self, now_ms: i64, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.heed_the_clock(now_ms);
        match event {
            Event::Tick => {}
            Event::Used { entry, at_ms } => {
                let released = self.released.get(&entry);
                if released.is_none_or(|released| at_ms > released + RELEASE_BLUR_MS) {
                    self.lease(entry, at_ms + LEASE_MS);
                }
            }
            Event::Released { entry } => {
                // Whoever says it again and again does not keep others from renewing the lease.
                let until = self.memory.leases.get_mut(&entry);
                if let Some(until) = until.filter(|until| **until > now_ms + RELEASED_MS) {
                    *until = now_ms + RELEASED_MS;
                    self.released.insert(entry, now_ms);
                }
            }
            Event::Died { entry, generation } => {
                if self.died(now_ms, &entry, generation) {
                    out.push(Effect::Publish);
                }
            }
            Event::Wanted => self.wanted = true,
            Event::Busy(busy) => self.busy = busy,
            Event::Returned(result) => self.returned(now_ms, result, &mut out),
        }
        self.memory.leases.retain(|_, until| *until > now_ms);
        let leases = &self.memory.leases;
        self.released.retain(|entry, _| leases.contains_key(entry));
        if self.running.is_none() && self.due_ms().is_some_and(|due| due <= now_ms) {
            let survey = self.survey_ms() <= now_ms || self.wanted;
            self.running = Some(Running { survey });
            self.wanted = false;
            self.memory.last_run_ms = Some(now_ms);
            if survey {
                self.memory.last_survey_ms = Some(now_ms);
            }
            out.push(Effect::Run { survey });
        }
        out
    }

    /// When the machine wants its next [`Event::Tick`]; `None` while a run is on its way.
    pub fn wake_at_ms(&self) -> Option<i64> {
        self.due_ms().filter(|_| self.running.is_none())
    }

    /// Whether a run is on its way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it is still to be found out what there is, because an administrator wants to know.
    pub fn owes_survey(&self) -> bool {
        self.wanted || self.running.is_some_and(|running| running.survey)
    }

    /// Whether so much failed that nobody should wait for the next try.
    pub fn is_open(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// The newest links, and all else that outlives the process.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether somebody uses an entry.
    pub fn is_leased(&self, entry: &str) -> bool {
        self.memory.leases.contains_key(entry)
    }

    fn lease(&mut self, entry: String, until_ms: i64) {
        if !self.memory.leases.contains_key(&entry) && self.memory.leases.len() == LEASES_MAX {
            let first = self.memory.leases.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(entry, _)| entry.clone()) {
                self.memory.leases.remove(&first);
            }
        }
        let until = self.memory.leases.entry(entry).or_insert(until_ms);
        *until = (*until).max(until_ms);
    }

    /// A clock that was set back leaves moments that will not come for long: nobody waits for them.
    fn heed_the_clock(&mut self, now_ms: i64) {
        let memory = &mut self.memory;
        for ran in [&mut memory.last_run_ms, &mut memory.last_survey_ms] {
            *ran = ran.map(|at_ms| at_ms.min(now_ms));
        }
        for until in memory.leases.values_mut() {
            *until = (*until).min(now_ms + LEASE_MS);
        }
        self.not_before_ms = self.not_before_ms.min(now_ms + RETRY_AFTER_MAX_MS);
    }

    fn died(&mut self, now_ms: i64, entry: &str, generation: u64) -> bool {
        let Some(held) = self.memory.links.get_mut(entry) else {
            return false;
        };
        if held.dead || held.link.generation != generation {
            return false;
        }
        held.dead = true;
        let age = now_ms - held.link.obtained_ms;
        if age < YOUNG_MS {
            held.setbacks = held.setbacks.saturating_add(1);
        } else {
            held.setbacks = 0;
            if held.link.expires_ms.is_none() && held.link.entry.refresh == Refresh::Overlap {
                held.life_ms = Some(age.min(LIFE_MAX_MS));
            }
        }
        let pause = self.chance.pause(held.setbacks);
        held.due_ms = Some(now_ms + pause);
        true
    }

    fn returned(
        &mut self,
        now_ms: i64,
        result: Result<Vec<Entry>, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Running { survey }) = self.running.take() else {
            return;
        };
        match result {
            Ok(entries) => {
                self.take(now_ms, entries);
                self.failures = 0;
                self.not_before_ms = 0;
                out.push(Effect::Publish);
            }
            Err(refusal) => {
                // "Nothing is on" is an answer; nobody asks again for it alone before its time.
                let answered = !matches!(refusal.code, Code::Transient | Code::RateLimited);
                if survey && !answered {
                    self.memory.last_survey_ms = None;
                }
                self.failed(now_ms, &refusal);
                out.push(Effect::Publish);
            }
        }
    }

    /// Takes a result: by id, and by nothing else.
    fn take(&mut self, now_ms: i64, entries: Vec<Entry>) {
        for held in self.memory.links.values_mut() {
            held.listed = false;
        }
        for entry in entries {
            let id = entry.id.clone();
            let known = self.memory.links.remove(&id);
            let held = self.renewed(now_ms, known, entry);
            self.memory.links.insert(id, held);
        }
        let leases = &self.memory.leases;
        self.memory
            .links
            .retain(|id, held| held.listed || leases.contains_key(id));
    }

    fn renewed(&mut self, now_ms: i64, known: Option<Held>, entry: Entry) -> Held {
        let mut held = match known {
            Some(held) if held.link.entry.asks_as(&entry) => held.confirmed(now_ms, entry),
            Some(held) => {
                let mut link = Link::new(entry, held.link.generation + 1, now_ms);
                if link.entry.url == held.link.entry.url {
                    // Only its headers are new: an end that has passed was no misreading.
                    link.expires_ms = link.expires_ms.or(held.link.expires_ms);
                }
                let lived = !held.dead && now_ms - held.link.obtained_ms >= YOUNG_MS;
                Held {
                    refreshes: held.refreshes + 1,
                    life_ms: held.life_ms,
                    setbacks: if lived { 0 } else { held.setbacks },
                    ..Held::new(link)
                }
            }
            None => Held::new(Link::new(entry, 1, now_ms)),
        };
        held.listed = true;
        held.refreshed_ms = now_ms;
        held.due_ms = if held.is_usable(now_ms) {
            self.refresh_at(now_ms, &held)
        } else {
            held.setbacks = held.setbacks.saturating_add(1);
            Some(now_ms + self.chance.pause(held.setbacks))
        };
        held
    }

    /// When a link that is known at `now_ms` should be replaced.
    fn refresh_at(&mut self, now_ms: i64, held: &Held) -> Option<i64> {
        let link = &held.link;
        if link.entry.refresh == Refresh::Exclusive {
            return link.expires_ms;
        }
        let guess = held.life_ms.unwrap_or(LIFE_GUESS_MS);
        // What neither tells its end nor changes is looked at again after the same time.
        let end = link.expires_ms.unwrap_or(now_ms + guess);
        let begin = if link.expires_ms.is_some() {
            link.obtained_ms
        } else {
            now_ms
        };
        let life = (end - begin).max(0);
        let jitter = self.chance.up_to(life * JITTER_PERMILLE / 1000);
        Some(end - life * LEAD_PERCENT / 100 - jitter)
    }

    fn failed(&mut self, now_ms: i64, refusal: &Refusal) {
        self.failures += 1;
        let wait = match self.is_open() {
            true => BACKOFF_MAX_MS / 2 + self.chance.up_to(BACKOFF_MAX_MS / 2),
            false => self.chance.pause(self.failures),
        };
        let least = match refusal.code {
            Code::Transient | Code::RateLimited => 0,
            Code::NotLive => BACKOFF_MAX_MS / 2,
            Code::Auth | Code::Geo | Code::Gone => BACKOFF_MAX_MS,
        };
        let wish = refusal.retry_after.unwrap_or_default();
        let wish = ms(wish).min(RETRY_AFTER_MAX_MS);
        self.not_before_ms = now_ms + wait.max(least).max(wish);
    }

    /// When the next run is due, spacing and backoff included.
    fn due_ms(&self) -> Option<i64> {
        let spaced = self
            .memory
            .last_run_ms
            .map_or(0, |last| last + ms(self.settings.min_interval));
        if self.wanted {
            return Some(spaced);
        }
        let leased = self
            .memory
            .leases
            .keys()
            .filter_map(|id| match self.memory.links.get(id) {
                Some(held) if !held.listed => Some(self.absent_ms()),
                Some(held) => held.due_ms,
                None => Some(self.absent_ms()),
            });
        let due = leased.chain([self.survey_ms()]).min()?;
        Some(due.max(spaced).max(self.not_before_ms))
    }

    /// When it is found out again what there is.
    fn survey_ms(&self) -> i64 {
        let interval = ms(self.settings.interval);
        let interval = if self.busy {
            interval.min(BUSY_INTERVAL_MS)
        } else {
            interval
        };
        self.memory.last_survey_ms.map_or(0, |last| last + interval)
    }

    fn absent_ms(&self) -> i64 {
        self.memory.last_run_ms.map_or(0, |last| last + ABSENT_MS)
    }
}

impl Held {
    fn new(link: Link) -> Self {
        Self {
            refreshed_ms: link.obtained_ms,
            link,
            due_ms: None,
            dead: false,
            listed: true,
            refreshes: 0,
            life_ms: None,
            setbacks: 0,
        }
    }

    /// The same link again. If it was refused, it gets another chance: the refusal may have been the
    /// upstream's mistake, and the resolver has no better one.
    fn confirmed(mut self, now_ms: i64, entry: Entry) -> Self {
        let before = &self.link;
        let told = entry.expires_ms.is_some();
        let mut link = Link::new(entry, before.generation, now_ms);
        if !told || link.expires_ms.is_none() {
            link.expires_ms = before.expires_ms;
        }
        let is_over = link.is_over(now_ms);
        if self.dead {
            self.dead = is_over;
            link.generation += u64::from(!is_over);
        } else {
            link.obtained_ms = before.obtained_ms;
            let age = now_ms - link.obtained_ms;
            if age >= YOUNG_MS && !is_over {
                self.setbacks = 0;
            }
            // What has outlived it shows that it was learned from an accident.
            self.life_ms = self.life_ms.filter(|life| age <= *life);
        }
        self.link = link;
        self
    }

    /// Whether it may be asked: it was not refused, and its time is not over.
    pub fn is_usable(&self, now_ms: i64) -> bool {
        !self.dead && !self.link.is_over(now_ms)
    }
}

/// Numbers that look random, from a seed (SplitMix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// A number from 0 to `most`.
    fn up_to(&mut self, most: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (most.max(0).unsigned_abs() + 1)).cast_signed()
    }

    /// How long to wait after so many attempts in vain: full jitter below a bound that doubles.
    fn pause(&mut self, attempts: u32) -> i64 {
        let Some(doublings) = attempts.checked_sub(1) else {
            return 0;
        };
        self.up_to((BACKOFF_MIN_MS << doublings.min(6)).min(BACKOFF_MAX_MS))
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
