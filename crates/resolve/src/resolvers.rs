//! All resolvers: the handle that channels, routes and the command line hold.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::Clock;
use fetch::Client;
use store::Store;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::board::{Board, Listed};
use crate::entry::EntryKey;
use crate::owner::{Command, Owner};
use crate::reference::{Sealer, digest};
use crate::refresher::LEASE_MS;
use crate::spec::ResolverSpec;

/// The resolvers. Clones are handles to the same.
#[derive(Clone)]
pub struct Resolvers(Arc<Inner>);

struct Inner {
    client: Client,
    store: Store,
    clock: Arc<dyn Clock>,
    all: RwLock<BTreeMap<String, Arc<Resolver>>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

/// A resolver: what is known of it, and the way to its owner. It outlives changes of its configuration.
pub(crate) struct Resolver {
    pub(crate) id: String,
    pub(crate) board: watch::Sender<Arc<Board>>,
    /// Somebody uses an entry that nobody used.
    pub(crate) wanted: Notify,
    /// When each entry was last used, since the owner last looked: negative once he has.
    used: RwLock<HashMap<Arc<str>, AtomicI64>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    spec: Option<Arc<ResolverSpec>>,
    commands: Option<mpsc::Sender<Command>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// What an owner works with.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sealer: Sealer,
}

/// What all resolvers found, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Resolvers that ran.
    pub resolvers: usize,
}

const COMMANDS_MAX: usize = 64;
/// Entries of one resolver that are in use at once; further ones are served and not refreshed.
const USED_MAX: usize = 2000;
/// Uses are told late, but not so late.
const CLOCK_BLUR_MS: i64 = 3_600_000;
/// The store's secret that references are made with.
const SECRET: &str = "references";

