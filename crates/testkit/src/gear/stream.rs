//! ffmpeg's endless transport stream over plain HTTP, as many providers serve it: one encoder, and
//! every client gets its bytes from the moment at which it is let in.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::ffmpeg::{Format, SECONDS_MAX, ffmpeg, prepare};
use super::process::Process;
use crate::{Clip, Error};

/// What ffmpeg sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoding {
    /// What is played round and round.
    pub clip: Clip,
    /// Where its timestamps begin.
    pub start: Duration,
    /// The PID of its video; the others follow. 0: ffmpeg's own choice.
    pub pid: u16,
    /// Of what was sent before, so many bytes go to a new client at once.
    pub kept: usize,
}

/// What is wrong with the server; all but `Dead` also with connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// Connections are reset.
    Dead,
    /// Nothing is sent any more.
    Freeze,
    /// A byte a second.
    Trickle,
    /// Noise.
    Garbage,
    /// Open connections end; new ones get this status and an error page.
    Status(u16),
}

/// A running server. It stops, and ffmpeg with it, when it is dropped.
#[derive(Debug)]
pub struct StreamServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    encoder: Mutex<Option<Encoder>>,
    encoding: Encoding,
    folder: TempDir,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Encoder {
    _process: Process,
    _reading: AbortOnDropHandle<()>,
}

/// Connections to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open now.
    pub open: usize,
    /// The most that were open at once.
    pub most: usize,
    /// All so far.
    pub total: usize,
}

#[derive(Debug)]
struct Shared {
    /// All that ffmpeg wrote.
    sent: Mutex<Vec<u8>>,
    length: watch::Sender<usize>,
    fault: watch::Sender<Option<StreamFault>>,
    /// How often all connections were ended.
    cuts: watch::Sender<u64>,
    connections: Mutex<Connections>,
    kept: usize,
}

/// Longer streams are no longer recorded, and so not sent: far more than a test plays.
const SENT_MAX: usize = 256 << 20;
const CONNECTIONS_MAX: usize = 64;

impl StreamServer {
    /// Starts ffmpeg and listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::Missing`] without ffmpeg.
    pub async fn start(encoding: Encoding) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(Error::io("binding the stream server"))?;
        let address = listener.local_addr();
        let address = address.map_err(Error::io("binding the stream server"))?;
        let shared = Arc::new(Shared {
            sent: Mutex::default(),
            length: watch::Sender::new(0),
            fault: watch::Sender::new(None),
            cuts: watch::Sender::new(0),
            connections: Mutex::default(),
            kept: encoding.kept,
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        let server = Self {
            address,
            shared,
            encoder: Mutex::default(),
            encoding,
            folder: TempDir::new().map_err(Error::io("making a folder"))?,
            _accepting: AbortOnDropHandle::new(accepting),
        };
        let form = Format::Ts { segment_s: 2 };
        prepare(encoding.clip, form, server.folder.path()).await?;
        server.restart_encoder()?;
        Ok(server)
    }

    /// The stream.
    pub fn url(&self) -> Url {
        let url = format!("http://{}/live/7", self.address);
        url.parse().expect("an address makes a URL")
    }

    /// Breaks the server, or mends it.
    pub fn set_fault(&self, fault: Option<StreamFault>) {
        self.shared.fault.send_replace(fault);
    }

    /// Ends the connections that are open; new ones are welcome.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Kills the encoder and starts another, whose timestamps begin where the first one's did.
    /// Clients stay connected.
    ///
    /// # Errors
    /// [`Error::Missing`] without ffmpeg.
    pub fn restart_encoder(&self) -> Result<(), Error> {
        let Encoding { start, pid, .. } = self.encoding;
        let mut command = ffmpeg();
        command.args(["-re", "-stream_loop", "-1", "-i"]);
        command.arg(self.folder.path().join("clip.mp4"));
        command.args(["-map", "0", "-c", "copy", "-t", SECONDS_MAX]);
        command.args(["-f", "mpegts", "-muxdelay", "0", "-flush_packets", "1"]);
        command.args(["-output_ts_offset", &start.as_secs().to_string()]);
        if pid > 0 {
            command.args(["-mpegts_start_pid", &pid.to_string()]);
        }
        let log = self.folder.path().join("stream.log");
        let mut encoder = lock(&self.encoder);
        *encoder = None;
        let (process, output) = Process::piped(command.arg("pipe:1"), "ffmpeg", "ffmpeg", &log)?;
        let reading = tokio::spawn(read(output, self.shared.clone()));
        *encoder = Some(Encoder {
            _process: process,
            _reading: AbortOnDropHandle::new(reading),
        });
        Ok(())
    }

    /// Who is connected.
    pub fn connections(&self) -> Connections {
        *lock(&self.shared.connections)
    }

    /// All that ffmpeg wrote so far.
    pub fn sent(&self) -> Vec<u8> {
        lock(&self.shared.sent).clone()
    }
}

async fn read(output: ChildStdout, shared: Arc<Shared>) {
    let Ok(mut output) = tokio::process::ChildStdout::from_std(output) else {
        return;
    };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let mut sent = lock(&shared.sent);
        if sent.len() + count > SENT_MAX {
            return;
        }
        sent.extend_from_slice(&buffer[..count]);
        shared.length.send_replace(sent.len());
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= CONNECTIONS_MAX {
            clients.join_next().await;
        }
        if let Ok((stream, _)) = listener.accept().await {
            let shared = shared.clone();
            clients.spawn(async move {
                let open = Open::new(&shared);
                // What breaks a connection is the client's business.
                drop(open.serve(stream).await);
            });
        }
        while clients.try_join_next().is_some() {}
    }
}

