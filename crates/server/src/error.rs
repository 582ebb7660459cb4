//! Errors of our own API as `application/problem+json` (RFC 9457), and the only table of status codes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use http::header::{CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use live::{NotChanged, Unavailable};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// An error as a client sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after: Option<Duration>,
    /// Of what a range was asked of that it does not have.
    #[serde(skip)]
    content_length: Option<u64>,
    /// A stable word.
    code: &'static str,
    /// What happened.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// Each fault by itself, where there may be several.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    errors: Box<[String]>,
    /// The same as in the log.
    #[schema(value_type = String)]
    request_id: Box<str>,
}

/// With what to do in a line of its own, as the command line shows it.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        match self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// An error of a kind; the kind decides the status.
    pub fn new(kind: ErrorKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: status(kind),
            retry_after: None,
            content_length: None,
            code,
            detail: detail.into().into(),
            hint: None,
            errors: Box::default(),
            request_id: request_id().into(),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The configuration cannot be taken, each error with line and column.
    pub(crate) fn bad_configuration(errors: Vec<String>) -> Self {
        let detail = "the configuration is bad, and nothing changed";
        Self {
            errors: errors.into(),
            ..Self::new(ErrorKind::Invalid, "bad_configuration", detail)
                .with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
    }

    /// Says when to come again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What happened.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(ErrorKind::Denied, "unauthorized", "an API key is needed")
            .with_status(StatusCode::UNAUTHORIZED)
            .hint("send it as X-Api-Key or Authorization: Bearer; perennial key create makes one")
    }

    pub(crate) fn needs_grant() -> Self {
        Self::new(
            ErrorKind::Denied,
            "needs_grant",
            "the URL must carry a grant",
        )
        .with_status(StatusCode::UNAUTHORIZED)
        .hint("perennial grant mint or POST /api/v1/grants makes one")
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, "not_found", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            ErrorKind::Invalid,
            "method_not_allowed",
            "this path does not take this method",
        )
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }

    pub(crate) fn precondition_failed() -> Self {
        let detail = "the file is not the version that was asked for";
        Self::new(ErrorKind::Conflict, "precondition_failed", detail)
            .with_status(StatusCode::PRECONDITION_FAILED)
    }

    /// No range that was asked for lies inside these bytes.
    pub(crate) fn unsatisfiable(length: u64) -> Self {
        let detail = format!("no requested range lies inside the {length} bytes");
        Self {
            content_length: Some(length),
            ..Self::new(ErrorKind::Invalid, "range", detail)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
        }
    }

    pub(crate) fn no_channel(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(
            ErrorKind::NotFound,
            "unknown_channel",
            format!("there is no channel {id:?}"),
        )
    }
}

/// After which a provider that did not answer may be asked again.
const POST_WAIT: Duration = Duration::from_secs(10);

/// Errors become statuses here and nowhere else.
const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Timeout | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Corrupt => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Unique enough to find a line in a log: the start of the process and a count.
fn request_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    format!("{:x}-{:x}", seconds, COUNT.fetch_add(1, Ordering::Relaxed))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(
                request_id = self.request_id,
                code = self.code,
                detail = self.detail,
                "request failed"
            );
        } else {
            tracing::debug!(
                request_id = self.request_id,
                code = self.code,
                detail = self.detail,
                "request refused"
            );
        }
        let (status, retry_after) = (self.status, self.retry_after);
        let content_length = self.content_length;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(length) = content_length {
            let range = HeaderValue::try_from(format!("bytes */{length}"));
            headers.extend(range.map(|range| (CONTENT_RANGE, range)));
        }
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// An error of a compatible route: `{"detail": "…"}`, as its clients read it.
#[derive(Debug)]
pub(crate) struct Compat(Problem);

