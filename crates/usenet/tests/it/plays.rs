//! What must play: every kind of post, byte for byte.

use testkit::nntp::{Post, Posting, rar5};

use crate::rig::{check_bytes, engine, film, mount, ready, serve, submit};
use usenet::{Code, Role};

async fn check(post: &Post, name: &str, original: &[u8]) {
    let server = serve(&[post]).await;
    let usenet = engine(&[server.address()]).await;
    let file = mount(&usenet, post).await;
    assert_eq!(file.info().path, name);
    check_bytes(&file, original, 20).await;
    usenet.close().await;
}

#[tokio::test]
async fn a_plain_film() {
    let film = film(1_234_567, 1);
    check(
        &Post::new("p", &[("Film.2024.mkv", &film)], 100_000),
        "Film.2024.mkv",
        &film,
    )
    .await;
    check(
        &Post::new("q", &[("Film.2024.mkv", &film[..70])], 100_000),
        "Film.2024.mkv",
        &film[..70],
    )
    .await;
}

fn named(volumes: &[Vec<u8>], name: impl Fn(usize) -> String) -> Vec<(String, &[u8])> {
    let volumes = volumes.iter().enumerate();
    volumes
        .map(|(at, volume)| (name(at), &volume[..]))
        .collect()
}

fn post(seed: &str, files: &[(String, &[u8])], posting: Posting) -> Post {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, data)| (&**name, *data)).collect();
    Post::with(seed, &files, posting)
}

#[tokio::test]
async fn a_set_of_volumes() {
    let film = film(2_000_003, 2);
    for volume_bytes in [3_000_000, 700_000, 40_000] {
        let volumes = rar5::volumes(&[("Film.mkv", &film)], volume_bytes);
        let new = named(&volumes, |at| format!("x.part{:02}.rar", at + 1));
        check(&post("new", &new, Posting::default()), "Film.mkv", &film).await;
        let old = named(&volumes, |at| match at {
            0 => "x.rar".to_owned(),
            _ => format!("x.r{:02}", at - 1),
        });
        check(&post("old", &old, Posting::default()), "Film.mkv", &film).await;
    }
}

#[tokio::test]
async fn volumes_in_any_order_under_names_that_say_nothing() {
    let film = film(1_000_000, 3);
    let volumes = rar5::volumes(&[("0123456789abcdef0123456789abcdef.mkv", &film)], 90_000);
    let mut files = named(&volumes, |at| format!("x.part{:02}.rar", at + 1));
    files.reverse();
    files.swap(3, 7);
    let hidden = Posting {
        is_obfuscated: true,
        ..Posting::default()
    };
    check(&post("hidden", &files, hidden), "The Post.mkv", &film).await;
    // Names that lie about the order.
    let lying = named(&volumes, |at| {
        format!("x.part{:02}.rar", (at + 5) % volumes.len() + 1)
    });
    check(
        &post("lying", &lying, Posting::default()),
        "The Post.mkv",
        &film,
    )
    .await;
}

#[tokio::test]
async fn archives_in_archives() {
    let film = film(600_000, 4);
    let inner = rar5::volumes(&[("Film.mkv", &film)], 150_000);
    let inner = named(&inner, |at| format!("inner.part{}.rar", at + 1));
    let inner: Vec<(&str, &[u8])> = inner.iter().map(|(name, data)| (&**name, *data)).collect();
    let outer = rar5::volumes(&inner, 100_000);
    let files = named(&outer, |at| format!("outer.part{:02}.rar", at + 1));
    check(
        &post("nested", &files, Posting::default()),
        "Film.mkv",
        &film,
    )
    .await;
}

#[tokio::test]
async fn pieces_of_a_file() {
    let film = film(1_000_000, 5);
    let pieces: Vec<Vec<u8>> = film.chunks(130_000).map(<[u8]>::to_vec).collect();
    let files = named(&pieces, |at| format!("Film.mkv.{:03}", at + 1));
    check(
        &post("split", &files, Posting::default()),
        "Film.mkv",
        &film,
    )
    .await;
}

