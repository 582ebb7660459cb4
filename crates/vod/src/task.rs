//! The one way to start a task here: it has a name, and an end that is logged.

use std::future::Future;

use tracing::Instrument;

/// Starts `future`; a panic in it is logged with its name, and ends only this task.
pub(crate) fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    let inner = tokio::spawn(future.in_current_span());
    tokio::spawn(
        async move {
            match inner.await {
                Ok(()) => tracing::trace!(task = name, "task ended"),
                Err(error) if error.is_panic() => tracing::error!(task = name, "task panicked"),
                Err(_) => tracing::debug!(task = name, "task cancelled"),
            }
        }
        .in_current_span(),
    );
}
