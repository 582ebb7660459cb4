//! An origin that answers as a test tells it to, byte for byte.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// What is sent for a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    head: String,
    body: Bytes,
}

impl Answer {
    pub(crate) fn new(kind: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n",
            body.len()
        );
        Self { head, body }
    }

    pub(crate) fn playlist(body: impl Into<Bytes>) -> Self {
        Self::new("application/vnd.apple.mpegurl", body)
    }

    /// A live playlist of six segments of two seconds that began at `began`, the n-th under the URI `uri(n)`.
    pub(crate) fn live(began: Instant, uri: impl Fn(u64) -> String) -> Self {
        let first = began.elapsed().as_secs() / 2;
        let segments = (first..first + 6).map(|n| format!("#EXTINF:2,\n{}\n", uri(n)));
        Self::playlist(format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}",
            segments.collect::<String>()
        ))
    }

    pub(crate) fn ts(body: impl Into<Bytes>) -> Self {
        Self::new("video/mp2t", body)
    }

    pub(crate) fn not_found() -> Self {
        let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n".to_owned();
        Self {
            head,
            body: Bytes::new(),
        }
    }
}

/// A running origin; it ends with its handle.
pub(crate) struct Canned {
    address: SocketAddr,
    asked: Arc<Mutex<VecDeque<String>>>,
    _server: AbortOnDropHandle<()>,
}

/// Heads of requests that are kept.
const ASKED_MAX: usize = 1000;

impl Canned {
    /// `answer` is given the path, with its query.
    pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let asked = Arc::new(Mutex::new(VecDeque::new()));
        let (answer, log) = (Arc::new(answer), asked.clone());
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                // What breaks a connection is the gateway's business.
                connections.spawn(async move { drop(serve(stream, &*answer, &log).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            asked,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let url = format!("http://{}{path}", self.address);
        url.parse().expect("an address and a path make a URL")
    }

    /// The newest requests with their headers, oldest first.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().cloned().collect()
    }
}

async fn serve(
    stream: TcpStream,
    answer: &(impl Fn(&str) -> Answer + Sync),
    log: &Mutex<VecDeque<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_back(head);
            if log.len() > ASKED_MAX {
                log.pop_front();
            }
        }
        let Answer { head, body } = answer(&path);
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.flush().await?;
    }
}
