//! A source that is an open transport stream: its body is read as it comes, cut, and told to the
//! driver piece by piece. The machine decides what becomes of the pieces.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ErrorKind};
use fetch::Streaming;
use hls::channel::{Aim, Cutter, Failure, FetchId, Fetched, PROBE, SourceKind};
use tokio::sync::mpsc;

use crate::upstream::failure;

/// What a fetch came to, or brought on the way.
pub(crate) struct Outcome {
    pub(crate) id: FetchId,
    pub(crate) result: Result<Fetched, Failure>,
    /// Received since the last outcome of the same fetch.
    pub(crate) bytes: u64,
}

/// Where the pieces of streams go.
#[derive(Clone)]
pub(crate) struct Parts {
    queue: mpsc::Sender<Outcome>,
    clock: Arc<dyn Clock>,
}

/// Reads one stream.
pub(crate) struct Follower<'a> {
    parts: &'a Parts,
    id: FetchId,
    aim: Aim,
}

/// Pieces that wait for the driver; a stream is not read on while there is no room.
const QUEUE_MAX: usize = 4;
/// A stream that is silent for so long is closed. Players are told of a better source long before.
const SILENCE_MAX: Duration = Duration::from_secs(10);

impl Parts {
    /// With the end at which the driver takes them.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Outcome>) {
        let (queue, taken) = mpsc::channel(QUEUE_MAX);
        (Self { queue, clock }, taken)
    }

    pub(crate) const fn of(&self, id: FetchId, aim: Aim) -> Follower<'_> {
        Follower {
            parts: self,
            id,
            aim,
        }
    }
}

/// Reads as much of a source's body as it takes to say what it is.
pub async fn kind(opened: &mut Streaming) -> Result<SourceKind, fetch::Error> {
    let mut wanted = 1;
    loop {
        let start = opened.start(wanted).await?;
        if let Some(kind) = SourceKind::of(start, start.len() < wanted) {
            return Ok(kind);
        }
        wanted = (start.len() + 1).min(PROBE);
    }
}

impl Follower<'_> {
    /// Follows the stream to its end, and says why it ended.
    pub(crate) async fn follow(self, opened: Streaming) -> Failure {
        let at = base::redact_url(&opened.head.final_url);
        let mut stream = match opened.endless(SILENCE_MAX) {
            Ok(stream) => stream,
            Err(error) => return failure(error),
        };
        let mut cutter = Cutter::new(self.aim);
        let mut bytes = 0;
        self.tell(Fetched::Stream, &mut bytes).await;
        let ended = |kind, reason: &dyn std::fmt::Display| Failure {
            kind,
            status: None,
            detail: format!("{at}: {reason}"),
            retry_after: None,
        };
        let why = loop {
            let chunk = match stream.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break ended(ErrorKind::Unavailable, &"the stream ended"),
                Err(error) => break failure(error),
            };
            bytes += chunk.len() as u64;
            let pieces = match cutter.push(&chunk) {
                Ok(pieces) => pieces,
                Err(error) => break ended(error.kind(), &error),
            };
            for piece in pieces {
                self.tell(Fetched::Piece(piece), &mut bytes).await;
            }
            let rest = cutter.rest(self.parts.clock.now());
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        };
        drop(stream);
        if let Some(rest) = cutter.finish() {
            self.tell(Fetched::Piece(rest), &mut bytes).await;
        }
        why
    }

    async fn tell(&self, fetched: Fetched, bytes: &mut u64) {
        let outcome = Outcome {
            id: self.id,
            result: Ok(fetched),
            bytes: std::mem::take(bytes),
        };
        // A driver that is gone has abandoned us too.
        let _ = self.parts.queue.send(outcome).await;
    }
}