#[tokio::test]
async fn a_season_with_samples_subtitles_and_notes() {
    let episodes: Vec<Vec<u8>> = (0..4)
        .map(|at| film(300_000 + at * 1000, at as u64))
        .collect();
    let sample = film(20_000, 99);
    let mut files: Vec<(String, &[u8])> = (episodes.iter().enumerate())
        .map(|(at, data)| (format!("Show.S01E{:02}.mkv", at + 1), &data[..]))
        .collect();
    files.push(("show.s01e01.sample.mkv".to_owned(), &sample));
    files.push((
        "Show.S01E01.en.srt".to_owned(),
        b"1\n00:00:01,000 --> 00:00:02,000\nHello\n",
    ));
    files.push(("show.nfo".to_owned(), b"notes"));
    let post = post("season", &files, Posting::default());
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let mount = submit(&usenet, &post, "Show.S01").await.mount;
    let all = ready(&mount).await.unwrap();
    let paths: Vec<&str> = all.iter().map(|file| &*file.info().path).collect();
    assert_eq!(
        paths,
        [
            "Show.S01E04.mkv",
            "Show.S01E03.mkv",
            "Show.S01E02.mkv",
            "Show.S01E01.mkv"
        ]
    );
    let second = usenet::Selector {
        episode: Some((1, 2)),
    };
    let found = mount.pick(second);
    assert_eq!(found.len(), 1);
    check_bytes(&found[0], &episodes[1], 3).await;
    let none = usenet::Selector {
        episode: Some((1, 9)),
    };
    let error = mount
        .ready(none, tokio::time::Instant::now())
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::NoMedia);
    let status = mount.status();
    let role = |path: &str| status.files.iter().find(|f| f.path == path).map(|f| f.role);
    assert_eq!(role("show.s01e01.sample.mkv"), Some(Role::Sample));
    assert_eq!(role("Show.S01E01.en.srt"), Some(Role::Subtitle));
    assert_eq!(role("show.nfo"), Some(Role::Other));
    check_bytes(&mount.file("Show.S01E01.en.srt").unwrap(), files[5].1, 2).await;
}

#[tokio::test]
async fn a_season_in_one_archive() {
    let episodes: Vec<Vec<u8>> = (0..5)
        .map(|at| film(200_000 + at * 777, at as u64))
        .collect();
    let names: Vec<String> = (1..=5)
        .map(|at| format!("Season 1/Show.S01E{at:02}.mkv"))
        .collect();
    let members: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&episodes)
        .map(|(n, e)| (&**n, &e[..]))
        .collect();
    let volumes = rar5::volumes(&members, 90_000);
    let files = named(&volumes, |at| format!("show.part{:02}.rar", at + 1));
    let post = post("pack", &files, Posting::default());
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let mount = submit(&usenet, &post, "Show.S01").await.mount;
    let all = ready(&mount).await.unwrap();
    assert_eq!(all.len(), 5);
    for (name, original) in names.iter().zip(&episodes) {
        check_bytes(&mount.file(name).unwrap(), original, 3).await;
    }
}

/// Archives by `rar` 7.01 and 6.23, `7z` and `zip`, of a film of a thousand bytes or three.
macro_rules! fixtures {
    ($($name:literal),+) => {
        vec![$(($name.to_owned(), include_bytes!(concat!("../../../nzb/src/archive/fixtures/", $name)).as_slice())),+]
    };
}

fn small_film(len: u64) -> Vec<u8> {
    let rest = (4..len).map(|i| ((i * i * 31 + i * 7) >> 3) as u8);
    [0x1a, 0x45, 0xdf, 0xa3].into_iter().chain(rest).collect()
}

async fn import(
    files: &[(String, &[u8])],
    password: Option<&str>,
) -> Result<Vec<usenet::File>, Code> {
    let post = post(
        "fixture",
        files,
        Posting {
            part_bytes: 150,
            ..Posting::default()
        },
    );
    let server = serve(&[&post]).await;
    let usenet = engine(&[server.address()]).await;
    let submission = usenet::Submission {
        nzb: post.nzb().into(),
        name: "The Post".to_owned(),
        password: password.map(|text| base::Redacted::new(text.to_owned())),
        ..usenet::Submission::default()
    };
    let mount = usenet.submit(submission).await.unwrap().mount;
    let files = ready(&mount).await.map_err(|failure| failure.code)?;
    for file in &files {
        check_bytes(file, &small_film(file.size()), 20).await;
    }
    Ok(files)
}

