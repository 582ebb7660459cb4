//! Accepting connections and answering requests, truly or as the fault of the hour says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::Answer;
use super::body::{Body, Manner};
use super::fault::{Fault, Target};
use super::live::{Found, KEY, Live};
use super::resource::{Item, Resource};
use super::signing::{Signer, Ticket};
use super::spec::{Quirk, Shape, Spec};
use super::stats::Counters;
use super::{damage, playlist};

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// The pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How many windows old a token of [`Quirk::Token`] may be.
const TOKEN_WINDOWS: u32 = 3;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) live: Live,
    pub(super) counters: Counters,
    active: watch::Sender<Option<Active>>,
    edge: AtomicU64,
    reloads: AtomicU64,
    started: Instant,
    pub(super) signer: Option<Signer>,
    pub(super) resolver_up: AtomicBool,
}

/// The fault that is set.
#[derive(Clone, Copy, Debug)]
struct Active {
    fault: Fault,
    target: Target,
    /// Segments made when it was set.
    head: u64,
}

impl Shared {
    pub(super) fn new(spec: Spec) -> Self {
        Self {
            signer: spec.signing.map(Signer::new),
            resolver_up: AtomicBool::new(true),
            live: Live::new(spec),
            counters: Counters::default(),
            active: watch::Sender::new(None),
            edge: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.active.borrow().map(|active| active.fault)
    }

    pub(super) fn set_fault(&self, fault: Fault, target: Target) {
        let head = self.live.head();
        if fault == Fault::Renumber {
            self.live.renumber();
            self.lift_fault();
        } else {
            self.active.send_replace(Some(Active {
                fault,
                target,
                head,
            }));
        }
    }

    pub(super) fn lift_fault(&self) {
        self.active.send_replace(None);
    }

    pub(super) fn move_edge(&self) {
        self.edge.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_dead(active: &Option<Active>) -> bool {
    active.is_some_and(|active| active.fault == Fault::Dead && active.target == Target::All)
}

/// Serves until it is aborted, and every connection with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some come back in a while.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            connection(stream, shared).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _open = shared.counters.connection();
    let mut active = shared.active.subscribe();
    if is_dead(&active.borrow_and_update()) {
        // A reset and not an orderly end; where it cannot be set the end has to do.
        drop(stream.set_zero_linger());
        return;
    }
    let service = service_fn(|request| answer(shared.clone(), request));
    let serve = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // What breaks a connection is the client's business or our own doing.
        _ = serve => {}
        _ = active.wait_for(is_dead) => {}
    }
}

/// An error closes the connection without an answer.
async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path();
    let running = shared.counters.request(path);
    if path == "/resolver.json" {
        let answer = shared.resolved(&request);
        return Ok(answer.into_response(request.method(), running));
    }
    let Some(ticket) = shared.admit(&request) else {
        shared.counters.lock().refused += 1;
        shared.counters.status(403);
        let answer = Answer::status(StatusCode::FORBIDDEN);
        return Ok(answer.into_response(request.method(), running));
    };
    let resource = Resource::parse(ticket.path);
    count(&shared, resource, request.method());

    let active = shared
        .active
        .borrow()
        .filter(|active| resource.is_hit_by(active.target));
    let answer = match active {
        None => honest(&shared, resource, &request, None, &ticket),
        Some(active) => match broken(&shared, resource, &request, active, &ticket) {
            Some(answer) => answer,
            None => {
                shared.counters.status(0);
                if active.fault == Fault::Stall {
                    stall(&shared).await;
                }
                return Err(io::Error::other("closed by the fault that is set"));
            }
        },
    };
    shared.counters.status(answer.status.as_u16());
    Ok(answer.into_response(request.method(), running))
}

/// Waits until another fault is set, or none.
async fn stall(shared: &Shared) {
    let mut active = shared.active.subscribe();
    let passed = |active: &Option<Active>| active.is_none_or(|active| active.fault != Fault::Stall);
    // The sender lives in `shared`: it cannot have gone.
    drop(active.wait_for(passed).await);
}

