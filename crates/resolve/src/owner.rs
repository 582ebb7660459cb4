//! The task that owns a resolver: it feeds the machine with what happens and does what it asks for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, Listed};
use crate::document::{Answer, Refusal};
use crate::entry::Link;
use crate::probe::{Probe, probe};
use crate::reference::digest;
use crate::refresher::{Effect, Event, Held, Memory, Refresher, Settings};
use crate::resolvers::{Resolver, Tools};
use crate::run::run;
use crate::spec::ResolverSpec;

/// What is asked of the owner.
#[derive(Debug)]
pub(crate) enum Command {
    Died {
        entry: String,
        generation: u64,
    },
    Busy(bool),
    Activate {
        entry: String,
        done: oneshot::Sender<()>,
    },
    Deactivate {
        entry: String,
        done: oneshot::Sender<()>,
    },
    /// Find out what there is; `done` when every entry has been looked at.
    Survey {
        done: oneshot::Sender<()>,
    },
}

pub(crate) struct Owner {
    resolver: Arc<Resolver>,
    spec: Arc<ResolverSpec>,
    tools: Tools,
    machine: Refresher,
    error: Option<String>,
    refused: Vec<String>,
    /// Digests of the links that each entry had.
    history: BTreeMap<String, VecDeque<String>>,
    probes: HashMap<String, Probe>,
    /// Viewers that said they came and did not yet say they went.
    declared: HashMap<String, u32>,
    surveys: Vec<oneshot::Sender<()>>,
    work: JoinSet<Done>,
    probing: bool,
    saving: bool,
    saved_ms: i64,
    unsaved: bool,
}

enum Done {
    Ran {
        result: Result<Answer, Refusal>,
        survey: bool,
    },
    Probed(Vec<(String, Probe)>),
    Saved,
}

/// What the store keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    memory: Memory,
    #[serde(default)]
    history: BTreeMap<String, VecDeque<String>>,
}

/// Links that an entry had and that still lead to its newest.
const HISTORY_MAX: usize = 64;
/// Entries that it does not list any more and that are still known by their references and old links.
const GONE_MAX: usize = 1000;
/// Entries that are looked at after a survey, those first that were looked at longest ago, and how many
/// at once.
const PROBES_MAX: usize = 200;
const PROBES_AT_ONCE: usize = 4;
/// How often marks of use are collected.
const LOOK: Duration = Duration::from_secs(2);
/// Leases alone are worth writing so often.
const SAVE_LEASES_MS: i64 = 15_000;

impl Owner {
    /// Goes on where the store says that it ended.
    pub(crate) async fn new(
        resolver: Arc<Resolver>,
        spec: Arc<ResolverSpec>,
        tools: Tools,
    ) -> Self {
        let kept = kept(&tools, &spec.id).await;
        let mut seed = [0; 8];
        // Without entropy, clients of one provider may come together: no reason not to start.
        let _ = getrandom::fill(&mut seed);
        let settings = Settings {
            interval: spec.interval,
            min_interval: spec.min_interval,
            seed: u64::from_le_bytes(seed),
        };
        let owner = Self {
            machine: Refresher::new(settings, kept.memory),
            history: kept.history,
            resolver,
            spec,
            saved_ms: tools.clock.unix_ms(),
            tools,
            error: None,
            refused: Vec::new(),
            probes: HashMap::new(),
            declared: HashMap::new(),
            surveys: Vec::new(),
            work: JoinSet::new(),
            probing: false,
            saving: false,
            unsaved: false,
        };
        owner.publish();
        owner
    }

