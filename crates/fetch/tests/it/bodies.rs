//! Whole bodies, and those that lie about themselves.

use std::io::Write;
use std::time::Duration;

use fetch::Fault;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;

use crate::server::{Server, Step, head, reply};
use crate::{MS, checked, client, fault_of, request, url};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_whole_body_with_everything_that_belongs_to_it() {
    let answer = reply(
        200,
        &[("ETag", "\"a\""), ("Content-Type", "video/MP2T")],
        "payload",
    );
    let server = Server::always(vec![Step::Wait(30 * MS), answer]).await;
    let client = client();
    let url = url(&server, "/1.ts");
    let response = client.get(&request(&client, url.clone())).await.unwrap();
    assert_eq!(response.body, "payload");
    assert_eq!(response.head.status, 200);
    assert_eq!(response.head.final_url, url);
    assert_eq!(response.head.content_type.as_deref(), Some("video/MP2T"));
    assert_eq!(response.head.length, Some(7));
    assert!(response.head.validators.is_some());
    assert!(response.head.first_byte >= 30 * MS);
    assert!(!format!("{response:?}").contains(crate::SECRET));
    let seen = &server.seen()[0].head;
    assert!(seen.contains("accept-encoding: identity\r\n"), "{seen}");
    assert!(
        seen.contains("user-agent: vlc/3.0.20 libvlc/3.0.20\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::always(vec![reply(200, &[], vec![b'x'; 300_000])]).await;
    let client = client();
    let request = request(&client, url(&server, "/1.ts"));
    for _ in 0..5 {
        assert_eq!(client.get(&request).await.unwrap().body.len(), 300_000);
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_body_as_it_arrives() {
    let server = Server::always(vec![
        Step::Send(head(200, &[("Content-Length", "6")])),
        Step::Send(b"abc".to_vec()),
        Step::Wait(30 * MS),
        Step::Send(b"def".to_vec()),
    ])
    .await;
    let client = client();
    let mut streaming = client
        .open(&request(&client, url(&server, "/1.ts")))
        .await
        .unwrap();
    assert_eq!(streaming.head.length, Some(6));
    assert!(!format!("{streaming:?}").contains(crate::SECRET));
    assert_eq!(streaming.chunk().await.unwrap().unwrap(), "abc");
    let rest: Vec<_> = streaming.into_stream().try_collect().await.unwrap();
    assert_eq!(rest.concat(), b"def");
}

#[tokio::test]
async fn what_is_looked_at_first_is_handed_out_all_the_same() {
    let steps = vec![
        Step::Send(head(200, &[])),
        Step::Send(b"ab".to_vec()),
        Step::Wait(30 * MS),
        Step::Send(b"cdef".to_vec()),
        Step::Close,
    ];
    let server = Server::always(steps).await;
    let client = client();
    let request = request(&client, url(&server, "/live"));
    let mut streaming = client.open_either(&request).await.unwrap();
    assert_eq!(streaming.start(1).await.unwrap(), b"ab");
    assert_eq!(streaming.start(3).await.unwrap(), b"abcdef");
    assert_eq!(streaming.start(9).await.unwrap(), b"abcdef");
    assert_eq!(streaming.document(6).await.unwrap().body, "abcdef");
    let mut streaming = client.open_either(&request).await.unwrap();
    streaming.start(1).await.unwrap();
    let error = streaming.document(5).await.unwrap_err();
    assert_eq!(checked(&error, "127.0.0.1"), Fault::TooLarge { limit: 5 });
}

#[tokio::test]
async fn an_endless_stream_has_no_limit_but_silence() {
    let server = Server::start(|path| {
        let then = match path.contains("silent") {
            true => Step::Hang,
            false => Step::Repeat(vec![b'x'; 1000], MS),
        };
        vec![Step::Send(head(200, &[])), Step::Send(vec![b'x'; 9]), then]
    })
    .await;
    let client = client();
    let mut asked = request(&client, url(&server, "/live"));
    asked.timeouts.total = Some(100 * MS);
    asked.body_max = 10;
    let mut stream = client.open_either(&asked).await.unwrap();
    stream.start(1).await.unwrap();
    let mut stream = stream.endless(Duration::from_secs(5)).unwrap();
    let began = tokio::time::Instant::now();
    while began.elapsed() < 200 * MS {
        stream.chunk().await.unwrap().unwrap();
    }
    asked.url = url(&server, "/silent");
    let stream = client.open_either(&asked).await.unwrap();
    let mut stream = stream.endless(20 * MS).unwrap();
    stream.chunk().await.unwrap();
    let fault = checked(&stream.chunk().await.unwrap_err(), "127.0.0.1");
    let limit = 20 * MS;
    let phase = fetch::Phase::Idle;
    assert_eq!(fault, Fault::Timeout { phase, limit });
}

#[tokio::test]
async fn a_document_in_gzip_is_no_stream() {
    let packed = gzip(b"#EXTM3U\n");
    let server = Server::always(vec![reply(200, &[("Content-Encoding", "gzip")], packed)]).await;
    let client = client();
    let request = request(&client, url(&server, "/live"));
    let mut streaming = client.open_either(&request).await.unwrap();
    assert_eq!(streaming.start(4).await.unwrap(), b"");
    assert_eq!(streaming.document(100).await.unwrap().body, "#EXTM3U\n");
    let streaming = client.open_either(&request).await.unwrap();
    assert!(streaming.endless(MS).is_err());
}

#[tokio::test]
async fn bodies_beyond_the_limit() {
    let limit = Fault::TooLarge { limit: 1000 };
    let announced = vec![
        Step::Send(head(200, &[("Content-Length", "1001")])),
        Step::Hang,
    ];
    assert_eq!(
        fault_of(announced, |request| request.body_max = 1000).await,
        limit
    );
    let endless = vec![
        Step::Send(head(200, &[])),
        Step::Repeat(vec![b'x'; 100], Duration::ZERO),
    ];
    assert_eq!(
        fault_of(endless, |request| request.body_max = 1000).await,
        limit
    );
}

#[tokio::test]
async fn bodies_cut_short() {
    let length = vec![
        Step::Send(head(200, &[("Content-Length", "10")])),
        Step::Send(b"abc".to_vec()),
        Step::Close,
    ];
    assert_eq!(
        fault_of(length, |_| {}).await,
        Fault::Cut {
            received: 3,
            expected: Some(10)
        }
    );
    let chunked = vec![
        Step::Send(head(200, &[("Transfer-Encoding", "chunked")])),
        Step::Send(b"5\r\nabcde\r\n".to_vec()),
        Step::Close,
    ];
    assert_eq!(
        fault_of(chunked, |_| {}).await,
        Fault::Cut {
            received: 5,
            expected: None
        }
    );
}

#[tokio::test]
async fn gzip_is_asked_for_and_unpacked() {
    let packed = gzip(b"#EXTM3U\n");
    let (first, second) = packed.split_at(7);
    let length = packed.len().to_string();
    let server = Server::always(vec![
        Step::Send(head(
            200,
            &[("Content-Encoding", "gzip"), ("Content-Length", &length)],
        )),
        Step::Send(first.to_vec()),
        Step::Wait(10 * MS),
        Step::Send(second.to_vec()),
    ])
    .await;
    let client = client();
    let mut request = request(&client, url(&server, "/live.m3u8"));
    // Some servers pack without being asked.
    for asked in [true, false] {
        request.gzip = asked;
        assert_eq!(client.get(&request).await.unwrap().body, "#EXTM3U\n");
    }
    assert!(server.seen()[0].head.contains("accept-encoding: gzip\r\n"));
    let error = client.open(&request).await.unwrap_err();
    assert_eq!(
        checked(&error, "127.0.0.1"),
        Fault::Encoding("gzip where it was not asked for")
    );
}

#[tokio::test]
async fn broken_codings() {
    let answer = |coding, body: &[u8]| vec![reply(200, &[("Content-Encoding", coding)], body)];
    let whole = gzip(&[b'x'; 1000]);
    let broken = Fault::Encoding("broken gzip");
    assert_eq!(fault_of(answer("gzip", b"#EXTM3U\n"), |_| {}).await, broken);
    assert_eq!(
        fault_of(answer("gzip", &whole[..whole.len() - 4]), |_| {}).await,
        broken
    );
    let unknown = Fault::Encoding("not one that was asked for");
    assert_eq!(fault_of(answer("br", b"x"), |_| {}).await, unknown);
    assert_eq!(
        fault_of(answer("gzip, gzip", &whole), |_| {}).await,
        unknown
    );
}

#[tokio::test]
async fn a_gzip_bomb() {
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 16 << 10);
    let steps = vec![reply(200, &[("Content-Encoding", "gzip")], &bomb)];
    let fault = fault_of(steps, |request| request.body_max = 1 << 20).await;
    assert_eq!(fault, Fault::GzipBomb { limit: 1 << 20 });
}
