//! One fetch: an order of the machine, carried out and looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::ErrorKind;
use bytes::Bytes;
use fetch::{Client, Fault, Headers, Manners, Request, Response, Scope, Timeouts, Validators};
use hls::aes128;
use hls::channel::{Failure, Fetched, Order, Protection, SourceKind, What};
use hls::container::inspect;
use resolve::entry::Link;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::accounts::Slot;
use crate::spec::SourceSpec;
use crate::stream::{self, Follower, Outcome, Parts};

/// A source and what its requests need.
#[derive(Debug)]
pub(crate) struct Upstream {
    url: Url,
    headers: Headers,
    user_agent: String,
    manners: Manners,
    client: Client,
    lease: Option<Arc<Lease>>,
    /// The resolver that returned the URL, behind whose scope it may not lead.
    voucher: Option<Url>,
    scope: tokio::sync::OnceCell<Scope>,
    validators: Mutex<HashMap<Url, Validators>>,
}

/// A stream of an account: one connection at a time. Given back with the last of them.
#[derive(Debug)]
struct Lease {
    _slot: Slot,
    turn: Semaphore,
    /// When the last request ended.
    ended: Mutex<Option<Instant>>,
}

/// Leave to use a lease's connection.
struct Turn<'a> {
    lease: &'a Lease,
    _permit: SemaphorePermit<'a>,
}

/// A connection is free a moment after its last byte was read, and closed a moment after it was given up.
/// Asked sooner, the pool opens another beside it.
const SETTLED: Duration = Duration::from_millis(50);

/// A segment beyond this is no segment.
const SEGMENT_MAX: u64 = 64 << 20;
/// Keys and initialisation sections.
const OBJECT_MAX: u64 = 8 << 20;
const PLAYLIST_MAX: u64 = 4 << 20;
/// Playlists whose validators are remembered: a ladder has a few, a tokenised redirect many.
const VALIDATORS_MAX: usize = 64;

impl Upstream {
    pub(crate) fn new(
        source: &SourceSpec,
        default_user_agent: &str,
        client: &Client,
        manners: &Manners,
        slot: Option<Slot>,
    ) -> Self {
        let lease = slot.map(|slot| {
            Arc::new(Lease {
                _slot: slot,
                turn: Semaphore::new(1),
                ended: Mutex::default(),
            })
        });
        Self::leasing(source, default_user_agent, client, manners, lease)
    }

    /// The same for a source that is described anew: over the same connections, on the same stream of its
    /// account.
    pub(crate) fn described(&self, source: &SourceSpec, default_user_agent: &str) -> Self {
        let lease = self.lease.clone();
        Self::leasing(
            source,
            default_user_agent,
            &self.client,
            &self.manners,
            lease,
        )
    }

    fn leasing(
        source: &SourceSpec,
        default_user_agent: &str,
        client: &Client,
        manners: &Manners,
        lease: Option<Arc<Lease>>,
    ) -> Self {
        let user_agent = if source.user_agent.is_empty() {
            default_user_agent
        } else {
            &source.user_agent
        };
        let headers = Headers::new(source.headers.iter().map(|(name, value)| (name, value)));
        if let Err(error) = &headers {
            tracing::warn!(source = base::redact_url(&source.url), %error, "headers of the source are not sent");
        }
        Self {
            url: source.url.clone(),
            headers: headers.unwrap_or_default(),
            user_agent: user_agent.to_owned(),
            manners: manners.clone(),
            client: client.clone(),
            lease,
            voucher: None,
            scope: tokio::sync::OnceCell::new(),
            validators: Mutex::default(),
        }
    }

