//! One article, on its way or here: written by one connection, read by whoever waits for it.
//!
//! Bytes are decoded once, into buffers that readers share. A transfer that breaks is taken up again at
//! another provider; what has been handed out is compared, not handed out again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nzb::nntp::MessageId;
use nzb::yenc::Part;
use tokio::sync::watch;

use crate::ReadError;

/// Who wants an article, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// A player waits for it.
    Demand,
    /// A player will in a moment.
    Near,
    /// A player will.
    ReadAhead,
    /// An import.
    Import,
    /// Nobody waits.
    Health,
}

impl Lane {
    pub(crate) const ALL: [Self; 5] = [
        Self::Demand,
        Self::Near,
        Self::ReadAhead,
        Self::Import,
        Self::Health,
    ];
}

/// Bytes that articles hold, here and on their way.
#[derive(Debug, Default)]
pub(crate) struct Ledger(AtomicU64);

impl Ledger {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An article. Its state is watched; see [`State`].
#[derive(Debug)]
pub(crate) struct Article {
    pub(crate) id: MessageId,
    state: watch::Sender<State>,
    ledger: Arc<Ledger>,
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// The header, once it was read.
    pub(crate) part: Option<Arc<Part>>,
    /// The bytes so far, in order.
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) len: u64,
    /// Changes when bytes that were handed out proved wrong.
    pub(crate) edition: u32,
    interest: u32,
    lane: Lane,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Queued,
    Active,
    Done,
    Failed(Miss),
    /// Nobody wanted it any more before its turn came.
    Abandoned,
}

/// Why an article is not to be had.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Miss {
    /// No provider has it.
    Missing,
    /// The last provider that has it has it damaged.
    Damaged { host: String, what: String },
    /// A provider that may have it does not answer.
    Unavailable(String),
}

impl Miss {
    pub(crate) fn error(&self, id: &MessageId) -> ReadError {
        let article = id.to_string();
        match self {
            Self::Missing => ReadError::Missing { article },
            Self::Damaged { host, what } => ReadError::Damaged {
                host: host.clone(),
                article,
                what: what.clone(),
            },
            Self::Unavailable(what) => ReadError::Unavailable {
                article,
                what: what.clone(),
            },
        }
    }

    /// Whether the bytes can be given up on: no provider will ever have them.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }
}

impl Article {
    pub(crate) fn new(id: MessageId, lane: Lane, ledger: Arc<Ledger>) -> Arc<Self> {
        let state = State {
            phase: Phase::Queued,
            part: None,
            chunks: Vec::new(),
            len: 0,
            edition: 0,
            interest: 1,
            lane,
        };
        Arc::new(Self {
            id,
            state: watch::Sender::new(state),
            ledger,
        })
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn state(&self) -> watch::Ref<'_, State> {
        self.state.borrow()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.borrow().phase == Phase::Done
    }

    /// Adds a reader. `Err` for an article that is of no use any more; else whether a more urgent lane
    /// is to be told of.
    pub(crate) fn join(&self, lane: Lane) -> Result<bool, ()> {
        let mut joined = Err(());
        self.state.send_if_modified(|state| {
            joined = match state.phase {
                Phase::Abandoned | Phase::Failed(_) => Err(()),
                Phase::Queued if lane < state.lane => {
                    state.lane = lane;
                    Ok(true)
                }
                Phase::Queued | Phase::Active | Phase::Done => Ok(false),
            };
            state.interest += u32::from(joined.is_ok());
            false
        });
        joined
    }

    pub(crate) fn leave(&self) {
        self.state.send_if_modified(|state| {
            state.interest = state.interest.saturating_sub(1);
            false
        });
    }

    /// A connection begins with it. `false` if nobody wants it any more.
    pub(crate) fn begin(&self) -> bool {
        self.state.send_if_modified(|state| {
            state.phase = match state.phase {
                Phase::Queued if state.interest > 0 => Phase::Active,
                Phase::Queued => Phase::Abandoned,
                _ => return false,
            };
            true
        });
        self.state.borrow().phase == Phase::Active
    }

    /// It waits for another connection.
    pub(crate) fn requeue(&self) -> Lane {
        self.state.send_if_modified(|state| {
            if state.phase == Phase::Active {
                state.phase = Phase::Queued;
            }
            false
        });
        self.state.borrow().lane
    }

    pub(crate) fn fail(&self, miss: Miss) {
        self.state
            .send_modify(|state| state.phase = Phase::Failed(miss));
    }

    pub(crate) fn finish(&self) {
        self.state.send_modify(|state| state.phase = Phase::Done);
    }

    /// The header, and how many bytes were handed out by an earlier transfer.
    pub(crate) fn header(&self, part: Arc<Part>) -> u64 {
        self.state.send_if_modified(|state| {
            let is_same = state.part.as_ref().is_none_or(|known| {
                (known.begin, known.end, known.file_size) == (part.begin, part.end, part.file_size)
            });
            if !is_same {
                self.ledger.0.fetch_sub(state.len, Ordering::Relaxed);
                state.chunks.clear();
                (state.len, state.edition) = (0, state.edition + 1);
            }
            state.part = Some(part);
            true
        });
        self.state.borrow().len
    }

    /// Hands out the next bytes of a first transfer.
    pub(crate) fn push(&self, bytes: Bytes) {
        self.ledger
            .0
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.state.send_modify(|state| {
            state.len += bytes.len() as u64;
            state.chunks.push(bytes);
        });
    }

    /// A later transfer has come further than the one before: its bytes take the place of those.
    pub(crate) fn overtake(&self, chunks: Vec<Bytes>) {
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.state.send_modify(|state| {
            if !is_front(&state.chunks, &chunks) {
                state.edition += 1;
            }
            self.ledger.0.fetch_add(len, Ordering::Relaxed);
            self.ledger.0.fetch_sub(state.len, Ordering::Relaxed);
            (state.chunks, state.len) = (chunks, len);
        });
    }
}

impl Drop for Article {
    fn drop(&mut self) {
        let len = self.state.borrow().len;
        self.ledger.0.fetch_sub(len, Ordering::Relaxed);
    }
}

impl State {
    /// A run of the bytes that are here at `offset`, shared; `None` if there are none yet.
    pub(crate) fn run(&self, offset: u64, len_max: u64) -> Option<Bytes> {
        let mut at = 0;
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            if offset < end {
                // Both fit: they lie inside the chunk.
                let from = (offset - at) as usize;
                let to = (end.min(offset.saturating_add(len_max)) - at) as usize;
                return Some(chunk.slice(from..to));
            }
            at = end;
        }
        None
    }
}

fn is_front(front: &[Bytes], whole: &[Bytes]) -> bool {
    let len: usize = front.iter().map(Bytes::len).sum();
    let begins = whole.iter().flatten().take(len);
    front.iter().flatten().eq(begins)
}
