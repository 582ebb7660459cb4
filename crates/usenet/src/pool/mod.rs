//! Connections to all providers, and who of those that wait gets the next one.
//!
//! One lock, held for moments, decides: [`Pool`] routes a job to the provider whose turn it is, hands it to
//! the connection with the fewest answers outstanding, and opens connections while jobs wait. A
//! connection's task ([`super::connection`]) tells what became of each job; a job that failed goes to the next
//! provider. Nothing here knows of files.

mod account;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nzb::nntp::MessageId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use account::Account;
pub(crate) use account::Refusal;
pub(crate) use queue::StreamId;

use crate::article::{Article, Lane, Miss};
use crate::connection::{self, Lost};
use crate::{ProviderSettings, ProviderStatus};

/// Connections of each provider that stay open, signed in, while nothing is asked.
const WARM: usize = 3;
/// Times a job is tried again because connections broke under it.
const BREAKS_MAX: u8 = 4;
/// How often connections are looked after: reopened, closed, kept awake.
const UPKEEP: Duration = Duration::from_secs(5);
/// Providers: a job keeps one bit for each.
pub(crate) const PROVIDERS_MAX: usize = 64;

/// Something to ask a provider for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) ask: Ask,
    pub(crate) stream: StreamId,
    lane: Lane,
    /// Providers that were asked or need not be: a bit for each.
    tried: u64,
    breaks: u8,
    /// The worst answer so far.
    miss: Miss,
}

#[derive(Debug)]
pub(crate) enum Ask {
    Body(Arc<Article>),
    /// Whether an article is there.
    Stat(MessageId, oneshot::Sender<Result<(), Miss>>),
}

/// What a connection tells of a job.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is done; of a body all bytes were handed out and checked.
    Done,
    /// The provider does not have the article.
    NoArticle,
    /// What it has is damaged.
    Damaged(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    accounts: Vec<Account>,
    next_slot: u64,
    is_closed: bool,
    upkeep: Option<task::Owned>,
}

