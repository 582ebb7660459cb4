//! Links of the sources that are entries of a resolver: which one each source has, and who waits for the
//! next.
//!
//! A link that is over or was refused is asked for nothing. Orders that need it, and answers that
//! refused it, wait here for a fresh one, for three seconds at most.

use std::time::Duration;

use base::{ErrorKind, Time};
use futures_util::future::select_all;
use hls::channel::{Failure, FetchId};
use resolve::entry::Link;
use resolve::{Follower, Resolvers};
use std::sync::Arc;
use url::Url;

use crate::spec::SourceSpec;

/// The links of a running channel.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By source; `None` for one with a URL of its own.
    sources: Vec<Option<Followed>>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Followed {
    follower: Follower,
    /// What the machine was told last.
    link: Option<Arc<Link>>,
}

/// A fetch that needs a fresh link.
#[derive(Debug)]
struct Waiting {
    id: FetchId,
    source: usize,
    until: Time,
}

/// A source that has another link than before.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) source: usize,
    pub(crate) link: Arc<Link>,
    pub(crate) voucher: Option<Url>,
}

/// How long a fetch waits for a fresh link.
const PATIENCE: Duration = Duration::from_secs(3);
/// A request takes a moment to arrive: a link is not asked so shortly before its end.
const TRAVEL_MS: i64 = 150;
/// A 404 so shortly before a link's end, or after it, may mean the end.
const NEAR_END_MS: i64 = 30_000;
/// What providers answer when a link is over.
const REFUSALS: [u16; 3] = [401, 403, 410];

impl Links {
    /// Takes a source's place in the list, in place of the one that was there.
    pub(crate) fn set(&mut self, index: usize, source: &SourceSpec, resolvers: &Resolvers) {
        if self.sources.len() <= index {
            self.sources.resize_with(index + 1, || None);
        }
        let follower = source.entry().and_then(|key| resolvers.follow(&key));
        self.sources[index] = follower.map(|follower| Followed {
            follower,
            link: None,
        });
    }

    /// Takes the sources in another order: of each its place so far, if it had one. Nobody waits any more for
    /// one that is gone.
    pub(crate) fn reorder(&mut self, places: &[Option<usize>]) {
        let mut known = std::mem::take(&mut self.sources);
        let sources = places.iter().map(|place| known.get_mut((*place)?)?.take());
        self.sources = sources.collect();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let waiting = waiting.filter_map(|waiting| {
            let source = places
                .iter()
                .position(|place| *place == Some(waiting.source))?;
            Some(Waiting { source, ..waiting })
        });
        self.waiting = waiting.collect();
    }

    /// Sources that have another link than the machine knows of, each told once.
    pub(crate) fn fresh(&mut self) -> Vec<Fresh> {
        let followed = self.sources.iter_mut().enumerate();
        let fresh = followed.filter_map(|(source, followed)| {
            let followed = followed.as_mut()?;
            let newest = followed.follower.usable()?.link;
            let known = followed.link.as_ref();
            // One that was forgotten meanwhile counts its generations anew.
            if known.is_some_and(|known| {
                known.generation == newest.generation && known.entry.url == newest.entry.url
            }) {
                // Perhaps with another end.
                followed.link = Some(newest);
                return None;
            }
            followed.link = Some(newest.clone());
            Some(Fresh {
                source,
                link: newest,
                voucher: followed.follower.voucher(),
            })
        });
        fresh.collect()
    }

    /// Waits until a resolver of one of the sources has news.
    pub(crate) async fn changed(&mut self) {
        let followed = self.sources.iter_mut().flatten();
        let news: Vec<_> = followed
            .map(|followed| Box::pin(followed.follower.changed()))
            .collect();
        if news.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(news).await;
    }

    /// Notes that the source is used for somebody who watched at `at_ms` since the Unix epoch, and says
    /// whether it may be asked now. The number tells its link from later ones.
    pub(crate) fn may_ask(&self, source: usize, at_ms: i64, now_ms: i64) -> Result<u64, ()> {
        let followed = self
            .sources
            .get(source)
            .and_then(Option::as_ref)
            .ok_or(())?;
        followed.follower.used(at_ms);
        let newest = followed.follower.newest().filter(|listed| !listed.dead);
        let link = followed.link.as_ref().zip(newest);
        let usable = link.filter(|(link, newest)| {
            link.generation == newest.link.generation && !newest.link.is_over(now_ms + TRAVEL_MS)
        });
        usable.map(|(link, _)| link.generation).ok_or(())
    }

    /// Whether the machine knows no later link of the source than that of number `asked`.
    pub(crate) fn is_newest(&self, source: usize, asked: u64) -> bool {
        let followed = self.sources.get(source).and_then(Option::as_ref);
        let link = followed.and_then(|followed| followed.link.as_ref());
        link.is_some_and(|link| link.generation == asked)
    }

    /// The link that the machine knows.
    pub(crate) fn known(&self, source: usize) -> Option<Fresh> {
        let followed = self.sources.get(source)?.as_ref()?;
        Some(Fresh {
            source,
            link: followed.link.clone()?,
            voucher: followed.follower.voucher(),
        })
    }

    /// Whether `failure` is the end of the link with number `asked`; then its resolver is told so.
    pub(crate) fn is_end(&self, source: usize, asked: u64, failure: &Failure, now_ms: i64) -> bool {
        let Some(followed) = self.sources.get(source).and_then(Option::as_ref) else {
            return false;
        };
        let near_end = |link: &Link| link.is_over(now_ms + NEAR_END_MS);
        let known = followed
            .link
            .as_ref()
            .filter(|link| link.generation == asked);
        let over = failure.status.is_some_and(|status| {
            REFUSALS.contains(&status) || status == 404 && known.is_some_and(|link| near_end(link))
        });
        if over {
            followed.follower.died(asked);
        }
        over
    }

    /// Lets a fetch wait for a fresh link. False if there is no hope of one.
    pub(crate) fn wait(&mut self, id: FetchId, source: usize, now: Time) -> bool {
        let followed = self.sources.get(source).and_then(Option::as_ref);
        if followed.is_none_or(|followed| followed.follower.is_hopeless()) {
            return false;
        }
        let until = now + PATIENCE;
        self.waiting.push(Waiting { id, source, until });
        true
    }

    /// When the first of those who wait will have waited long enough.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Takes those who have waited long enough at `now`, and those of a source that needs wait no more.
    pub(crate) fn released(&mut self, now: Time, source: Option<usize>) -> Vec<(FetchId, Failure)> {
        let done = |waiting: &Waiting| waiting.until <= now || Some(waiting.source) == source;
        let (done, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(done);
        self.waiting = waiting;
        done.into_iter()
            .map(|waiting| (waiting.id, self.failure(waiting.source)))
            .collect()
    }

    /// Why a source has no link.
    pub(crate) fn failure(&self, source: usize) -> Failure {
        let followed = self.sources.get(source).and_then(Option::as_ref);
        Failure {
            kind: ErrorKind::Unavailable,
            status: None,
            detail: followed.map_or_else(
                || "its resolver is not configured".to_owned(),
                |followed| followed.follower.trouble(),
            ),
            retry_after: None,
        }
    }
}
