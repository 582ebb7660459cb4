//! The text of the origin's playlists, oddities included.

use std::fmt::Write;
use std::io::Write as _;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::live::{Live, PER_FILE, Window};
use super::spec::{Iv, Quirk, Shape};
use crate::date;

/// The media playlist of `window`, in bytes because Latin-1 is no `str`. Every URI gets `token` as its query.
pub(super) fn media(live: &Live, window: Window, ended: bool, token: &str) -> Vec<u8> {
    let spec = &live.spec;
    let mut text = String::from("#EXTM3U\n");
    let version = if spec.has(Quirk::Define) { 8 } else { 4 };
    line(&mut text, format_args!("#EXT-X-VERSION:{version}"));
    line(
        &mut text,
        format_args!("#EXT-X-TARGETDURATION:{}", spec.target_s()),
    );
    line(
        &mut text,
        format_args!("#EXT-X-MEDIA-SEQUENCE:{}", window.number(window.first)),
    );
    if spec.has(Quirk::Discontinuity) {
        let removed =
            (window.epoch_start()..window.first).filter(|index| live.is_discontinuity(*index));
        line(
            &mut text,
            format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", removed.count()),
        );
    }
    line(&mut text, format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
    if spec.has(Quirk::Define) {
        line(
            &mut text,
            format_args!("#EXT-X-DEFINE:NAME=\"folder\",VALUE=\"seg\""),
        );
    }
    if spec.shape == Shape::Aes128(Iv::Implicit) {
        line(
            &mut text,
            format_args!("#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin{token}\""),
        );
    }
    for index in window.first..window.end {
        segment(&mut text, live, window, index, token);
    }
    if ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    encode(live, &text)
}

fn segment(text: &mut String, live: &Live, window: Window, index: u64, token: &str) {
    let spec = &live.spec;
    let number = window.number(index);
    if live.is_discontinuity(index) {
        line(text, format_args!("#EXT-X-DISCONTINUITY"));
    }
    if spec.shape == Shape::Aes128(Iv::Explicit) {
        let iv = u128::from_be_bytes(live.iv(Iv::Explicit, index, number));
        line(
            text,
            format_args!("#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin{token}\",IV=0x{iv:032X}"),
        );
    }
    line(
        text,
        format_args!(
            "#EXT-X-PROGRAM-DATE-TIME:{}",
            date::format(live.unix_ms(index))
        ),
    );
    let title = if spec.has(Quirk::Latin1) {
        "Météo"
    } else {
        ""
    };
    line(
        text,
        format_args!("#EXTINF:{:.3},{title}", spec.segment.as_secs_f64()),
    );
    if spec.shape == Shape::ByteRange {
        let offset = if index == window.first {
            format!("@{}", live.file_offset(index))
        } else {
            String::new()
        };
        // A file's first range needs no offset to follow on, but a reader could not know.
        let offset = if index.is_multiple_of(PER_FILE) {
            "@0".to_owned()
        } else {
            offset
        };
        line(
            text,
            format_args!("#EXT-X-BYTERANGE:{}{offset}", live.segment_len(index)),
        );
        line(text, format_args!("range/{}.ts{token}", index / PER_FILE));
    } else {
        let folder = if spec.has(Quirk::Define) {
            "{$folder}"
        } else {
            "seg"
        };
        line(text, format_args!("{folder}/{number}.ts{token}"));
    }
}

/// The multivariant playlist. Every URI gets `token` as its query.
pub(super) fn multivariant(live: &Live, token: &str) -> Vec<u8> {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for variant in 0..live.spec.variants() {
        // Null packets are all that tells the variants apart; the figures are claimed.
        let bandwidth = 400_000 + 100_000 * u32::from(variant);
        line(
            &mut text,
            format_args!(
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION=640x360,CODECS=\"avc1.4d401e,mp4a.40.2\"\nv{variant}/index.m3u8{token}"
            ),
        );
    }
    encode(live, &text)
}

/// 60,000 segments in more than 4 MiB.
pub(super) fn huge() -> Vec<u8> {
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n");
    for number in 0..60_000 {
        line(
            &mut text,
            format_args!("#EXTINF:2.000,{:050}\nseg/{number:010}.ts", 0),
        );
    }
    text.into_bytes()
}

/// A playlist with a megabyte of title.
pub(super) fn long_line(live: &Live, window: Window) -> Vec<u8> {
    let mut body = media(live, window, false, "");
    body.extend_from_slice(b"#EXTINF:2.000,");
    body.resize(body.len() + (1 << 20), b'x');
    body.extend_from_slice(b"\nseg/long.ts\n");
    body
}

/// 64 MiB of empty lines in 64 kB.
pub(super) fn bomb() -> Vec<u8> {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut text = vec![b'\n'; 64 << 20];
        text[..8].copy_from_slice(b"#EXTM3U\n");
        gzip(&text)
    })
    .clone()
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("a vector takes everything")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}

fn encode(live: &Live, text: &str) -> Vec<u8> {
    let text = if live.spec.has(Quirk::Crlf) {
        text.replace('\n', "\r\n")
    } else {
        text.to_owned()
    };
    let mut body = Vec::with_capacity(text.len() + 3);
    if live.spec.has(Quirk::Bom) {
        body.extend_from_slice("\u{feff}".as_bytes());
    }
    if live.spec.has(Quirk::Latin1) {
        // Latin-1 is the first 256 code points; the text has no others.
        body.extend(
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')),
        );
    } else {
        body.extend_from_slice(text.as_bytes());
    }
    body
}
