//! Real gear: what ffmpeg writes and nginx serves comes out of the gateway as it was.

mod e2e;

use std::collections::HashMap;
use std::time::Duration;

use e2e::{Gateway, LATE, check_clean, check_consecutive, until_played, until_played_within};
use testkit::gear::{self, Format, Live};
use testkit::{Clip, Player, Report, Sha256, Watch};

/// How long the transport stream of two-second segments is watched: `make soak` asks for ten minutes.
fn watched() -> Duration {
    let seconds = std::env::var("PERENNIAL_LIVE_SECONDS").ok();
    let seconds = seconds.map_or(75, |text| {
        text.parse().expect("PERENNIAL_LIVE_SECONDS is a number")
    });
    Duration::from_secs(seconds)
}

/// A live origin, a gateway before it, and a recorder of what the origin itself serves.
struct Scene {
    live: Live,
    gateway: Gateway,
    recorder: Player,
}

impl Scene {
    /// Waits until the origin has as much as a player holds back.
    async fn set(format: Format) -> Self {
        let live = Live::start(Clip::A, format)
            .await
            .expect("ffmpeg and nginx run");
        let recorder = Player::start(Watch::greedy(live.url().clone()));
        until_played(&recorder, 4).await;
        let gateway = Gateway::live(&[live.url()]).await;
        Self {
            live,
            gateway,
            recorder,
        }
    }

    async fn player(&self) -> Player {
        self.gateway.player("/live/news/index.m3u8").await
    }
}

/// The player has a stretch of what the recorder has: bytes, durations and dates, in order, once each, and
/// was at most `behind` segments behind it at the end.
#[track_caller]
fn check_mirrored(played: &Report, recorded: &Report, behind: usize) {
    check_clean(played);
    let numbers: Vec<_> = played
        .segments
        .iter()
        .map(|segment| segment.number)
        .collect();
    check_consecutive(&numbers);
    let first = played.segments[0].hash;
    let from = recorded
        .segments
        .iter()
        .position(|segment| segment.hash == first);
    let from = from.unwrap_or_else(|| panic!("never sent by the origin: {played}{recorded}"));
    for (ours, theirs) in played.segments.iter().zip(&recorded.segments[from..]) {
        assert_eq!(
            (ours.hash, ours.duration, ours.unix_ms, ours.discontinuity),
            (theirs.hash, theirs.duration, theirs.unix_ms, false),
            "segment {} is not {}: {played}{recorded}",
            ours.number,
            theirs.number,
        );
        assert!(ours.unix_ms.is_some(), "ffmpeg wrote dates: {recorded}");
    }
    let missing = (recorded.segments.len() - from).saturating_sub(played.segments.len());
    assert!(
        missing <= behind,
        "{missing} segments behind: {played}{recorded}"
    );
}

/// What ffprobe finds at a path of the gateway's is what ffmpeg encodes.
async fn check_codecs(gateway: &Gateway, path: &str) {
    let codecs = gear::ffprobe(&gateway.url(path)).await;
    let codecs = codecs.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(codecs, ["h264", "aac"]);
}

