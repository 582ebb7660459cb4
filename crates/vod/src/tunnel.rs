//! Bytes through the gateway: a thousand viewers of a segment cost the store one request, and a reader
//! joins a transfer that is on its way.
//!
//! An object of up to [`WHOLE_MAX`] is fetched whole, once. A longer one is fetched in blocks, with one
//! block of read-ahead, each block as if it were an object. Both lie in one cache of bounded size; what
//! does not fit any more is forgotten when its readers are done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::ByteRange;
use bytes::Bytes;
use fetch::Streaming;
use futures_util::{StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use moka::ops::compute::Op;
use tokio::sync::watch;

use crate::error::Error;
use crate::library::{Library, Meta, Object};
use crate::s3::Bucket;

/// Objects up to this are fetched whole.
pub(crate) const WHOLE_MAX: u64 = 8 << 20;
/// Longer ones in pieces of this.
const BLOCK: u64 = 4 << 20;
/// Of all libraries together.
const CACHE_BYTES_MAX: u64 = 192 << 20;
/// An object that was replaced under its key is seen after this at the latest.
const FRESH: Duration = Duration::from_secs(300);

/// The cache. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Tunnels(Cache<Id, Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Id {
    /// The library's serial number.
    library: u64,
    key: String,
    /// A block of the object of this ETag, or else all of whichever it is.
    block: Option<(String, u64)>,
}

#[derive(Clone, Debug)]
enum Entry {
    Transfer(Arc<Transfer>),
    /// Too long to be fetched whole.
    Long(Meta),
}

/// Bytes that are arriving, or have arrived.
#[derive(Debug)]
struct Transfer {
    meta: Meta,
    length: u64,
    chunks: Mutex<Vec<Bytes>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Debug)]
