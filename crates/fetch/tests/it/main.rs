//! The client against servers that misbehave, over real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod guard;
mod manners;
mod ranges;
mod redirects;
mod server;
mod statuses;
mod timeouts;
mod unreachable;

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use fetch::{Client, Error, Fault, Request, Scope, Settings};
use server::Server;
use url::Url;

/// Stands in every URL, user and header of these tests, and in no error.
const SECRET: &str = "hunter2";
const MS: Duration = Duration::from_millis(1);

/// Names for the tests' own server, and for addresses that must not be reached.
fn hosts() -> Vec<(String, Vec<IpAddr>)> {
    let host = |name: &str, addresses: &[&str]| {
        (
            name.to_owned(),
            addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
        )
    };
    vec![
        host("here.test", &["127.0.0.1"]),
        host("lan.test", &["10.255.255.1", "192.168.0.1"]),
        host("metadata.test", &["169.254.169.254"]),
        host("mixed.test", &["169.254.169.254", "127.0.0.1"]),
        host("nowhere.test", &[]),
    ]
}

fn settings() -> Settings {
    Settings {
        hosts: hosts(),
        spacing: MS,
        ..Settings::default()
    }
}

fn client() -> Client {
    Client::new(settings()).unwrap()
}

fn url(server: &Server, path: &str) -> Url {
    format!("http://{}{path}?token={SECRET}", server.address)
        .parse()
        .unwrap()
}

fn request(client: &Client, url: Url) -> Request {
    Request {
        gzip: false,
        ..Request::new(url, Scope::Loopback, client.manners())
    }
}

/// The fault of an error that must name its host and keep every secret.
#[track_caller]
fn checked(error: &Error, host: &str) -> Fault {
    assert!(
        error.to_string().contains(host),
        "{error} does not name {host}"
    );
    for text in [
        error.to_string(),
        format!("{error:?}"),
        format!("{:?}", error.source()),
    ] {
        assert!(!text.contains(SECRET), "{text} tells a secret");
    }
    error.fault.clone()
}

/// What `get` of `request` fails with.
async fn fault(client: &Client, request: &Request) -> Fault {
    assert!(!format!("{request:?}").contains(SECRET));
    let error = client
        .get(request)
        .await
        .expect_err("the request must fail");
    checked(&error, request.url.host_str().unwrap())
}

/// What a server that answers every request with `steps` makes `get` fail with.
async fn fault_of(steps: Vec<server::Step>, change: impl FnOnce(&mut Request)) -> Fault {
    let server = Server::always(steps).await;
    let client = client();
    let mut request = request(&client, url(&server, "/live.m3u8"));
    change(&mut request);
    fault(&client, &request).await
}
