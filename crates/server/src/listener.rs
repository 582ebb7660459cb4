//! Accepting connections: limits, time-outs, TLS, and a drain at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use live::Sealed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::client::Peer;
use crate::outlet::{Outlet, Sending};
use crate::patient::{Patient, STALL_MAX};
use crate::players;
use crate::state::App;
use crate::tls::{LOOK, Tls};

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// Why we cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}{}", hint(reason))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: std::io::Error,
    },
}

fn hint(reason: &std::io::Error) -> &'static str {
    match reason.kind() {
        std::io::ErrorKind::AddrInUse => {
            "\n  hint: another program listens there; end it, or give server.listen (`-p` of `perennial live`) another port"
        }
        std::io::ErrorKind::PermissionDenied => {
            "\n  hint: ports below 1024 are for root; take a higher one, or grant CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// Until a request's headers are complete, and so also how long an idle connection is kept.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(75);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What running bodies are given at the end.
const DRAIN: Duration = Duration::from_secs(10);
/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Binds `address`.
    pub async fn bind(address: SocketAddr, tls: Option<Tls>) -> Result<Self, ServeError> {
        let bound = TcpListener::bind(address).await;
        let socket = bound.map_err(|reason| ServeError::Bind { address, reason })?;
        Ok(Self {
            socket,
            tls: tls.map(Arc::new),
        })
    }

    /// Where it listens, the port known also if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.socket
            .local_addr()
            .expect("a bound socket has an address")
    }

    /// Serves players from `app` and all else from `router` until `stop`; then lets running responses finish, for ten seconds at most.
    pub async fn serve(self, app: App, router: Router, stop: CancellationToken) {
        let Self { socket, tls } = self;
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut look = tokio::time::interval(LOOK);
        loop {
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                permit = room.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            let stream = loop {
                tokio::select! {
                    () = stop.cancelled() => break None,
                    _ = look.tick() => if let Some(tls) = &tls { tls.refresh() },
                    accepted = socket.accept() => match accepted {
                        Ok(accepted) => break Some(accepted),
                        Err(error) => {
                            tracing::warn!(%error, "cannot accept a connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    },
                }
            };
            let Some((stream, address)) = stream else {
                break;
            };
            let connection = Connection {
                address,
                tls: tls.clone(),
                app: app.clone(),
                router: router.clone(),
                stop: stop.clone(),
            };
            connections.spawn(async move {
                connection.run(stream).await;
                drop(permit);
            });
        }
        // Refused at once, newcomers go elsewhere; in the queue they would wait for the end.
        drop(socket);
        connections.close();
        if tokio::time::timeout(DRAIN, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(open = connections.len(), "connections cut after the drain");
        }
    }
}

struct Connection {
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    app: App,
    router: Router,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // Playlists are small: waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection without TCP_NODELAY");
        }
        let Some(tls) = &self.tls else {
            let sending = Sending::default();
            let outlet = Outlet::new(stream, sending.clone());
            return self.serve(outlet, false, Some(sending)).await;
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, true, None).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, address = %self.address, "tls handshake failed");
            }
            Err(_) => tracing::debug!(address = %self.address, "tls handshake took too long"),
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tls: bool,
        sending: Option<Sending>,
    ) {
        let peer = Peer {
            address: self.address,
            tls,
        };
        let (app, router) = (self.app.clone(), self.router.clone());
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let (app, router, sending) = (app.clone(), router.clone(), sending.clone());
            async move {
                let (parts, body) = request.into_parts();
                if let Some(mut response) = players::answer(&app, &parts, peer).await {
                    let sealed = response.extensions_mut().remove::<Sealed>();
                    if let Some(sending) = sending.filter(|_| parts.method == Method::GET) {
                        sending.set(sealed);
                    }
                    return Ok(response);
                }
                let mut request = hyper::Request::from_parts(parts, body);
                request.extensions_mut().insert(peer);
                router.oneshot(request).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIMEOUT)
            .serve_connection(TokioIo::new(Patient::new(stream, STALL_MAX)), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, address = %self.address, "connection ended");
        }
    }
}
