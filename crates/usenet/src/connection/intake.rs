//! A body on its way into its article.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nzb::yenc::{Decoder, PART_BYTES_MAX};

use crate::article::Article;

/// Bytes of one buffer. From 128 KiB on an allocator asks the system for each, and gives it back.
const CHUNK_BYTES: usize = 96 << 10;
/// Bytes that are worth waking those who wait.
const HAND_OUT_BYTES: usize = 16 << 10;

pub(super) struct Intake {
    article: Arc<Article>,
    decoder: Decoder,
    buffer: BytesMut,
    filled: usize,
    header_told: bool,
    /// Bytes that an earlier transfer handed out: up to there ours are kept back, to be compared.
    ahead: u64,
    kept: Vec<Bytes>,
}

impl Intake {
    pub(super) fn new(article: Arc<Article>) -> Self {
        Self {
            article,
            decoder: Decoder::new(),
            buffer: BytesMut::new(),
            filled: 0,
            header_told: false,
            ahead: 0,
            kept: Vec::new(),
        }
    }

    /// Takes bytes up to the end of the body: how many, and whether the end is among them.
    pub(super) fn take(&mut self, input: &[u8]) -> (usize, bool) {
        let mut read = 0;
        loop {
            if self.filled == self.buffer.len() {
                self.renew();
            }
            let progress = (self.decoder).decode(&input[read..], &mut self.buffer[self.filled..]);
            read += progress.read;
            self.filled += progress.written;
            self.tell_header();
            if progress.done {
                self.hand_out();
                return (read, true);
            }
            if read == input.len() {
                if self.filled >= HAND_OUT_BYTES {
                    self.hand_out();
                }
                return (read, false);
            }
            if progress.read == 0 && progress.written == 0 {
                // The output is full.
                self.hand_out();
            }
        }
    }

    /// A new buffer: no longer than what is still to come.
    fn renew(&mut self) {
        self.hand_out();
        let left = self.decoder.part().map_or(PART_BYTES_MAX, |part| {
            part.len().saturating_sub(self.decoder.produced())
        });
        let left = usize::try_from(left).unwrap_or(CHUNK_BYTES);
        self.buffer = BytesMut::zeroed(left.clamp(1, CHUNK_BYTES));
    }

    fn tell_header(&mut self) {
        if self.header_told {
            return;
        }
        if let Some(part) = self.decoder.part() {
            self.header_told = true;
            self.ahead = self.article.header(Arc::new(part.clone()));
        }
    }

    fn hand_out(&mut self) {
        if self.filled == 0 {
            self.buffer.clear();
            return;
        }
        let bytes = self.buffer.split_to(self.filled).freeze();
        self.filled = 0;
        if self.ahead == 0 {
            return self.article.push(bytes);
        }
        self.kept.push(bytes);
        if self.decoder.produced() > self.ahead {
            self.ahead = 0;
            self.article.overtake(std::mem::take(&mut self.kept));
        }
    }

    /// The verdict, once the end was taken.
    pub(super) fn finish(mut self: Box<Self>) -> Result<(), String> {
        self.decoder.finish().map_err(|fault| fault.to_string())?;
        if self.ahead > 0 {
            self.article.overtake(std::mem::take(&mut self.kept));
        }
        Ok(())
    }
}
