//! Carries an import out: fetches what [`analyse`](super::analyse) wants, all at once, until it wants no
//! more.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use base::Redacted;
use bytes::Bytes;
use futures_util::future::join_all;
use nzb::archive::Keys;
use nzb::document::Document;
use nzb::nntp::MessageId;
use nzb::yenc::Part;

use super::{Analysis, Found, analyse, sample};
use crate::article::{Lane, Miss};
use crate::articles::{Articles, Handle};
use crate::pool::StreamId;
use crate::post::{At, Post};
use crate::{Code, Failure, Role};

/// Flights of one import: a layer of archives takes two or three.
const FLIGHTS_MAX: u32 = 16;
/// Articles of one import's headers.
const ARTICLES_MAX: usize = 20_000;
/// Samples that STAT denies and that are asked for whole: some servers lie to STAT.
const DOUBTED_MAX: usize = 4;

/// Whom an import asks, and how urgently.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) articles: Arc<Articles>,
    pub(crate) lane: Lane,
    pub(crate) stream: StreamId,
    /// Articles are sampled before anything is promised.
    pub(crate) is_probing: bool,
    /// All headers are read, not only those that are needed to play.
    pub(crate) is_eager: bool,
    /// What readers fetch ahead, if it is not measured.
    pub(crate) read_ahead_bytes: Option<u64>,
}

/// A post that can be played.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) post: Post,
    pub(crate) files: Vec<Found>,
    /// With the password that opens it.
    pub(crate) keys: Keys,
}

/// What a fetched article brought.
pub(crate) type Fetched = (At, Result<(Arc<Part>, Vec<Bytes>), Miss>);

/// Imports a document. Of several passwords the first that opens it is taken.
pub(crate) async fn import(
    engine: &Engine,
    document: Document,
    passwords: &[Redacted<String>],
    title: &str,
) -> Result<Imported, Failure> {
    let samples = if engine.is_probing {
        sample::choose(&document)
    } else {
        BTreeSet::new()
    };
    let mut passwords = passwords.iter().cloned();
    let mut job = Job {
        keys: Keys::new(passwords.next()),
        post: Post::new(document),
        title: title.to_owned(),
        is_eager: engine.is_eager,
    };
    let (first, back) = job.analyse().await;
    job = back;
    let soon: Vec<Handle> = engine.ask(&job.post, first.soon.difference(&first.wants));
    hold_until_here(soon);
    let asked = samples.difference(&first.wants).copied().collect();
    let (fetched, missing) = tokio::join!(
        engine.flight(|at| job.post.ids(at), &first.wants),
        engine.sample(&job.post, &asked)
    );
    let dead_fronts = job.take(fetched)?;
    let missing = missing? + samples.iter().filter(|at| job.post.is_dead(**at)).count();
    sample::verdict(missing, samples.len())?;
    tracing::debug!(missing, dead_fronts, samples = samples.len(), "probed");
    loop {
        let (analysis, back) = job.explore(engine).await?;
        job = back;
        let wrong = |found: &Found| {
            (found.map.as_ref()).is_err_and(|failure| failure.code == Code::WrongPassword)
        };
        if analysis.files.iter().any(wrong)
            && let Some(next) = passwords.next()
        {
            job.keys = Keys::new(Some(next));
            continue;
        }
        job.post.compact(&analysis.read);
        return job.done(analysis);
    }
}

/// Asks after a few articles of a document; fails as an import does when too many are gone.
pub(crate) async fn is_there(engine: &Engine, document: Document) -> Result<(), Failure> {
    let samples = sample::choose(&document);
    let missing = engine.sample(&Post::new(document), &samples).await?;
    sample::verdict(missing, samples.len())
}

/// What goes to the blocking threads and comes back: deriving keys takes its time.
struct Job {
    post: Post,
    keys: Keys,
    title: String,
    is_eager: bool,
}