impl<E: Into<Problem>> From<E> for Compat {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Compat {
    fn into_response(self) -> Response {
        let detail = json!({ "detail": self.0.detail() });
        // Logs the cause, and sets the headers that go with the status.
        let mut response = self.0.into_response();
        let (mut parts, _) = std::mem::take(&mut response).into_parts();
        parts.headers.remove(http::header::CONTENT_TYPE);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let json = Json(detail).into_response();
        parts.headers.extend(json.headers().clone());
        Response::from_parts(parts, json.into_body())
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        if let Unavailable::NotCarried(_) = error {
            return Self::new(ErrorKind::Invalid, "not_carried", error.to_string())
                .with_status(StatusCode::NOT_ACCEPTABLE)
                .hint("play the channel's index.m3u8, or choose another variant with ?track=");
        }
        let (kind, code, wait) = match error {
            Unavailable::NotFound => (ErrorKind::NotFound, "not_found", None),
            Unavailable::NotStarted(_) => (
                ErrorKind::Unavailable,
                "no_source",
                Some(Duration::from_secs(2)),
            ),
            Unavailable::Stopping | Unavailable::NotCarried(_) => (
                ErrorKind::Unavailable,
                "stopping",
                Some(Duration::from_secs(1)),
            ),
        };
        Self {
            retry_after: wait,
            ..Self::new(kind, code, error.to_string())
        }
    }
}

impl From<NotChanged> for Problem {
    fn from(error: NotChanged) -> Self {
        let problem = match &error {
            NotChanged::OfFile(_) => {
                return Self::new(error.kind(), "read_only", error.to_string())
                    .hint("change it in the file and reload");
            }
            NotChanged::Exists(_) => {
                return Self::new(error.kind(), "exists", error.to_string())
                    .hint("PUT replaces it");
            }
            NotChanged::Unknown(_) => "unknown_channel",
            NotChanged::NoSource(_) => "no_source",
            NotChanged::UnknownAccount(_) => "unknown_account",
            NotChanged::UnknownResolver(_) => "unknown_resolver",
            NotChanged::Slate(bad) => {
                return Self::new(error.kind(), "slate", error.to_string()).hint(bad.hint());
            }
            NotChanged::Unreadable { .. } | NotChanged::Store(_) => "store",
        };
        Self::new(error.kind(), problem, error.to_string())
    }
}

impl From<grant::Refused> for Problem {
    fn from(refused: grant::Refused) -> Self {
        let problem = Self::new(refused.kind(), "grant", refused.to_string());
        if refused.is_unknown_caller() {
            problem.with_status(StatusCode::UNAUTHORIZED)
        } else {
            problem
        }
    }
}

impl From<vod::Error> for Problem {
    /// The cause goes to the log; the viewer hears what concerns a viewer.
    fn from(error: vod::Error) -> Self {
        let (kind, code) = (error.kind(), error.code());
        if matches!(
            kind,
            ErrorKind::Corrupt | ErrorKind::Unavailable | ErrorKind::Internal
        ) {
            tracing::warn!(%error, code, "a library's file cannot be served");
        } else {
            tracing::debug!(%error, code, "a library's file is not served");
        }
        let problem = Self::new(kind, code, error.told());
        match kind {
            ErrorKind::Unavailable => problem.retry_after(Duration::from_secs(2)),
            _ => problem,
        }
    }
}

impl From<usenet::Failure> for Problem {
    fn from(failure: usenet::Failure) -> Self {
        let problem = Self::new(failure.code.kind(), failure.code.as_str(), failure.message);
        match failure.code.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout => problem.retry_after(POST_WAIT),
            _ => problem.with_status(StatusCode::UNPROCESSABLE_ENTITY),
        }
    }
}

impl From<usenet::ReadError> for Problem {
    /// Before a body begins; later the connection is closed.
    fn from(error: usenet::ReadError) -> Self {
        tracing::warn!(%error, "a mounted file cannot be read");
        match error.kind() {
            ErrorKind::Unavailable => {
                let detail = "no provider answers";
                Self::new(ErrorKind::Unavailable, "provider_unavailable", detail)
                    .retry_after(POST_WAIT)
            }
            kind => {
                let detail = "articles of the file are missing or damaged at every provider";
                Self::new(kind, "incomplete", detail).with_status(StatusCode::UNPROCESSABLE_ENTITY)
            }
        }
    }
}

impl From<usenet::Error> for Problem {
    fn from(error: usenet::Error) -> Self {
        let code = match &error {
            usenet::Error::Failed(failure) => failure.code.as_str(),
            usenet::Error::Store(_) => "store",
            usenet::Error::Taken { .. } => "exists",
            _ => "invalid",
        };
        Self::new(error.kind(), code, error.to_string())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::new(error.kind(), "store", error.to_string())
    }
}
