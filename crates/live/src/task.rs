//! The one way to start a task: it has a name, a span, and an end that is logged.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Starts `future` under a span; a panic in it is logged with its name, and ends only this task.
pub(crate) fn spawn(
    name: &'static str,
    span: tracing::Span,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let watched = span.clone();
    let inner = tokio::spawn(future.instrument(span));
    tokio::spawn(
        async move {
            let abort = AbortOnDrop(inner.abort_handle());
            match inner.await {
                Ok(()) => tracing::debug!(task = name, "task ended"),
                Err(error) if error.is_panic() => tracing::error!(task = name, "task panicked"),
                Err(_) => tracing::debug!(task = name, "task cancelled"),
            }
            drop(abort);
        }
        .instrument(watched),
    )
}

/// The inner task ends with the one that watches it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