impl Pool {
    /// Begins to open the warm connections.
    pub(crate) fn start(providers: &[ProviderSettings]) -> Self {
        let accounts = providers.iter().cloned().map(Account::new).collect();
        let pool = Self(Arc::new(Shared {
            state: Mutex::new(State {
                accounts,
                next_slot: 0,
                is_closed: false,
                upkeep: None,
            }),
        }));
        let weak = Arc::downgrade(&pool.0);
        let upkeep = task::spawn_owned("pool", tracing::info_span!("pool"), async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                let Some(shared) = weak.upgrade() else { break };
                Pool(shared).look_after();
            }
        });
        pool.lock().upkeep = Some(upkeep);
        pool
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an article's body; the article tells what became of it.
    pub(crate) fn body(&self, article: Arc<Article>, lane: Lane, stream: StreamId) {
        self.submit(Ask::Body(article), lane, stream);
    }

    /// Asks whether an article is anywhere.
    pub(crate) async fn stat(
        &self,
        id: MessageId,
        lane: Lane,
        stream: StreamId,
    ) -> Result<(), Miss> {
        let (tell, told) = oneshot::channel();
        self.submit(Ask::Stat(id, tell), lane, stream);
        let closed = || Err(Miss::Unavailable("the engine stops".to_owned()));
        told.await.unwrap_or_else(|_| closed())
    }

    fn submit(&self, ask: Ask, lane: Lane, stream: StreamId) {
        let job = Job {
            ask,
            stream,
            lane,
            tried: 0,
            breaks: 0,
            miss: Miss::Missing,
        };
        let mut state = self.lock();
        let at = state.route(job);
        self.dispatch(&mut state, at);
    }

    /// Somebody more urgent wants an article that waits.
    pub(crate) fn promote(&self, article: &Arc<Article>, lane: Lane, stream: StreamId) {
        let mut state = self.lock();
        let is_it = |job: &Job| matches!(&job.ask, Ask::Body(body) if Arc::ptr_eq(body, article));
        for at in 0..state.accounts.len() {
            if let Some(mut job) = state.accounts[at].queue.take(is_it) {
                (job.lane, job.stream) = (lane, stream);
                state.accounts[at].queue.push(lane, job);
                return self.dispatch(&mut state, Some(at));
            }
        }
    }

    /// Articles that can be on their way at once: more need not be asked for.
    pub(crate) fn width(&self) -> usize {
        let (state, now) = (self.lock(), Instant::now());
        let mains = state.accounts.iter().filter(|account| account.is_main(now));
        mains.map(Account::width).sum::<usize>().max(1)
    }

    pub(crate) fn status(&self) -> Vec<ProviderStatus> {
        self.lock().accounts.iter().map(Account::status).collect()
    }

    /// Closes all connections; what waits fails.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.upkeep = None;
        for at in 0..state.accounts.len() {
            state.accounts[at].slots.clear();
            for job in state.accounts[at].queue.drain() {
                job.end(Err(Miss::Unavailable("the engine stops".to_owned())));
            }
        }
    }

    fn look_after(&self) {
        let mut state = self.lock();
        for at in 0..state.accounts.len() {
            let account = &mut state.accounts[at];
            account.look_after(Instant::now());
            let lacking = if account.is_resting(Instant::now()) {
                0
            } else {
                account.warm(WARM).saturating_sub(account.open_or_opening())
            };
            for _ in 0..lacking {
                self.open(&mut state, at);
            }
            self.dispatch(&mut state, Some(at));
        }
    }

    /// Hands waiting jobs to connections, and opens more while jobs wait.
    fn dispatch(&self, state: &mut State, at: Option<usize>) {
        let Some(at) = at else { return };
        state.accounts[at].hand_out();
        let wanted = state.accounts[at].lacking();
        for _ in 0..wanted {
            self.open(state, at);
        }
    }

    fn open(&self, state: &mut State, at: usize) {
        if state.is_closed {
            return;
        }
        state.next_slot += 1;
        let slot = state.next_slot;
        let account = &mut state.accounts[at];
        account.opening += 1;
        let settings = account.settings.clone();
        let delay = account.jitter();
        let pool = self.clone();
        let span = tracing::info_span!("nntp", host = %settings.host, slot);
        let connection = async move {
            tokio::time::sleep(delay).await;
            let opened = connection::open(&settings).await;
            let (tx, rx) = mpsc::unbounded_channel();
            match opened {
                Ok(wire) if pool.opened(at, slot, tx) => {
                    let line = connection::Line {
                        pool: &pool,
                        at,
                        slot,
                    };
                    let lost = connection::run(wire, &settings, rx, &line).await;
                    pool.lost(at, slot, lost);
                }
                Ok(wire) => connection::quit(wire).await,
                Err(refusal) => pool.refused(at, &refusal),
            }
        };
        task::spawn("nntp", span, connection);
    }

    /// A connection is signed in. `false` if it is not wanted any more.
    fn opened(&self, at: usize, slot: u64, tx: mpsc::UnboundedSender<Job>) -> bool {
        let mut state = self.lock();
        state.accounts[at].opening -= 1;
        if state.is_closed {
            return false;
        }
        state.accounts[at].opened(slot, tx);
        self.dispatch(&mut state, Some(at));
        true
    }

    /// A connection could not be opened.
    fn refused(&self, at: usize, refusal: &Refusal) {
        let mut state = self.lock();
        state.accounts[at].opening -= 1;
        state.accounts[at].refused(refusal, Instant::now());
        self.after_failure(&mut state, at);
    }

    /// A connection ended; `lost` says why, and which jobs had no answer.
    fn lost(&self, at: usize, slot: u64, lost: Lost) {
        let mut state = self.lock();
        state.accounts[at].slots.retain(|other| other.id != slot);
        if let Some(refusal) = &lost.why {
            state.accounts[at].broke(refusal, Instant::now());
        }
        let mut routed = Vec::new();
        for (index, mut job) in lost.jobs.into_iter().enumerate() {
            // Only the first was being answered: the others only stood behind it. What took long to break
            // is given up sooner.
            if index == 0 && lost.why.is_some() {
                job.breaks += if lost.is_stall { BREAKS_MAX / 2 } else { 1 };
            }
            if let Some(Refusal::Broken(why) | Refusal::Unavailable(why)) = &lost.why {
                job.miss = Miss::Unavailable(why.clone());
            }
            if job.breaks >= BREAKS_MAX {
                job.tried |= 1 << at;
                job.breaks = 0;
            }
            routed.push(state.again(job));
        }
        self.after_failure(&mut state, at);
        for at in routed {
            self.dispatch(&mut state, at);
        }
    }

    /// What waits for a provider that rests goes to another.
    fn after_failure(&self, state: &mut State, at: usize) {
        if state.accounts[at].is_resting(Instant::now()) && state.accounts[at].slots.is_empty() {
            for job in state.accounts[at].queue.drain() {
                let to = state.route(job);
                self.dispatch(state, to);
            }
        }
        self.dispatch(state, Some(at));
    }

    /// What became of a job; the connection has room for another.
    pub(crate) fn answered(&self, at: usize, slot: u64, job: Job, answer: Answer) {
        let mut state = self.lock();
        let account = &mut state.accounts[at];
        account.answered(slot, &answer);
        let mut to = None;
        match answer {
            Answer::Done => job.end(Ok(())),
            Answer::NoArticle => to = state.next(job, at, None),
            Answer::Damaged(what) => {
                let host = state.accounts[at].settings.host.clone();
                to = state.next(job, at, Some(Miss::Damaged { host, what }));
            }
        }
        self.dispatch(&mut state, Some(at));
        if to != Some(at) {
            self.dispatch(&mut state, to);
        }
    }

    /// A round trip was measured, and bytes were received.
    pub(crate) fn measured(
        &self,
        at: usize,
        round_trip: Option<Duration>,
        transfer: Duration,
        bytes: u64,
    ) {
        self.lock().accounts[at].measured(round_trip, transfer, bytes);
    }

    /// Whether an idle connection is to stay open.
    pub(crate) fn may_stay(&self, at: usize, slot: u64) -> bool {
        let mut state = self.lock();
        let is_closed = state.is_closed;
        !is_closed && state.accounts[at].may_stay(slot, WARM)
    }
}

