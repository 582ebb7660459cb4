//! What servers do wrong, and what comes of it.

use std::time::Duration;

use testkit::nntp::{Fault, Post, Proxy, rar5};
use tokio::time::Instant;
use usenet::{Circuit, Code, ReadError, State, Usenet};

use crate::rig::{
    DEADLINE, assert_same, check_bytes, engine, engine_of, film, mount, provider, read, ready,
    serve, settings, settled, submit, warm,
};

const PART: usize = 50_000;

fn plain(len: usize) -> (Post, Vec<u8>) {
    let film = film(len, 9);
    (Post::new("f", &[("Film.mkv", &film)], PART), film)
}

async fn failure(usenet: &Usenet, post: &Post) -> Code {
    let mount = submit(usenet, post, "Film").await.mount;
    let failure = ready(&mount).await.unwrap_err();
    assert_eq!(mount.status().state, State::Failed);
    failure.code
}

#[tokio::test]
async fn what_one_provider_lacks_another_has() {
    let (post, film) = plain(3_000_000);
    let (a, b) = (serve(&[&post]).await, serve(&[&post]).await);
    for (at, id) in post.ids(0).iter().enumerate() {
        let fault = match at % 5 {
            1 => Fault::Missing,
            2 => Fault::WrongCrc,
            3 => Fault::Cut,
            _ => continue,
        };
        a.set_fault(id, Some(fault));
    }
    let usenet = engine(&[a.address(), b.address()]).await;
    let file = mount(&usenet, &post).await;
    check_bytes(&file, &film, 5).await;
    assert_eq!(file.mount().status().missing, 0);
}

#[tokio::test]
async fn a_backup_is_asked_only_for_what_others_lack() {
    let (post, film) = plain(2_000_000);
    let (a, b) = (serve(&[&post]).await, serve(&[&post]).await);
    a.set_fault(post.ids(0)[7], Some(Fault::Missing));
    let mut backup = provider(b.address());
    backup.backup = true;
    let usenet = engine_of(settings(vec![backup, provider(a.address())])).await;
    let file = mount(&usenet, &post).await;
    check_bytes(&file, &film, 2).await;
    assert_eq!(
        b.asked().bodies.into_keys().collect::<Vec<_>>(),
        [post.ids(0)[7]]
    );
}

#[tokio::test]
async fn a_storage_group_is_asked_once() {
    let (post, _) = plain(2_000_000);
    let (a, b) = (serve(&[&post]).await, serve(&[&post]).await);
    for server in [&a, &b] {
        server.set_fault(post.ids(0)[7], Some(Fault::Missing));
    }
    let group = |address| {
        let mut provider = provider(address);
        provider.storage_group = "same".to_owned();
        provider
    };
    let usenet = engine_of(settings(vec![group(a.address()), group(b.address())])).await;
    let file = mount(&usenet, &post).await;
    read(&file, 0..file.size()).await.unwrap();
    let id = post.ids(0)[7];
    let times =
        |server: &testkit::nntp::Server| server.asked().bodies.get(id).copied().unwrap_or(0);
    assert_eq!(times(&a) + times(&b), 1);
}

#[tokio::test]
async fn a_rare_hole_is_filled_with_exactly_as_many_bytes() {
    let (post, film) = plain(5_000_000);
    let server = serve(&[&post]).await;
    let gone = 40 * PART..41 * PART;
    server.set_fault(post.ids(0)[40], Some(Fault::Missing));
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, &post).await;
    let before = file.etag();
    let got = read(&file, 0..file.size()).await.unwrap();
    assert_eq!(got.len(), film.len());
    assert_same(&got[..gone.start], &film[..gone.start], "before");
    assert_same(&got[gone.end..], &film[gone.end..], "behind");
    assert_eq!(got[gone.start..gone.start + 2], [0xec, 0x01]);
    assert_ne!(file.etag(), before);
    assert_eq!(file.mount().status().missing, 1);
    // Any range shows the same bytes.
    let middle = gone.start as u64 - 10..gone.start as u64 + 10;
    let part = read(&file, middle.clone()).await.unwrap();
    assert_same(
        &part,
        &got[gone.start - 10..gone.start + 10],
        "around its start",
    );
}

