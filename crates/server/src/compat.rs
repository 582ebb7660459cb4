//! `POST /change_stream/{channel}` of Dispatcharr's first HLS proxy, to the letter: errors keep the shapes
//! that its clients read. Its `/stream` paths are in [`crate::players`].

use axum::Json;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::auth::{has_key, is_of_this_machine};
use crate::body::Whole;
use crate::state::{Access, App};

/// `POST /change_stream/{channel}` `{"url":"…"}`.
pub(crate) async fn change_stream(
    State(app): State<App>,
    Path(channel): Path<String>,
    request: Request,
) -> Response {
    // Before the body, which strangers might never finish.
    if let Some((status, message)) = refusal(&app, request.headers()) {
        return error(status, &message);
    }
    let Some(found) = app.live.channel(&channel) else {
        return error(StatusCode::NOT_FOUND, "Channel not found");
    };
    let body = Whole::from_request(request, &app).await;
    let Some(url) = body.ok().and_then(|Whole(body)| url_of(&body)) else {
        return error(StatusCode::BAD_REQUEST, "No URL provided");
    };
    let message = if found.current_url() == url {
        "URL unchanged"
    } else {
        found.switch_to_url(url.clone()).await;
        "Stream URL updated"
    };
    Json(json!({ "message": message, "channel": channel, "url": url.as_str() })).into_response()
}

/// The `url` of a `POST /change_stream` body, if it is JSON and the URL is http or https and names a
/// host.
pub fn url_of(body: &[u8]) -> Option<Url> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let url = Url::parse(value.get("url")?.as_str()?.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}

/// Why a request may not switch, if it may not.
fn refusal(app: &App, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    if has_key(app, headers) {
        return None;
    }
    if app.settings.access == Access::Key {
        return Some((
            StatusCode::UNAUTHORIZED,
            "An API key is needed: send it as X-Api-Key".to_owned(),
        ));
    }
    if let Err(foreign) = is_of_this_machine(headers) {
        return Some((StatusCode::FORBIDDEN, foreign.to_string()));
    }
    // A page of another site can send other types without asking us first (CORS preflight).
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|mime| mime.trim().eq_ignore_ascii_case("application/json"))
        });
    let message = "Content-Type must be application/json".to_owned();
    (!json).then_some((StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_url_in_json_is_a_url() {
        assert_eq!(
            url_of(br#"{"url":"http://a.example/x.m3u8"}"#)
                .unwrap()
                .path(),
            "/x.m3u8"
        );
        for bad in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"url":1}"#,
            r#"{"url":""}"#,
            r#"{"url":"ftp://a/x"}"#,
            r#"{"url":"/x"}"#,
        ] {
            assert_eq!(url_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
