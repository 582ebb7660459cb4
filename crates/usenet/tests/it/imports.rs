//! Submissions: who is who, and what survives.

use std::path::Path;

use store::{Location, Store};
use testkit::nntp::{Post, Server};
use usenet::{Settings, State, Submission, Usenet};

use crate::rig::{check_bytes, engine, film, provider, ready, serve, settings, settled, submit};

#[tokio::test]
async fn a_post_is_known_by_its_articles_and_not_by_its_name() {
    let (one, other) = (film(500_000, 1), film(500_000, 2));
    let first = Post::new("a", &[("Film.mkv", &one)], 50_000);
    let second = Post::new("b", &[("Film.mkv", &other)], 50_000);
    let server = serve(&[&first, &second]).await;
    let usenet = engine(&[server.address()]).await;
    for (post, original) in [(&first, &one), (&second, &other)] {
        let submitted = submit(&usenet, post, "download.nzb").await;
        assert!(!submitted.is_cached);
        let files = ready(&submitted.mount).await.unwrap();
        check_bytes(&files[0], original, 2).await;
    }
    let names: Vec<String> = usenet
        .mounts()
        .iter()
        .map(|m| m.status().name.clone())
        .collect();
    assert_eq!(names, ["download", "download (2)"]);
    server.reset_asked();
    let again = submit(&usenet, &first, "Another name").await;
    assert!(again.is_cached);
    assert_eq!(again.mount.id(), usenet.mounts()[0].id());
    assert!(server.asked().bodies.is_empty());
}

#[tokio::test]
async fn ten_submissions_at_once_are_one_import() {
    let film = film(500_000, 1);
    let post = Post::new("a", &[("Film.mkv", &film)], 50_000);
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let all = (0..10).map(|_| submit(&usenet, &post, "Film"));
    let all = futures_util::future::join_all(all).await;
    for submitted in &all {
        assert_eq!(submitted.mount.id(), all[0].mount.id());
        ready(&submitted.mount).await.unwrap();
    }
    assert!(server.asked().bodies.values().all(|&times| times == 1));
}

#[tokio::test]
async fn every_change_is_told() {
    let film = film(500_000, 1);
    let post = Post::new("a", &[("Film.mkv", &film)], 50_000);
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let mut events = usenet.events();
    let mount = submit(&usenet, &post, "Film").await.mount;
    settled(&mount, State::Completed).await;
    usenet.rename(mount.id(), "films", "New").await.unwrap();
    assert!(usenet.mount_named("films", "New").is_some());
    assert!(usenet.rename(mount.id(), "../x", "New").await.is_err());
    usenet.delete(mount.id()).await.unwrap();
    assert!(usenet.mounts().is_empty());
    let mut codes = Vec::new();
    while let Ok(event) = events.try_recv() {
        codes.push(event.code);
    }
    assert_eq!(
        codes,
        [
            "accepted",
            "probing",
            "streamable",
            "verified",
            "completed",
            "renamed",
            "removed"
        ]
    );
}

async fn open(dir: &Path, server: &Server) -> (Usenet, Store) {
    let store = Store::open(&Location::Directory(dir.to_owned()))
        .await
        .unwrap();
    let settings: Settings = settings(vec![provider(server.address())]);
    (Usenet::start(settings, store.clone()).await.unwrap(), store)
}

async fn saved(store: &Store, state: &str) {
    let is_saved = async || {
        let kept = store.imports().await.unwrap();
        kept.iter()
            .all(|import| import.state == state)
            .then_some(())
    };
    testkit::wait_until(crate::rig::DEADLINE, state, is_saved)
        .await
        .unwrap();
}

