//! An NNTP server in this process, with faults.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::Post;
use crate::Error;

/// What an article does instead of arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 430.
    Missing,
    /// 430 to STAT only: it is there all the same.
    StatMissing,
    /// 430 to BODY only: a gateway that lies to STAT.
    BodyMissing,
    /// The answer stops in the middle, and the connection hangs.
    Stall,
    /// The answer stops in the middle, and the connection ends.
    Cut,
    /// The answer stops in the middle once; the next time it is whole.
    CutOnce,
    /// A byte is not the one that was posted.
    WrongCrc,
    /// The answer is that of another article.
    OutOfTurn,
}

/// What the server was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Commands by their keyword.
    pub commands: BTreeMap<String, u64>,
    /// Times that each body was asked for.
    pub bodies: BTreeMap<String, u64>,
    /// Connections that were accepted and signed in or needed not.
    pub connections: u64,
    /// The most that were open at once.
    pub peak: u64,
    /// Connections turned away with 502.
    pub refused: u64,
}

/// A running server. It stops, and closes every connection, when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    articles: HashMap<String, Bytes>,
    faults: HashMap<String, Fault>,
    account: Option<(String, String)>,
    limit: Option<u64>,
    open: u64,
    /// The greeting that says no, while it is set.
    refusal: Option<String>,
    /// Connections of earlier numbers are to end.
    epoch: u64,
    asked: Asked,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1; no articles yet, and no account needed.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no port to be had.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("binding the nntp server"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("binding the nntp server"))?;
        let shared = Arc::new(Shared::default());
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

    /// Takes in a post's articles.
    pub fn add(&self, post: &Post) {
        let articles = post
            .articles()
            .map(|(id, body)| (id.to_owned(), body.clone()));
        self.shared.lock().articles.extend(articles);
    }

    /// Breaks an article, or mends it.
    pub fn set_fault(&self, id: &str, fault: Option<Fault>) {
        let faults = &mut self.shared.lock().faults;
        match fault {
            Some(fault) => faults.insert(id.to_owned(), fault),
            None => faults.remove(id),
        };
    }

    /// Wants this account from connections to come.
    pub fn set_account(&self, username: &str, password: &str) {
        self.shared.lock().account = Some((username.to_owned(), password.to_owned()));
    }

    /// Turns connections away with 502 beyond so many.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.shared.lock().limit = limit;
    }

    /// Greets with this line from now on and closes, as `400 server is down`; `None` lifts it.
    pub fn set_refusal(&self, line: Option<&str>) {
        self.shared.lock().refusal = line.map(str::to_owned);
    }

    /// Ends all connections before their next command.
    pub fn cut_all(&self) {
        self.shared.lock().epoch += 1;
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Asked {
        self.shared.lock().asked.clone()
    }

    /// Counts from nothing again.
    pub fn reset_asked(&self) {
        self.shared.lock().asked = Asked::default();
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
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // A connection that is gone says so by itself.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let (greeting, open, epoch) = greet(&shared);
    if write
        .write_all(format!("{greeting}\r\n").as_bytes())
        .await
        .is_err()
        || open.is_none()
    {
        return;
    }
    let is_signed_in = shared.lock().account.is_none();
    let mut session = Session {
        is_signed_in,
        user: String::new(),
        shared,
        out: Vec::new(),
    };
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if session.shared.lock().epoch != epoch {
            return;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let ends = session.answer(&text);
        // Answers to what was sent together leave together.
        let is_last = lines.buffer().is_empty();
        if is_last || ends.is_some() || session.out.len() > 1 << 20 {
            if write.write_all(&session.out).await.is_err() {
                return;
            }
            session.out.clear();
        }
        match ends {
            Some(End::Close) => return,
            Some(End::Hang) => return hang(write).await,
            None => {}
        }
    }
}

async fn hang(write: OwnedWriteHalf) {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drop(write);
}

fn greet(shared: &Arc<Shared>) -> (String, Option<Open>, u64) {
    let mut state = shared.lock();
    if let Some(line) = &state.refusal {
        return (line.clone(), None, 0);
    }
    if let Some(limit) = state.limit.filter(|&limit| state.open >= limit) {
        state.asked.refused += 1;
        return (format!("502 too many connections (limit {limit})"), None, 0);
    }
    state.open += 1;
    state.asked.connections += 1;
    state.asked.peak = state.asked.peak.max(state.open);
    let open = Open(shared.clone());
    ("200 testkit ready".to_owned(), Some(open), state.epoch)
}

enum End {
    Close,
    Hang,
}

struct Session {
    shared: Arc<Shared>,
    is_signed_in: bool,
    user: String,
    out: Vec<u8>,
}

impl Session {
    fn say(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn answer(&mut self, line: &str) -> Option<End> {
        let (keyword, argument) = line.split_once(' ').unwrap_or((line, ""));
        let keyword = keyword.to_ascii_uppercase();
        *(self.shared.lock().asked.commands)
            .entry(keyword.clone())
            .or_default() += 1;
        match &*keyword {
            "QUIT" => {
                self.say("205 bye");
                return Some(End::Close);
            }
            "AUTHINFO" => self.sign_in(argument),
            "DATE" => self.say("111 20261120120000"),
            _ if !self.is_signed_in => self.say("480 sign in"),
            "BODY" | "STAT" => {
                let id = argument.trim_matches(['<', '>']);
                return self.article(&keyword, id);
            }
            _ => self.say("500 what?"),
        }
        None
    }

    fn sign_in(&mut self, argument: &str) {
        let account = self.shared.lock().account.clone();
        match argument.split_once(' ') {
            Some(("USER", user)) => {
                user.clone_into(&mut self.user);
                self.say("381 password?");
            }
            Some(("PASS", password)) => {
                let is_right =
                    account.is_none_or(|(user, wanted)| user == self.user && wanted == password);
                self.is_signed_in = is_right;
                self.say(if is_right {
                    "281 welcome"
                } else {
                    "481 wrong password"
                });
            }
            _ => self.say("501 what?"),
        }
    }

    fn article(&mut self, keyword: &str, id: &str) -> Option<End> {
        let is_body = keyword == "BODY";
        let (body, fault) = {
            let mut state = self.shared.lock();
            if is_body {
                *state.asked.bodies.entry(id.to_owned()).or_default() += 1;
            }
            let fault = state.faults.get(id).copied();
            if fault == Some(Fault::CutOnce) && is_body {
                state.faults.remove(id);
            }
            (state.articles.get(id).cloned(), fault)
        };
        let is_hidden = match fault {
            Some(Fault::Missing) => true,
            Some(Fault::StatMissing) => !is_body,
            Some(Fault::BodyMissing) => is_body,
            _ => false,
        };
        let Some(body) = body.filter(|_| !is_hidden) else {
            self.say("430 no such article");
            return None;
        };
        if !is_body {
            self.say(&format!("223 0 <{id}>"));
            return None;
        }
        let named = match fault {
            Some(Fault::OutOfTurn) => "another@testkit",
            _ => id,
        };
        self.say(&format!("222 0 <{named}>"));
        match fault {
            Some(Fault::Stall) => {
                self.out.extend_from_slice(&body[..body.len() / 2]);
                return Some(End::Hang);
            }
            Some(Fault::Cut | Fault::CutOnce) => {
                self.out.extend_from_slice(&body[..body.len() / 2]);
                return Some(End::Close);
            }
            Some(Fault::WrongCrc) => {
                let at = self.out.len() + body.len() / 2;
                self.out.extend_from_slice(&body);
                self.out[at] = if self.out[at] == b'A' { b'B' } else { b'A' };
            }
            _ => self.out.extend_from_slice(&body),
        }
        None
    }
}
