//! How many round trips things take, counted on the wire.

use std::time::Duration;

use testkit::nntp::{Post, Posting, Proxy, Server, rar5};
use tokio::time::Instant;
use usenet::{File, Usenet};

use crate::rig::{assert_same, engine, film, mount, read, ready, serve, submit, warm};

const ROUND_TRIP: Duration = Duration::from_millis(40);

async fn far_away(posts: &[&Post]) -> (Server, Proxy, Usenet) {
    let server = serve(posts).await;
    let proxy = Proxy::start(server.address(), ROUND_TRIP).await.unwrap();
    let usenet = engine(&[proxy.address()]).await;
    warm(&usenet, 3).await;
    proxy.reset();
    (server, proxy, usenet)
}

fn volumes(film: &[u8], count: usize) -> Vec<(String, Vec<u8>)> {
    let volumes = rar5::volumes(&[("Film.mkv", film)], film.len() / count + 1);
    let name = |at: usize| format!("x.part{:02}.rar", at + 1);
    volumes
        .into_iter()
        .enumerate()
        .map(|(at, volume)| (name(at), volume))
        .collect()
}

fn post(files: &[(String, Vec<u8>)], is_obfuscated: bool) -> Post {
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, data)| (&**name, &data[..]))
        .collect();
    let posting = Posting {
        part_bytes: 50_000,
        is_obfuscated,
    };
    Post::with("flights", &files, posting)
}

async fn first_bytes(file: &File, at: u64) -> Vec<u8> {
    let mut reader = file.read(at..file.size());
    reader.next().await.unwrap().unwrap().to_vec()
}

async fn idle(usenet: &Usenet) {
    let is_idle = async || {
        let providers = usenet.providers();
        providers
            .iter()
            .all(|p| p.in_flight + p.queued + p.opening == 0)
            .then_some(())
    };
    testkit::wait_until(crate::rig::DEADLINE, "idle connections", is_idle)
        .await
        .unwrap();
}

/// Flights until the post can be played, and until its first bytes are there.
async fn check(post: &Post, original: &[u8], streamable: usize, first: usize) {
    let (server, proxy, usenet) = far_away(&[post]).await;
    let mount = submit(&usenet, post, "Film").await.mount;
    let file = ready(&mount).await.unwrap().remove(0);
    let at_streamable = proxy.traffic();
    assert_eq!(
        at_streamable.flights(),
        streamable,
        "{:?}",
        at_streamable.counts()
    );
    let bytes = first_bytes(&file, 0).await;
    assert_same(&bytes, &original[..bytes.len()], "first bytes");
    assert!(proxy.traffic().flights() <= first);
    assert!(server.asked().bodies.values().all(|&times| times == 1));
    usenet.close().await;
}

#[tokio::test]
async fn a_plain_film_takes_one_flight() {
    let film = film(3_000_000, 1);
    check(
        &post(&[("Film.mkv".to_owned(), film.clone())], false),
        &film,
        1,
        1,
    )
    .await;
}

#[tokio::test]
async fn a_set_of_fifty_volumes_takes_one_flight() {
    let film = film(6_000_000, 2);
    let volumes = volumes(&film, 50);
    assert_eq!(volumes.len(), 50);
    check(&post(&volumes, false), &film, 1, 1).await;
    // Names that say nothing: all volumes are asked for, and still at once.
    check(&post(&volumes, true), &film, 1, 1).await;
}

#[tokio::test]
async fn a_seek_takes_one_flight() {
    let film = film(6_000_000, 3);
    let post = post(&volumes(&film, 50), false);
    let (_server, proxy, usenet) = far_away(&[&post]).await;
    let file = mount(&usenet, &post).await;
    crate::rig::settled(file.mount(), usenet::State::Completed).await;
    let mut times = Vec::new();
    for at in [5_000_000, 1_000_000, 3_333_333, 4_000_001, 2_500_000] {
        idle(&usenet).await;
        proxy.reset();
        let began = Instant::now();
        let bytes = first_bytes(&file, at).await;
        times.push(began.elapsed());
        let start = usize::try_from(at).unwrap();
        assert_same(&bytes, &film[start..start + bytes.len()], "after a seek");
        assert!(
            proxy.traffic().flights() <= 1,
            "{:?}",
            proxy.traffic().commands
        );
    }
    times.sort();
    // Printed, not asserted: a loaded machine is slow.
    println!("seeks: {times:?}");
}

#[tokio::test]
async fn many_readers_of_one_article_fetch_it_once() {
    let film = film(2_000_000, 4);
    let post = post(&[("Film.mkv".to_owned(), film.clone())], false);
    let (server, _proxy, usenet) = far_away(&[&post]).await;
    let file = mount(&usenet, &post).await;
    let all = (0..8).map(|_| read(&file, 0..file.size()));
    for got in futures_util::future::join_all(all).await {
        assert_same(&got.unwrap(), &film, "one of eight");
    }
    let asked = server.asked();
    assert!(
        asked.bodies.values().all(|&times| times == 1),
        "{:?}",
        asked.bodies
    );
}
