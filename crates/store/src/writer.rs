//! The one task that takes positions to the database, in batches.
//!
//! A batch is one transaction. One that fails is put back and tried again, ever more slowly; the log
//! hears of it when things go wrong and when they are well again, not in between.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument, info, info_span, warn};

use crate::backend::Db;
use crate::positions::Batch;
use crate::{Error, Positions};

/// How long a position waits for others to share its transaction.
const BATCH_DELAY: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// The owner of the task. Dropping it ends the task where it stands, as a kill would.
pub(crate) struct Writer {
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Writer {
    pub(crate) fn spawn(db: Db, positions: Positions) -> Self {
        let (closing, closed) = watch::channel(false);
        let task = tokio::spawn(run(db, positions, closed).instrument(info_span!("positions")));
        Self {
            closing,
            task: Mutex::new(Some(task)),
        }
    }

    /// Takes no more, writes what waits and ends the task.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.closing.send_replace(true);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match task {
            Some(task) => task
                .await
                .expect("the writer is never aborted while it is awaited"),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn run(
    db: Db,
    positions: Positions,
    mut closing: watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut delay = BATCH_DELAY;
    loop {
        let due = async {
            positions.woken().await;
            tokio::time::sleep(delay).await;
        };
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => break,
            () = due => {}
        }
        delay = match flush(&db, &positions).await {
            Ok(()) => BATCH_DELAY,
            Err(_) => {
                positions.wake();
                (delay * 2).min(RETRY_DELAY_MAX)
            }
        };
    }
    positions.close();
    flush(&db, &positions).await
}

/// Writes until nothing waits or a batch fails.
async fn flush(db: &Db, positions: &Positions) -> Result<(), Error> {
    while flush_batch(db, positions).await? {}
    Ok(())
}

/// `false` if nothing waited.
async fn flush_batch(db: &Db, positions: &Positions) -> Result<bool, Error> {
    let _turn = positions.turn().await;
    let batch = positions.take();
    if batch.is_empty() {
        return Ok(false);
    }
    match db.run("saving positions", write(db, &batch)).await {
        Ok(()) => {
            if positions.succeeded(batch.len()) {
                info!("positions are saved again");
            }
            Ok(true)
        }
        Err(error) => {
            if positions.failed(batch, error.to_string()) {
                warn!(%error, hint = error.hint(), "positions cannot be saved; trying again");
            }
            Err(error)
        }
    }
}

async fn write(db: &Db, batch: &Batch) -> Result<(), sqlx::Error> {
    let mut transaction = db.pool.begin().await?;
    for position in batch.values() {
        sqlx::query(
            "INSERT INTO positions (channel, track, next_msn, head_msn, dsn, discontinuity_msn, \
             source, source_msn, source_name, target_duration_s, updated_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (channel, track) DO UPDATE SET next_msn = excluded.next_msn, \
             head_msn = excluded.head_msn, dsn = excluded.dsn, \
             discontinuity_msn = excluded.discontinuity_msn, source = excluded.source, \
             source_msn = excluded.source_msn, source_name = excluded.source_name, \
             target_duration_s = excluded.target_duration_s, updated_ms = excluded.updated_ms",
        )
        .bind(position.channel.as_str())
        .bind(position.track.as_str())
        .bind(position.next_msn.cast_signed())
        .bind(position.head_msn.cast_signed())
        .bind(position.dsn.cast_signed())
        .bind(position.discontinuity_msn.cast_signed())
        .bind(position.source.as_str())
        .bind(position.source_msn.cast_signed())
        .bind(position.source_name.as_str())
        .bind(position.target_duration_s.cast_signed())
        .bind(position.updated_ms)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