#[tokio::test]
async fn mounts_outlive_a_restart_and_are_mapped_when_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(900_000, 6);
    let volumes = testkit::nntp::rar5::volumes(&[("Film.mkv", &film)], 200_000);
    let post = Post::volumes("a", &volumes, 50_000);
    let server = serve(&[&post]).await;
    let (usenet, store) = open(dir.path(), &server).await;
    let mount = submit(&usenet, &post, "Film").await.mount;
    settled(&mount, State::Completed).await;
    saved(&store, "completed").await;
    let before = mount.status();
    let tag = ready(&mount).await.unwrap()[0].etag();
    usenet.close().await;
    store.close().await.unwrap();
    server.reset_asked();
    let (usenet, _store) = open(dir.path(), &server).await;
    let mount = usenet.mounts().remove(0);
    assert_eq!(
        (mount.status().state, &mount.status().files),
        (State::Completed, &before.files)
    );
    assert!(server.asked().bodies.is_empty());
    assert!(submit(&usenet, &post, "Film").await.is_cached);
    let files = ready(&mount).await.unwrap();
    assert_eq!(files[0].etag(), tag);
    check_bytes(&files[0], &film, 5).await;
}

#[tokio::test]
async fn what_was_accepted_before_a_restart_is_finished_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(300_000, 6);
    let post = Post::new("a", &[("Film.mkv", &film)], 50_000);
    let server = serve(&[&post]).await;
    let stalled = Server::start().await.unwrap();
    let (usenet, store) = open(dir.path(), &stalled).await;
    stalled.set_refusal(Some("400 later"));
    let submission = Submission {
        nzb: post.nzb().into(),
        name: "Film{{secret}}.nzb".to_owned(),
        ..Submission::default()
    };
    let id = usenet.submit(submission).await.unwrap().mount.id();
    drop(usenet);
    store.close().await.unwrap();
    let (usenet, store) = open(dir.path(), &server).await;
    let mount = usenet.mount(id).unwrap();
    if mount.status().state == State::Failed {
        usenet.retry(id).await.unwrap();
    }
    settled(&mount, State::Completed).await;
    assert_eq!(mount.status().name, "Film");
    assert_eq!(usenet.mounts().len(), 1);
    let kept = store.imports().await.unwrap();
    assert_eq!(kept[0].password.as_ref().unwrap().expose(), "secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_has_no_room_for_comes_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(3_000_000, 6);
    let post = Post::new("a", &[("Film.mkv", &film)], 50_000);
    let server = serve(&[&post]).await;
    for disk_bytes in [0, 100 << 20] {
        let settings = Settings {
            cache_memory_bytes: 400_000,
            cache_disk_bytes: disk_bytes,
            cache_dir: Some(folder.path().to_owned()),
            ..settings(vec![provider(server.address())])
        };
        let usenet = crate::rig::engine_of(settings).await;
        let file = crate::rig::mount(&usenet, &post).await;
        check_bytes(&file, &film, 0).await;
        settled(file.mount(), State::Completed).await;
        if disk_bytes > 0 {
            // The writer is given its time: most articles are there in the end.
            let is_there =
                async || (std::fs::read_dir(folder.path()).unwrap().count() > 40).then_some(());
            testkit::wait_until(crate::rig::DEADLINE, "articles on disk", is_there)
                .await
                .unwrap();
        }
        server.reset_asked();
        check_bytes(&file, &film, 5).await;
        let again: u64 = server.asked().bodies.values().sum();
        assert_eq!(again < 30, disk_bytes > 0, "{again} fetched again");
        usenet.close().await;
    }
}

#[tokio::test]
async fn aged_mounts_are_deleted_but_for_those_that_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(100_000, 6);
    let posts = ["a", "b"].map(|seed| Post::new(seed, &[("Film.mkv", &film)], 50_000));
    let server = serve(&[&posts[0], &posts[1]]).await;
    let (usenet, store) = open(dir.path(), &server).await;
    for post in &posts {
        let mount = submit(&usenet, post, "Film").await.mount;
        settled(&mount, State::Completed).await;
    }
    let kept = usenet.mounts()[1].id();
    assert!(usenet.keep(kept, true).await.unwrap());
    usenet.close().await;
    let settings = Settings {
        mount_ttl: Some(std::time::Duration::ZERO),
        ..settings(vec![provider(server.address())])
    };
    let usenet = Usenet::start(settings, store.clone()).await.unwrap();
    let is_one = async || (usenet.mounts().len() == 1).then_some(());
    testkit::wait_until(crate::rig::DEADLINE, "an aged mount's end", is_one)
        .await
        .unwrap();
    assert_eq!(usenet.mounts()[0].id(), kept);
    assert!(usenet.mounts()[0].status().is_kept);
    let is_gone = async || (store.imports().await.unwrap().len() == 1).then_some(());
    testkit::wait_until(crate::rig::DEADLINE, "its row's end", is_gone)
        .await
        .unwrap();
}