impl State {
    /// Puts a job before the provider whose turn it is, or ends it if there is none.
    fn route(&mut self, job: Job) -> Option<usize> {
        let now = Instant::now();
        let left = |at: &usize| job.tried & (1 << at) == 0 && !self.accounts[*at].is_denied(now);
        let candidates: Vec<usize> = (0..self.accounts.len()).filter(left).collect();
        let awake = candidates
            .iter()
            .filter(|&&at| !self.accounts[at].is_resting(now) && !self.is_closed)
            .min_by_key(|&&at| self.accounts[at].rank());
        if let Some(&at) = awake {
            self.accounts[at].queue.push(job.lane, job);
            return Some(at);
        }
        let why = candidates.first().map(|&at| self.accounts[at].trouble());
        let why = why.or_else(|| (job.tried == 0).then(|| self.no_provider()));
        let miss = match why {
            Some(why) => Miss::Unavailable(why),
            None => job.miss.clone(),
        };
        job.end(Err(miss));
        None
    }

    fn no_provider(&self) -> String {
        let denied = self
            .accounts
            .iter()
            .find(|account| account.is_denied(Instant::now()));
        denied.map_or_else(|| "no provider is configured".to_owned(), Account::trouble)
    }

    /// A job that a provider could not serve.
    fn next(&mut self, mut job: Job, at: usize, miss: Option<Miss>) -> Option<usize> {
        let group = &self.accounts[at].settings.storage_group;
        for (other, account) in self.accounts.iter().enumerate() {
            let is_same = !group.is_empty() && account.settings.storage_group == *group;
            // Damage happens on the way; another of the group may have it whole.
            if other == at || (is_same && miss.is_none()) {
                job.tried |= 1 << other;
            }
        }
        if let Some(miss) = miss {
            job.miss = miss;
        }
        self.again(job)
    }

    fn again(&mut self, mut job: Job) -> Option<usize> {
        if let Ask::Body(article) = &job.ask {
            job.lane = article.requeue();
        }
        self.route(job)
    }
}

impl Job {
    pub(crate) fn id(&self) -> &MessageId {
        match &self.ask {
            Ask::Body(article) => &article.id,
            Ask::Stat(id, _) => id,
        }
    }

    /// Whether somebody still wants it; asked once, when its turn comes.
    fn begin(&self) -> bool {
        match &self.ask {
            Ask::Body(article) => article.begin(),
            Ask::Stat(_, tell) => !tell.is_closed(),
        }
    }

    fn end(self, result: Result<(), Miss>) {
        match (self.ask, result) {
            (Ask::Body(article), Ok(())) => article.finish(),
            (Ask::Body(article), Err(miss)) => article.fail(miss),
            // Whoever asked may be gone.
            (Ask::Stat(_, tell), result) => drop(tell.send(result)),
        }
    }
}
