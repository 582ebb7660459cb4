//! A connection's time limit, set by each request: name, TCP and TLS together.
//!
//! reqwest knows one limit for the whole client. A live channel waits in proportion to its target
//! duration, so the limit travels beside the request, in a task-local that this layer reads when the
//! pool starts a connection. That happens in the first poll of the request, hence in its task.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use crate::error::{Fault, Phase};

tokio::task_local! {
    /// What a connection started by this request may take.
    pub(crate) static CONNECT_LIMIT: Duration;
}

/// Stands in if a connection were ever started outside a request's task.
const FALLBACK: Duration = Duration::from_secs(10);

type BoxError = Box<dyn StdError + Send + Sync>;

/// Puts [`Limited`] around reqwest's connector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitLayer;

#[derive(Clone, Debug)]
pub(crate) struct Limited<S>(S);

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited(inner)
    }
}

impl<R, S> Service<R> for Limited<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let limit = CONNECT_LIMIT.try_with(|limit| *limit).unwrap_or(FALLBACK);
        let connecting = tokio::time::timeout(limit, self.0.call(target));
        Box::pin(async move {
            connecting.await.unwrap_or_else(|_| {
                Err(Fault::Timeout {
                    phase: Phase::Connect,
                    limit,
                }
                .into())
            })
        })
    }
}