    /// The same source under the link that its resolver returned last.
    pub(crate) fn relinked(&self, source: &SourceSpec, link: &Link, voucher: Option<Url>) -> Self {
        // What the operator says goes before what the resolver says.
        let own = source.headers.iter().map(|(name, value)| (name, value));
        let given = link.entry.headers.iter().filter(|(name, _)| {
            !source
                .headers
                .iter()
                .any(|(own, _)| own.eq_ignore_ascii_case(name))
        });
        let headers = Headers::new(own.chain(given.map(|(name, value)| (name, value))));
        if let Err(error) = &headers {
            tracing::warn!(source = source.url.as_str(), %error, "headers of the entry are not sent");
        }
        Self {
            url: link.entry.url.clone(),
            headers: headers.unwrap_or_default(),
            user_agent: self.user_agent.clone(),
            manners: self.manners.clone(),
            client: self.client.clone(),
            lease: self.lease.clone(),
            voucher,
            scope: tokio::sync::OnceCell::new(),
            validators: Mutex::default(),
        }
    }

    /// Fetches what `order` asks for; what a stream brings on the way goes to `parts`.
    pub(crate) async fn carry_out(&self, order: &Order, parts: &Parts) -> Outcome {
        let _turn = self.turn().await;
        let (result, bytes) = match self.fetch(order, parts).await {
            Ok((fetched, bytes)) => (Ok(fetched), bytes),
            Err(failure) => (Err(failure), 0),
        };
        Outcome {
            id: order.id,
            result,
            bytes,
        }
    }

    /// A small resource that players ask for through us, such as session data.
    pub(crate) async fn get_object(
        &self,
        url: &Url,
        timeout: Duration,
    ) -> Result<Bytes, fetch::Error> {
        let turn = tokio::time::timeout(timeout, self.turn()).await;
        let _turn = turn.map_err(|_| self.late(fetch::Phase::Turn, timeout))?;
        let request = self.request(url, timeout).await?;
        let request = Request {
            gzip: true,
            body_max: OBJECT_MAX,
            ..request
        };
        Ok(self.client.get(&request).await?.body)
    }

    async fn fetch(&self, order: &Order, parts: &Parts) -> Result<(Fetched, u64), Failure> {
        let request = self
            .request(&order.url, order.timeout)
            .await
            .map_err(failure)?;
        match &order.what {
            What::Source(aim) => self.source(request, parts.of(order.id, *aim)).await,
            What::Playlist { conditional } => self.playlist(request, *conditional).await,
            What::Segment { range, protection } => {
                let request = Request {
                    range: *range,
                    gzip: false,
                    body_max: SEGMENT_MAX,
                    ..request
                };
                let body = self.client.get(&request).await.map_err(failure)?.body;
                let bytes = body.len() as u64;
                look_at(body, protection, &order.url).map(|fetched| (fetched, bytes))
            }
            What::Object { range } => {
                let request = Request {
                    range: *range,
                    gzip: false,
                    body_max: OBJECT_MAX,
                    ..request
                };
                let body = self.client.get(&request).await.map_err(failure)?.body;
                let bytes = body.len() as u64;
                Ok((Fetched::Object(body), bytes))
            }
        }
    }

    /// The first look at a source: a playlist, or a stream that is followed until it breaks off.
    async fn source(
        &self,
        request: Request,
        follower: Follower<'_>,
    ) -> Result<(Fetched, u64), Failure> {
        let request = Request {
            gzip: true,
            ..request
        };
        let mut opened = self.client.open_either(&request).await.map_err(failure)?;
        match stream::kind(&mut opened).await.map_err(failure)? {
            SourceKind::Stream => Err(follower.follow(opened).await),
            SourceKind::Playlist => {
                let response = opened.document(PLAYLIST_MAX).await.map_err(failure)?;
                Ok(self.loaded(request.url, response))
            }
        }
    }

    async fn playlist(
        &self,
        request: Request,
        conditional: bool,
    ) -> Result<(Fetched, u64), Failure> {
        let request = Request {
            gzip: true,
            body_max: PLAYLIST_MAX,
            ..request
        };
        let known = self
            .validators()
            .get(&request.url)
            .filter(|_| conditional)
            .cloned();
        let response = match &known {
            Some(known) => self
                .client
                .get_if_modified(&request, known)
                .await
                .map_err(failure)?,
            None => Some(self.client.get(&request).await.map_err(failure)?),
        };
        let Some(response) = response else {
            return Ok((Fetched::NotModified, 0));
        };
        Ok(self.loaded(request.url, response))
    }

