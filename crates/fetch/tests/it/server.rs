//! An HTTP server that does exactly what its script says, bytes and silences alike.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does next on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// These bytes again and again, this far apart, until the client goes.
    Repeat(Vec<u8>, Duration),
    Wait(Duration),
    /// Silence until the client goes.
    Hang,
    Close,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Path with query.
    pub(crate) target: String,
    /// All header lines, in lower case.
    pub(crate) head: String,
    /// Requests being answered at that moment, this one included.
    pub(crate) in_flight: usize,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    in_flight: Mutex<usize>,
}

impl Server {
    /// Answers each request by `script`, which is given the path; keeps the connection afterwards
    /// unless the steps close it.
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (script, shared) = (Arc::new(script), Arc::clone(&state));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(
                    stream,
                    number,
                    Arc::clone(&script),
                    Arc::clone(&shared),
                ));
            }
        });
        Self {
            address,
            state,
            _task: task,
        }
    }

    pub(crate) async fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone()).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

/// A response with a `Content-Length`.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Step {
    let body = body.as_ref();
    let mut bytes = head(status, headers);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    Step::Send(bytes)
}

/// A response's head alone, with the empty line.
pub(crate) fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("HTTP/1.1 {status} Whatever\r\n{lines}\r\n").into_bytes()
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<impl Fn(&str) -> Vec<Step>>,
    state: Arc<State>,
) {
    while let Some(head) = read_head(&mut stream).await {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let in_flight = {
            let mut in_flight = state.in_flight.lock().unwrap();
            *in_flight += 1;
            *in_flight
        };
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let head = head.to_ascii_lowercase();
        state.seen.lock().unwrap().push(Seen {
            target,
            head,
            in_flight,
            connection,
        });
        let open = act(&mut stream, script(&path)).await;
        *state.in_flight.lock().unwrap() -= 1;
        if !open {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// False when the connection is to be closed.
async fn act(stream: &mut TcpStream, steps: Vec<Step>) -> bool {
    for step in steps {
        let done = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Step::Repeat(bytes, apart) => {
                while stream.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(apart).await;
                }
                false
            }
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Step::Hang => {
                let _ = stream.read_u8().await;
                false
            }
            Step::Close => false,
        };
        if !done {
            return false;
        }
    }
    true
}