#[tokio::test]
async fn too_many_holes_end_the_body_and_never_shift_it() {
    let (post, film) = plain(10_000_000);
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, &post).await;
    for id in &post.ids(0)[100..110] {
        server.set_fault(id, Some(Fault::Missing));
    }
    let mut reader = file.read(0..file.size());
    let mut got = Vec::new();
    let error = loop {
        match reader.next().await.expect("it does not end well") {
            Ok(bytes) => got.extend_from_slice(&bytes),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::Missing { .. }), "{error}");
    assert!(reader.next().await.is_none());
    assert!(got.len() >= 100 * PART);
    assert_same(&got[..100 * PART], &film[..100 * PART], "before the holes");
}

#[tokio::test]
async fn a_post_that_is_gone_is_told_before_a_stream_is_offered() {
    let (post, _) = plain(5_000_000);
    let ids: Vec<&str> = post.ids(0);
    for (gone, expected) in [
        (ids.clone(), Code::DeadPost),
        (ids.iter().copied().step_by(2).collect(), Code::Incomplete),
        (vec![ids[0]], Code::Incomplete),
    ] {
        let server = serve(&[&post]).await;
        for id in &gone {
            server.set_fault(id, Some(Fault::Missing));
        }
        let usenet = engine(&[server.address()]).await;
        assert_eq!(
            failure(&usenet, &post).await,
            expected,
            "{} gone",
            gone.len()
        );
    }
    // Of the last and of one in the middle each is a rare hole.
    for gone in [ids[ids.len() - 1], ids[50]] {
        let server = serve(&[&post]).await;
        server.set_fault(gone, Some(Fault::Missing));
        let usenet = engine(&[server.address()]).await;
        let file = mount(&usenet, &post).await;
        assert_eq!(
            read(&file, 0..file.size()).await.unwrap().len() as u64,
            file.size()
        );
    }
}

#[tokio::test]
async fn a_server_that_lies_to_stat_is_not_believed() {
    let (post, film) = plain(2_000_000);
    let server = serve(&[&post]).await;
    for id in post.ids(0) {
        server.set_fault(id, Some(Fault::StatMissing));
    }
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, &post).await;
    check_bytes(&file, &film, 1).await;
}

#[tokio::test]
async fn what_cannot_be_played_has_its_code() {
    let note = Post::new("n", &[("read.txt", b"hello")], PART);
    let server = serve(&[&note]).await;
    let usenet = engine(&[server.address()]).await;
    assert_eq!(failure(&usenet, &note).await, Code::NoMedia);

    let nobody = engine(&[]).await;
    assert_eq!(failure(&nobody, &note).await, Code::ProviderUnavailable);
    let bad = usenet::Submission {
        nzb: "<html>".into(),
        ..usenet::Submission::default()
    };
    let error = usenet.submit(bad).await.unwrap_err();
    assert!(matches!(error, usenet::Error::Failed(f) if f.code == Code::BadNzb));

    let lacking = film(2_000_000, 4);
    let lacking = Post::new("lacking", &[("Film.mkv", &lacking)], PART);
    server.add(&lacking);
    let every_fourth = |line: &&str| {
        !["2", "6", "10", "14", "18", "22", "26", "30"]
            .iter()
            .any(|n| line.contains(&format!("number=\"{n}\"")))
    };
    let nzb: Vec<String> = lacking
        .nzb()
        .lines()
        .filter(every_fourth)
        .map(str::to_owned)
        .collect();
    let submission = usenet::Submission {
        nzb: nzb.join("\n").into(),
        ..usenet::Submission::default()
    };
    let mount = usenet.submit(submission).await.unwrap().mount;
    assert_eq!(ready(&mount).await.unwrap_err().code, Code::Incomplete);

    let film = film(500_000, 3);
    let mut volumes = rar5::volumes(&[("Film.mkv", &film)], 100_000);
    volumes.remove(2);
    let names: Vec<String> = [1, 2, 4, 5].map(|at| format!("x.part{at}.rar")).into();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&volumes)
        .map(|(n, v)| (&**n, &v[..]))
        .collect();
    let gap = Post::new("gap", &files, PART);
    server.add(&gap);
    assert_eq!(failure(&usenet, &gap).await, Code::Incomplete);
}

