//! The articles that are here or on their way: one transfer each, whoever reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nzb::nntp::MessageId;
use tokio::time::Instant;

use crate::article::{Article, Lane, Ledger, Miss, Phase};
use crate::disk::Disk;
use crate::pool::{Pool, StreamId};

/// How long it is remembered that no provider has an article, or none has it whole.
const GONE_AGE: Duration = Duration::from_secs(600);
/// Articles looked at for room: those that are read just now stay.
const EVICTIONS_MAX: usize = 64;
/// Articles remembered, those without bytes included.
const ARTICLES_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Articles {
    pub(crate) pool: Pool,
    ledger: Arc<Ledger>,
    bytes_max: u64,
    disk: Option<Disk>,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<MessageId, Entry>,
    /// By when they were last asked for.
    order: BTreeMap<u64, MessageId>,
    ticks: u64,
}

#[derive(Debug)]
struct Entry {
    article: Arc<Article>,
    tick: u64,
    since: Instant,
}

/// An article and the interest in it, which ends with the handle.
#[derive(Debug)]
pub(crate) struct Handle(Arc<Article>);

impl Articles {
    pub(crate) fn new(pool: Pool, bytes_max: u64, disk: Option<Disk>) -> Self {
        Self {
            pool,
            disk,
            ledger: Arc::default(),
            bytes_max,
            shelf: Mutex::default(),
        }
    }

    /// The article, from memory or on its way. Whoever is more urgent than those before moves it up.
    pub(crate) fn get(&self, id: &MessageId, lane: Lane, stream: StreamId) -> Handle {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let found = shelf.find(id, lane);
        let article = match &found {
            Some((article, _)) => article.clone(),
            None => {
                let article = Article::new(id.clone(), lane, self.ledger.clone());
                shelf.put(&article);
                article
            }
        };
        let evicted = shelf.make_room(&self.ledger, self.bytes_max);
        drop(shelf);
        if let Some(disk) = &self.disk {
            let whole = evicted.into_iter().filter(|article| article.is_done());
            whole.for_each(|article| disk.keep(article));
        }
        match found {
            Some((_, false)) => {}
            Some((_, true)) => self.pool.promote(&article, lane, stream),
            None => self.fetch(&article, lane, stream),
        }
        Handle(article)
    }

    /// Whether the whole of an article is in memory: fetching it again says nothing of the providers.
    pub(crate) fn holds(&self, id: &MessageId) -> bool {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shelf.entries.get(id);
        entry.is_some_and(|entry| entry.article.is_done())
    }

    /// Forgets which articles nobody has: somebody asks anew.
    pub(crate) fn forget_gone(&self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |entry: &Entry| matches!(&entry.article.state().phase, Phase::Failed(miss) if miss.is_final());
        let gone = shelf.entries.iter().filter(|(_, entry)| is_gone(entry));
        let gone: Vec<MessageId> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            shelf.remove(id);
        }
    }

    /// Bytes that one reader may have on their way: others need memory too.
    pub(crate) fn share(&self) -> u64 {
        self.bytes_max / 2
    }

    /// From the disk, or from a provider.
    fn fetch(&self, article: &Arc<Article>, lane: Lane, stream: StreamId) {
        let kept = self.disk.as_ref().and_then(|disk| disk.find(&article.id));
        let Some(kept) = kept else {
            return self.pool.body(article.clone(), lane, stream);
        };
        let (article, pool) = (article.clone(), self.pool.clone());
        let load = async move {
            if !kept.load(&article).await {
                pool.body(article, lane, stream);
            }
        };
        task::spawn("load", tracing::Span::current(), load);
    }
}

impl Shelf {
    fn find(&mut self, id: &MessageId, lane: Lane) -> Option<(Arc<Article>, bool)> {
        let entry = self.entries.get(id)?;
        let joined = entry.article.join(lane);
        let is_gone =
            matches!(&entry.article.state().phase, Phase::Failed(miss) if miss.is_final());
        let is_known = is_gone && entry.since.elapsed() < GONE_AGE;
        if joined.is_err() && !is_known {
            self.remove(id);
            return None;
        }
        let article = entry.article.clone();
        self.touch(id);
        Some((article, joined == Ok(true)))
    }

    fn put(&mut self, article: &Arc<Article>) {
        self.ticks += 1;
        let entry = Entry {
            tick: self.ticks,
            since: Instant::now(),
            article: article.clone(),
        };
        self.order.insert(self.ticks, article.id.clone());
        self.entries.insert(article.id.clone(), entry);
    }

    fn touch(&mut self, id: &MessageId) {
        self.ticks += 1;
        let tick = self.ticks;
        if let Some(entry) = self.entries.get_mut(id) {
            self.order.remove(&entry.tick);
            self.order.insert(tick, id.clone());
            entry.tick = tick;
        }
    }

    fn remove(&mut self, id: &MessageId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.order.remove(&entry.tick);
        Some(entry)
    }

    /// Takes off what was not asked for longest and is read by nobody.
    fn make_room(&mut self, ledger: &Ledger, bytes_max: u64) -> Vec<Arc<Article>> {
        let mut evicted = Vec::new();
        let mut freed = 0;
        let is_full = |shelf: &Self, freed: u64| {
            ledger.bytes().saturating_sub(freed) > bytes_max || shelf.entries.len() > ARTICLES_MAX
        };
        let mut looked_at = 0;
        let mut after = 0;
        while is_full(self, freed) && looked_at < EVICTIONS_MAX {
            let Some((&tick, id)) = self.order.range(after..).next() else {
                break;
            };
            (looked_at, after) = (looked_at + 1, tick + 1);
            let id = id.clone();
            let is_idle = self.entries.get(&id).is_some_and(|entry| {
                let is_over = matches!(
                    entry.article.state().phase,
                    Phase::Done | Phase::Failed(_) | Phase::Abandoned
                );
                is_over && Arc::strong_count(&entry.article) == 1
            });
            if is_idle && let Some(entry) = self.remove(&id) {
                freed += entry.article.state().len;
                evicted.push(entry.article);
            }
        }
        evicted
    }
}

impl std::ops::Deref for Handle {
    type Target = Article;

    fn deref(&self) -> &Article {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Handle {
    /// Waits until the whole article is here and checked.
    pub(crate) async fn whole(&self) -> Result<(), Miss> {
        let mut changes = self.0.watch();
        let ended = changes.wait_for(|state| {
            matches!(
                state.phase,
                Phase::Done | Phase::Failed(_) | Phase::Abandoned
            )
        });
        match ended.await.map(|state| state.phase.clone()) {
            Ok(Phase::Done) => Ok(()),
            Ok(Phase::Failed(miss)) => Err(miss),
            Ok(_) | Err(_) => Err(Miss::Unavailable("given up".to_owned())),
        }
    }
}