#[tokio::test]
async fn archives_of_real_programs() {
    for files in [
        fixtures!("v5.part1.rar", "v5.part2.rar", "v5.part3.rar"),
        fixtures!("v4.part1.rar", "v4.part2.rar", "v4.part3.rar"),
        fixtures!("old4.rar", "old4.r00"),
        fixtures!("s.7z"),
        fixtures!("z.zip"),
    ] {
        let name = files[0].0.clone();
        let found = import(&files, None).await;
        assert!(found.is_ok_and(|found| !found.is_empty()), "{name}");
    }
    let mut shuffled = fixtures!("v4.part3.rar", "v4.part1.rar", "v4.part2.rar");
    for (at, (name, _)) in shuffled.iter_mut().enumerate() {
        *name = format!("{at:016x}");
    }
    assert_eq!(
        import(&shuffled, None).await.map(|found| found.len()),
        Ok(1)
    );
    for packed in [fixtures!("c5.rar"), fixtures!("c.7z")] {
        assert_eq!(import(&packed, None).await.err(), Some(Code::Compressed));
    }
}

#[tokio::test]
async fn passwords_open_what_they_should() {
    for files in [
        fixtures!("p5.part1.rar", "p5.part2.rar"),
        fixtures!("h5.part1.rar", "h5.part2.rar"),
        fixtures!("p4.part1.rar", "p4.part2.rar"),
        fixtures!("h4.part1.rar", "h4.part2.rar"),
        fixtures!("p.7z"),
        fixtures!("h.7z"),
    ] {
        let name = files[0].0.clone();
        let found = import(&files, Some("secret")).await;
        assert_eq!(found.map(|found| found.len()), Ok(1), "{name}");
        assert_eq!(
            import(&files, None).await.err(),
            Some(Code::Encrypted),
            "{name}"
        );
        let wrong = import(&files, Some("wrong")).await;
        assert_eq!(wrong.err(), Some(Code::WrongPassword), "{name}");
    }
}

#[tokio::test]
async fn a_password_may_come_in_the_document_or_with_the_name() {
    let files = fixtures!("h5.part1.rar", "h5.part2.rar");
    let plain = post("by-name", &files, Posting::default());
    let meta = post("by-meta", &files, Posting::default())
        .meta("password", "no")
        .meta("password", "secret");
    let server = serve(&[&plain, &meta]).await;
    let usenet = engine(&[server.address()]).await;
    let named = submit(&usenet, &plain, "The Post{{secret}}.nzb")
        .await
        .mount;
    assert_eq!(ready(&named).await.unwrap().len(), 1);
    let told = submit(&usenet, &meta, "Another").await.mount;
    assert_eq!(ready(&told).await.unwrap().len(), 1);
    // One that failed for want of a password is tried again when one comes.
    let locked = post("locked", &files, Posting::default());
    server.add(&locked);
    let mount = submit(&usenet, &locked, "Locked").await.mount;
    assert_eq!(ready(&mount).await.unwrap_err().code, Code::Encrypted);
    let mount = submit(&usenet, &locked, "Locked{{secret}}").await.mount;
    assert_eq!(ready(&mount).await.unwrap().len(), 1);
}

/// Volumes that are not all as long as the second one: what was inferred of them is wrong, and is found
/// out before a byte of it is shown.
#[tokio::test]
async fn volumes_of_other_lengths_are_mapped_when_they_are_touched() {
    let film = film(3_000_000, 8);
    let members: [(&str, &[u8]); 1] = [("Film.mkv", &film)];
    for lens in [
        &[200_000, 200_000, 150_000, 260_000, 90_000][..],
        &[200_000, 200_000, 150_000, 250_000],
        &[100_000, 330_000, 330_001],
    ] {
        let volumes = rar5::uneven_volumes(&members, lens);
        let files = named(&volumes, |at| format!("x.part{:02}.rar", at + 1));
        let post = post(
            "uneven",
            &files,
            Posting {
                part_bytes: 20_000,
                ..Posting::default()
            },
        );
        let server = serve(&[&post]).await;
        let proxy =
            testkit::nntp::Proxy::start(server.address(), std::time::Duration::from_millis(20))
                .await
                .unwrap();
        for start in [0, 700_000, 2_900_000] {
            // Each time anew: what lies behind is still inferred when it is read.
            let usenet = engine(&[proxy.address()]).await;
            let file = mount(&usenet, &post).await;
            assert_eq!(file.size(), film.len() as u64);
            let got = crate::rig::read(&file, start as u64..file.size())
                .await
                .unwrap();
            crate::rig::assert_same(&got, &film[start..], "to the end");
            usenet.close().await;
        }
    }
}
