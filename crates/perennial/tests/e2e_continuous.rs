//! A channel as one transport stream, for players that know no playlist.

mod e2e;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::{Answer, Canned, Connection, Gateway, KEY, LATE, SOON, channel, header};
use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::gear::{self, Format, Live};
use testkit::origin::{Iv, Target};
use testkit::stream::{Heard, Listening, Moments, Pace};
use testkit::{Clip, Fault, GOP, Origin, Shape, Spec, wait_until};
use tokio_util::task::AbortOnDropHandle;

/// How long a stream with six switches is listened to: `make soak` asks for five minutes.
fn listened() -> Duration {
    let seconds = std::env::var("PERENNIAL_LISTEN_SECONDS").ok();
    let seconds = seconds.map_or(63, |text| {
        text.parse().expect("PERENNIAL_LISTEN_SECONDS is a number")
    });
    Duration::from_secs(seconds)
}

/// The time after which a clip's content comes again.
const ROUND: Duration = GOP.saturating_mul(12);
/// Sound and picture may be this far from each other before anybody notices.
const APART_MAX: Duration = Duration::from_millis(40);

/// ISO/IEC 13818-1 §2.7.2.
const PCR_STEP_MAX: Duration = Duration::from_millis(100);

async fn origin(spec: Spec) -> Origin {
    Origin::start(spec).await.expect("an origin starts")
}

fn of(clip: Clip) -> Spec {
    Spec {
        clip,
        ..Spec::default()
    }
}

#[track_caller]
fn check_clean(heard: &Heard) {
    assert!(heard.problems().is_empty() && heard.bytes > 0, "{heard}");
}

async fn until_heard(listening: &Listening, length: Duration) {
    let long = |heard: &Heard| heard.stream().length() >= length;
    let waited = listening.until(length + LATE, "the stream", long).await;
    waited.unwrap_or_else(|late| panic!("{late}"));
}

