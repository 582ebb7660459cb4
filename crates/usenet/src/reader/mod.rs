//! The bytes of a range, in order: planned ahead, fetched ahead, handed out when they are sure.
//!
//! The first article of a range is handed out while it arrives, so that a player sees it at once; its CRC
//! can only be checked at its end, and a wrong one ends the body. All others are checked before a byte of
//! them is used, and what is damaged comes from the next provider.

mod flow;
mod hole;
mod plan;

use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::{File, ReadError};
use flow::Flow;
pub(crate) use hole::Hole;

/// A body: exactly the bytes that were asked for, or an error before its end.
#[derive(Debug)]
pub struct Reader {
    file: File,
    at: u64,
    end: u64,
    flow: Option<Box<Flow>>,
}

impl Reader {
    pub(crate) fn new(file: &File, range: Range<u64>) -> Self {
        let end = range.end.min(file.size());
        Self {
            file: file.clone(),
            at: range.start.min(end),
            end,
            flow: None,
        }
    }

    /// Bytes that are still to come.
    pub fn remaining(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes, never empty; `None` behind the last. May be dropped and called again.
    ///
    /// # Errors
    /// Why the body ends here. There is nothing behind an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        if self.at == self.end {
            return None;
        }
        let next = self.advance().await;
        match &next {
            Ok(bytes) => self.at += bytes.len() as u64,
            Err(_) => {
                self.end = self.at;
                self.flow = None;
            }
        }
        Some(next)
    }

    async fn advance(&mut self) -> Result<Bytes, ReadError> {
        let flow = match &mut self.flow {
            Some(flow) => flow,
            none => {
                let flow = Flow::start(&self.file, self.at..self.end).await?;
                none.insert(Box::new(flow))
            }
        };
        flow.next().await
    }

    /// The same as a stream, as bodies want it.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
        stream::unfold(self, async |mut reader| {
            let item = reader.next().await?;
            Some((item, reader))
        })
    }
}
