//! Requests of one channel to one host keep their distance and their number.

use std::time::Duration;

use fetch::{Client, Fault, Phase, Settings};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::server::{Server, Step, head, reply};
use crate::{MS, client, request, settings, url};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn few_run_at_once() {
    let server = Server::always(vec![Step::Wait(50 * MS), reply(200, &[], "x")]).await;
    let client = client();
    let all = request(&client, url(&server, "/1.ts"));
    let mut tasks = JoinSet::new();
    for _ in 0..12 {
        let (client, request) = (client.clone(), all.clone());
        tasks.spawn(async move { client.get(&request).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(
        server.seen().iter().map(|seen| seen.in_flight).max(),
        Some(4)
    );
}

#[tokio::test]
async fn other_channels_and_other_hosts_do_not_wait() {
    let servers = [
        Server::always(vec![reply(200, &[], "x")]).await,
        Server::always(vec![reply(200, &[], "x")]).await,
    ];
    let client = Client::new(Settings {
        spacing: SOON * 4,
        ..settings()
    })
    .unwrap();
    let started = Instant::now();
    let first = request(&client, url(&servers[0], "/"));
    let mut second = first.clone();
    second.url = url(&servers[1], "/");
    let third = request(&client, url(&servers[0], "/"));
    for request in [first, second, third] {
        client.get(&request).await.unwrap();
    }
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_end_or_drop() {
    let server = Server::start(|path| match path {
        "/endless.ts" => vec![Step::Send(head(200, &[])), Step::Hang],
        _ => vec![reply(200, &[], "x")],
    })
    .await;
    let client = Client::new(Settings {
        at_once: 1,
        turn_timeout: 100 * MS,
        ..settings()
    })
    .unwrap();
    let endless = request(&client, url(&server, "/endless.ts"));
    let mut short = endless.clone();
    short.url = url(&server, "/1.ts");

    let streaming = client.open(&endless).await.unwrap();
    let error = client.get(&short).await.unwrap_err();
    assert_eq!(
        error.fault,
        Fault::Timeout {
            phase: Phase::Turn,
            limit: 100 * MS
        }
    );
    drop(streaming);
    client.get(&short).await.unwrap();

    let mut finished = client.open(&short).await.unwrap();
    while finished.chunk().await.unwrap().is_some() {}
    client.get(&short).await.unwrap();
    drop(finished);
}

#[tokio::test]
async fn a_cancelled_request_gives_its_place_back() {
    let server = Server::start(|path| match path {
        "/hang" => vec![Step::Hang],
        _ => vec![reply(200, &[], "x")],
    })
    .await;
    let client = Client::new(Settings {
        at_once: 1,
        ..settings()
    })
    .unwrap();
    let hang = request(&client, url(&server, "/hang"));
    let mut short = hang.clone();
    short.url = url(&server, "/1.ts");
    for _ in 0..3 {
        assert!(timeout(30 * MS, client.get(&hang)).await.is_err());
        timeout(SOON, client.get(&short)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let server = Server::always(vec![Step::Hang]).await;
    let client = client();
    let request = request(&client, url(&server, "/"));
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (client, request) = (client.clone(), request.clone());
        tasks.spawn(async move { client.get(&request).await.unwrap_err().fault });
    }
    // 64 wait and 4 run; those that run have left the queue, so 32 to 36 are turned away.
    for _ in 0..32 {
        let fault = timeout(SOON, tasks.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(fault, Fault::Crowded);
    }
    tasks.abort_all();
}
