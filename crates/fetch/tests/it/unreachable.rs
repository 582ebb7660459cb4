//! No response at all: each cause has its own fault.

use fetch::{Fault, Phase};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{Server, Step, head};
use crate::{MS, SECRET, client, fault, fault_of, request};

#[tokio::test]
async fn refused_connection() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let client = client();
    let url = format!("http://user:{SECRET}@{free}/x.m3u8?t={SECRET}")
        .parse()
        .unwrap();
    let fault = fault(&client, &request(&client, url)).await;
    assert!(
        matches!(&fault, Fault::Connect(reason) if reason.contains("refused")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn unknown_name() {
    let client = client();
    let url = format!("http://nowhere.test/?t={SECRET}").parse().unwrap();
    let fault = fault(&client, &request(&client, url)).await;
    assert_eq!(fault, Fault::Dns("the name has no address".to_owned()));
}

#[tokio::test]
async fn tls_with_a_server_that_speaks_none() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let _greeting = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(&head(400, &[])).await.unwrap();
        stream
    });
    let client = client();
    let url = format!("https://{address}/?t={SECRET}").parse().unwrap();
    let fault = fault(&client, &request(&client, url)).await;
    assert!(matches!(fault, Fault::Tls(_)), "{fault:?}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_a_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/?t={SECRET}", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let client = client();
    let mut request = request(&client, url);
    request.timeouts.connect = 50 * MS;
    let fault = fault(&client, &request).await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::Connect,
            limit: 50 * MS
        }
    );
}

#[tokio::test]
async fn connection_lost_before_the_response() {
    let fault = fault_of(vec![Step::Close], |_| {}).await;
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    let half = head(200, &[])[..10].to_vec();
    let fault = fault_of(vec![Step::Send(half), Step::Close], |_| {}).await;
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
}

#[tokio::test]
async fn what_is_no_http_is_a_protocol_fault() {
    for bytes in [
        b"220 ftp.example ready\r\n\r\n".to_vec(),
        vec![0x47; 188],
        b"HTTP/1.1 abc\r\n\r\n".to_vec(),
    ] {
        let fault = fault_of(vec![Step::Send(bytes), Step::Close], |_| {}).await;
        assert!(matches!(fault, Fault::Protocol(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn headers_without_measure_are_a_protocol_fault() {
    let long = "x".repeat(1 << 20);
    let many: Vec<_> = (0..500)
        .map(|n| (format!("X-{n}"), "y".to_owned()))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for head in [head(200, &[("X-Long", &long)]), head(200, &many)] {
        let fault = fault_of(vec![Step::Send(head), Step::Hang], |_| {}).await;
        assert!(
            matches!(&fault, Fault::Protocol(reason) if reason.contains("too large")),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_replaced_unseen() {
    let server = Server::always(vec![crate::server::reply(200, &[], "a"), Step::Close]).await;
    let client = client();
    let request = request(&client, crate::url(&server, "/"));
    for expected in 1..=3 {
        client.get(&request).await.unwrap();
        assert_eq!(server.seen().len(), expected);
    }
}