impl Job {
    async fn analyse(mut self) -> (Analysis, Self) {
        let work = move || {
            let analysis = analyse(&self.post, &mut self.keys, &self.title, self.is_eager);
            (analysis, self)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Fetches until nothing is wanted.
    async fn explore(mut self, engine: &Engine) -> Result<(Analysis, Self), Failure> {
        let mut asked = HashSet::new();
        for _ in 0..FLIGHTS_MAX {
            let (analysis, back) = self.analyse().await;
            self = back;
            let wants: BTreeSet<At> = analysis
                .wants
                .difference(&asked.iter().copied().collect())
                .copied()
                .collect();
            if wants.is_empty() {
                return Ok((analysis, self));
            }
            asked.extend(wants.iter().copied());
            if asked.len() > ARTICLES_MAX {
                break;
            }
            let fetched = engine.flight(|at| self.post.ids(at), &wants).await;
            self.take(fetched)?;
        }
        Err(Failure::new(
            Code::Unsupported,
            "its archives do not come to an end",
        ))
    }

    /// Takes in what a flight brought; how many articles are gone.
    fn take(&mut self, fetched: Vec<Fetched>) -> Result<usize, Failure> {
        let mut gone = 0;
        for (at, result) in fetched {
            match result {
                Ok((part, chunks)) => {
                    if let Err(contradiction) = self.post.learn(at, &part) {
                        tracing::debug!(?at, %contradiction, "article of another file");
                        self.post.bury(at);
                    } else {
                        self.post.hold(at, part.begin, chunks);
                    }
                }
                Err(Miss::Unavailable(what)) => {
                    return Err(Failure::new(Code::ProviderUnavailable, what));
                }
                Err(Miss::Missing | Miss::Damaged { .. }) => {
                    gone += 1;
                    self.post.bury(at);
                }
            }
        }
        Ok(gone)
    }

    /// Refuses a file of which the document itself lacks too much: nobody need be asked for that.
    fn check_gaps(&self, found: &mut Found) {
        let lacks = |file: &u32| self.post.document.files[*file as usize].missing() > 0;
        for (file, _) in found.posted().into_iter().filter(|(file, _)| lacks(file)) {
            let Some(size) = self.post.size(file) else {
                continue;
            };
            let slices = self.post.slices(file, 0..size);
            let gaps = slices.iter().filter(|slice| slice.segment.is_none());
            let missing: u64 = gaps.map(|slice| slice.len).sum();
            let article = slices.iter().map(|slice| slice.len).max().unwrap_or(0);
            if !sample::is_rare(missing, size, article) {
                let name = &self.post.document.files[file as usize].name;
                let text = format!("{name}: the nzb lacks {missing} of its {size} bytes");
                found.map = Err(Failure::new(Code::Incomplete, text));
                return;
            }
        }
    }

    fn done(self, mut analysis: Analysis) -> Result<Imported, Failure> {
        for found in &mut analysis.files {
            self.check_gaps(found);
        }
        let plays = |found: &Found| found.role == Role::Media && found.map.is_ok();
        if analysis.files.iter().any(plays) {
            return Ok(Imported {
                post: self.post,
                files: analysis.files,
                keys: self.keys,
            });
        }
        let mut failures: Vec<&Failure> = (analysis.files.iter())
            .filter_map(|found| found.map.as_ref().err())
            .collect();
        // The cause that somebody can do something about comes first.
        failures.sort_by_key(|failure| match failure.code {
            Code::Encrypted => 0,
            Code::WrongPassword => 1,
            Code::Compressed => 2,
            Code::Incomplete => 3,
            _ => 4,
        });
        Err(failures.first().map_or_else(
            || Failure::new(Code::NoMedia, "the post holds nothing that can be played"),
            |failure| (*failure).clone(),
        ))
    }
}

impl Engine {
    /// The same, more or less urgent.
    pub(crate) fn at(&self, lane: Lane) -> Self {
        Self {
            lane,
            ..self.clone()
        }
    }

    fn ask<'a>(&self, post: &Post, wants: impl Iterator<Item = &'a At>) -> Vec<Handle> {
        let ids = wants.filter_map(|at| post.id(*at));
        ids.map(|id| self.articles.get(id, self.lane, self.stream))
            .collect()
    }

    /// Fetches articles, all at once. `ids` names an article and its reposts, which are tried if it is
    /// missing.
    pub(crate) async fn flight(
        &self,
        ids: impl Fn(At) -> Vec<MessageId>,
        wants: &BTreeSet<At>,
    ) -> Vec<Fetched> {
        let asked: Vec<(At, Handle, Vec<MessageId>)> = wants
            .iter()
            .filter_map(|&at| {
                let mut ids = ids(at).into_iter();
                let handle = self.articles.get(&ids.next()?, self.lane, self.stream);
                Some((at, handle, ids.collect()))
            })
            .collect();
        let all = asked.into_iter().map(async |(at, handle, reposts)| {
            let mut result = whole(&handle).await;
            for id in reposts {
                if !matches!(&result, Err(miss) if miss.is_final()) {
                    break;
                }
                let repost = self.articles.get(&id, self.lane, self.stream);
                result = whole(&repost).await;
            }
            (at, result)
        });
        join_all(all).await
    }

    /// Asks whether articles are there; how many are not.
    async fn sample(&self, post: &Post, samples: &BTreeSet<At>) -> Result<usize, Failure> {
        let all = samples.iter().filter_map(|&at| {
            let id = post.id(at)?.clone();
            let pool = &self.articles.pool;
            Some(async move { (at, pool.stat(id, self.lane, self.stream).await) })
        });
        let mut denied = BTreeSet::new();
        for (at, answer) in join_all(all).await {
            match answer {
                Ok(()) => {}
                Err(Miss::Unavailable(what)) => {
                    return Err(Failure::new(Code::ProviderUnavailable, what));
                }
                Err(_) => drop(denied.insert(at)),
            }
        }
        let is_held = |at: &At| post.id(*at).is_some_and(|id| self.articles.holds(id));
        let doubted = denied.iter().copied().filter(|at| !is_held(at));
        let doubted: BTreeSet<At> = doubted.take(DOUBTED_MAX).collect();
        if doubted.is_empty() {
            return Ok(0);
        }
        let fetched = self.flight(|at| post.ids(at), &doubted).await;
        let is_there = fetched.iter().any(|(_, result)| result.is_ok());
        // A server that was caught lying is not believed about the others either.
        Ok(if is_there { 0 } else { denied.len() })
    }
}

async fn whole(handle: &Handle) -> Result<(Arc<Part>, Vec<Bytes>), Miss> {
    handle.whole().await?;
    let state = handle.state();
    match &state.part {
        Some(part) => Ok((part.clone(), state.chunks.clone())),
        None => Err(Miss::Missing),
    }
}

/// Keeps the interest in articles that will be asked for soon, until they are here.
fn hold_until_here(handles: Vec<Handle>) {
    let waiting = async move {
        for handle in &handles {
            // Whoever asks for it later hears what is wrong.
            drop(handle.whole().await);
        }
    };
    task::spawn("soon", tracing::Span::current(), waiting);
}
