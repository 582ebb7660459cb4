//! The one way into the engine: an NZB that was sent, or one at a URL.

use std::time::Duration;

use axum::http::StatusCode;
use base::{ErrorKind, Redacted};
use bytes::Bytes;
use serde_json::{Value, json};
use usenet::{Code, Failure, Submission, Submitted};

use super::fetched::{self, Named, NotFetched};
use super::form::{BadForm, Form};
use crate::error::Problem;
use crate::state::App;

/// Why a post is not played, in the words that every face shows in its own shape.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// A stable word: a [`Code`]'s, `bad_request` or `unauthorized`.
    pub(crate) code: &'static str,
    /// For people, without secrets.
    pub(crate) message: String,
    pub(crate) details: Value,
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
}

/// What is asked beside the NZB.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) category: String,
    /// Goes before the file's.
    pub(crate) name: Option<String>,
    pub(crate) password: Option<Redacted<String>>,
}

/// After which a provider that did not answer may be asked again.
const PROVIDER_WAIT: Duration = Duration::from_secs(10);

impl Rejected {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            code: "bad_request",
            message: message.into(),
            details: Value::Null,
            status: StatusCode::BAD_REQUEST,
            retry_after: None,
        }
    }

    pub(crate) fn unauthorized() -> Self {
        Self {
            code: "unauthorized",
            status: StatusCode::UNAUTHORIZED,
            ..Self::bad_request("send the API key as X-Api-Key, or its SHA-256 as download_key")
        }
    }

    /// Adds the number by which the post is known.
    pub(crate) fn of(self, mount: usenet::MountId) -> Self {
        Self {
            details: json!({ "queue_item_id": mount }),
            ..self
        }
    }
}

impl From<Failure> for Rejected {
    /// Never 404 nor 405: callers take those for a gateway that has no such route.
    fn from(Failure { code, message }: Failure) -> Self {
        let (status, retry_after) = match code {
            Code::BadNzb => (StatusCode::BAD_REQUEST, None),
            Code::Timeout => (StatusCode::REQUEST_TIMEOUT, None),
            Code::UpstreamFetch => (StatusCode::BAD_GATEWAY, None),
            Code::ProviderUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(PROVIDER_WAIT)),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, None),
        };
        Self {
            code: code.as_str(),
            status,
            retry_after,
            ..Self::bad_request(message)
        }
    }
}

impl From<NotFetched> for Rejected {
    fn from(error: NotFetched) -> Self {
        let (status, retry_after) = match &error {
            NotFetched::Url(_) => (StatusCode::BAD_REQUEST, None),
            NotFetched::Refused(_) => (StatusCode::BAD_GATEWAY, None),
            NotFetched::Busy(_, wait) => (StatusCode::SERVICE_UNAVAILABLE, Some(*wait)),
            NotFetched::Late(_) => (StatusCode::GATEWAY_TIMEOUT, Some(PROVIDER_WAIT)),
        };
        Self {
            status,
            retry_after,
            ..Failure::new(Code::UpstreamFetch, error.to_string()).into()
        }
    }
}

impl From<usenet::Error> for Rejected {
    fn from(error: usenet::Error) -> Self {
        match error {
            usenet::Error::Failed(failure) => failure.into(),
            usenet::Error::Name { .. } => Self::bad_request(error.to_string()),
            _ => {
                tracing::warn!(%error, "a post was not taken");
                Self {
                    code: "store",
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    retry_after: Some(PROVIDER_WAIT),
                    ..Self::bad_request(error.to_string())
                }
            }
        }
    }
}

impl From<Problem> for Rejected {
    /// A fault of ours, whatever it is elsewhere.
    fn from(problem: Problem) -> Self {
        Self {
            code: "internal",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Self::bad_request(problem.detail())
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let problem = Self::new(ErrorKind::Invalid, rejected.code, rejected.message);
        let problem = problem.with_status(rejected.status);
        match rejected.retry_after {
            Some(wait) => problem.retry_after(wait),
            None => problem,
        }
    }
}

impl From<BadForm> for Rejected {
    fn from(error: BadForm) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// Takes the NZB of a form: the one at `url` if there is one, else the file.
///
/// # Errors
/// There is neither, it cannot be fetched, or it is no NZB.
pub(crate) async fn submit(
    app: &App,
    url: Option<&str>,
    form: Form,
    wish: Wish,
) -> Result<Submitted, Rejected> {
    let (nzb, called, _room) = match (url, form.file) {
        (Some(url), _) => {
            let fetched = fetched::fetch(&app.usenet, url, Named::ByClient).await?;
            (fetched.nzb, fetched.name, Some(fetched.room))
        }
        (None, Some(file)) => (file.bytes, file.name, None),
        (None, None) => return Err(Rejected::bad_request("an NZB file or its URL is needed")),
    };
    let name = wish.name.unwrap_or_else(|| stem(&called).to_owned());
    let name = Some(name);
    mount(app, nzb, Wish { name, ..wish }).await
}

/// Mounts an NZB.
///
/// # Errors
/// It is none, or it cannot be kept.
pub(crate) async fn mount(app: &App, nzb: Bytes, wish: Wish) -> Result<Submitted, Rejected> {
    let submission = Submission {
        nzb,
        name: wish.name.unwrap_or_default(),
        category: wish.category,
        password: wish.password,
    };
    Ok(app.usenet.engine.submit(submission).await?)
}

/// A file's name without what says that it is an NZB.
pub(crate) fn stem(name: &str) -> &str {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(".nzb").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_fault_of_ours_is_not_the_callers() {
        let problem = Problem::new(ErrorKind::Internal, "mint", "no grant can be signed");
        let rejected = Rejected::from(problem);
        assert_eq!(rejected.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(rejected.message, "no grant can be signed");
    }

    #[test]
    fn when_to_come_again_is_said_in_every_shape() {
        let failure = Failure::new(Code::ProviderUnavailable, "closed");
        let problem = Problem::from(Rejected::from(failure));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "10");
    }
}
