//! A small HTTP client for loopback: whole bodies, redirects, gzip, no TLS. Each one has connections of
//! its own, as each player has.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;

use crate::Error;

/// The longest body that is read, as it arrives and unpacked.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// A client with connections of its own.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from, after redirects.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// As sent.
    pub headers: HeaderMap,
    /// Unpacked when it was sent gzipped.
    pub body: Bytes,
}

impl Client {
    /// A client that gives up on an answer, body included, after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
            timeout,
        }
    }

    /// Fetches `url`, whatever the status.
    ///
    /// # Errors
    /// [`Error::Http`]: no connection, no complete body, too long a body, more than five redirects, time out.
    pub async fn get(&self, url: &Url) -> Result<Fetched, Error> {
        self.send(Method::GET, url, &[]).await
    }

    /// As [`Client::get`], with another method and further headers.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, String)],
    ) -> Result<Fetched, Error> {
        let answer = tokio::time::timeout(self.timeout, self.follow(&method, url, headers));
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(format!("no complete answer within {:?}", self.timeout)));
        answer.map_err(|reason| Error::Http {
            url: base::redact_url(url),
            reason,
        })
    }

    /// Sends `request` as it is: nothing is added, no redirect followed, no body unpacked.
    ///
    /// # Errors
    /// As [`Client::get`]; also for a URI without a host.
    pub async fn exchange(&self, request: Request<Bytes>) -> Result<Fetched, Error> {
        let failed = |url: &str, reason: String| Error::Http {
            url: url.split('?').next().unwrap_or_default().to_owned(),
            reason,
        };
        let uri = request.uri().to_string();
        let url: Url = uri
            .parse()
            .map_err(|error| failed(&uri, format!("no URL: {error}")))?;
        let exchange = async {
            let response = self.pool.request(request.map(Full::new)).await;
            let (parts, body) = response.map_err(|error| reason(&error))?.into_parts();
            Ok(Fetched {
                url,
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: read(body).await?,
            })
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        answer
            .unwrap_or_else(|_| Err(format!("no complete answer within {:?}", self.timeout)))
            .map_err(|reason| failed(&uri, reason))
    }

    async fn follow(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, String)],
    ) -> Result<Fetched, String> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::builder()
                .method(method)
                .uri(url.as_str())
                .header(header::ACCEPT_ENCODING, "gzip");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .body(Full::default())
                .map_err(|error| error.to_string())?;
            let response = self
                .pool
                .request(request)
                .await
                .map_err(|error| reason(&error))?;
            let (parts, body) = response.into_parts();
            let location = parts
                .headers
                .get(header::LOCATION)
                .and_then(|to| to.to_str().ok());
            if let (true, Some(to)) = (parts.status.is_redirection(), location) {
                url = url
                    .join(to)
                    .map_err(|error| format!("redirects to no URL: {error}"))?;
                continue;
            }
            let mut body = read(body).await?;
            if parts
                .headers
                .get(header::CONTENT_ENCODING)
                .is_some_and(|coding| coding == "gzip")
            {
                body = unpack(&body)?;
            }
            return Ok(Fetched {
                url,
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            });
        }
        Err(format!("more than {REDIRECTS_MAX} redirects"))
    }
}

async fn read(mut body: hyper::body::Incoming) -> Result<Bytes, String> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| format!("after {} bytes: {}", whole.len(), reason(&error)))?;
        whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if whole.len() > BODY_BYTES_MAX {
            return Err(format!("body of more than {BODY_BYTES_MAX} bytes"));
        }
    }
    Ok(whole.freeze())
}

fn unpack(body: &[u8]) -> Result<Bytes, String> {
    let mut whole = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(BODY_BYTES_MAX as u64 + 1);
    decoder
        .read_to_end(&mut whole)
        .map_err(|error| format!("bad gzip: {error}"))?;
    if whole.len() > BODY_BYTES_MAX {
        return Err(format!("unpacks to more than {BODY_BYTES_MAX} bytes"));
    }
    Ok(whole.into())
}

/// An error with its causes, which hyper keeps apart.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
