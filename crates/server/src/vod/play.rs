//! `GET /vod/{asset}/{grant}/{path}` and `GET /download/{asset}/{grant}/{name}`: a grant in the path, so
//! that relative URIs, Cast and Safari work without query strings.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grant::{Actions, Admitted, Wanted};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use uuid::Uuid;
use vod::{Asked, Asset, Delivery, File, Rendered, disposition, encode_path};

use super::Caller;
use crate::error::Problem;
use crate::media;
use crate::ranged::{Represented, Selected, watched};
use crate::state::App;

/// Nobody else may keep what a grant opened.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("private, no-store");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// `GET /vod/{asset}/{grant}/{path}`.
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, grant, path) = parts(uri.path(), "/vod/")?;
    let admitted = admit(&app, &caller, asset, grant, Actions::PLAY)?;
    let asset = app.vod.asset(&asset.to_string()).await?;
    let asked = Asked {
        path,
        head: method == Method::HEAD,
    };
    match app.vod.serve(&asset, asked).await? {
        Delivery::Playlist(rendered) => Ok(playlist(&rendered, &headers)),
        Delivery::Redirect(url) => Ok(redirect(url.as_str())),
        Delivery::File(file) => body(&app, file, admitted, &method, &headers).await,
    }
}

/// `GET /download/{asset}/{grant}/{name}`: the original, to be saved. The name is for people.
pub(crate) async fn download(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, grant, _) = parts(uri.path(), "/download/")?;
    let admitted = admit(&app, &caller, asset, grant, Actions::DOWNLOAD)?;
    let asset = app.vod.asset(&asset.to_string()).await?;
    let file = app.vod.original(&asset, method == Method::HEAD).await?;
    let name = asset.save_as(app.vod.file_key(&asset, true)?);
    let mut response = body(&app, file, admitted, &method, &headers).await?;
    if let Ok(value) = HeaderValue::try_from(disposition(&name)) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A playlist, packed if the player takes it.
pub(super) fn playlist(rendered: &Rendered, request: &HeaderMap) -> Response {
    let gzip = media::accepts_gzip(request);
    let bytes = if gzip {
        rendered.gzip()
    } else {
        rendered.identity.clone()
    };
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media::PLAYLIST);
    headers.insert(CACHE_CONTROL, PLAYLIST_CACHE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn redirect(url: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    // Percent-encoded, hence ASCII.
    if let Ok(location) = HeaderValue::try_from(url) {
        headers.insert(LOCATION, location);
    }
    // The browser asks here each time, so that a revoked grant ends; what the URL leads to it may keep.
    headers.insert(CACHE_CONTROL, PLAYLIST_CACHE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    response
}

/// The path that saves the file `key` of an asset, with a grant's text.
pub(super) fn download_path(asset: &Asset, grant: &str, key: &str) -> String {
    let name = encode_path(&asset.save_as(key).replace('/', "_"));
    format!("/download/{}/{grant}/{name}", asset.id)
}

/// A file's bytes, or those of them that are asked for, until the grant ends.
async fn body(
    app: &App,
    file: File,
    admitted: Admitted,
    method: &Method,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let shown = Represented {
        length: file.meta.length,
        etag: file.meta.etag.as_str(),
        mime: file.mime,
    };
    let selected = match shown.select(method, request)? {
        // Several at once are no player's wish, and get the whole (RFC 9110 §14.2).
        Selected::Parts(_) => Selected::Whole,
        selected => selected,
    };
    let range = match &selected {
        Selected::Part(part) => Some(*part),
        Selected::Whole => file.meta.whole(),
        Selected::NotModified | Selected::Parts(_) => None,
    };
    let body = match range.filter(|_| method != Method::HEAD) {
        Some(range) => {
            let bytes = file.read(range).await?;
            Body::from_stream(watched(app.clone(), bytes, Some(admitted)))
        }
        None => Body::empty(),
    };
    Ok(shown.respond(&selected, body))
}

fn admit(
    app: &App,
    caller: &Caller,
    asset: Uuid,
    grant: &str,
    action: Actions,
) -> Result<Admitted, Problem> {
    let ask = caller.ask(Wanted::Asset(asset), action);
    Ok(app.grants.gate().admit(grant, &ask, app.grants.now_ms())?)
}

/// Asset, grant and the rest of a path, as it was sent: nothing here is decoded but by the library.
fn parts<'a>(path: &'a str, face: &str) -> Result<(Uuid, &'a str, &'a str), Problem> {
    let rest = path.strip_prefix(face).unwrap_or_default();
    let mut parts = rest.splitn(3, '/');
    let (asset, grant, path) = (parts.next(), parts.next(), parts.next());
    let asset = asset.and_then(|asset| asset.parse().ok());
    match (asset, grant, path) {
        (Some(asset), Some(grant), Some(path)) if !path.is_empty() => Ok((asset, grant, path)),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}
