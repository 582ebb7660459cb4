//! The one way to start a task here: it has a name and a span, a panic in it is logged, and it ends with
//! its handle.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// A running task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Task(Option<JoinHandle<()>>);

/// Starts `future` under a span.
pub(crate) fn spawn(
    name: &'static str,
    span: tracing::Span,
    future: impl Future<Output = ()> + Send + 'static,
) -> Task {
    let watched = span.clone();
    let mut inner = Task(Some(tokio::spawn(future.instrument(span))));
    Task(Some(tokio::spawn(
        async move {
            let Some(running) = &mut inner.0 else { return };
            match running.await {
                Ok(()) => tracing::trace!(task = name, "task ended"),
                Err(error) if error.is_panic() => tracing::error!(task = name, "task panicked"),
                Err(_) => tracing::trace!(task = name, "task cancelled"),
            }
        }
        .instrument(watched),
    )))
}

impl Task {
    /// Lets the task run to its own end.
    pub(crate) fn detach(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
