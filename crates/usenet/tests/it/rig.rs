//! Posts, servers and engines for tests.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use base::Redacted;
use store::{Location, Store};
use testkit::nntp::{Post, Server};
pub(crate) use testkit::noise::film;
use tokio::time::Instant;
use usenet::{
    Failure, File, Mount, ProviderSettings, ReadError, Selector, Settings, State, Submission,
    Submitted, Usenet,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn provider(address: SocketAddr) -> ProviderSettings {
    ProviderSettings {
        host: address.ip().to_string(),
        port: address.port(),
        tls: None,
        username: None,
        password: Redacted::default(),
        connections: 8,
        priority: 0,
        backup: false,
        storage_group: String::new(),
    }
}

pub(crate) fn settings(providers: Vec<ProviderSettings>) -> Settings {
    Settings {
        providers,
        ..Settings::default()
    }
}

pub(crate) async fn engine(addresses: &[SocketAddr]) -> Usenet {
    let providers = addresses.iter().map(|&address| provider(address)).collect();
    engine_of(settings(providers)).await
}

pub(crate) async fn engine_of(settings: Settings) -> Usenet {
    let store = Store::open(&Location::Memory).await.unwrap();
    Usenet::start(settings, store).await.unwrap()
}

/// Waits until so many connections are signed in and idle.
pub(crate) async fn warm(usenet: &Usenet, connections: u32) {
    let are_open = async || {
        let providers = usenet.providers();
        let open = providers
            .iter()
            .all(|p| p.connections >= connections && p.opening == 0);
        open.then_some(())
    };
    testkit::wait_until(DEADLINE, "warm connections", are_open)
        .await
        .unwrap();
}

pub(crate) async fn serve(posts: &[&Post]) -> Server {
    let server = Server::start().await.unwrap();
    for post in posts {
        server.add(post);
    }
    server
}

pub(crate) async fn submit(usenet: &Usenet, post: &Post, name: &str) -> Submitted {
    let submission = Submission {
        nzb: post.nzb().into(),
        name: name.to_owned(),
        ..Submission::default()
    };
    usenet.submit(submission).await.unwrap()
}

pub(crate) async fn ready(mount: &Arc<Mount>) -> Result<Vec<File>, Failure> {
    mount
        .ready(Selector::default(), Instant::now() + DEADLINE)
        .await
}

/// Submits a post and gives its largest file.
pub(crate) async fn mount(usenet: &Usenet, post: &Post) -> File {
    let submitted = submit(usenet, post, "The Post").await;
    ready(&submitted.mount).await.unwrap().remove(0)
}

pub(crate) async fn settled(mount: &Arc<Mount>, state: State) {
    let mut changes = mount.watch();
    let is_there = changes.wait_for(|status| status.state == state);
    tokio::time::timeout(DEADLINE, is_there)
        .await
        .expect("it settles")
        .unwrap();
}

pub(crate) async fn read(file: &File, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
    let mut reader = file.read(range);
    let mut out = Vec::new();
    while let Some(bytes) = tokio::time::timeout(DEADLINE, reader.next())
        .await
        .expect("bytes come")
    {
        out.extend_from_slice(&bytes?);
    }
    Ok(out)
}

/// The whole file, and ranges here and there, are those of the original.
pub(crate) async fn check_bytes(file: &File, original: &[u8], ranges: usize) {
    assert_eq!(file.size(), original.len() as u64);
    let whole = read(file, 0..file.size()).await.unwrap();
    assert_same(&whole, original, "whole");
    for range in testkit::noise::ranges(original.len(), 300_000, ranges) {
        let got = read(file, range.start as u64..range.end as u64)
            .await
            .unwrap();
        assert_same(&got, &original[range.clone()], &format!("{range:?}"));
    }
}

#[track_caller]
pub(crate) fn assert_same(got: &[u8], expected: &[u8], what: &str) {
    if got == expected {
        return;
    }
    let at = got.iter().zip(expected).position(|(a, b)| a != b);
    panic!(
        "{what}: {} bytes, {} expected, first difference at {at:?}",
        got.len(),
        expected.len()
    );
}
