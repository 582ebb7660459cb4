//! A real S3 server on loopback: it verifies SigV4 signatures, methods and expiry, and refuses whoever
//! shows none. It can be told to be unwell, and tells what it was asked.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part, and may fail"
)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Redacted;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::host::SingleDomain;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use vod::S3Spec;

pub(crate) const BUCKET: &str = "a-private-bucket";
pub(crate) const ACCESS_KEY: &str = "AKIDPERENNIALTEST";
pub(crate) const SECRET_KEY: &str = "a/secret+of=the/store";

/// A request as the store saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) origin: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) status: u16,
}

/// What the store does instead of its work.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Status(u16),
    /// As `Status`, where the target holds these words.
    StatusOf(&'static str, u16),
    /// Half of the body, then the connection ends.
    Cut,
    /// As `Cut`, for one object; then it is well.
    CutOnce,
    /// Nothing, for so long.
    Slow(Duration),
}

pub(crate) struct S3 {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    service: S3Service,
    seen: Mutex<Vec<Seen>>,
    fault: Mutex<Option<Fault>>,
    /// `Access-Control-Allow-Origin`, if there is any.
    cors: Mutex<Option<String>>,
}

type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl S3 {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        // `bucket.localhost` is the virtual-hosted style.
        let domain = format!("localhost:{}", address.port());
        builder.set_host(SingleDomain::new(&domain).unwrap());
        let shared = Arc::new(Shared {
            service: builder.build(),
            seen: Mutex::default(),
            fault: Mutex::default(),
            cors: Mutex::new(Some("*".to_owned())),
        });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let shared = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let shared = shared.clone();
                        async move { Ok::<_, Infallible>(shared.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A viewer that goes away is none of our business.
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            folder,
            shared,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// How the gateway reaches it, in path style.
    pub(crate) fn spec(&self) -> S3Spec {
        S3Spec {
            endpoint: Some(format!("http://{}", self.address).parse().unwrap()),
            region: "ch-gva-2".to_owned(),
            bucket: BUCKET.to_owned(),
            path_style: true,
            access_key_id: Redacted::new(ACCESS_KEY.to_owned()),
            secret_access_key: Redacted::new(SECRET_KEY.to_owned()),
            session_token: None,
        }
    }

    /// Where a key's bytes lie.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    pub(crate) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    pub(crate) fn set_cors(&self, origin: Option<&str>) {
        *self.shared.cors.lock().unwrap() = origin.map(str::to_owned);
    }

    /// What it was asked since this was last called.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let mut seen = Seen {
            method: request.method().clone(),
            target: request.uri().to_string(),
            origin: header("origin"),
            range: header("range"),
            status: 0,
        };
        let fault = {
            let mut fault = self.fault.lock().unwrap();
            match &*fault {
                Some(Fault::CutOnce) if request.method() == Method::GET => fault.take(),
                _ => fault.clone(),
            }
        };
        let mut response = match fault {
            Some(Fault::Status(status)) => answer(status),
            Some(Fault::StatusOf(words, status)) if seen.target.contains(words) => answer(status),
            // A store's answer to a browser that asks before it sends.
            _ if request.method() == Method::OPTIONS => answer(200),
            _ => {
                if let Some(Fault::Slow(wait)) = fault {
                    tokio::time::sleep(wait).await;
                }
                let answered = hyper::service::Service::call(&self.service, request).await;
                let response = answered.map_or_else(
                    |_| answer(500),
                    |response| response.map(|body| body.map_err(Into::into).boxed()),
                );
                if matches!(fault, Some(Fault::Cut | Fault::CutOnce)) {
                    cut(response).await
                } else {
                    response
                }
            }
        };
        if let Some(origin) = &*self.cors.lock().unwrap() {
            let origin = HeaderValue::from_str(origin).unwrap();
            response
                .headers_mut()
                .insert("access-control-allow-origin", origin);
            let all = HeaderValue::from_static("*");
            response
                .headers_mut()
                .insert("access-control-expose-headers", all.clone());
            response
                .headers_mut()
                .insert("access-control-allow-headers", all);
        }
        seen.status = response.status().as_u16();
        self.seen.lock().unwrap().push(seen);
        response
    }
}

fn answer(status: u16) -> Response<Body> {
    let text = "<Error><Message>a-private-bucket AKIDPERENNIALTEST</Message></Error>";
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn cut(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let half = bytes.slice(..bytes.len() / 2);
    let end = futures_util::stream::once(async {
        // So that head and half are on their way before the connection ends.
        tokio::task::yield_now().await;
        Err("the connection ends here".into())
    });
    let frames = futures_util::stream::iter([Ok(Frame::data(half))]).chain(end);
    let body = StreamBody::new(frames);
    Response::from_parts(parts, BodyExt::boxed(body))
}
