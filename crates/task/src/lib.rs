//! The one way to start a task: it has a name, a span, and an end that is logged.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

/// A task that ends when this is dropped.
pub type Owned = AbortOnDropHandle<()>;

/// Starts `future` under a span. A panic in it is logged with its name, and ends only this task. Aborting
/// the handle ends the task; dropping the handle does not.
pub fn spawn(
    name: &'static str,
    span: Span,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let watched = span.clone();
    let inner = AbortOnDropHandle::new(tokio::spawn(future.instrument(span)));
    let watch = async move {
        match inner.await {
            Ok(()) => tracing::trace!(task = name, "task ended"),
            Err(error) if error.is_panic() => tracing::error!(task = name, "task panicked"),
            Err(_) => tracing::trace!(task = name, "task cancelled"),
        }
    };
    tokio::spawn(watch.instrument(watched))
}

/// Starts `future` as [`spawn`] does; it ends with the handle.
pub fn spawn_owned(
    name: &'static str,
    span: Span,
    future: impl Future<Output = ()> + Send + 'static,
) -> Owned {
    Owned::new(spawn(name, span, future))
}