/// The child of the next test: an engine in a process that will be killed.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(port)) = (
        std::env::var("USENET_TEST_DIR"),
        std::env::var("USENET_TEST_PORT"),
    ) else {
        return;
    };
    let address = ([127, 0, 0, 1], port.parse().unwrap()).into();
    let store = Store::open(&Location::Directory(dir.into())).await.unwrap();
    let usenet = Usenet::start(settings(vec![provider(address)]), store)
        .await
        .unwrap();
    let nzb = std::env::var("USENET_TEST_NZB").unwrap();
    let mut number = 0;
    loop {
        number += 1;
        let Ok(nzb) = std::fs::read(format!("{nzb}/{number}.nzb")) else {
            break;
        };
        let submission = Submission {
            nzb: nzb.into(),
            name: format!("{number}"),
            ..Submission::default()
        };
        usenet.submit(submission).await.unwrap();
        // What is answered is kept: the parent counts these lines.
        use std::io::Write;
        writeln!(std::io::stdout(), "accepted {number}").unwrap();
    }
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_that_was_accepted_and_doubles_nothing() {
    const POSTS: usize = 12;
    let film = film(60_000, 1);
    let nzbs = tempfile::tempdir().unwrap();
    let server = Server::start().await.unwrap();
    for number in 1..=POSTS {
        let post = Post::new(&format!("p{number}"), &[("Film.mkv", &film)], 10_000);
        server.add(&post);
        std::fs::write(nzbs.path().join(format!("{number}.nzb")), post.nzb()).unwrap();
    }
    for round in 0..10_u64 {
        let dir = tempfile::tempdir().unwrap();
        // Killed after 0 to 90 ms, each time a little later.
        let accepted =
            killed_child(dir.path(), nzbs.path(), server.address().port(), round * 10).await;
        let (usenet, store) = open(dir.path(), &server).await;
        let mounts = usenet.mounts();
        assert!(
            mounts.len() >= accepted && mounts.len() <= POSTS,
            "{} of {accepted}",
            mounts.len()
        );
        for mount in &mounts {
            ready(mount).await.unwrap();
        }
        let mut contents: Vec<_> = mounts.iter().map(|mount| mount.content_id()).collect();
        contents.dedup();
        assert_eq!(contents.len(), mounts.len());
        usenet.close().await;
        store.close().await.unwrap();
    }
}

async fn killed_child(dir: &Path, nzbs: &Path, port: u16, after_ms: u64) -> usize {
    use tokio::io::AsyncBufReadExt;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "imports::child", "--nocapture"])
        .env("USENET_TEST_DIR", dir)
        .env("USENET_TEST_NZB", nzbs)
        .env("USENET_TEST_PORT", port.to_string())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut accepted = 0;
    let mut deadline = None;
    loop {
        let next = async {
            match deadline {
                Some(at) => tokio::time::timeout_at(at, lines.next_line()).await.ok(),
                None => Some(lines.next_line().await),
            }
        };
        match next.await {
            Some(Ok(Some(line))) => {
                accepted += usize::from(line.contains("accepted"));
                let after = std::time::Duration::from_millis(after_ms);
                deadline.get_or_insert(tokio::time::Instant::now() + after);
            }
            _ => break,
        }
    }
    // SIGKILL.
    child.kill().await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        accepted += usize::from(line.contains("accepted"));
    }
    accepted
}