enum Progress {
    Arriving,
    Complete,
    Failed(Error),
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        let weight = |_: &Id, entry: &Entry| match entry {
            Entry::Transfer(transfer) => u32::try_from(transfer.length).unwrap_or(u32::MAX),
            Entry::Long(_) => 256,
        };
        Self(
            Cache::builder()
                .weigher(weight)
                .max_capacity(CACHE_BYTES_MAX)
                .time_to_live(FRESH)
                .build(),
        )
    }

    /// What an object is; its bytes may be on their way after this.
    pub(crate) async fn meta(&self, library: &Arc<Library>, key: &str) -> Result<Meta, Error> {
        Ok(match self.entry(library, key).await? {
            Entry::Transfer(transfer) => transfer.meta.clone(),
            Entry::Long(meta) => meta,
        })
    }

    /// A part of an object.
    pub(crate) async fn read(
        &self,
        library: &Arc<Library>,
        key: &str,
        range: ByteRange,
    ) -> Result<Object, Error> {
        let mut transfer = match self.entry(library, key).await? {
            Entry::Transfer(transfer) => transfer,
            Entry::Long(meta) => {
                let blocks = Blocks {
                    tunnels: self.clone(),
                    library: library.clone(),
                    key: key.to_owned(),
                    meta,
                };
                return blocks.read(range).await;
            }
        };
        if transfer.reaches(range.start).await.is_err() {
            // Nothing was sent yet: the same object may come whole another time.
            if let Entry::Transfer(new) = self.entry(library, key).await?
                && new.meta == transfer.meta
            {
                transfer = new;
            }
            transfer.reaches(range.start).await?;
        }
        Ok(transfer.read(range))
    }

    async fn entry(&self, library: &Arc<Library>, key: &str) -> Result<Entry, Error> {
        let id = Id {
            library: library.serial(),
            key: key.to_owned(),
            block: None,
        };
        self.sound(&id, || self.open(&id, library)).await
    }

    /// What the cache has, or else what `open` makes of it; never a transfer that failed before. One may
    /// fail while it is being put into the cache, so that forgetting it when it fails is not enough.
    async fn sound<F>(&self, id: &Id, open: impl Fn() -> F) -> Result<Entry, Error>
    where
        F: Future<Output = Result<Entry, Error>> + Send,
    {
        let get = || async {
            let entry = self.0.try_get_with_by_ref(id, Box::pin(open())).await;
            entry.map_err(|error: Arc<Error>| Error::clone(&error))
        };
        match get().await? {
            Entry::Transfer(transfer) if transfer.has_failed() => {
                self.forget(id, &transfer).await;
                get().await
            }
            entry => Ok(entry),
        }
    }

    /// Forgets a transfer, unless another has taken its place.
    async fn forget(&self, id: &Id, failed: &Arc<Transfer>) {
        let forget = async |known: Option<moka::Entry<Id, Entry>>| match known
            .as_ref()
            .map(moka::Entry::value)
        {
            Some(Entry::Transfer(transfer)) if Arc::ptr_eq(transfer, failed) => Op::Remove,
            _ => Op::Nop,
        };
        self.0.entry_by_ref(id).and_compute_with(forget).await;
    }

    fn open(
        &self,
        id: &Id,
        library: &Arc<Library>,
    ) -> impl Future<Output = Result<Entry, Error>> + Send + 'static {
        let (tunnels, id, library) = (self.clone(), id.clone(), library.clone());
        async move {
            let bucket = library.bucket().ok_or(NOT_A_BUCKET)?;
            let streaming = bucket.open(&id.key, None, None).await?;
            let length = streaming
                .head
                .length
                .ok_or_else(|| unwell(&library, &id.key, "sends no length"))?;
            let meta = Meta::of(&streaming.head, length);
            if length > WHOLE_MAX {
                return Ok(Entry::Long(meta));
            }
            let transfer = tunnels.begin(id, meta, length, streaming, &library);
            Ok(Entry::Transfer(transfer))
        }
    }

    /// Lets the bytes come in, whether anybody reads them or not.
    fn begin(
        &self,
        id: Id,
        meta: Meta,
        length: u64,
        mut streaming: Streaming,
        library: &Arc<Library>,
    ) -> Arc<Transfer> {
        let transfer = Arc::new(Transfer {
            meta,
            length,
            chunks: Mutex::default(),
            progress: watch::Sender::new(Progress::Arriving),
        });
        let (arriving, tunnels, library) = (transfer.clone(), self.clone(), library.clone());
        task::spawn(
            "transfer from a store",
            tracing::Span::current(),
            async move {
                let traffic = library.bucket().map(Bucket::traffic);
                let end = loop {
                    match streaming.chunk().await {
                        Ok(Some(bytes)) => {
                            traffic.inspect(|traffic| traffic.received(bytes.len()));
                            arriving.push(bytes);
                        }
                        Ok(None) if arriving.arrived() == length => break Progress::Complete,
                        Ok(None) => {
                            break Progress::Failed(unwell(
                                &library,
                                &id.key,
                                "cut the body short",
                            ));
                        }
                        Err(error) => {
                            break Progress::Failed(unwell(
                                &library,
                                &id.key,
                                &error.fault.to_string(),
                            ));
                        }
                    }
                };
                if let Progress::Failed(error) = &end {
                    tracing::warn!(%error, "a transfer failed");
                    traffic.inspect(|traffic| traffic.failed());
                }
                arriving.progress.send_replace(end);
                if arriving.has_failed() {
                    tunnels.forget(&id, &arriving).await;
                }
            },
        );
        transfer
    }
}

impl Transfer {
    fn chunks(&self) -> std::sync::MutexGuard<'_, Vec<Bytes>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: Bytes) {
        self.chunks().push(bytes);
        self.progress.send_replace(Progress::Arriving);
    }

    fn arrived(&self) -> u64 {
        self.chunks().iter().map(|chunk| chunk.len() as u64).sum()
    }

    fn has_failed(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Failed(_))
    }

    /// Waits until the byte at `at` is there.
    async fn reaches(&self, at: u64) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        loop {
            // Seen before the chunks are looked at, so that none can arrive in between unnoticed.
            let now = progress.borrow_and_update().clone();
            if self.arrived() > at {
                return Ok(());
            }
            match now {
                Progress::Failed(error) => return Err(error),
                Progress::Complete => return Ok(()),
                Progress::Arriving => {}
            }
            // The sender lives as long as `self`.
            let _ = progress.changed().await;
        }
    }

    /// The bytes of `range`, as they come.
    fn read(self: Arc<Self>, range: ByteRange) -> Object {
        let reader = Reader {
            progress: self.progress.subscribe(),
            transfer: self,
            chunk: 0,
            chunk_at: 0,
            at: range.start,
            end: range.end,
        };
        Box::pin(stream::try_unfold(reader, async |mut reader| {
            Ok(reader.next().await?.map(|bytes| (bytes, reader)))
        }))
    }
}

