//! A body on its way in: counted, cut to the range that was asked for, and given up when it is too
//! long, too slow or too short. Holds the request's turn until it ends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::error::Fault;
use crate::manners::Turn;
use crate::patience::Patience;
use crate::slice::Slice;

/// No `Debug`: a `reqwest::Response` prints its URL and headers.
pub(crate) struct Body {
    state: State,
    patience: Patience,
    slice: Slice,
    limit: u64,
    /// `Content-Length`.
    announced: Option<u64>,
    received: u64,
    /// Read to be looked at, not handed out yet.
    ahead: BytesMut,
}

/// Leaving `Open` closes or returns the connection and gives the turn back.
enum State {
    Open {
        response: Box<reqwest::Response>,
        _turn: Turn,
    },
    Ended,
    Failed(Fault),
}

/// Room made for a body before it arrives, whatever it announces.
const RESERVED_MAX: u64 = 8 << 20;

impl Body {
    /// The body of `response`; refused at once when it announces more than `limit` bytes.
    pub(crate) fn new(
        response: reqwest::Response,
        turn: Turn,
        patience: Patience,
        slice: Slice,
        limit: u64,
    ) -> Result<Self, Fault> {
        let announced = response.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(Fault::TooLarge { limit });
        }
        let state = State::Open {
            response: Box::new(response),
            _turn: turn,
        };
        Ok(Self {
            state,
            patience,
            slice,
            limit,
            announced,
            received: 0,
            ahead: BytesMut::new(),
        })
    }

    /// The first bytes that have not been handed out: at least `least` of them, fewer only at the end.
    pub(crate) async fn start(&mut self, least: usize) -> Result<&[u8], Fault> {
        while self.ahead.len() < least
            && let Some(bytes) = self.next().await?
        {
            self.ahead.extend_from_slice(&bytes);
        }
        Ok(&self.ahead)
    }

    /// Accepts no more than `limit` bytes in all from here on.
    pub(crate) fn limit_to(&mut self, limit: u64) -> Result<(), Fault> {
        self.limit = limit;
        if self.announced.is_some_and(|length| length > limit) || self.received > limit {
            return Err(Fault::TooLarge { limit });
        }
        Ok(())
    }

    /// Waits for as long as pieces come, each within `idle`.
    pub(crate) fn endless(&mut self, idle: Duration) {
        self.patience.endless(idle);
    }

    /// Bytes that [`Self::chunk`] will hand out in all, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.slice.length(self.announced)
    }

    /// The next bytes, never empty; `None` at the end. Safe to cancel. A fault is final.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        if !self.ahead.is_empty() {
            return Ok(Some(self.ahead.split().freeze()));
        }
        self.next().await
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let chunk = self.read().await;
        match &chunk {
            Ok(Some(_)) => {}
            Ok(None) => self.state = State::Ended,
            Err(fault) => self.state = State::Failed(fault.clone()),
        }
        chunk
    }

    /// The whole body. One that arrives in one piece is not copied.
    pub(crate) async fn collect(mut self) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        let Some(first) = self.chunk().await? else {
            return Ok(body.freeze());
        };
        if self.length() == Some(first.len() as u64) {
            return Ok(first);
        }
        body.reserve(
            usize::try_from(self.length().unwrap_or_default().min(RESERVED_MAX))
                .unwrap_or_default(),
        );
        body.extend_from_slice(&first);
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let response = match &mut self.state {
                State::Open { response, .. } => response,
                State::Ended => return Ok(None),
                State::Failed(fault) => return Err(fault.clone()),
            };
            if self.slice.is_done() {
                return Ok(None);
            }
            let cut = Fault::Cut {
                received: self.received,
                expected: self.announced,
            };
            let Some(bytes) = self
                .patience
                .wait(response.chunk())
                .await?
                .map_err(|_| cut.clone())?
            else {
                return if self.slice.lacks() {
                    Err(cut)
                } else {
                    Ok(None)
                };
            };
            self.received += bytes.len() as u64;
            if self.received > self.limit {
                return Err(Fault::TooLarge { limit: self.limit });
            }
            self.patience.received(bytes.len() as u64)?;
            let bytes = self.slice.cut(bytes);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}