    /// Runs until it is told to stop; then keeps what is not kept yet.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        self.step(Event::Tick);
        loop {
            let now_ms = self.tools.clock.unix_ms();
            let wake = self
                .machine
                .wake_at_ms()
                .map_or(i64::MAX, |at| (at - now_ms).max(1));
            let wake = Duration::from_millis(wake.unsigned_abs()).min(LOOK);
            tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some(done) = self.work.join_next() => {
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                () = self.resolver.wanted.notified() => {}
                () = tokio::time::sleep(wake) => {}
            }
            self.look();
        }
        self.work.abort_all();
        if self.unsaved || self.saving {
            save(&self.tools, &self.spec.id, self.kept()).await;
        }
    }

    /// Collects marks of use, and lets the machine look at the time.
    fn look(&mut self) {
        for (entry, at_ms) in self.resolver.marks() {
            self.step(Event::Used { entry, at_ms });
        }
        self.step(Event::Tick);
        let now_ms = self.tools.clock.unix_ms();
        let leases = &self.machine.memory().leases;
        let known = self.resolver.board.borrow().leases.clone();
        if !leases.keys().eq(known.keys()) {
            self.unsaved = true;
            self.declared.retain(|entry, _| leases.contains_key(entry));
            self.publish();
            self.save();
        } else if *leases != known && now_ms - self.saved_ms > SAVE_LEASES_MS {
            self.unsaved = true;
            self.publish();
            self.save();
        }
    }

    fn obey(&mut self, command: Command) {
        let now_ms = self.tools.clock.unix_ms();
        match command {
            Command::Died { entry, generation } => {
                tracing::info!(resolver = self.spec.id, entry, "the link has died");
                self.step(Event::Died { entry, generation });
            }
            Command::Busy(busy) => self.step(Event::Busy(busy)),
            Command::Activate { entry, done } => {
                *self.declared.entry(entry.clone()).or_default() += 1;
                self.step(Event::Used {
                    entry,
                    at_ms: now_ms,
                });
                self.publish();
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Command::Deactivate { entry, done } => {
                let left = self.declared.entry(entry.clone()).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.declared.remove(&entry);
                    self.step(Event::Released { entry });
                }
                self.publish();
                let _ = done.send(());
            }
            Command::Survey { done } => {
                let last = self.machine.memory().last_survey_ms;
                let spacing = i64::try_from(self.spec.min_interval.as_millis()).unwrap_or(i64::MAX);
                let fresh =
                    last.is_some_and(|last| now_ms - last < spacing) && self.error.is_none();
                self.surveys.push(done);
                if fresh && !self.machine.is_running() {
                    self.answer_surveys();
                } else {
                    self.step(Event::Wanted);
                }
            }
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Ran { result, survey } => self.ran(result, survey),
            Done::Probed(probes) => {
                self.probing = false;
                self.probes.extend(probes);
                let known = &self.machine.memory().links;
                self.probes.retain(|entry, _| known.contains_key(entry));
                self.publish();
                if self.has_unseen() {
                    self.probe_all(false);
                }
                self.answer_surveys();
            }
            Done::Saved => {
                self.saving = false;
                if self.unsaved {
                    self.save();
                }
                self.answer_surveys();
            }
        }
    }

    fn ran(&mut self, result: Result<Answer, Refusal>, survey: bool) {
        let resolver = &self.spec.id;
        let result = result.map(|Answer { entries, refused }| {
            for reason in &refused {
                tracing::warn!(resolver, "{reason}");
            }
            if self.error.take().is_some() {
                tracing::info!(resolver, "the resolver answers again");
            }
            tracing::debug!(resolver, entries = entries.len(), "the resolver answered");
            self.refused = refused;
            entries
        });
        if let Err(refusal) = &result {
            let text = refusal.to_string();
            if self.error.as_ref() != Some(&text) {
                tracing::warn!(resolver, "the resolver brought nothing: {text}");
            }
            self.error = Some(text);
        }
        self.step(Event::Returned(result));
        if !self.probing && (survey || self.has_unseen()) {
            self.probe_all(survey);
        }
        self.answer_surveys();
    }

    /// Whether there is an entry that nobody has looked at.
    fn has_unseen(&self) -> bool {
        let mut links = probed(self.machine.memory());
        links.any(|(entry, _)| !self.probes.contains_key(entry))
    }

    fn step(&mut self, event: Event) {
        for effect in self.machine.step(self.tools.clock.unix_ms(), event) {
            match effect {
                Effect::Run { survey } => {
                    let (spec, tools) = (self.spec.clone(), self.tools.clone());
                    self.work.spawn(async move {
                        let now_ms = tools.clock.unix_ms();
                        let result = run(&spec, &tools.client, now_ms).await;
                        Done::Ran { result, survey }
                    });
                }
                Effect::Publish => {
                    self.remember_links();
                    self.publish();
                    self.unsaved = true;
                    self.save();
                }
            }
        }
    }

    /// Looks at entries; those that were looked at before are left out unless they are to be seen `again`.
    fn probe_all(&mut self, again: bool) {
        self.probing = true;
        let (tools, spec) = (self.tools.clone(), self.spec.clone());
        let known = |entry: &String| self.probes.contains_key(entry);
        let links = probed(self.machine.memory());
        let mut links: Vec<_> = links.filter(|(entry, _)| again || !known(entry)).collect();
        links.sort_by_key(|(entry, _)| self.probes.get(*entry).map(|probe| probe.checked_ms));
        let links = links.into_iter().take(PROBES_MAX);
        let links: Vec<Link> = links.map(|(_, held)| held.link.clone()).collect();
        self.work.spawn(async move {
            let looks = links.into_iter().map(|link| {
                let (tools, spec) = (tools.clone(), spec.clone());
                async move {
                    let now_ms = tools.clock.unix_ms();
                    let seen = probe(&tools.client, &link, spec.voucher(), now_ms).await;
                    (link.entry.id, seen)
                }
            });
            let looks = futures_util::stream::iter(looks).buffer_unordered(PROBES_AT_ONCE);
            Done::Probed(looks.collect().await)
        });
    }

    /// What was found has been looked at, and a killed process would still know it.
    fn answer_surveys(&mut self) {
        if !self.probing && !self.saving && !self.machine.owes_survey() {
            for done in self.surveys.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn remember_links(&mut self) {
        let links = &self.machine.memory().links;
        // Whoever holds the reference of an entry that is gone for a while is told so, and nothing else.
        let mut gone = 0;
        self.history.retain(|entry, _| {
            let known = links.contains_key(entry);
            gone += usize::from(!known);
            known || gone <= GONE_MAX
        });
        for (entry, held) in links {
            let digest = digest(&held.link.entry.url);
            let known = self.history.entry(entry.clone()).or_default();
            if known.back() != Some(&digest) {
                known.push_back(digest);
            }
            if known.len() > HISTORY_MAX {
                known.pop_front();
            }
        }
    }

    fn publish(&self) {
        let memory = self.machine.memory();
        let listed = |(id, held): (&String, &Held)| {
            let listed = Listed {
                link: Arc::new(held.link.clone()),
                dead: held.dead,
                listed: held.listed,
                reference: self.tools.sealer.reference(&self.spec.id, id),
                refreshes: held.refreshes,
                refreshed_ms: held.refreshed_ms,
                probe: self.probes.get(id).copied(),
            };
            (id.clone(), listed)
        };
        let entries: BTreeMap<String, Listed> = memory.links.iter().map(listed).collect();
        let gone = self.history.keys().filter(|id| !entries.contains_key(*id));
        let gone = gone.map(|id| (self.tools.sealer.reference(&self.spec.id, id), id.clone()));
        let references = entries
            .iter()
            .map(|(id, listed)| (listed.reference.clone(), id.clone()));
        let references = references.chain(gone).collect();
        let digests = self.history.iter().flat_map(|(entry, digests)| {
            digests
                .iter()
                .map(move |digest| (digest.clone(), entry.clone()))
        });
        self.resolver.board.send_replace(Arc::new(Board {
            references,
            digests: digests.collect(),
            entries,
            leases: memory.leases.clone(),
            last_run_ms: memory.last_run_ms,
            error: self.error.clone(),
            refused: self.refused.clone(),
            is_open: self.machine.is_open(),
            voucher: self.spec.voucher().cloned(),
        }));
    }

    fn kept(&self) -> Kept {
        Kept {
            memory: self.machine.memory().clone(),
            history: self.history.clone(),
        }
    }

    /// Keeps what changed; what changes meanwhile is kept after that.
    fn save(&mut self) {
        if self.saving {
            return;
        }
        (self.saving, self.unsaved) = (true, false);
        self.saved_ms = self.tools.clock.unix_ms();
        let (tools, id, kept) = (self.tools.clone(), self.spec.id.clone(), self.kept());
        self.work.spawn(async move {
            save(&tools, &id, kept).await;
            Done::Saved
        });
    }
}

/// Entries that are worth a look.
fn probed(memory: &Memory) -> impl Iterator<Item = (&String, &Held)> {
    let links = memory.links.iter();
    links.filter(|(_, held)| held.listed && !held.dead)
}

async fn kept(tools: &Tools, id: &str) -> Kept {
    match tools.store.resolver(id).await {
        Ok(None) => Kept::default(),
        Ok(Some(kept)) => serde_json::from_str(kept.expose()).unwrap_or_else(|error| {
            tracing::warn!(resolver = id, %error, "what the resolver returned last cannot be read");
            Kept::default()
        }),
        Err(error) => {
            tracing::warn!(resolver = id, %error, "what the resolver returned last is lost");
            Kept::default()
        }
    }
}

async fn save(tools: &Tools, id: &str, kept: Kept) {
    let text = serde_json::to_string(&kept).expect("strings, numbers and maps of them become JSON");
    if let Err(error) = tools.store.put_resolver(id, &text).await {
        tracing::warn!(resolver = id, %error, "links and leases would not survive a restart");
    }
}
