//! A gateway with a provider on loopback, and what tests of posts ask of it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Range;

use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use testkit::http::Fetched;
use testkit::nntp::{Post, Server};
pub(crate) use testkit::noise::film;
use url::form_urlencoded;

use crate::e2e::{Gateway, KEY};

/// The provider and the gateway.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) gateway: Gateway,
}

const BOUNDARY: &str = "a-boundary-of-the-tests";

pub(crate) fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn json_of(answer: &Fetched) -> Value {
    let text = String::from_utf8_lossy(&answer.body);
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// An urlencoded form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// A multipart form: its type and its body.
pub(crate) fn multipart(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> (String, Vec<u8>) {
    let mut text = String::new();
    for (name, value) in fields {
        write!(
            text,
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
        .unwrap();
    }
    let mut body = text.into_bytes();
    if let Some((name, bytes)) = file {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/x-nzb\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// The section of a provider without TLS.
pub(crate) fn provider(address: SocketAddr) -> String {
    format!(
        "[[usenet.provider]]\nhost = \"{}\"\nport = {}\ntls = false\nconnections = 8\n",
        address.ip(),
        address.port()
    )
}

impl Stage {
    pub(crate) async fn new(posts: &[&Post]) -> Self {
        Self::with(posts, "").await
    }

    /// `usenet` are further lines of `[usenet]` and of sections behind it.
    pub(crate) async fn with(posts: &[&Post], usenet: &str) -> Self {
        Self::beside(posts, usenet, &[]).await
    }

    /// The same with these files beside the configuration.
    pub(crate) async fn beside(posts: &[&Post], usenet: &str, files: &[(&str, &str)]) -> Self {
        let server = Server::start().await.unwrap();
        let address = server.address();
        for post in posts {
            server.add(post);
        }
        Self::at(server, address, usenet, files).await
    }

    /// With the provider at `address`, which leads to `server`, and these files beside the configuration.
    pub(crate) async fn at(
        server: Server,
        address: SocketAddr,
        usenet: &str,
        files: &[(&str, &str)],
    ) -> Self {
        // Tests ask nobody beyond this machine.
        let cinemeta = if usenet.contains("cinemeta_url") {
            ""
        } else {
            "cinemeta_url = \"\"\n"
        };
        let toml = format!("[usenet]\n{cinemeta}{usenet}\n{}", provider(address));
        let gateway = Gateway::serve_beside(&toml, files).await;
        Self { server, gateway }
    }

    /// Submits a post, which must play.
    pub(crate) async fn submit(&self, post: &Post, name: &str, fields: &[(&str, &str)]) -> Value {
        let (status, answer) = self.ask(post, name, fields).await;
        assert_eq!(status, 200, "{answer:#}");
        answer
    }

    /// Submits a post, which must not play: the status and the error.
    pub(crate) async fn refused(&self, post: &Post, fields: &[(&str, &str)]) -> (u16, Value) {
        let (status, answer) = self.ask(post, "post.nzb", fields).await;
        assert_eq!(answer["success"], false, "{answer:#}");
        (status, answer["error"].clone())
    }

    async fn ask(&self, post: &Post, name: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let (kind, body) = multipart(fields, Some((name, post.nzb().as_bytes())));
        let headers = [("x-api-key", KEY), ("content-type", &*kind)];
        let sent = self
            .gateway
            .send(Method::POST, "/api/nzb/streams", &headers, body);
        let answer = sent.await;
        (answer.status, json_of(&answer))
    }

    /// The path of a stream's URL.
    pub(crate) fn path_of(&self, stream: &Value) -> String {
        self.local(stream["url"].as_str().unwrap())
    }

    /// The path and query of one of our URLs.
    pub(crate) fn local(&self, url: &str) -> String {
        let own = format!("http://127.0.0.1:{}", self.gateway.port());
        let path = url.strip_prefix(&own);
        path.unwrap_or_else(|| panic!("{url} is not at {own}"))
            .to_owned()
    }

    pub(crate) async fn is(&self, path: &str, status: u16) -> Fetched {
        let answer = self.gateway.get(path).await;
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.chars().take(500).collect();
        assert_eq!(answer.status, status, "{path}: {text}");
        answer
    }

    /// The whole of a file and random ranges of it are the original's.
    pub(crate) async fn plays(&self, path: &str, original: &[u8], ranges: usize) {
        self.plays_with(path, &[], original, ranges).await;
    }

    /// The same with further headers.
    pub(crate) async fn plays_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        original: &[u8],
        ranges: usize,
    ) {
        let whole = self.gateway.send(Method::GET, path, headers, "").await;
        assert_eq!(
            (whole.status, digest(&whole.body)),
            (200, digest(original)),
            "{path}"
        );
        for Range { start, end } in testkit::noise::ranges(original.len(), 60_000, ranges) {
            let range = format!("bytes={start}-{}", end - 1);
            let headers: Vec<_> = headers
                .iter()
                .copied()
                .chain([("range", &*range)])
                .collect();
            let part = self.gateway.send(Method::GET, path, &headers, "").await;
            assert_eq!(part.status, 206, "{range}");
            assert!(part.body == original[start..end], "{range} of {path}");
        }
    }
}