/// A connection that is counted.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut count = lock(&shared.connections);
        count.open += 1;
        count.total += 1;
        count.most = count.most.max(count.open);
        drop(count);
        Self(shared)
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (mut fault, mut cuts) = (self.0.fault.subscribe(), self.0.cuts.subscribe());
        if *fault.borrow_and_update() == Some(StreamFault::Dead) {
            // A reset and not an orderly end; where it cannot be set the end has to do.
            drop(stream.set_zero_linger());
            return Ok(());
        }
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let now = *fault.borrow();
        if let Some(StreamFault::Status(code)) = now {
            let page = "<html>this channel does not exist</html>";
            let length = page.len();
            let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: {length}\r\n\r\n{page}");
            return stream.write_all(answer.as_bytes()).await;
        }
        let (reading, mut stream) = stream.into_inner().into_split();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        tokio::select! {
            sent = self.send(&mut stream) => sent,
            _ = fault.wait_for(ends) => Ok(()),
            _ = cuts.changed() => Ok(()),
            _ = gone(reading) => Ok(()),
        }
    }

    /// Sends what ffmpeg writes, or what is set in its place.
    async fn send(&self, stream: &mut OwnedWriteHalf) -> std::io::Result<()> {
        let mut length = self.0.length.subscribe();
        let mut fault = self.0.fault.subscribe();
        let mut at = length.borrow_and_update().saturating_sub(self.0.kept);
        loop {
            let now = *fault.borrow_and_update();
            match now {
                Some(StreamFault::Freeze) => {}
                Some(StreamFault::Trickle) => stream.write_all(b"G").await?,
                Some(StreamFault::Garbage) => stream.write_all(&[0xa5; 20_000]).await?,
                _ => {
                    let bytes = lock(&self.0.sent)[at..].to_vec();
                    at += bytes.len();
                    stream.write_all(&bytes).await?;
                    tokio::select! {
                        grown = length.changed() => if grown.is_err() { return Ok(()) },
                        _ = fault.changed() => {}
                    }
                    continue;
                }
            }
            // What it missed, a client will never get.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = fault.changed() => {}
            }
            at = *length.borrow();
        }
    }
}

/// Waits for the client's end.
async fn gone(mut reading: OwnedReadHalf) {
    let mut nothing = [0; 64];
    while let Ok(1..) = reading.read(&mut nothing).await {}
}

fn ends(fault: &Option<StreamFault>) -> bool {
    matches!(fault, Some(StreamFault::Dead | StreamFault::Status(_)))
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.0.connections).open -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