fn count(shared: &Shared, resource: Resource, method: &Method) {
    let counters = &shared.counters;
    match resource.item {
        Item::Playlist => counters.lock().playlists += 1,
        Item::Key => counters.lock().keys += 1,
        Item::Segment(number) if method == Method::GET => {
            counters.lock().segments += 1;
            match shared.live.find(number) {
                Found::Segment { index, late } => {
                    counters.segment(index);
                    counters.lock().late += u64::from(late);
                }
                Found::Gone => counters.lock().late += 1,
                Found::Future => counters.lock().early += 1,
            }
        }
        Item::File(_) if method == Method::GET => counters.lock().segments += 1,
        Item::Segment(_) | Item::File(_) | Item::Unknown => {}
    }
}

/// The answer under a fault; `None`: none at all.
fn broken(
    shared: &Shared,
    resource: Resource,
    request: &Request<Incoming>,
    active: Active,
    ticket: &Ticket<'_>,
) -> Option<Answer> {
    let truth = |manner| Answer {
        manner,
        ..honest(shared, resource, request, None, ticket)
    };
    Some(match active.fault {
        Fault::Dead | Fault::Stall => return None,
        Fault::Trickle => truth(Manner::Paced(1, Duration::from_secs(1))),
        Fault::Slow(rate) => truth(Manner::rate(rate)),
        Fault::CutBody => truth(Manner::Cut),
        Fault::Endless => truth(Manner::Endless),
        Fault::Freeze | Fault::EndList => honest(shared, resource, request, Some(active), ticket),
        Fault::Status { code, retry_after } => {
            let mut answer = Answer::status(
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            );
            if let Some(after) = retry_after {
                answer
                    .headers
                    .push((header::RETRY_AFTER, after.as_secs().into()));
            }
            answer
        }
        Fault::Html => Answer::new(
            "text/html",
            b"<!doctype html><title>Sorry</title><p>This stream has moved.".to_vec(),
        ),
        Fault::RedirectLoop => {
            let turn = shared.reloads.fetch_add(1, Ordering::Relaxed);
            Answer::redirect(&format!("{}?turn={turn}", request.uri().path()))
        }
        Fault::SegmentsFail => match resource.item {
            Item::Segment(_) | Item::File(_) => Answer::status(StatusCode::NOT_FOUND),
            _ => truth(Manner::Whole),
        },
        Fault::Garbage => damaged(truth(Manner::Whole), resource, damage::noise_like),
        Fault::Corrupt(percent) => damaged(truth(Manner::Whole), resource, |index, media| {
            damage::corrupt(index, media, percent)
        }),
        Fault::GzipBomb => {
            let mut answer = Answer::playlist(playlist::bomb());
            answer
                .headers
                .push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
            answer
        }
        Fault::HugePlaylist => Answer::playlist(playlist::huge()),
        Fault::LongLine => Answer::playlist(playlist::long_line(
            &shared.live,
            shared.live.window(shared.live.head()),
        )),
        Fault::Renumber => truth(Manner::Whole),
    })
}

fn damaged(answer: Answer, resource: Resource, damage: impl Fn(u64, &[u8]) -> Bytes) -> Answer {
    match resource.item {
        Item::Segment(seed) | Item::File(seed) if answer.status.is_success() => {
            let body = damage(seed, &answer.body);
            Answer { body, ..answer }
        }
        _ => answer,
    }
}

