//! Bodies of requests: small, complete, and within a time.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use base::ErrorKind;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// A body as it came.
#[derive(Debug)]
pub(crate) struct Whole(pub(crate) Bytes);

/// A body as JSON; anything else is a [`Problem`] that says where it is wrong.
#[derive(Debug)]
pub(crate) struct Document<T>(pub(crate) T);

const TIMEOUT: Duration = Duration::from_secs(10);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = tokio::time::timeout(TIMEOUT, Bytes::from_request(request, state)).await;
        Ok(Self(body.map_err(|_| late())??))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = tokio::time::timeout(TIMEOUT, Json::from_request(request, state)).await;
        let Json(value) = body.map_err(|_| late())??;
        Ok(Self(value))
    }
}

fn late() -> Problem {
    let detail = format!("the body was not complete within {TIMEOUT:?}");
    Problem::new(ErrorKind::Invalid, "bad_body", detail)
        .with_status(http::StatusCode::REQUEST_TIMEOUT)
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(ErrorKind::Invalid, "bad_body", rejection.body_text())
            .with_status(rejection.status())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(ErrorKind::Invalid, "bad_body", rejection.body_text())
            .with_status(rejection.status())
    }
}