/// Where one viewer is in a transfer.
struct Reader {
    transfer: Arc<Transfer>,
    progress: watch::Receiver<Progress>,
    /// The next chunk, and the offset at which it begins.
    chunk: usize,
    chunk_at: u64,
    at: u64,
    end: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.at < self.end {
            // Seen before the chunks are looked at, so that none can arrive in between unnoticed.
            let progress = self.progress.borrow_and_update().clone();
            let chunk = self.transfer.chunks().get(self.chunk).cloned();
            let Some(chunk) = chunk else {
                match progress {
                    Progress::Failed(error) => return Err(error),
                    Progress::Complete => return Ok(None),
                    Progress::Arriving => {}
                }
                // The sender lives in the transfer, which is held here.
                let _ = self.progress.changed().await;
                continue;
            };
            let (start, end) = (self.chunk_at, self.chunk_at + chunk.len() as u64);
            self.chunk += 1;
            self.chunk_at = end;
            if end <= self.at {
                continue;
            }
            // Both lie inside the chunk, which is in memory.
            let from = (self.at - start) as usize;
            let to = (self.end.min(end) - start) as usize;
            self.at = self.end.min(end);
            return Ok(Some(chunk.slice(from..to)));
        }
        Ok(None)
    }
}

/// A long object.
#[derive(Clone)]
struct Blocks {
    tunnels: Tunnels,
    library: Arc<Library>,
    key: String,
    meta: Meta,
}

impl Blocks {
    async fn read(self, range: ByteRange) -> Result<Object, Error> {
        // The first block is asked for before the answer begins, so that what goes wrong has a status.
        let first = self.part(range, range.start / BLOCK).await?;
        let last = (range.end - 1) / BLOCK;
        let rest = stream::iter(range.start / BLOCK + 1..=last).then(move |index| {
            let blocks = self.clone();
            async move { blocks.part(range, index).await }
        });
        Ok(Box::pin(first.chain(rest.try_flatten())))
    }

    /// What of `range` lies in a block; the next block is asked for meanwhile.
    async fn part(&self, range: ByteRange, index: u64) -> Result<Object, Error> {
        let start = index * BLOCK;
        let wanted = ByteRange {
            start: range.start.max(start) - start,
            end: range.end.min(start + BLOCK) - start,
        };
        let mut transfer = self.block(index).await?;
        if (index + 1) * BLOCK < range.end {
            let blocks = self.clone();
            task::spawn("read-ahead", tracing::Span::current(), async move {
                if let Err(error) = blocks.block(index + 1).await {
                    tracing::debug!(%error, "read-ahead failed; its reader will try again");
                }
            });
        }
        if transfer.reaches(wanted.start).await.is_err() {
            // Nothing of it was sent yet, and it is a block of the same ETag.
            transfer = self.block(index).await?;
            transfer.reaches(wanted.start).await?;
        }
        Ok(transfer.read(wanted))
    }

    async fn block(&self, index: u64) -> Result<Arc<Transfer>, Error> {
        let id = Id {
            library: self.library.serial(),
            key: self.key.clone(),
            block: Some((self.meta.etag.clone(), index)),
        };
        let open = || self.clone().open(id.clone(), index);
        match self.tunnels.sound(&id, open).await? {
            Entry::Transfer(transfer) => Ok(transfer),
            Entry::Long(_) => Err(NOT_A_BUCKET),
        }
    }

    async fn open(self, id: Id, index: u64) -> Result<Entry, Error> {
        let Self {
            tunnels,
            library,
            key,
            meta,
        } = self;
        let range = ByteRange {
            start: index * BLOCK,
            end: ((index + 1) * BLOCK).min(meta.length),
        };
        let bucket = library.bucket().ok_or(NOT_A_BUCKET)?;
        let opened = bucket.open(&key, Some(range), Some(&meta.etag));
        let opened = opened.await;
        if opened.is_err() {
            // It may be another object by now: ask again what it is.
            let whole = Id {
                block: None,
                ..id.clone()
            };
            tunnels.0.invalidate(&whole).await;
        }
        let transfer = tunnels.begin(id, meta, range.len(), opened?, &library);
        Ok(Entry::Transfer(transfer))
    }
}

const NOT_A_BUCKET: Error = Error::Invalid {
    what: "the library",
    reason: "is no bucket",
};

fn unwell(library: &Library, key: &str, reason: &str) -> Error {
    Error::Unwell {
        library: library.id().to_owned(),
        key: key.to_owned(),
        reason: reason.to_owned(),
        passing: true,
    }
}
