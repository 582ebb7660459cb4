//! The socket of a plain connection. What lies in a segment's memory file goes to the socket by
//! `sendfile(2)`, uncopied; everything else is written as usual. hyper knows nothing of it: it hands
//! over slices of memory, and the outlet sees which of them belong to the segment being sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use live::Sealed;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// The segment that a connection is sending: put down by whoever answers a request, looked at by the
/// connection's [`Outlet`]. A slice of any other segment is merely copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending(Arc<Mutex<Option<Sealed>>>);

pub(crate) struct Outlet {
    stream: TcpStream,
    sending: Sending,
}

/// What a list of slices begins with.
enum Begins<'a> {
    /// Bytes of a memory file, from this offset.
    Sealed(Sealed, u64, usize),
    /// Bytes of the heap, followed by some of a memory file.
    Head(&'a [u8]),
    Other,
}

impl Sending {
    pub(crate) fn set(&self, sealed: Option<Sealed>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sealed;
    }

    fn look<'a>(&self, parts: &'a [IoSlice<'_>]) -> Begins<'a> {
        let sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sealed) = sending.as_ref() else {
            return Begins::Other;
        };
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        let Some(first) = filled.next() else {
            return Begins::Other;
        };
        if let Some(offset) = sealed.offset_of(first) {
            return Begins::Sealed(sealed.clone(), offset, first.len());
        }
        match filled.next().and_then(|second| sealed.offset_of(second)) {
            Some(_) => Begins::Head(first),
            None => Begins::Other,
        }
    }
}

impl Outlet {
    pub(crate) fn new(stream: TcpStream, sending: Sending) -> Self {
        Self { stream, sending }
    }

    /// Runs a system call until it writes something, or the socket is full.
    fn poll_call(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&TcpStream) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let called = self
                .stream
                .try_io(Interest::WRITABLE, || Ok(call(&self.stream)?));
            match called {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                called => return Poll::Ready(called),
            }
        }
    }
}

impl AsyncRead for Outlet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.sending.look(parts) {
            Begins::Sealed(file, offset, length) => {
                let call = |stream: &TcpStream| send_file(stream, &file, offset, length);
                let sent = ready!(self.poll_call(cx, call))?;
                if sent == length {
                    // An idle connection must not keep a segment that everybody else has forgotten.
                    self.sending.set(None);
                }
                Poll::Ready(Ok(sent))
            }
            // The kernel waits for the rest and fills packets with both.
            Begins::Head(head) => self.poll_call(cx, |stream| {
                rustix::net::send(stream, head, SendFlags::MORE | SendFlags::NOSIGNAL)
            }),
            Begins::Other => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(target_os = "linux")]
fn send_file(
    stream: &TcpStream,
    file: &Sealed,
    mut offset: u64,
    length: usize,
) -> rustix::io::Result<usize> {
    rustix::fs::sendfile(stream, file, Some(&mut offset), length)
}

/// Other systems have no sealed files, so this is never called.
#[cfg(not(target_os = "linux"))]
fn send_file(_: &TcpStream, _: &Sealed, _: u64, _: usize) -> rustix::io::Result<usize> {
    Err(rustix::io::Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Far more than a socket's buffers hold.
    const SEGMENT_BYTES: usize = 20 << 20;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (theirs, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (accepted.unwrap().0, theirs.unwrap())
    }

    fn segment() -> Sealed {
        let bytes: Vec<u8> = (0..SEGMENT_BYTES).map(|at| (at / 7) as u8).collect();
        Sealed::copy(&bytes).unwrap().expect("long enough")
    }

    /// Writes `parts` as hyper does: again and again, less what went through.
    async fn write(outlet: &mut Outlet, parts: &[&[u8]]) -> io::Result<()> {
        for (index, part) in parts.iter().enumerate() {
            let mut rest = *part;
            while !rest.is_empty() {
                let mut slices = vec![IoSlice::new(rest)];
                slices.extend(parts[index + 1..].iter().map(|part| IoSlice::new(part)));
                let sent = outlet.write_vectored(&slices).await?;
                rest = &rest[sent.min(rest.len())..];
            }
        }
        outlet.shutdown().await
    }

    #[tokio::test]
    async fn a_slow_peer_gets_every_byte_in_order() {
        let (ours, mut theirs) = pair().await;
        let sending = Sending::default();
        let mut outlet = Outlet::new(ours, sending.clone());
        let sealed = segment();
        let body = sealed.bytes();
        sending.set(Some(sealed));
        let range = 70_000..SEGMENT_BYTES - 11;
        let expected = [b"head\r\n", &body[range.clone()], b"tail"].concat();
        let writer =
            tokio::spawn(
                async move { write(&mut outlet, &[b"head\r\n", &body[range], b"tail"]).await },
            );
        let mut got: Vec<u8> = Vec::new();
        let mut buffer = vec![0; 300_000];
        loop {
            let read = theirs.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            got.extend_from_slice(&buffer[..read]);
            tokio::task::yield_now().await;
        }
        writer.await.unwrap().unwrap();
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        assert!(sending.0.lock().unwrap().is_none(), "the segment is let go");
    }

    #[tokio::test]
    async fn a_peer_that_leaves_ends_the_write() {
        let (ours, theirs) = pair().await;
        let sending = Sending::default();
        let mut outlet = Outlet::new(ours, sending.clone());
        let sealed = segment();
        let body = sealed.bytes();
        sending.set(Some(sealed));
        drop(theirs);
        let parts: [&[u8]; 1] = [&body];
        let wrote = tokio::time::timeout(Duration::from_secs(10), write(&mut outlet, &parts));
        wrote.await.expect("an error, not a wait").unwrap_err();
    }

    #[test]
    fn slices_of_other_segments_are_merely_copied() {
        let sending = Sending::default();
        let (sealed, other) = (segment().bytes(), segment());
        sending.set(Some(other));
        let parts = [IoSlice::new(b"head"), IoSlice::new(&sealed)];
        assert!(matches!(sending.look(&parts), Begins::Other));
    }
}
