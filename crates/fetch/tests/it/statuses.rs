//! Statuses are faults with their code, never content; 304 only answers a conditional request.

use std::time::Duration;

use base::ErrorKind;
use fetch::Fault;

use crate::server::{Server, Step, reply};
use crate::{client, fault_of, request, url};

async fn check(code: u16, headers: &[(&str, &str)], retry_after_s: Option<u64>, kind: ErrorKind) {
    let fault = fault_of(vec![reply(code, headers, "#EXTM3U\n")], |_| {}).await;
    let retry_after = retry_after_s.map(Duration::from_secs);
    assert_eq!(fault, Fault::Status { code, retry_after });
    assert_eq!(fault.kind(), kind, "{code}");
}

#[tokio::test]
async fn each_status_keeps_its_code_and_retry_after() {
    check(404, &[], None, ErrorKind::NotFound).await;
    check(403, &[], None, ErrorKind::Denied).await;
    check(500, &[], None, ErrorKind::Unavailable).await;
    check(
        509,
        &[("Retry-After", "7")],
        Some(7),
        ErrorKind::RateLimited,
    )
    .await;
    let date = [
        ("Date", "Fri, 20 Nov 2026 09:00:00 GMT"),
        ("Retry-After", "Fri, 20 Nov 2026 09:01:00 GMT"),
    ];
    check(429, &date, Some(60), ErrorKind::RateLimited).await;
    check(
        503,
        &[("Retry-After", "86400")],
        Some(3600),
        ErrorKind::Unavailable,
    )
    .await;
}

#[tokio::test]
async fn not_modified_unasked_is_a_fault() {
    let fault = fault_of(vec![reply(304, &[], "")], |_| {}).await;
    assert_eq!(
        fault,
        Fault::Status {
            code: 304,
            retry_after: None
        }
    );
}

#[tokio::test]
async fn a_conditional_request_sends_both_validators() {
    let server = Server::start(|path| match path {
        "/moved" => vec![reply(302, &[("Location", "/live.m3u8")], "")],
        _ => vec![reply(
            200,
            &[
                ("ETag", "\"v1\""),
                ("Last-Modified", "Fri, 20 Nov 2026 09:00:00 GMT"),
            ],
            "x",
        )],
    })
    .await;
    let client = client();
    let request = request(
        &client,
        format!("http://{}/moved", server.address).parse().unwrap(),
    );
    let validators = client.get(&request).await.unwrap().head.validators.unwrap();
    let again = client.get_if_modified(&request, &validators).await.unwrap();
    assert_eq!(again.unwrap().body, "x");
    let seen: Vec<_> = server.seen().into_iter().map(|seen| seen.head).collect();
    // Only the URL that gave the validators is asked with them.
    assert!(!seen[2].contains("if-none-match"), "{}", seen[2]);
    assert!(seen[3].contains("if-none-match: \"v1\"\r\n"), "{}", seen[3]);
    assert!(
        seen[3].contains("if-modified-since: fri, 20 nov 2026 09:00:00 gmt\r\n"),
        "{}",
        seen[3]
    );
}

#[tokio::test]
async fn not_modified() {
    let server = Server::start(|path| match path {
        "/other" => vec![reply(304, &[], "")],
        _ => vec![reply(200, &[("ETag", "W/\"v1\"")], "x"), Step::Close],
    })
    .await;
    let client = client();
    let other = request(&client, url(&server, "/other"));
    let first = request(&client, url(&server, "/live.m3u8"));
    let validators = client.get(&first).await.unwrap().head.validators.unwrap();
    // Validators of another URL are not sent, so a 304 cannot be believed.
    assert!(client.get_if_modified(&other, &validators).await.is_err());
    drop(server);

    let unchanged = Server::start({
        let asked = std::sync::atomic::AtomicBool::new(false);
        move |_| match asked.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => vec![reply(200, &[("ETag", "\"v1\"")], "x")],
            true => vec![Step::Send(crate::server::head(304, &[("ETag", "\"v1\"")]))],
        }
    })
    .await;
    let request = request(&client, url(&unchanged, "/live.m3u8"));
    let validators = client.get(&request).await.unwrap().head.validators.unwrap();
    for _ in 0..2 {
        assert!(
            client
                .get_if_modified(&request, &validators)
                .await
                .unwrap()
                .is_none()
        );
    }
    assert!(unchanged.seen().iter().all(|seen| seen.connection == 0));
}
