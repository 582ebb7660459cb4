//! Response bodies: whole, slow, cut short or without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use super::stats::Gauge;

/// A body that counts as a running request until it is sent or given up.
#[derive(Debug)]
pub(super) struct Body {
    inner: UnsyncBoxBody<Bytes, io::Error>,
    _running: Gauge,
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Whole,
    /// This many bytes at each beat.
    Paced(usize, Duration),
    /// Half of it, then the connection breaks.
    Cut,
    /// Again and again.
    Endless,
}

/// What hyper needs at most to write what it was given.
const FLUSH: Duration = Duration::from_millis(50);

impl Manner {
    /// The most that is sent at once at so many bytes a second.
    pub(super) fn rate(bytes_per_second: u32) -> Self {
        const BEATS: u32 = 20;
        let bytes = (bytes_per_second / BEATS).max(1);
        Self::Paced(
            bytes as usize,
            Duration::from_secs(u64::from(bytes)) / bytes_per_second.max(1),
        )
    }
}

impl Body {
    pub(super) fn new(bytes: Bytes, manner: Manner, running: Gauge) -> Self {
        let inner = match manner {
            Manner::Whole => Full::new(bytes)
                .map_err(|never| match never {})
                .boxed_unsync(),
            Manner::Paced(chunk, beat) => {
                let chunks = stream::unfold(bytes, move |mut rest| async move {
                    if rest.is_empty() {
                        return None;
                    }
                    tokio::time::sleep(beat).await;
                    let chunk = rest.split_to(chunk.min(rest.len()));
                    Some((Ok(Frame::data(chunk)), rest))
                });
                StreamBody::new(chunks).boxed_unsync()
            }
            Manner::Cut => {
                let half = stream::iter([Ok(Frame::data(bytes.slice(..bytes.len() / 2)))]);
                let broken = stream::once(async {
                    // Time for the half to leave; an error would take it along.
                    tokio::time::sleep(FLUSH).await;
                    Err(io::Error::other("the body is cut here"))
                });
                StreamBody::new(half.chain(broken)).boxed_unsync()
            }
            Manner::Endless => {
                let frames = stream::repeat_with(move || Ok(Frame::data(bytes.clone())));
                StreamBody::new(frames).boxed_unsync()
            }
        };
        Self {
            inner,
            _running: running,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