/// The value of a channel's metric.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("perennial_{name}{{")));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Reads each segment that the origins write, as long as it is kept.
fn learn(folders: Vec<(usize, PathBuf)>) -> (Arc<Mutex<Moments>>, AbortOnDropHandle<()>) {
    let moments = Arc::new(Mutex::new(Moments::new(ROUND)));
    let learned = moments.clone();
    let task = tokio::spawn(async move {
        let mut read = HashSet::new();
        let mut each = tokio::time::interval(Duration::from_secs(1));
        loop {
            each.tick().await;
            for (source, folder) in &folders {
                let files = std::fs::read_dir(folder).expect("the folder is there");
                for file in files.map(|file| file.expect("the folder is read").path()) {
                    let is_segment = file.extension().is_some_and(|ending| ending == "ts");
                    if is_segment && read.insert(file.clone()) {
                        let segment = std::fs::read(&file).expect("a segment is kept for a while");
                        learned.lock().expect("no panic").learn(*source, &segment);
                    }
                }
            }
        }
    });
    (moments, AbortOnDropHandle::new(task))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_and_vlc_play_on_over_six_switches() {
    let (a, b) = tokio::join!(
        Live::start(Clip::A, Format::Ts { segment_s: 2 }),
        Live::start(Clip::B, Format::Moved),
    );
    let (a, b) = (
        a.expect("ffmpeg and nginx run"),
        b.expect("ffmpeg and nginx run"),
    );
    let folders = [&a, &b].map(|live| live.path().join("www"));
    let (moments, _learning) = learn(folders.into_iter().enumerate().collect());
    let gateway = Gateway::serve(&channel("news", &[a.url(), b.url()])).await;
    let url = gateway.url("/live/news.ts");
    let length = listened();

    let listening = Listening::start(&url, Pace::Free);
    until_heard(&listening, Duration::from_secs(2)).await;
    let switching = async {
        let mut every = tokio::time::interval(length / 7);
        every.tick().await;
        for turn in 1..=6 {
            every.tick().await;
            let body = format!("{{\"source\":{}}}", turn % 2);
            let path = "/api/v1/channels/news/switch";
            assert_eq!(gateway.admin(Method::POST, path, &body).await.status, 202);
            let on_air =
                |info: &Value| info["source"]["index"] == turn % 2 && info["state"] == "live";
            gateway
                .until(SOON, "news", "the other source on air", on_air)
                .await;
        }
    };
    let (ffmpeg, vlc, ()) = tokio::join!(
        gear::ffmpeg_listens(&url, length),
        gear::vlc_listens(&url, length),
        switching,
    );
    let complaints = ffmpeg.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(complaints, "", "ffmpeg complains");
    let (complaints, played_s) = vlc.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(complaints, [""; 0], "VLC complains");
    assert!(
        played_s >= length.as_secs_f64() - 6.0,
        "VLC wrote {played_s} s"
    );

    let heard = listening.stop();
    check_clean(&heard);
    assert!(heard.stream().length() >= length, "{heard}");
    let alignment = moments.lock().unwrap().alignment(heard.stream());
    println!("{heard}{alignment}; VLC wrote {played_s} s");
    assert!(heard.stream().pcr_step_max <= PCR_STEP_MAX, "{heard}");
    assert!(alignment.apart_max <= APART_MAX, "{alignment}");
    assert_eq!(
        (alignment.switches, alignment.unknown),
        (6, 0),
        "{alignment}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_listeners_cost_one_join_and_one_request_a_segment() {
    const LISTENERS: usize = 200;
    let origin = origin(Spec::default()).await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let url = gateway.url("/live/news.ts");
    let mut all = vec![Listening::start(&url, Pace::Free)];
    until_heard(&all[0], GOP).await;
    all.resize_with(LISTENERS, || Listening::start(&url, Pace::Free));
    for listening in &all {
        until_heard(listening, GOP * 5).await;
    }
    assert_eq!(
        metric(&gateway, "channel_ts_listeners").await,
        LISTENERS as u64
    );
    let joined = metric(&gateway, "channel_ts_joined_total").await;
    let asked = origin.stats();
    assert!(
        joined <= asked.segments && asked.by_segment.values().all(|count| *count == 1),
        "{joined}: {asked}"
    );
    let sent = gateway.channel("news").await["bytes_out"].as_u64();
    let heard: u64 = all.iter().map(|listening| listening.heard().bytes).sum();
    assert!(sent >= Some(heard), "{sent:?} sent, {heard} heard");
    for listening in all {
        check_clean(&listening.stop());
    }
    let gone = wait_until(SOON, "empty seats", async || {
        (metric(&gateway, "channel_ts_listeners").await == 0).then_some(())
    });
    gone.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_sources_come_out_clear() {
    let origin = origin(Spec {
        shape: Shape::Aes128(Iv::Implicit),
        first_number: 1000,
        ..Spec::default()
    });
    let origin = origin.await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let listening = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    until_heard(&listening, GOP * 4).await;
    let heard = listening.stop();
    check_clean(&heard);
    let mut moments = Moments::new(ROUND);
    (0..12).for_each(|index| moments.learn(0, &origin.expected_segment(index)));
    let alignment = moments.alignment(heard.stream());
    assert_eq!(
        (alignment.unknown, alignment.apart_max),
        (0, Duration::ZERO),
        "{alignment}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_of_a_playlist_of_its_own_goes_with_its_pictures() {
    let (a, b) = tokio::join!(
        Live::start(Clip::A, Format::Apart),
        Live::start(Clip::B, Format::Apart),
    );
    let sources = [a, b].map(|live| live.expect("ffmpeg and nginx run"));
    let folders = sources.iter().enumerate().flat_map(|(source, live)| {
        let www = live.path().join("www");
        ["pictures", "sound"].map(|name| (source, www.join(name)))
    });
    let (moments, _learning) = learn(folders.collect());
    let gateway = Gateway::serve(&channel("news", &[sources[0].url(), sources[1].url()])).await;
    let listening = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    until_heard(&listening, GOP * 4).await;
    for turn in [1, 0] {
        let body = format!("{{\"source\":{turn}}}");
        let path = "/api/v1/channels/news/switch";
        assert_eq!(gateway.admin(Method::POST, path, &body).await.status, 202);
        let so_far = listening.heard().stream().length();
        until_heard(&listening, so_far + GOP * 5).await;
    }
    let heard = listening.stop();
    check_clean(&heard);
    assert_eq!(heard.stream().streams, [(0x100, 0x1b), (0x101, 0x0f)]);
    let alignment = moments.lock().unwrap().alignment(heard.stream());
    println!("{heard}{alignment}");
    assert!(alignment.apart_max <= APART_MAX, "{alignment}");
    assert_eq!(
        (alignment.switches, alignment.unknown),
        (2, 0),
        "{alignment}"
    );
}

/// The clip from the middle of one group of pictures to the middle of the next.
fn between_keys(n: u64) -> Bytes {
    let half = |n| Clip::A.stream_len(n, 1) / 188 / 2 * 188;
    let both = Clip::A.stream(n, 2);
    both.slice(half(n)..Clip::A.stream_len(n, 1) + half(n + 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_begins_at_a_key_picture_inside_a_segment() {
    let began = Instant::now();
    let origin = Canned::start(move |path| {
        let name = path.trim_start_matches('/').trim_end_matches(".ts");
        match name.parse() {
            Ok(n) => Answer::ts(between_keys(n)),
            Err(_) => Answer::live(began, |n| format!("{n}.ts")),
        }
    });
    let origin = origin.await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url("/index.m3u8")])).await;
    let url = gateway.url("/live/news.ts");
    let listening = Listening::start(&url, Pace::Free);
    let complaints = gear::ffmpeg_listens(&url, GOP * 4).await;
    assert_eq!(
        complaints.unwrap_or_else(|error| panic!("{error}")),
        "",
        "ffmpeg complains"
    );
    until_heard(&listening, GOP * 4).await;
    check_clean(&listening.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_packets_and_the_card_pass_the_time_until_a_source_is_back() {
    let origin = origin(of(Clip::A)).await;
    let folder = TempDir::new().expect("a folder is made");
    let card = folder.path().join("card.ts");
    std::fs::write(&card, Clip::B.file()).expect("the card is written");
    let config = channel("news", &[&origin.url()]);
    let slate = format!("id = \"news\"\nslate = \"{}\"", card.display());
    let gateway = Gateway::serve(&config.replace("id = \"news\"", &slate)).await;
    let listening = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    until_heard(&listening, GOP * 4).await;
    let nulls = listening.heard().stream().null_packets;
    for fault in [Some(Fault::Stall), None] {
        origin.set_fault(fault);
        let state = if fault.is_some() { "slate" } else { "live" };
        gateway
            .until(LATE, "news", state, |info| info["state"] == state)
            .await;
        let so_far = listening.heard().stream().length();
        until_heard(&listening, so_far + GOP * 4).await;
    }
    let heard = listening.stop();
    check_clean(&heard);
    assert!(heard.stream().null_packets > nulls, "{heard}");
    assert!(heard.silence_max < Duration::from_secs(2), "{heard}");
    let mut moments = Moments::new(ROUND);
    moments.learn(0, Clip::A.file());
    moments.learn(1, Clip::B.file());
    let alignment = moments.alignment(heard.stream());
    assert_eq!(
        (alignment.switches, alignment.apart_max),
        (2, Duration::ZERO),
        "{heard}{alignment}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_that_are_too_slow_are_moved_and_then_closed() {
    const SLOW: u64 = 20;
    // Ten times as fast, and listed for longer than a target duration.
    let origin = origin(Spec {
        speed: 10.0,
        window: 40,
        retain: 60,
        ..Spec::default()
    });
    let origin = origin.await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let url = gateway.url("/live/news.ts");
    let quick = Listening::start(&url, Pace::Free);
    until_heard(&quick, GOP * 30).await;
    let mut events = Connection::open(gateway.port()).await;
    let ask = format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n");
    assert!(events.send(ask.as_bytes()).await);

    let slow: Vec<_> = (0..SLOW)
        .map(|_| Listening::start(&url, Pace::BytesPerSecond(120_000)))
        .collect();
    let moved = wait_until(LATE, "all moved", async || {
        (metric(&gateway, "channel_ts_moved_total").await >= SLOW).then_some(())
    });
    moved.await.unwrap_or_else(|late| panic!("{late}"));
    let (memory, kept) = (gateway.memory_mib(), gateway.memory_now_mib());
    let closed = wait_until(LATE, "the end of slow listeners", async || {
        (metric(&gateway, "channel_ts_closed_total").await == SLOW).then_some(())
    });
    closed.await.unwrap_or_else(|late| panic!("{late}"));
    let grown = gateway.memory_mib() - memory;
    assert!(grown <= 16, "{grown} MiB more");
    // Segments, which a listener might hold, are in no peak of the kernel's.
    let grown = gateway.memory_now_mib().saturating_sub(kept);
    assert!(grown <= 16, "{grown} MiB more, segments included");
    assert_eq!(metric(&gateway, "channel_ts_moved_total").await, 2 * SLOW);
    let told = events
        .read_until(SOON, "ts_closed")
        .await
        .expect("an event");
    assert!(told.contains("event: ts_moved"), "{told}");
    assert_eq!(metric(&gateway, "channel_ts_listeners").await, 1);
    // What lies in the sockets between is read to its end, and has no seam.
    for listening in slow {
        let ended = listening.until(LATE, "the end", |heard| heard.ended).await;
        ended.unwrap_or_else(|late| panic!("{late}"));
        check_clean(&listening.stop());
    }
    check_clean(&quick.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_keep_the_channel_running_and_are_counted_and_kicked() {
    let origin = origin(Spec::default()).await;
    let config = "[live]\nidle_stop_s = 2\n".to_owned() + &channel("news", &[&origin.url()]);
    let gateway = Gateway::serve(&config).await;
    let listening = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    until_heard(&listening, GOP * 5).await;
    let list = gateway.json("/api/v1/viewers").await;
    let viewer = &list["viewers"][0];
    assert_eq!(
        (&viewer["user_agent"], &viewer["channel"]),
        (&"testkit".into(), &"news".into())
    );
    assert!(viewer["bytes"].as_u64() > Some(100_000), "{viewer}");
    assert_eq!(gateway.channel("news").await["viewers"], 1);

    let path = format!("/api/v1/viewers/{}", viewer["id"].as_str().expect("an id"));
    assert_eq!(gateway.admin(Method::DELETE, &path, "").await.status, 204);
    listening
        .until(SOON, "the end", |heard| heard.ended)
        .await
        .unwrap();
    check_clean(&listening.stop());
    let again = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    again
        .until(SOON, "a refusal", |heard| heard.status == 403)
        .await
        .unwrap();
    gateway
        .until(SOON, "news", "the idle stop", |info| {
            info["state"] == "idle"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_does_not_wait_for_what_never_ends() {
    let origin = origin(Spec::default()).await;
    let mut gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let listening = Listening::start(&gateway.url("/live/news.ts"), Pace::Free);
    until_heard(&listening, GOP * 2).await;
    gateway.signal("TERM");
    let status = gateway.ended(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0));
    listening
        .until(SOON, "the end", |heard| heard.ended)
        .await
        .unwrap();
    check_clean(&listening.stop());
}

/// A live playlist whose segments are these bytes.
async fn canned(tags: &'static str, body: &'static [u8]) -> Canned {
    Canned::start(move |path| {
        if path.contains("index") {
            let segments: String = (0..6).map(|n| format!("#EXTINF:2,\n{n}.bin\n")).collect();
            Answer::playlist(format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{tags}{segments}"
            ))
        } else {
            Answer::ts(body)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let dead = origin(Spec::default()).await;
    dead.set_fault_on(Target::All, Fault::Stall);
    let ladder = origin(Spec {
        shape: Shape::Multivariant(2),
        ..Spec::default()
    });
    let ladder = ladder.await;
    let sealed = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n";
    let sealed = canned(sealed, Clip::A.file()).await;
    let fmp4 = Live::start(Clip::A, Format::Fmp4)
        .await
        .expect("ffmpeg and nginx run");
    let config = "[live]\nstart_timeout_s = 4\n".to_owned()
        + &channel("dead", &[&dead.url()])
        + &channel("ladder", &[&ladder.url()])
        + &channel("sealed", &[&sealed.url("/index.m3u8")])
        + &channel("fmp4", &[fmp4.url()]);
    let gateway = Gateway::serve(&config).await;

    let refused = [
        ("/live/nobody.ts", 404, "no channel"),
        ("/live/ladder.ts?track=v7", 404, "not found"),
        ("/live/dead.ts", 503, "no source"),
        ("/live/sealed.ts", 406, "a method that cannot be removed"),
        ("/live/fmp4.ts", 406, "fragmented MP4"),
    ];
    for (path, status, reason) in refused {
        let answer = gateway.get(path).await;
        let body: Value = serde_json::from_slice(&answer.body).expect("a problem in JSON");
        assert_eq!(answer.status, status, "{path}: {body}");
        assert!(
            body["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(reason)),
            "{path}: {body}"
        );
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert_eq!(header(&answer, "retry-after").is_empty(), status != 503);
    }
    for path in ["/live/ladder.ts", "/live/ladder.ts?track=v0"] {
        let head = gateway.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(header(&head, "content-type"), "video/MP2T");
        assert_eq!(header(&head, "access-control-allow-origin"), "*");
        let listening = Listening::start(&gateway.url(path), Pace::Free);
        until_heard(&listening, GOP * 2).await;
        check_clean(&listening.stop());
    }
    // The best variant has null packets at the end of each segment.
    assert!(
        ladder.stats().by_path.keys().any(|path| path.contains('1')),
        "{}",
        ladder.stats()
    );

    let list = gateway.get("/channels.m3u?format=ts").await;
    let list = String::from_utf8(list.body.to_vec()).expect("text");
    let listed: Vec<_> = list
        .lines()
        .filter(|line| line.starts_with("http"))
        .collect();
    assert_eq!(
        listed,
        ["dead", "fmp4", "ladder", "sealed"]
            .map(|id| gateway.url(&format!("/live/{id}.ts")).to_string())
    );
}