#[tokio::test]
async fn a_connection_that_breaks_or_answers_out_of_turn_is_made_up_for() {
    let (post, film) = plain(3_000_000);
    let server = serve(&[&post]).await;
    for id in post.ids(0).iter().step_by(7) {
        server.set_fault(id, Some(Fault::CutOnce));
    }
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, &post).await;
    let reading = read(&file, 0..file.size());
    let cutting = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            server.cut_all();
        }
    };
    let (got, ()) = tokio::join!(reading, cutting);
    assert_same(&got.unwrap(), &film, "through cuts");

    let (a, b) = (serve(&[&post]).await, serve(&[&post]).await);
    for id in post.ids(0).iter().step_by(9) {
        a.set_fault(id, Some(Fault::OutOfTurn));
    }
    let usenet = engine(&[a.address(), b.address()]).await;
    let file = mount(&usenet, &post).await;
    assert_same(
        &read(&file, 0..file.size()).await.unwrap(),
        &film,
        "out of turn",
    );
}

#[tokio::test]
async fn a_provider_that_is_down_rests_and_comes_back() {
    let (post, film) = plain(1_000_000);
    let server = serve(&[&post]).await;
    server.set_refusal(Some("400 down for maintenance"));
    let usenet = engine(&[server.address()]).await;
    assert_eq!(failure(&usenet, &post).await, Code::ProviderUnavailable);
    // It rests, is tried, and rests for longer.
    let is_resting = async || (usenet.providers()[0].circuit == Circuit::Open).then_some(());
    testkit::wait_until(DEADLINE, "a rest", is_resting)
        .await
        .unwrap();
    let error = usenet.providers().remove(0).last_error.unwrap();
    assert!(error.contains("maintenance"), "{error}");
    server.set_refusal(None);
    // It is asked again once it has rested; what failed for that may be submitted again.
    let began = Instant::now();
    let file = loop {
        let mount = submit(&usenet, &post, "Film").await.mount;
        match ready(&mount).await {
            Ok(mut files) => break files.remove(0),
            Err(failure) => assert_eq!(failure.code, Code::ProviderUnavailable),
        }
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    check_bytes(&file, &film, 1).await;
}

#[tokio::test]
async fn an_account_that_is_refused_is_named() {
    let (post, _) = plain(100_000);
    let server = serve(&[&post]).await;
    server.set_account("me", "right");
    let account = |password: &str| {
        let mut provider = provider(server.address());
        provider.username = Some("me".to_owned());
        provider.password = base::Redacted::new(password.to_owned());
        settings(vec![provider])
    };
    let usenet = engine_of(account("wrong")).await;
    let mount = submit(&usenet, &post, "Film").await.mount;
    let failure = ready(&mount).await.unwrap_err();
    assert_eq!(failure.code, Code::ProviderUnavailable);
    assert!(
        failure.message.contains("481") && failure.message.contains("127.0.0.1"),
        "{failure}"
    );
    assert_eq!(usenet.providers()[0].circuit, Circuit::Denied);
    let error = usenet::check(&account("wrong").providers[0])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), base::ErrorKind::Denied);
    assert!(
        error.to_string().contains("481") && !error.to_string().contains("wrong,"),
        "{error}"
    );
    usenet::check(&account("right").providers[0]).await.unwrap();
    let usenet = engine_of(account("right")).await;
    crate::rig::mount(&usenet, &post).await;
}

#[tokio::test]
async fn the_limit_of_an_account_is_learned_and_kept_to() {
    let (post, film) = plain(8_000_000);
    let server = serve(&[&post]).await;
    let proxy = Proxy::start(server.address(), Duration::from_millis(4))
        .await
        .unwrap();
    proxy.set_limit(Some(5));
    let mut provider = provider(proxy.address());
    provider.connections = 20;
    let usenet = engine_of(settings(vec![provider])).await;
    warm(&usenet, 3).await;
    let file = mount(&usenet, &post).await;
    check_bytes(&file, &film, 5).await;
    let status = usenet.providers().remove(0);
    assert!((1..=5).contains(&status.connections_max), "{status:?}");
    let refused = proxy.traffic().refused;
    assert!(proxy.traffic().peak <= 5);
    check_bytes(&file, &film, 20).await;
    assert_eq!(proxy.traffic().refused, refused, "it asks no more");
}