/// How often each file of the origin was asked for.
fn asked(live: &Live) -> HashMap<String, u64> {
    let mut asked = HashMap::new();
    for request in live.requests().expect("nginx keeps a log") {
        let path = request.uri.split('?').next().unwrap_or_default().to_owned();
        *asked.entry(path).or_default() += 1;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_second_segments_pass_once_in_order_and_unchanged() {
    let scene = Scene::set(Format::Ts { segment_s: 2 }).await;
    let player = scene.player().await;
    let segments = watched().as_secs() as usize / 2;
    until_played_within(watched() + LATE, &player, segments).await;
    let (played, recorded) = (player.stop(), scene.recorder.stop());
    check_mirrored(&played, &recorded, 6);
    let asked = asked(&scene.live);
    let twice = asked
        .iter()
        .find(|(path, count)| path.ends_with(".ts") && **count > 2);
    assert_eq!(twice, None, "once by the recorder and once by the gateway");
    check_codecs(&scene.gateway, "/live/news/index.m3u8").await;
    check_codecs(&scene.gateway, "/stream/news").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_second_segments_pass_unchanged() {
    let scene = Scene::set(Format::Ts { segment_s: 6 }).await;
    let player = scene.player().await;
    until_played(&player, 5).await;
    check_mirrored(&player.stop(), &scene.recorder.stop(), 3);
    check_codecs(&scene.gateway, "/live/news/index.m3u8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_segments_decrypt_from_the_middle_of_the_stream() {
    let scene = Scene::set(Format::Aes128).await;
    let first = scene.player().await;
    until_played(&first, 6).await;
    let late = scene.player().await;
    until_played(&late, 6).await;

    let playlist = scene.gateway.playlist("/live/news/index.m3u8").await;
    let key = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-KEY:METHOD=AES-128"));
    let key = key.unwrap_or_else(|| panic!("still encrypted: {playlist}"));
    let uri = key.split('"').nth(1).expect("a quoted URI");
    assert!(key.contains(",IV=0x"), "{key}");
    let body = scene.gateway.get(&format!("/live/news/{uri}")).await.body;
    assert_eq!(
        body,
        std::fs::read(scene.live.path().join("www/live.key")).unwrap()
    );

    let recorded = scene.recorder.stop();
    check_mirrored(&first.stop(), &recorded, 6);
    check_mirrored(&late.stop(), &recorded, 6);
    check_codecs(&scene.gateway, "/live/news/index.m3u8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn byte_ranges_become_segments_of_their_own() {
    let scene = Scene::set(Format::ByteRange).await;
    let player = scene.player().await;
    until_played(&player, 10).await;
    let playlist = scene.gateway.playlist("/live/news/index.m3u8").await;
    assert!(!playlist.contains("BYTERANGE"), "{playlist}");
    check_mirrored(&player.stop(), &scene.recorder.stop(), 6);
    check_codecs(&scene.gateway, "/live/news/index.m3u8").await;
}

/// The URIs of a multivariant playlist: variants, then renditions.
fn tracks(playlist: &str) -> (Vec<String>, Vec<String>) {
    let of_attribute =
        |line: &str| Some(line.split_once("URI=\"")?.1.split('"').next()?.to_owned());
    let variants = playlist
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let renditions = playlist
        .lines()
        .filter(|line| line.starts_with("#EXT-X-MEDIA:"));
    (
        variants.map(str::to_owned).collect(),
        renditions.filter_map(of_attribute).collect(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_tracks_of_a_ladder_that_someone_plays_are_fetched() {
    let live = Live::start(Clip::A, Format::Fmp4)
        .await
        .expect("ffmpeg and nginx run");
    let gateway = Gateway::live(&[live.url()]).await;
    // As much as a player holds back.
    let playlist = Player::start(Watch::greedy(live.url().clone()));
    until_played(&playlist, 4).await;
    drop(playlist);
    let (variants, renditions) = tracks(&gateway.playlist("/live/news/index.m3u8").await);
    assert_eq!((variants.len(), renditions.len()), (3, 1));
    let watch = async |uri: &String| gateway.player(&format!("/live/news/{uri}")).await;

    let (video, audio) = (watch(&variants[0]).await, watch(&renditions[0]).await);
    until_played(&video, 8).await;
    until_played(&audio, 8).await;
    let fetched = |folder: &str| {
        asked(&live)
            .iter()
            .filter(|(path, _)| path.starts_with(folder))
            .map(|(_, count)| *count)
            .sum::<u64>()
    };
    let unwatched = ["/240p/", "/144p/"];
    assert!(
        fetched("/360p/") > 0 && fetched("/sound/") > 0,
        "{:?}",
        asked(&live)
    );
    assert_eq!(unwatched.map(fetched), [0, 0], "{:?}", asked(&live));

    let others = [watch(&variants[1]).await, watch(&variants[2]).await];
    for player in &others {
        until_played(player, 5).await;
    }
    let codecs = gear::ffprobe(&gateway.url("/live/news/index.m3u8"))
        .await
        .unwrap();
    assert_eq!(
        codecs.iter().filter(|codec| *codec == "h264").count(),
        3,
        "{codecs:?}"
    );
    assert!(codecs.contains(&"aac".to_owned()), "{codecs:?}");
    let www = live.path().join("www");
    let [second, third] = others;
    for (player, folder) in [
        (video, "360p"),
        (second, "240p"),
        (third, "144p"),
        (audio, "sound"),
    ] {
        let played = player.stop();
        check_folder(&played, &www.join(folder));
        assert_eq!(played.maps.len(), 1, "{played}");
    }
}

/// Sound without a container, as radio sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_sound_passes_unchanged() {
    let scene = Scene::set(Format::PackedAac).await;
    let player = scene.player().await;
    until_played(&player, 6).await;
    let playlist = scene.gateway.playlist("/live/news/index.m3u8").await;
    assert!(playlist.contains(".aac\n"), "{playlist}");
    check_folder(&player.stop(), &scene.live.path().join("www"));
    let codecs = gear::ffprobe(&scene.gateway.url("/live/news/index.m3u8")).await;
    assert_eq!(codecs.unwrap(), ["aac"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subtitles_pass_beside_picture_and_sound() {
    let live = Live::start(Clip::A, Format::Subtitles)
        .await
        .expect("ffmpeg and nginx run");
    let recorder = Player::start(Watch::greedy(live.url().clone()));
    until_played(&recorder, 4).await;
    drop(recorder);
    let gateway = Gateway::live(&[live.url()]).await;
    let (variants, renditions) = tracks(&gateway.playlist("/live/news/index.m3u8").await);
    assert_eq!((variants.len(), renditions.len()), (1, 1));
    for uri in [&variants[0], &renditions[0]] {
        let player = gateway.player(&format!("/live/news/{uri}")).await;
        until_played(&player, 6).await;
        check_folder(&player.stop(), &live.path().join("www"));
    }
    let lines = format!("/live/news/{}", renditions[0]);
    assert!(gateway.playlist(&lines).await.contains(".vtt\n"));
}

/// All that was played lies in the folder that ffmpeg writes, or has been deleted there.
#[track_caller]
fn check_folder(played: &Report, folder: &std::path::Path) {
    check_clean(played);
    let files = std::fs::read_dir(folder).expect("the folder is read");
    let files = files.map(|file| file.expect("the folder is read").path());
    // ffmpeg may delete a file between our seeing and reading it.
    let hashes: Vec<_> = files
        .filter_map(|file| Some(Sha256::of(&std::fs::read(file).ok()?)))
        .collect();
    let maps = &played.maps;
    assert!(maps.iter().all(|map| hashes.contains(map)), "{played}");
    let kept = played
        .hashes()
        .iter()
        .filter(|hash| hashes.contains(hash))
        .count();
    assert!(kept >= 5, "{played}");
}
