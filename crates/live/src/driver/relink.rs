//! Sources whose links come from a resolver, as the driver sees them.

use std::sync::Arc;

use hls::channel::{Event, FetchId};

use super::Driver;
use crate::accounts::Slot;
use crate::links::{Fresh, Links};
use crate::registry::Shared;
use crate::spec::SourceSpec;
use crate::stream::Outcome;
use crate::upstream::{Upstream, Upstreams};

/// A fetch that ended.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Tells its source, whose place may be another by now.
    pub(super) upstream: Arc<Upstream>,
    /// The number of the link that was asked, if the source is an entry.
    pub(super) link: Option<u64>,
}

impl Driver {
    /// Whether a source may be asked now, and the number of its link if it is an entry. A fetch that may
    /// not go out waits for a fresh link, or fails.
    pub(super) fn may_ask(&mut self, id: FetchId, source: usize) -> Result<Option<u64>, ()> {
        if self.sources.get(source).is_some_and(SourceSpec::is_direct) {
            return Ok(None);
        }
        let (now, now_ms) = (self.now(), self.channel.shared.clock.unix_ms());
        let idle = (now - self.channel.demand.last()).as_millis();
        let watched_ms = now_ms - i64::try_from(idle).unwrap_or(now_ms);
        let asked = self.links.may_ask(source, watched_ms, now_ms);
        if asked.is_err() && !self.links.wait(id, source, now) {
            let failure = self.links.failure(source);
            self.answers.push(Event::Fetched(id, Err(failure)));
        }
        asked.map(Some)
    }

    /// Whether a failure was the end of a link that is the newest known: then the machine hears of it
    /// only when no fresh one came in time.
    pub(super) fn waits_for_link(&mut self, done: &Done) -> bool {
        let outcome = &done.outcome;
        let mut upstreams = self.upstreams.iter();
        let source = upstreams.position(|of| Arc::ptr_eq(of, &done.upstream));
        let (Some(source), Some(asked), Err(failure)) = (source, done.link, &outcome.result) else {
            return false;
        };
        let now_ms = self.channel.shared.clock.unix_ms();
        self.links.is_end(source, asked, failure, now_ms)
            && self.links.is_newest(source, asked)
            && self.links.wait(outcome.id, source, self.now())
    }

    /// Tells the machine of fresh links, and those who waited for them.
    pub(super) fn relink(&mut self) {
        for Fresh {
            source,
            link,
            voucher,
        } in self.links.fresh()
        {
            let Some(spec) = self.sources.get(source) else {
                continue;
            };
            tracing::debug!(
                source = spec.url.as_str(),
                generation = link.generation,
                "fresh link"
            );
            self.upstreams[source] =
                Arc::new(self.upstreams[source].relinked(spec, &link, voucher));
            let url = link.entry.url.clone();
            self.step(Event::Relinked { source, url });
            self.release(Some(source));
        }
    }

    /// Answers those who have waited long enough for a fresh link of their source, or who need not any
    /// more: the machine asks again under the fresh one.
    pub(super) fn release(&mut self, source: Option<usize>) {
        for (id, failure) in self.links.released(self.now(), source) {
            self.step(Event::Fetched(id, Err(failure)));
        }
    }

    /// Gives a source new connections, under the link that it has.
    pub(super) fn connect(&mut self, index: usize, slot: Option<Slot>) {
        let source = &self.sources[index];
        let upstream = self.upstream(source, slot);
        let known = self.links.known(index);
        self.upstreams[index] = Arc::new(match known {
            Some(Fresh { link, voucher, .. }) => upstream.relinked(source, &link, voucher),
            None => upstream,
        });
    }
}

pub(super) fn links_of(sources: &[SourceSpec], shared: &Shared) -> Links {
    let mut links = Links::default();
    for (index, source) in sources.iter().enumerate() {
        links.set(index, source, &shared.resolvers);
    }
    links
}

/// Connections for each source, as yet without an account's slot or a link.
pub(super) fn upstreams_of(
    sources: &[SourceSpec],
    shared: &Shared,
    manners: &fetch::Manners,
) -> Upstreams {
    let user_agent = &shared.settings().user_agent;
    let new = |source| Upstream::new(source, user_agent, &shared.client, manners, None);
    sources.iter().map(|source| Arc::new(new(source))).collect()
}
