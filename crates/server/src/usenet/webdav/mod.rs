//! `/webdav/`: mounts as read-only files (RFC 4918, class 1 without properties of one's own), for rclone,
//! davfs2, Kodi and VLC.
//!
//! `content/{category}/{name}/…` are the files (`complete/` is the same, for who looks there);
//! `.ids/{number}/…` are the same files under a name that never changes, for links; `nzbs/` takes an NZB by
//! PUT and mounts it. A mount can be deleted and moved, its files cannot.

mod propfind;
mod tree;
mod verbs;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::files;
use crate::auth::has_key;
use crate::error::Problem;
use crate::state::App;
pub use propfind::properties_of;
use tree::Node;

/// The folder of mounts by their numbers.
pub(crate) const IDS: &str = ".ids";

const ROOT: &str = "/webdav";
const USER: &str = "perennial";
const DAV: HeaderName = HeaderName::from_static("dav");
const METHODS: HeaderValue =
    HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND, PUT, DELETE, MOVE");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"Perennial\", charset=\"UTF-8\"");

/// Everything below `/webdav`.
pub(crate) async fn answer(State(app): State<App>, request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return with_methods(StatusCode::OK.into_response());
    }
    if !has_key(&app, request.headers()) && !is_signed_in(&app, request.headers()) {
        let mut response = Problem::unauthorized().into_response();
        response.headers_mut().insert(WWW_AUTHENTICATE, BASIC);
        return response;
    }
    carry_out(&app, request)
        .await
        .unwrap_or_else(Problem::into_response)
}

async fn carry_out(app: &App, request: Request) -> Result<Response, Problem> {
    let path = decoded(request.uri().path())?;
    let node = || {
        tree::find(app, &path).ok_or_else(|| Problem::not_found("there is nothing at this path"))
    };
    match request.method().as_str() {
        "PROPFIND" => propfind::answer(app, &path, node()?, request).await,
        "GET" | "HEAD" => match node()? {
            Node::File(file) => {
                files::serve(app, &file, request.method(), request.headers(), None).await
            }
            Node::Nzb(nzb) => verbs::get(app, &nzb).await,
            _ => Err(Problem::method_not_allowed())
                .map_err(|problem: Problem| problem.hint("list a folder with PROPFIND")),
        },
        "PUT" => verbs::put(app, &path, request).await,
        "DELETE" => verbs::delete(app, node()?).await,
        "MOVE" => verbs::rename(app, &path, node()?, request.headers()).await,
        "MKCOL" => Ok(match tree::find(app, &path) {
            // RFC 4918 §9.3.1: what is there cannot be made.
            Some(_) => with_methods(StatusCode::METHOD_NOT_ALLOWED.into_response()),
            None => StatusCode::FORBIDDEN.into_response(),
        }),
        "COPY" | "PROPPATCH" => Ok(StatusCode::FORBIDDEN.into_response()),
        _ => Ok(with_methods(StatusCode::METHOD_NOT_ALLOWED.into_response())),
    }
}

/// `Authorization: Basic …` (RFC 7617): the user is always the same, the password an API key.
fn is_signed_in(app: &App, headers: &HeaderMap) -> bool {
    let shown = || {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        let is_basic = scheme.eq_ignore_ascii_case("basic");
        let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| is_basic)?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(user == USER && app.keys.verify(password).is_some())
    };
    shown().unwrap_or(false)
}

fn with_methods(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(DAV, HeaderValue::from_static("1"));
    headers.insert(ALLOW, METHODS);
    response
}

/// The path below the root, without slashes at its ends.
fn decoded(path: &str) -> Result<String, Problem> {
    let below = path.strip_prefix(ROOT).unwrap_or_default();
    let text = percent_decode_str(below).decode_utf8();
    let text = text.map_err(|_| Problem::not_found("the path is not UTF-8"))?;
    Ok(text.trim_matches('/').to_owned())
}