/// The answer of a healthy origin. `frozen` holds the playlist at the fault's beginning.
fn honest(
    shared: &Shared,
    resource: Resource,
    request: &Request<Incoming>,
    frozen: Option<Active>,
    ticket: &Ticket<'_>,
) -> Answer {
    let live = &shared.live;
    let edge = shared.edge.load(Ordering::Relaxed);
    let variant = resource.variant.unwrap_or(0);
    if live.spec.has(Quirk::Redirect) && resource.edge.is_none() && resource.item == Item::Playlist
    {
        return Answer::redirect(&format!("/edge-{edge}{}", request.uri().path()));
    }
    let unknown_variant = variant >= live.spec.variants();
    if resource.edge.is_some_and(|asked| asked != edge) || unknown_variant {
        return Answer::status(StatusCode::NOT_FOUND);
    }
    let needs_token = live.spec.has(Quirk::Token) && resource.item != Item::Playlist;
    if needs_token && !shared.is_token_fresh(request.uri().query()) {
        return Answer::status(StatusCode::FORBIDDEN);
    }
    match resource.item {
        Item::Playlist => {
            let multivariant =
                matches!(live.spec.shape, Shape::Multivariant(_)) && resource.variant.is_none();
            let body = if multivariant {
                playlist::multivariant(live, &ticket.as_suffix())
            } else {
                shared.media_playlist(frozen, ticket.as_suffix())
            };
            Answer::playlist(body)
                .encoded(live.spec.has(Quirk::Gzip))
                .conditional(request)
        }
        Item::Segment(number) => match live.find(number) {
            Found::Segment { index, .. } => {
                Answer::segment(live.wire(index, number, variant), request)
            }
            Found::Gone | Found::Future => Answer::status(StatusCode::NOT_FOUND),
        },
        Item::File(file) if live.spec.shape == Shape::ByteRange => {
            Answer::segment(live.file(file), request)
        }
        Item::Key if matches!(live.spec.shape, Shape::Aes128(_)) => {
            Answer::new("application/octet-stream", KEY.to_vec())
        }
        Item::File(_) | Item::Key | Item::Unknown => Answer::status(StatusCode::NOT_FOUND),
    }
}

impl Shared {
    /// What a request's token admits to; `None` for nothing.
    fn admit<'r>(&self, request: &'r Request<Incoming>) -> Option<Ticket<'r>> {
        let uri = request.uri();
        match &self.signer {
            None => Some(Ticket {
                path: uri.path(),
                query: "",
            }),
            Some(signer) => signer.admit(uri.path(), uri.query()),
        }
    }

    fn resolved(&self, request: &Request<Incoming>) -> Answer {
        self.counters.lock().resolved += 1;
        if !self.resolver_up.load(Ordering::Relaxed) {
            return Answer::status(StatusCode::SERVICE_UNAVAILABLE);
        }
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let url = format!("http://{host}/index.m3u8").parse();
        let Ok(url) = url.map(|url: url::Url| {
            self.signer
                .as_ref()
                .map_or(url.clone(), |signer| signer.link(&url))
        }) else {
            return Answer::status(StatusCode::BAD_REQUEST);
        };
        let exclusive = self
            .signer
            .as_ref()
            .is_some_and(|signer| signer.signing.exclusive);
        let refresh = if exclusive { "exclusive" } else { "overlap" };
        let entry = format!(
            r#"{{"id":"cam-1","title":"Race","quality":"1080p","url":"{url}","kind":"hls","refresh":"{refresh}"}}"#
        );
        Answer::new("application/json", format!(r#"{{"entries":[{entry}]}}"#))
    }

    fn media_playlist(&self, frozen: Option<Active>, ticket: String) -> Vec<u8> {
        let head = frozen.map_or_else(|| self.live.head(), |active| active.head);
        let ended = frozen.is_some_and(|active| active.fault == Fault::EndList);
        let token = if self.live.spec.has(Quirk::Token) {
            self.token()
        } else {
            ticket
        };
        playlist::media(&self.live, self.live.window(head), ended, &token)
    }

    /// A query that no reload had before: the time, and a counter for reloads within a millisecond.
    fn token(&self) -> String {
        let reload = self.reloads.fetch_add(1, Ordering::Relaxed);
        format!("?token={:x}-{reload:x}", self.started.elapsed().as_millis())
    }

    fn is_token_fresh(&self, query: Option<&str>) -> bool {
        let issued = query.and_then(|query| query.strip_prefix("token=")?.split_once('-'));
        let Some(issued_ms) = issued.and_then(|(ms, _)| u64::from_str_radix(ms, 16).ok()) else {
            return false;
        };
        let windows = self.live.spec.window as u32 * TOKEN_WINDOWS;
        self.started.elapsed()
            <= Duration::from_millis(issued_ms) + self.live.spec.cadence() * windows
    }
}
