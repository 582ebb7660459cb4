//! PUT of an NZB; DELETE and MOVE of a mount.

use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::Uri;
use http::{HeaderMap, StatusCode};

use super::decoded;
use super::tree::{self, CONTENT, NZBS, Node};
use crate::error::Problem;
use crate::state::App;
use crate::usenet::intake::{self, Wish, stem};
use crate::usenet::{BODY_BYTES_MAX, Dropped, UPLOAD_TIMEOUT};

/// Of an NZB below `nzbs/`: it is remembered.
const PATH_BYTES_MAX: usize = 500;

/// `PUT /webdav/nzbs/[{category}/]{name}.nzb`: mounted when it answers, played as soon as it can be.
pub(super) async fn put(app: &App, path: &str, mut request: Request) -> Result<Response, Problem> {
    let below = path
        .strip_prefix(NZBS)
        .and_then(|rest| rest.strip_prefix('/'));
    let (category, name) = match below {
        Some(below) => below.rsplit_once('/').unwrap_or(("", below)),
        None => return Err(forbidden("NZBs are put into nzbs/, all else is read-only")),
    };
    if below.is_some_and(|path| path.len() > PATH_BYTES_MAX) {
        return Err(forbidden("a path in nzbs/ has 500 bytes at most"));
    }
    if !tree::is_nzb(name) || (!category.is_empty() && tree::category_of(category).is_none()) {
        return Err(forbidden(
            "nzbs/ takes {category}/{name}.nzb and {name}.nzb",
        ));
    }
    let _room = app.usenet.upload(true).await;
    DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
    let bytes = tokio::time::timeout(UPLOAD_TIMEOUT, Bytes::from_request(request, app)).await;
    let late = |_| Problem::new(ErrorKind::Timeout, "bad_body", "the upload took too long");
    let bytes = bytes.map_err(late)??;
    let length = bytes.len() as u64;
    let wish = Wish {
        category: category.to_owned(),
        name: Some(stem(name).to_owned()),
        password: None,
    };
    let mount = intake::mount(app, bytes, wish).await?.mount;
    let dropped = Dropped {
        path: path_in(category, name),
        mount: mount.id(),
        bytes: length,
        at_ms: app.grants.now_ms(),
    };
    app.usenet.drop_in(dropped).await;
    Ok(StatusCode::CREATED.into_response())
}

/// `GET` of an NZB that was put: the document of its mount, as long as there is one.
pub(super) async fn get(app: &App, nzb: &Dropped) -> Result<Response, Problem> {
    let is_packed = nzb.path.to_ascii_lowercase().ends_with(".gz");
    let bytes = app.usenet.engine.nzb(nzb.mount, is_packed).await?;
    let bytes = bytes.ok_or_else(|| Problem::not_found("its mount was deleted"))?;
    Ok(([(CONTENT_TYPE, "application/x-nzb")], bytes).into_response())
}

fn path_in(category: &str, name: &str) -> String {
    if category.is_empty() {
        name.to_owned()
    } else {
        format!("{category}/{name}")
    }
}

/// A mount is forgotten whole: by its folder, or by the only file that it has.
pub(super) async fn delete(app: &App, node: Node) -> Result<Response, Problem> {
    let mount = match node {
        Node::Folder { mount, path } if path.is_empty() => mount,
        Node::File(file) if file.mount().status().files.len() == 1 => file.mount().clone(),
        Node::Nzb(nzb) => {
            app.usenet.forget_dropped(&nzb.path).await;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        _ => return Err(forbidden("only a mount is deleted, and only as a whole")),
    };
    app.forget(&mount).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `MOVE` of a mount to another category or name.
pub(super) async fn rename(
    app: &App,
    path: &str,
    node: Node,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Node::Folder { mount, path: inner } = node else {
        return Err(forbidden("only a mount is moved, and only as a whole"));
    };
    if !inner.is_empty() || !path.starts_with(CONTENT) {
        return Err(forbidden("only a mount is moved, and only as a whole"));
    }
    let invalid = || {
        let detail = "Destination must be /webdav/content/{category}/{name}";
        Problem::new(ErrorKind::Invalid, "invalid", detail)
    };
    let destination = headers
        .get("destination")
        .and_then(|value| value.to_str().ok());
    let destination: Uri = destination
        .and_then(|text| text.parse().ok())
        .ok_or_else(invalid)?;
    let to = decoded(destination.path())?;
    let mut parts = to.split('/');
    let (Some(CONTENT), Some(category), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    match app.rename(&mount, category, name).await {
        Ok(()) => Ok(StatusCode::CREATED.into_response()),
        // Nothing is overwritten: two posts are two posts.
        Err(usenet::Error::Taken { .. }) => Ok(StatusCode::PRECONDITION_FAILED.into_response()),
        Err(error) => Err(error.into()),
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(ErrorKind::Denied, "read_only", detail)
}
