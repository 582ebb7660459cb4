//! A byte range gives exactly its bytes, whatever the server makes of it.

use base::ByteRange;
use fetch::{Fault, Request};

use crate::server::{Server, Step, head, reply};
use crate::{client, fault_of, request, url};

const ALL: &[u8] = b"0123456789";

fn ranged(request: &mut Request) {
    request.range = Some(ByteRange { start: 3, end: 6 });
}

async fn check(steps: Vec<Step>) {
    let server = Server::always(steps).await;
    let client = client();
    let mut request = request(&client, url(&server, "/all.ts"));
    ranged(&mut request);
    for _ in 0..2 {
        let response = client.get(&request).await.unwrap();
        assert_eq!(
            (response.body.as_ref(), response.head.length),
            (b"345".as_ref(), Some(3))
        );
    }
    assert!(server.seen()[0].head.contains("range: bytes=3-5\r\n"));
}

#[tokio::test]
async fn partial_content_and_a_server_that_ignores_ranges() {
    check(vec![reply(
        206,
        &[("Content-Range", "bytes 3-5/10")],
        &ALL[3..6],
    )])
    .await;
    check(vec![reply(
        206,
        &[("Content-Range", "bytes 3-5/*")],
        &ALL[3..6],
    )])
    .await;
    check(vec![reply(200, &[], ALL)]).await;
    check(vec![
        Step::Send(head(200, &[])),
        Step::Send(ALL.to_vec()),
        Step::Close,
    ])
    .await;
}

#[tokio::test]
async fn other_ranges_are_refused() {
    let other = vec![reply(206, &[("Content-Range", "bytes 0-2/10")], &ALL[..3])];
    assert_eq!(
        fault_of(other, ranged).await,
        Fault::Range("asked for bytes 3-5, got 0-2".to_owned())
    );
    let shorter = vec![reply(206, &[("Content-Range", "bytes 3-4/5")], &ALL[3..5])];
    assert_eq!(
        fault_of(shorter, ranged).await,
        Fault::Range("asked for bytes 3-5, got 3-4".to_owned())
    );
    let unnamed = vec![reply(206, &[], &ALL[3..6])];
    assert_eq!(
        fault_of(unnamed, ranged).await,
        Fault::Range("206 without a readable content-range".to_owned())
    );
    let packed = vec![reply(
        206,
        &[
            ("Content-Range", "bytes 3-5/10"),
            ("Content-Encoding", "gzip"),
        ],
        "xyz",
    )];
    assert_eq!(
        fault_of(packed, ranged).await,
        Fault::Encoding("gzip where it was not asked for")
    );
    let unasked = vec![reply(206, &[("Content-Range", "bytes 3-5/10")], &ALL[3..6])];
    assert!(matches!(fault_of(unasked, |_| {}).await, Fault::Range(_)));
}

#[tokio::test]
async fn a_range_beyond_the_body_or_the_limit() {
    let short = vec![reply(200, &[], &ALL[..5])];
    assert_eq!(
        fault_of(short, ranged).await,
        Fault::Cut {
            received: 5,
            expected: Some(5)
        }
    );
    let lying = vec![reply(206, &[("Content-Range", "bytes 3-5/10")], &ALL[3..5])];
    assert_eq!(
        fault_of(lying, ranged).await,
        Fault::Cut {
            received: 2,
            expected: Some(2)
        }
    );
    let small = |request: &mut Request| {
        ranged(request);
        request.body_max = 5;
    };
    assert_eq!(
        fault_of(vec![reply(200, &[], ALL)], small).await,
        Fault::TooLarge { limit: 5 }
    );
}

#[tokio::test]
async fn a_look_at_the_beginning_takes_what_there_is() {
    for steps in [
        vec![reply(206, &[("Content-Range", "bytes 0-9/10")], ALL)],
        vec![reply(206, &[("Content-Range", "bytes 0-9/*")], ALL)],
        vec![reply(200, &[], ALL)],
        vec![
            Step::Send(head(200, &[])),
            Step::Send(ALL.to_vec()),
            Step::Close,
        ],
    ] {
        let server = Server::always(steps).await;
        let client = client();
        let mut request = request(&client, url(&server, "/all.ts"));
        for (end, expected) in [(100, ALL), (10, ALL)] {
            request.range = Some(ByteRange { start: 0, end });
            request.range_may_exceed = true;
            assert_eq!(client.get(&request).await.unwrap().body, expected);
        }
    }
}

#[tokio::test]
async fn an_open_range_has_no_last_byte_and_is_as_long_as_its_answer_says() {
    let open = |request: &mut Request| {
        request.range = Some(ByteRange {
            start: 3,
            end: ByteRange::OPEN,
        });
        request.range_may_exceed = true;
    };
    let part = |body: &[u8]| vec![reply(206, &[("Content-Range", "bytes 3-9/10")], body)];
    let server = Server::always(part(&ALL[3..])).await;
    let client = client();
    let mut request = request(&client, url(&server, "/all.ts"));
    open(&mut request);
    let response = client.get(&request).await.unwrap();
    assert_eq!(
        (response.body.as_ref(), response.head.length),
        (&ALL[3..], Some(7))
    );
    assert!(server.seen()[0].head.contains("range: bytes=3-\r\n"));
    assert_eq!(
        fault_of(part(&ALL[3..5]), open).await,
        Fault::Cut {
            received: 2,
            expected: Some(2)
        }
    );
}