    /// Takes a playlist, and what to ask with next time.
    fn loaded(&self, asked: Url, response: Response) -> (Fetched, u64) {
        let mut validators = self.validators();
        if validators.len() >= VALIDATORS_MAX {
            validators.clear();
        }
        match response.head.validators {
            Some(new) => validators.insert(asked, new),
            None => validators.remove(&asked),
        };
        let bytes = response.body.len() as u64;
        let fetched = Fetched::Playlist {
            body: response.body,
            final_url: response.head.final_url,
        };
        (fetched, bytes)
    }

    async fn request(&self, url: &Url, timeout: Duration) -> Result<Request, fetch::Error> {
        let scope = *self.scope.get_or_try_init(|| self.resolve(timeout)).await?;
        let timeouts = Timeouts {
            connect: timeout.min(Duration::from_secs(4)),
            first_byte: timeout,
            idle: timeout,
            total: Some(timeout),
        };
        Ok(Request {
            headers: self.headers.between(&self.url, url),
            user_agent: self.user_agent.clone(),
            timeouts,
            ..Request::new(url.clone(), scope, self.manners.clone())
        })
    }

    /// Waits until no other request takes the one connection of the account's stream. The machine orders its
    /// own one after the other; what players ask for comes between them.
    async fn turn(&self) -> Option<Turn<'_>> {
        let lease = self.lease.as_deref()?;
        let permit = lease.turn.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let ended = *lease.ended();
        if let Some(ended) = ended {
            sleep_until(ended + SETTLED).await;
        }
        Some(Turn { lease, _permit })
    }

    fn late(&self, phase: fetch::Phase, limit: Duration) -> fetch::Error {
        fetch::Error {
            at: base::redact_url(&self.url),
            redirects: 0,
            fault: Fault::Timeout { phase, limit },
        }
    }

    /// How far inward this source may reach, by the URL that an operator or administrator named.
    async fn resolve(&self, limit: Duration) -> Result<Scope, fetch::Error> {
        let scope = resolve::scope_of(&self.client, &self.url, self.voucher.as_ref());
        tokio::time::timeout(limit, scope)
            .await
            .map_err(|_| self.late(fetch::Phase::Connect, limit))?
    }

    fn validators(&self) -> std::sync::MutexGuard<'_, HashMap<Url, Validators>> {
        self.validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    fn ended(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.lease.ended() = Some(Instant::now());
    }
}

/// Makes sure that a segment can be played. The bytes go on as they came, encrypted if they were.
fn look_at(body: Bytes, protection: &Protection, url: &Url) -> Result<Fetched, Failure> {
    let corrupt = |reason: String| Failure {
        kind: ErrorKind::Corrupt,
        status: None,
        detail: format!("{}: {reason}", base::redact_url(url)),
        retry_after: None,
    };
    let inspection = match protection {
        Protection::Opaque => return Ok(Fetched::Opaque(body)),
        Protection::Clear => inspect(&body),
        Protection::Aes128 { key, iv } => {
            let clear =
                aes128::decrypt(&body, key, iv).map_err(|error| corrupt(error.to_string()))?;
            inspect(&clear)
        }
    };
    let inspection = inspection.map_err(|error| corrupt(error.to_string()))?;
    Ok(Fetched::Segment { body, inspection })
}

/// By value, so that it can stand in `map_err`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(crate) fn failure(error: fetch::Error) -> Failure {
    let (status, retry_after) = match &error.fault {
        Fault::Status { code, retry_after } => (Some(*code), *retry_after),
        _ => (None, None),
    };
    Failure {
        kind: error.kind(),
        status,
        detail: error.to_string(),
        retry_after,
    }
}

/// What stays the same of a source while its tokens change: a digest, since it is stored.
pub(crate) fn identity(url: &Url) -> String {
    use sha2::{Digest, Sha256};
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let digest = Sha256::digest(bare.as_str().as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The sources of a channel, as long as it runs.
pub(crate) type Upstreams = Vec<Arc<Upstream>>;
