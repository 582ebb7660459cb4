//! What a playlist and a segment cost, without any I/O. `make bench` runs it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base::Time;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hls::container::{Container, inspect};
use hls::playlist::{Document, Error, Limits, Playlist, Variables};
use hls::timeline::{Draft, Timeline, Window};
use url::Url;

fn main() {
    divan::main();
}

fn url() -> Url {
    "https://cdn.example/live/news/index.m3u8"
        .parse()
        .expect("a URL")
}

/// A window of two-second segments with dates, as ffmpeg writes it.
fn playlist(segments: usize) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:123456\n",
    );
    for n in 0..segments {
        let (minute, second) = (n / 30 % 60, n * 2 % 60);
        let _ = write!(
            text,
            "#EXTINF:2.000000,\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:{minute:02}:{second:02}.000+0000\n\
             segment-{n:06}.ts?token=0123456789abcdef\n"
        );
    }
    text
}

#[divan::bench]
fn parse_and_render_900_segments(bencher: Bencher<'_, '_>) {
    let (text, limits) = (playlist(900), Limits::default());
    bencher.counter(ItemsCount::new(900_usize)).bench(|| {
        let document = Document::parse(black_box(text.as_bytes()), &limits).expect("a playlist");
        document.render()
    });
}

/// What a poll of a source costs: the model of all segments.
#[divan::bench]
fn read_900_segments(bencher: Bencher<'_, '_>) {
    let (text, limits, url, none) = (
        playlist(900),
        Limits::default(),
        url(),
        Variables::default(),
    );
    bencher.counter(ItemsCount::new(900_usize)).bench(|| {
        Playlist::parse(black_box(text.as_bytes()), &url, &none, &limits).expect("a playlist")
    });
}

/// Goal: 5 ms. Each URI is resolved, and answered by one with a grant in it.
#[divan::bench]
fn rewrite_3600_segments(bencher: Bencher<'_, '_>) {
    let (text, limits, url) = (playlist(3600), Limits::default(), url());
    bencher.counter(ItemsCount::new(3600_usize)).bench(|| {
        let document = Document::parse(black_box(text.as_bytes()), &limits).expect("a playlist");
        let rewritten = document.rewrite::<Error>(|found| {
            let target = url.join(found.uri).expect("a URI");
            Ok(format!(
                "../g/0123456789abcdef0123456789abcdef{}",
                target.path()
            ))
        });
        rewritten.expect("no bad URI").render()
    });
}

fn timeline(window: usize) -> Timeline {
    let window = Window {
        segments: window,
        retain: window + 4,
        bytes_max: u64::MAX,
    };
    let mut timeline = Timeline::new(window, 2, 1000, 0);
    for second in 0..2 * window.segments as u64 {
        let segment = Draft {
            discontinuity: false,
            duration: Duration::from_secs(2),
            inf: "2.000000".to_owned(),
            program_date_time: Some("2026-01-02T03:04:05.000+0000".to_owned()),
            date: None,
            keys: Arc::default(),
            map: None,
            gap: false,
            bitrate: None,
            tags: Vec::new(),
            container: Container::Ts,
            bytes: 170_000,
            independent: true,
        };
        timeline.push(Time::from_ms(2000 * second), segment);
    }
    timeline
}

/// Once a segment, for all viewers.
#[divan::bench(args = [12, 900])]
fn render_a_timeline(bencher: Bencher<'_, '_>, window: usize) {
    let timeline = timeline(window);
    bencher
        .counter(ItemsCount::new(window))
        .bench(|| black_box(&timeline).render(""));
}

/// Once a segment: every packet is looked at.
#[divan::bench]
fn inspect_a_segment(bencher: Bencher<'_, '_>) {
    let segment = include_bytes!("../../../media/a.ts");
    bencher
        .counter(BytesCount::of_slice(segment))
        .bench(|| inspect(black_box(segment)).expect("media"));
}