#[tokio::test]
async fn a_connection_that_stalls_is_given_up() {
    let (post, film) = plain(1_000_000);
    let (a, b) = (serve(&[&post]).await, serve(&[&post]).await);
    a.set_fault(post.ids(0)[10], Some(Fault::Stall));
    let mut first = provider(a.address());
    first.priority = -1;
    let usenet = engine_of(settings(vec![first, provider(b.address())])).await;
    let file = mount(&usenet, &post).await;
    // It stalls each time that it is asked; then the other one is.
    let reading = async {
        let mut reader = file.read(0..file.size());
        let mut got = Vec::new();
        while let Some(bytes) = reader.next().await {
            got.extend_from_slice(&bytes.unwrap());
        }
        got
    };
    let got = tokio::time::timeout(DEADLINE * 2, reading).await.unwrap();
    assert_same(&got, &film, "through a stall");
}

#[tokio::test]
async fn an_article_with_a_wrong_crc_is_never_shown_to_its_end() {
    let (post, film) = plain(5_000_000);
    let server = serve(&[&post]).await;
    let proxy = Proxy::start(server.address(), Duration::ZERO)
        .await
        .unwrap();
    let usenet = engine(&[proxy.address()]).await;
    let file = mount(&usenet, &post).await;
    settled(file.mount(), State::Completed).await;
    let article = post.ids(0)[40];
    let range = 40 * PART as u64..43 * PART as u64;
    // It stops in its middle, so that its reader has begun ...
    server.set_fault(article, Some(Fault::Stall));
    let mut reader = file.read(range.clone());
    let mut shown = reader.next().await.unwrap().unwrap().to_vec();
    assert_same(&shown, &film[40 * PART..][..shown.len()], "its beginning");
    // ... and comes again with a wrong byte.
    server.set_fault(article, Some(Fault::WrongCrc));
    proxy.cut_all();
    let end = loop {
        let next = tokio::time::timeout(DEADLINE, reader.next()).await;
        match next.expect("it comes again") {
            Some(Ok(bytes)) => shown.extend_from_slice(&bytes),
            end => break end,
        }
    };
    assert!(
        matches!(end, Some(Err(ReadError::Damaged { .. }))),
        "{end:?} after {} bytes",
        shown.len()
    );
    assert!(shown.len() < PART, "{} bytes were shown", shown.len());
    // Who comes again gets on: its place is filled, what is behind it is the film's.
    let got = read(&file, range).await.unwrap();
    assert_eq!(file.mount().status().missing, 1);
    assert_ne!(&got[..PART], &film[40 * PART..41 * PART]);
    assert_same(&got[PART..], &film[41 * PART..43 * PART], "behind it");
}

#[tokio::test]
async fn a_mount_whose_articles_are_gone_is_marked_when_it_is_asked_after() {
    let original = film(1_000_000, 40);
    let post = Post::new("aged", &[("film.mkv", &original)], 50_000);
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, &post).await;
    let id = file.mount().id();
    settled(file.mount(), State::Completed).await;
    assert_eq!(usenet.recheck(id).await, Ok(true));
    // One that is missing is made up for while playing.
    server.set_fault(post.ids(0)[10], Some(Fault::Missing));
    assert_eq!(usenet.recheck(id).await, Ok(true));
    let mut events = usenet.events();
    for article in post.ids(0) {
        server.set_fault(article, Some(Fault::Missing));
    }
    let failure = usenet.recheck(id).await.unwrap_err();
    assert_eq!(failure.code, Code::DeadPost);
    assert_eq!(file.mount().status().state, State::Failed);
    let codes = [
        events.recv().await.unwrap().code,
        events.recv().await.unwrap().code,
    ];
    assert_eq!(codes, ["failed", "dead"]);
    // What does not play is not asked after.
    assert_eq!(usenet.recheck(id).await, Ok(false));
}
