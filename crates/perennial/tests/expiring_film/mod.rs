//! A film as one file, under links that die, and the document that names a fresh one.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base::RangeSet;
use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use testkit::Clip;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// Serves until it is dropped.
pub(crate) struct ExpiringFilm {
    inner: Arc<Inner>,
    _server: AbortOnDropHandle<()>,
}

struct Inner {
    address: SocketAddr,
    life: Duration,
    film: Bytes,
    refused: AtomicU64,
}

#[derive(Deserialize)]
struct Signed {
    /// In seconds since the Unix epoch.
    exp: u64,
}

impl ExpiringFilm {
    /// An MP4 of 24 seconds under links that live for `life`.
    pub(crate) async fn start(life: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.unwrap();
        let inner = Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            life,
            film: film(),
            refused: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/streams.json", get(document))
            .route("/film.mp4", get(bytes))
            .with_state(inner.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            inner,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub(crate) fn resolver_url(&self) -> Url {
        format!("http://{}/streams.json", self.inner.address)
            .parse()
            .unwrap()
    }

    /// Requests under a link that was over.
    pub(crate) fn refused(&self) -> u64 {
        self.inner.refused.load(Ordering::Relaxed)
    }
}

fn film() -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    let (clip, film) = (
        folder.path().join("clip.ts"),
        folder.path().join("film.mp4"),
    );
    std::fs::write(&clip, Clip::A.file()).unwrap();
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-nostdin", "-i"])
        .arg(&clip)
        .args(["-c", "copy", "-movflags", "+faststart"])
        .arg(&film)
        .status();
    assert!(made.expect("ffmpeg is installed").success());
    std::fs::read(&film).unwrap().into()
}

fn now_s() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

async fn document(State(inner): State<Arc<Inner>>) -> Json<serde_json::Value> {
    let exp = now_s() + inner.life.as_secs();
    let url = format!(
        "http://{}/film.mp4?exp={exp}&sig=film-secret",
        inner.address
    );
    Json(
        serde_json::json!({"entries": [{"id": "film", "title": "A film", "kind": "file", "url": url}]}),
    )
}

async fn bytes(
    State(inner): State<Arc<Inner>>,
    Query(Signed { exp }): Query<Signed>,
    headers: HeaderMap,
) -> Response {
    if now_s() >= exp {
        inner.refused.fetch_add(1, Ordering::Relaxed);
        return StatusCode::FORBIDDEN.into_response();
    }
    let length = inner.film.len() as u64;
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap());
    let kind = [(CONTENT_TYPE, "video/mp4")];
    match RangeSet::resolve(range, length) {
        Ok(RangeSet::Whole) => (kind, inner.film.clone()).into_response(),
        Ok(RangeSet::Parts(parts)) => {
            let part = parts[0];
            let sent = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            let body = inner.film.slice(part.start as usize..part.end as usize);
            (
                StatusCode::PARTIAL_CONTENT,
                kind,
                [(CONTENT_RANGE, sent)],
                body,
            )
                .into_response()
        }
        Err(_) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
    }
}
