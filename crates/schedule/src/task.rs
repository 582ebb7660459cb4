//! The one way to start a task here: it has a name, and an end that is logged.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Starts `future`; a panic in it is logged with its name, and ends only this task.
pub(crate) fn spawn(
    name: &'static str,
    span: tracing::Span,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let watched = span.clone();
    let inner = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(future.instrument(span)));
    let watch = async move {
        match inner.await {
            Ok(()) => tracing::debug!(task = name, "task ended"),
            Err(error) if error.is_panic() => tracing::error!(task = name, "task panicked"),
            Err(_) => tracing::debug!(task = name, "task cancelled"),
        }
    };
    tokio::spawn(watch.instrument(watched))
}
