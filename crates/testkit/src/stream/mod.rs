//! A player of a continuous MPEG transport stream over HTTP: it reads as fast as it is told to and runs
//! [`StreamChecker`] on all it gets.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! use std::time::Duration;
//! use testkit::stream::{Listening, Pace};
//!
//! let url = "http://127.0.0.1:8080/live/news.ts".parse().expect("a URL");
//! let listening = Listening::start(&url, Pace::Free);
//! let minute = |heard: &testkit::stream::Heard| heard.stream().length() >= Duration::from_secs(60);
//! listening.until(Duration::from_secs(90), "a minute", minute).await?;
//! let heard = listening.stop();
//! assert!(heard.problems().is_empty(), "{heard}");
//! # Ok(())
//! # }
//! ```

mod checker;
mod moments;
mod packet;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

pub use checker::{StreamChecker, StreamReport, Unit};
pub use moments::{Alignment, Moments};

use crate::Error;
use crate::wait::wait_until;

/// How fast a listener reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// What comes.
    Free,
    /// So many bytes a second, through a small window.
    BytesPerSecond(u32),
}

/// A listener that listens until it is stopped or dropped.
#[derive(Debug)]
pub struct Listening {
    heard: Arc<Mutex<Heard>>,
    _task: AbortOnDropHandle<()>,
}

/// What a listener got.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The answer's status; 0 before.
    pub status: u16,
    /// The answer's head.
    pub head: String,
    /// Bytes of the body.
    pub bytes: u64,
    /// When the first of them came, after the start.
    pub first_at: Option<Duration>,
    /// The longest time without any since the first, null packets included.
    pub silence_max: Duration,
    /// Whether the body ended.
    pub ended: bool,
    checker: StreamChecker,
}

/// The window of a slow listener: so small that the sender notices.
const SLOW_WINDOW: u32 = 16 * 1024;
const READ: usize = 64 * 1024;
const HEAD_MAX: usize = 16 * 1024;

impl Listening {
    /// Asks for `url` by HTTP/1.0, as simple players do. Needs a tokio runtime.
    pub fn start(url: &Url, pace: Pace) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(listen(url.clone(), pace, heard.clone()));
        Self {
            heard,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What it got so far.
    pub fn heard(&self) -> Heard {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `fact` is true of what it got.
    ///
    /// # Errors
    /// [`Error::Deadline`] when `within` has passed.
    pub async fn until(
        &self,
        within: Duration,
        what: &str,
        fact: impl Fn(&Heard) -> bool,
    ) -> Result<(), Error> {
        let waited = wait_until(within, what, async || {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            fact(&heard).then_some(())
        });
        waited.await.map_err(|_| Error::Deadline {
            what: format!("{what}; {}", self.heard()),
            waited: within,
        })
    }

    /// Stops listening.
    pub fn stop(self) -> Heard {
        self.heard()
    }
}

impl Heard {
    /// What the stream was like.
    pub const fn stream(&self) -> &StreamReport {
        self.checker.report()
    }

    /// What a strict player would complain of.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.stream().violations.clone();
        if self.status != 200 {
            problems.push(format!("status {}", self.status));
        }
        problems
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "status {}, {} bytes, first after {:?}, silent for at most {:?}, ended: {}",
            self.status, self.bytes, self.first_at, self.silence_max, self.ended
        )?;
        write!(f, "{}", self.stream())
    }
}

/// Reads until the end, or until nobody wants it any more.
async fn listen(url: Url, pace: Pace, heard: Arc<Mutex<Heard>>) {
    let started = Instant::now();
    // A refused connection is an answer of no status.
    drop(exchange(&url, pace, &heard, started).await);
    heard.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
}

async fn exchange(
    url: &Url,
    pace: Pace,
    heard: &Mutex<Heard>,
    started: Instant,
) -> std::io::Result<()> {
    let lock = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    let socket = TcpSocket::new_v4()?;
    if pace != Pace::Free {
        socket.set_recv_buffer_size(SLOW_WINDOW)?;
    }
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request =
        format!("GET {target} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: testkit\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        head.push(stream.read_u8().await?);
    }
    {
        let mut heard = lock();
        heard.head = String::from_utf8_lossy(&head).into_owned();
        let status = heard
            .head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        heard.status = status.unwrap_or_default();
    }
    let mut last: Option<Instant> = None;
    let mut buffer = match pace {
        Pace::Free => vec![0; READ],
        Pace::BytesPerSecond(rate) => vec![0; (rate as usize / 20).clamp(1, READ)],
    };
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let now = Instant::now();
        {
            let mut heard = lock();
            heard.bytes += count as u64;
            heard.first_at.get_or_insert(now - started);
            if let Some(last) = last {
                heard.silence_max = heard.silence_max.max(now - last);
            }
            heard.checker.push(&buffer[..count]);
        }
        last = Some(now);
        if let Pace::BytesPerSecond(rate) = pace {
            tokio::time::sleep(Duration::from_secs(1).mul_f64(count as f64 / f64::from(rate)))
                .await;
        }
    }
}