impl Resolvers {
    /// None yet.
    pub fn new(client: Client, store: Store, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            client,
            store,
            clock,
            all: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
        }))
    }

    /// Makes the resolvers what `specs` says. Those that did not change go on.
    ///
    /// # Errors
    /// A store that does not give the secret of references.
    pub async fn apply(&self, specs: Vec<ResolverSpec>) -> Result<(), store::Error> {
        let _changing = self.0.changing.lock().await;
        let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
        for resolver in self.all() {
            if !ids.contains(&resolver.id) {
                resolver.end().await;
                resolver.board.send_replace(Arc::default());
                self.write().remove(&resolver.id);
            }
        }
        if !specs.is_empty() {
            let secrets = self.0.store.secrets(SECRET).await?;
            let secret = secrets.first().expect("the store makes the first one");
            let tools = Tools {
                client: self.0.client.clone(),
                store: self.0.store.clone(),
                clock: self.0.clock.clone(),
                sealer: Sealer::new(secret.secret.expose()),
            };
            for spec in specs {
                self.start(spec, &tools).await;
            }
        }
        self.0.store.keep_resolvers(&ids).await
    }

    async fn start(&self, spec: ResolverSpec, tools: &Tools) {
        let known = self.get(&spec.id);
        let resolver = known.unwrap_or_else(|| Arc::new(Resolver::new(spec.id.clone())));
        if resolver.spec().as_deref() == Some(&spec) {
            return;
        }
        resolver.end().await;
        let spec = Arc::new(spec);
        let owner = Owner::new(resolver.clone(), spec.clone(), tools.clone()).await;
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let stop = CancellationToken::new();
        let span = tracing::info_span!("resolver", id = spec.id);
        let task = task::spawn("resolver", span, owner.run(received, stop.clone()));
        *resolver.running() = Running {
            spec: Some(spec.clone()),
            commands: Some(commands),
            stop,
            task: Some(task),
        };
        self.write().insert(spec.id.clone(), resolver);
    }

    /// Ends every owner and waits for it.
    pub async fn shutdown(&self) {
        let _changing = self.0.changing.lock().await;
        for resolver in self.all() {
            resolver.end().await;
        }
    }

    /// Whether there is a resolver of that id.
    pub fn knows(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// Each resolver with what is known of it, by id.
    pub fn boards(&self) -> Vec<(Arc<ResolverSpec>, Arc<Board>)> {
        let all = self.all().into_iter();
        all.filter_map(|resolver| Some((resolver.spec()?, resolver.board.borrow().clone())))
            .collect()
    }

    /// The entry behind a reference, or behind a link that a resolver returned, however long ago.
    pub fn find(&self, text: &str) -> Option<EntryKey> {
        let link = Url::parse(text).ok().map(|link| digest(&link));
        self.all().into_iter().find_map(|resolver| {
            let board = resolver.board.borrow();
            let by_link = link.as_ref().and_then(|link| board.digests.get(link));
            let entry = board.references.get(text).or(by_link)?.clone();
            Some(EntryKey {
                resolver: resolver.id.clone(),
                entry,
            })
        })
    }

    /// Follows an entry's links; `None` without a resolver of that id.
    pub fn follow(&self, key: &EntryKey) -> Option<Follower> {
        let resolver = self.get(&key.resolver)?;
        Some(Follower {
            board: resolver.board.subscribe(),
            entry: key.entry.as_str().into(),
            clock: self.0.clock.clone(),
            resolver,
        })
    }

    /// Somebody says that he watches an entry.
    pub async fn activate(&self, key: &EntryKey) {
        let entry = key.entry.clone();
        self.command(&key.resolver, |done| Command::Activate { entry, done })
            .await;
    }

    /// Somebody says that he does not watch any more. Only a hint: whoever plays renews the lease.
    pub async fn deactivate(&self, key: &EntryKey) {
        let entry = key.entry.clone();
        self.command(&key.resolver, |done| Command::Deactivate { entry, done })
            .await;
    }

    /// Asks every resolver what there is, and waits until all have been looked at.
    pub async fn survey(&self) -> Surveyed {
        let ids: Vec<String> = self
            .all()
            .iter()
            .map(|resolver| resolver.id.clone())
            .collect();
        let surveys = ids
            .iter()
            .map(|id| self.command(id, |done| Command::Survey { done }));
        futures_util::future::join_all(surveys).await;
        Surveyed {
            resolvers: ids.len(),
        }
    }

    /// Whether something on the schedule is live.
    pub async fn set_busy(&self, busy: bool) {
        for resolver in self.all() {
            if let Some(commands) = resolver.commands() {
                // An owner that has just ended needs no telling.
                let _ = commands.send(Command::Busy(busy)).await;
            }
        }
    }

    async fn command(&self, id: &str, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let Some(commands) = self.get(id).and_then(|resolver| resolver.commands()) else {
            return;
        };
        let (done, answered) = oneshot::channel();
        if commands.send(command(done)).await.is_ok() {
            // An owner that ends answers nobody.
            let _ = answered.await;
        }
    }

    fn get(&self, id: &str) -> Option<Arc<Resolver>> {
        self.0
            .all
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn all(&self) -> Vec<Arc<Resolver>> {
        self.0
            .all
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Resolver>>> {
        self.0.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolvers").finish_non_exhaustive()
    }
}

impl Resolver {
    fn new(id: String) -> Self {
        Self {
            id,
            board: watch::Sender::new(Arc::default()),
            wanted: Notify::new(),
            used: RwLock::default(),
            running: Mutex::default(),
        }
    }

    /// Takes the marks of use that came since the last call, and forgets those whose lease is over.
    pub(crate) fn marks(&self) -> Vec<(String, i64)> {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = used.iter().filter_map(|(entry, at)| {
            let at_ms = at.load(Ordering::Relaxed);
            let taken = at_ms > 0
                && at
                    .compare_exchange(at_ms, -at_ms, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            taken.then(|| (entry.to_string(), at_ms))
        });
        fresh.collect()
    }

    /// Notes a use. The owner is woken by the first after a while: the entry may need a link now.
    fn mark(&self, entry: &Arc<str>, at_ms: i64) {
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = used.get(entry) {
            let before = last.load(Ordering::Relaxed).abs();
            // A mark far ahead is of a clock that has been set back since.
            if at_ms > before || before - at_ms > CLOCK_BLUR_MS {
                last.store(at_ms, Ordering::Relaxed);
            }
            drop(used);
            if at_ms - before > LEASE_MS {
                self.wanted.notify_one();
            }
            return;
        }
        drop(used);
        let mut used = self.used.write().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX {
            used.retain(|_, last| at_ms - last.load(Ordering::Relaxed).abs() <= LEASE_MS);
        }
        if used.len() < USED_MAX {
            used.insert(entry.clone(), AtomicI64::new(at_ms));
        }
        drop(used);
        self.wanted.notify_one();
    }

    fn spec(&self) -> Option<Arc<ResolverSpec>> {
        self.running().spec.clone()
    }

    fn commands(&self) -> Option<mpsc::Sender<Command>> {
        self.running().commands.clone()
    }

    async fn end(&self) {
        let ended = std::mem::take(&mut *self.running());
        ended.stop.cancel();
        if let Some(task) = ended.task {
            // A panic has been logged.
            let _ = task.await;
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One user's view of an entry: its newest link, and the way to say that it is used or has died.
pub struct Follower {
    resolver: Arc<Resolver>,
    entry: Arc<str>,
    board: watch::Receiver<Arc<Board>>,
    clock: Arc<dyn Clock>,
}

impl Follower {
    /// The entry as it is now; `None` if the resolver does not list it.
    pub fn newest(&self) -> Option<Listed> {
        self.board.borrow().entries.get(&*self.entry).cloned()
    }

    /// The entry, if its newest link may be asked now.
    pub fn usable(&self) -> Option<Listed> {
        self.newest()
            .filter(|listed| listed.is_usable(self.clock.unix_ms()))
    }

    /// The URL behind whose scope the link may not lead ([`crate::scope_of`]).
    pub fn voucher(&self) -> Option<Url> {
        self.board.borrow().voucher.clone()
    }

    /// Why there is no link, for people.
    pub fn trouble(&self) -> String {
        let board = self.board.borrow();
        let resolver = &self.resolver.id;
        let entry = &self.entry;
        match (&board.error, board.entries.get(&**entry)) {
            (Some(error), _) => format!("resolver {resolver}: {error}"),
            (None, None) => format!("resolver {resolver} lists no entry {entry:?}"),
            (None, Some(_)) => format!("resolver {resolver} has no fresh link of {entry:?} yet"),
        }
    }

    /// Whether waiting for a fresh link makes no sense.
    pub fn is_hopeless(&self) -> bool {
        self.board.borrow().is_open
    }

    /// Waits until something about the resolver changed.
    pub async fn changed(&mut self) {
        if self.board.changed().await.is_err() {
            // Its sender lives in `resolver`.
            std::future::pending::<()>().await;
        }
    }

    /// Somebody used the entry at `at_ms` since the Unix epoch: renews the lease.
    pub fn used(&self, at_ms: i64) {
        self.resolver.mark(&self.entry, at_ms);
    }

    /// Somebody uses the entry now.
    pub fn used_now(&self) {
        self.used(self.clock.unix_ms());
    }

    /// The upstream refused the link of this generation.
    pub fn died(&self, generation: u64) {
        if let Some(commands) = self.resolver.commands() {
            let entry = self.entry.to_string();
            // A crowded owner will hear of it by the next refusal.
            let _ = commands.try_send(Command::Died { entry, generation });
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("resolver", &self.resolver.id)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
