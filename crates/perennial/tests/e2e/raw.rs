//! A connection of one's own: for requests that no client would send and answers that do not end.

use std::time::Duration;

use testkit::http::Fetched;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::SOON;

/// A TCP connection to a gateway.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// The value of a header, or nothing.
pub(crate) fn header<'a>(answer: &'a Fetched, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value.map_or("", |value| {
        value.to_str().expect("a header of ours is text")
    })
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        Self::with_buffer(port, 1 << 20).await
    }

    /// One that the sender has to wait for when `bytes` are not read.
    pub(crate) async fn with_buffer(port: u16, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket is made");
        socket
            .set_recv_buffer_size(bytes)
            .expect("a buffer is sized");
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await;
        Self {
            stream: stream.expect("the gateway is connected to"),
            read: Vec::new(),
        }
    }

    /// Sends what may be refused midway.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Reads at most `most` further bytes; 0 at the end.
    pub(crate) async fn read_some(&mut self, most: usize) -> usize {
        let mut some = vec![0; most];
        let count = timeout(SOON, self.stream.read(&mut some)).await;
        // A reset is an end too.
        let count = count.expect("something comes, or the end").unwrap_or(0);
        self.read.extend_from_slice(&some[..count]);
        count
    }

    /// Reads until `text` has come; all that has come, or `None` when it ended before.
    pub(crate) async fn read_until(&mut self, within: Duration, text: &str) -> Option<String> {
        let read = async {
            loop {
                let so_far = String::from_utf8_lossy(&self.read).into_owned();
                if so_far.contains(text) {
                    return Some(so_far);
                }
                if self.read_some(16_384).await == 0 {
                    return None;
                }
            }
        };
        timeout(within, read)
            .await
            .unwrap_or_else(|_| panic!("no {text:?} within {within:?}"))
    }

    /// The status of the next answer; `None` when the connection was closed instead.
    pub(crate) async fn status(&mut self) -> Option<u16> {
        self.read.clear();
        let head = self.read_until(SOON, "\r\n\r\n").await?;
        head.split(' ').nth(1)?.parse().ok()
    }

    /// All that was read.
    pub(crate) fn read(&self) -> &[u8] {
        &self.read
    }
}
