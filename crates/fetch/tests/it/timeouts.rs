//! Each phase ends by its own limit, named.

use std::time::Duration;

use fetch::{Fault, Pace, Phase, Timeouts};

use crate::server::{Server, Step, head};
use crate::{MS, client, fault_of, request, url};

fn ok() -> Step {
    Step::Send(head(200, &[]))
}

#[tokio::test]
async fn silence_before_the_response() {
    let fault = fault_of(vec![Step::Hang], |request| {
        request.timeouts.first_byte = 50 * MS;
    })
    .await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::FirstByte,
            limit: 50 * MS
        }
    );
}

#[tokio::test]
async fn silence_inside_the_body() {
    let steps = vec![ok(), Step::Send(b"#EXTM3U\n".to_vec()), Step::Hang];
    let fault = fault_of(steps, |request| request.timeouts.idle = 50 * MS).await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::Idle,
            limit: 50 * MS
        }
    );
}

#[tokio::test]
async fn a_body_that_drips() {
    let pace = Pace {
        bytes_per_s: 1000,
        window: 100 * MS,
    };
    let drip = Step::Repeat(b"x".to_vec(), 10 * MS);
    let fault = fault_of(vec![ok(), drip.clone()], |request| request.pace = pace).await;
    assert_eq!(
        fault,
        Fault::Slow {
            bytes_per_s: 1000,
            window: 100 * MS
        }
    );
    // Fast enough for the pace, the same drip ends with the whole request.
    let fault = fault_of(vec![ok(), drip], |request| {
        request.pace = Pace {
            bytes_per_s: 1,
            ..pace
        };
        request.timeouts.total = Some(300 * MS);
    })
    .await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::Total,
            limit: 300 * MS
        }
    );
}

#[tokio::test]
async fn headers_that_drip() {
    let slow_head = Step::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), 10 * MS);
    let fault = fault_of(vec![slow_head], |request| {
        request.timeouts.first_byte = 100 * MS;
    })
    .await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::FirstByte,
            limit: 100 * MS
        }
    );
}

#[tokio::test]
async fn the_total_covers_the_head_too() {
    let timeouts = Timeouts {
        total: Some(50 * MS),
        ..Timeouts::default()
    };
    let fault = fault_of(vec![Step::Hang], |request| request.timeouts = timeouts).await;
    assert_eq!(
        fault,
        Fault::Timeout {
            phase: Phase::Total,
            limit: 50 * MS
        }
    );
}

#[tokio::test]
async fn a_total_that_passed_stops_a_body_that_is_never_late() {
    let server = Server::always(vec![ok(), Step::Repeat(vec![0; 1 << 16], Duration::ZERO)]).await;
    let client = client();
    let mut request = request(&client, url(&server, "/endless.ts"));
    request.body_max = u64::MAX;
    request.timeouts.total = Some(200 * MS);
    let mut streaming = client.open(&request).await.unwrap();
    let error = loop {
        match streaming.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "the body has no end"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.fault,
        Fault::Timeout {
            phase: Phase::Total,
            limit: 200 * MS
        }
    );
    assert_eq!(streaming.chunk().await, Err(error), "an error is final");
}

#[tokio::test]
async fn a_reader_that_was_away_is_not_the_upstreams_fault() {
    let server = Server::always(vec![ok(), Step::Repeat(vec![0; 1000], 5 * MS)]).await;
    let client = client();
    let mut request = request(&client, url(&server, "/live.ts"));
    request.pace = Pace {
        bytes_per_s: 50_000,
        window: 100 * MS,
    };
    request.timeouts = Timeouts {
        idle: 100 * MS,
        total: None,
        ..Timeouts::default()
    };
    let mut streaming = client.open(&request).await.unwrap();
    for _ in 0..3 {
        assert!(streaming.chunk().await.unwrap().is_some());
        tokio::time::sleep(150 * MS).await;
    }
    assert!(streaming.chunk().await.unwrap().is_some());
}
