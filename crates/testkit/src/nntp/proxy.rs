//! A proxy before an NNTP server: delay, limits, cuts, and a record of what passed when.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;

/// Pieces on their way in one direction of a connection.
const IN_FLIGHT_MAX: usize = 4096;
const READ_BYTES: usize = 64 << 10;

/// What passed.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Command lines with the times at which the client sent them; passwords are left out.
    pub commands: Vec<(Instant, String)>,
    /// When anything was delivered to the client.
    pub delivered: Vec<Instant>,
    /// Bytes delivered to the client.
    pub bytes: u64,
    /// Connections open now, and the most that were.
    pub open: usize,
    /// See `open`.
    pub peak: usize,
    /// Connections turned away.
    pub refused: u64,
}

impl Traffic {
    /// Commands by keyword.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (_, line) in &self.commands {
            let keyword = line.split(' ').next().unwrap_or_default().to_uppercase();
            *counts.entry(keyword).or_default() += 1;
        }
        counts
    }

    /// Dependent flights: a flight is the commands that were sent before an answer to any of them had
    /// arrived. What is sent later may depend on that answer, and begins another flight.
    pub fn flights(&self) -> usize {
        let mut flights = 0;
        let mut answered_at: Option<Instant> = None;
        for (sent, _) in &self.commands {
            if answered_at.is_none_or(|answered| *sent >= answered) {
                flights += 1;
                let answer = self.delivered.iter().find(|at| *at > sent);
                answered_at = answer.copied();
                if answer.is_none() {
                    break;
                }
            }
        }
        flights
    }
}

/// A running proxy. It stops, and closes every connection, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    one_way: Duration,
    state: Mutex<State>,
    /// Connections of earlier numbers end.
    epoch: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    traffic: Traffic,
    limit: Option<usize>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `server`, each byte half of
    /// `round_trip` late.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no port to be had.
    pub async fn start(server: SocketAddr, round_trip: Duration) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("binding the proxy"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("binding the proxy"))?;
        let shared = Arc::new(Shared {
            server,
            one_way: round_trip / 2,
            state: Mutex::default(),
            epoch: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Turns connections away with 502 beyond so many.
    pub fn set_limit(&self, limit: Option<usize>) {
        self.shared.lock().limit = limit;
    }

    /// Ends all connections now.
    pub fn cut_all(&self) {
        self.shared.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// What passed since the start or the last reset.
    pub fn traffic(&self) -> Traffic {
        self.shared.lock().traffic.clone()
    }

    /// Records from nothing again; what is open stays counted.
    pub fn reset(&self) {
        let mut state = self.shared.lock();
        let open = state.traffic.open;
        state.traffic = Traffic {
            open,
            peak: open,
            ..Traffic::default()
        };
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection out.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lock().traffic.open -= 1;
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut epoch = shared.epoch.subscribe();
    let is_over = {
        let mut state = shared.lock();
        let limit = state.limit;
        let is_over = limit.is_some_and(|limit| state.traffic.open >= limit);
        if is_over {
            state.traffic.refused += 1;
        } else {
            state.traffic.open += 1;
            state.traffic.peak = state.traffic.peak.max(state.traffic.open);
        }
        is_over
    };
    if is_over {
        // The client may be gone already.
        let _ = client.write_all(b"502 too many connections\r\n").await;
        return;
    }
    let _open = Open(&shared);
    let Ok(server) = TcpStream::connect(shared.server).await else {
        return;
    };
    // Without it the proxy would add delays of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pass(client_read, server_write, &shared, Direction::Up) => {}
        () = pass(server_read, client_write, &shared, Direction::Down) => {}
        _ = epoch.changed() => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, way: Direction) {
    let (tx, mut rx) = mpsc::channel::<(Instant, Bytes)>(IN_FLIGHT_MAX);
    let reading = async move {
        let mut line = Vec::new();
        loop {
            let mut buffer = vec![0; READ_BYTES];
            let len = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(len) => len,
            };
            buffer.truncate(len);
            let now = Instant::now();
            if way == Direction::Up {
                record(&mut line, &buffer, now, shared);
            }
            if tx
                .send((now + shared.one_way, buffer.into()))
                .await
                .is_err()
            {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = rx.recv().await {
            tokio::time::sleep_until(due).await;
            if way == Direction::Down {
                let mut state = shared.lock();
                state.traffic.delivered.push(Instant::now());
                state.traffic.bytes += bytes.len() as u64;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

fn record(line: &mut Vec<u8>, bytes: &[u8], now: Instant, shared: &Shared) {
    for &byte in bytes {
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        line.clear();
        let shown = match text.strip_prefix("AUTHINFO PASS") {
            Some(_) => "AUTHINFO PASS".to_owned(),
            None => text,
        };
        shared.lock().traffic.commands.push((now, shown));
    }
}
