use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::entry::{Kind, Refresh};

const NOW_MS: i64 = 1_795_176_000_000;

fn answer(format: Format, document: &Value) -> Answer {
    read(format, document.to_string().as_bytes(), NOW_MS).unwrap()
}

#[test]
fn a_native_entry_has_every_member_of_the_contract() {
    let answer = answer(
        Format::Native,
        &json!({"entries": [{
            "id": "cam-1", "title": "Camera\n1", "url": "https://o.example/a.m3u8?x=1", "kind": "ts",
            "headers": {"Referer": "https://club.example/", "Accept-Encoding": "br", "X-Bad": "a\nb"},
            "quality": "1080p", "language": "de", "live": true, "ttl_s": 20.5, "refresh": "exclusive"
        }]}),
    );
    let [entry] = &answer.entries[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (entry.id.as_str(), entry.title.as_str()),
        ("cam-1", "Camera1")
    );
    assert_eq!((entry.kind, entry.refresh), (Kind::Ts, Refresh::Exclusive));
    assert_eq!(
        entry.headers,
        [("Referer".to_owned(), "https://club.example/".to_owned())]
    );
    assert_eq!(
        (entry.live, entry.expires_ms),
        (Some(true), Some(NOW_MS + 20_500))
    );
    assert_eq!(answer.refused, [""; 0]);
    assert!(!format!("{entry:?}").contains("x=1"));
}

#[test]
fn an_end_may_be_told_in_three_ways() {
    for expires_at in [
        json!(1_795_176_090),
        json!(1_795_176_090_000_i64),
        json!("2026-11-20T12:01:30Z"),
    ] {
        let document =
            json!({"entries": [{"id": 7, "url": "http://o.example/", "expires_at": expires_at}]});
        let answer = answer(Format::Native, &document);
        assert_eq!(
            answer.entries[0].expires_ms,
            Some(NOW_MS + 90_000),
            "{document}"
        );
        assert_eq!(answer.entries[0].id, "7");
    }
}

#[test]
fn what_cannot_be_used_is_left_out_and_named() {
    let link = "http://o.example/x.m3u8";
    let answer = answer(
        Format::Native,
        &json!({"entries": [
            {"title": "Race", "url": link}, {"id": "", "url": link}, {"id": "a"}, {"id": "b", "url": "rtmp://o.example/x"},
            {"id": "c", "url": link, "kind": "dash"}, {"id": "d", "url": link, "ttl_s": -1},
            {"id": "e", "url": link, "title": "1"}, {"id": "e", "url": link, "title": "2"}, "nonsense",
        ]}),
    );
    let kept: Vec<_> = answer
        .entries
        .iter()
        .map(|e| (e.id.as_str(), e.title.as_str()))
        .collect();
    assert_eq!(kept, [("e", "1")]);
    let expected = [
        "entry 0 (\"Race\") has no id",
        "entry 1 (\"\") has no id",
        "entry \"a\" has no url",
        "entry \"b\": its url is neither http nor https",
        "entry \"c\" has a bad kind",
        "entry \"d\" has a ttl_s",
        "id \"e\" is there twice",
        "entry 8 (\"\") has no id",
    ];
    assert_eq!(answer.refused.len(), expected.len(), "{:?}", answer.refused);
    for (reason, expected) in answer.refused.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn errors_are_typed_and_show_no_link() {
    for code in Code::ALL {
        let document = json!({"error": {"code": code.as_str(), "retry_after_s": 7,
            "detail": "see \"https://u:p@o.example/x?token=secret\"."}});
        let refusal = read(Format::Native, document.to_string().as_bytes(), NOW_MS).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.retry_after),
            (code, Some(Duration::from_secs(7)))
        );
        assert_eq!(
            refusal.to_string(),
            format!("{code}: see https://o.example/x?…")
        );
    }
    for nonsense in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"entries":{}}"#,
        r#"{"error":{"code":"boom"}}"#,
    ] {
        let refusal = read(Format::Native, nonsense.as_bytes(), NOW_MS).unwrap_err();
        assert_eq!(refusal.code, Code::Transient, "{nonsense}");
    }
}

#[test]
fn streamlinks_qualities_are_entries() {
    let answer = answer(
        Format::Streamlink,
        &json!({"plugin": "club", "metadata": {"id": "1", "author": "Club", "title": "Cup"}, "streams": {
            "720p": {"type": "hls", "url": "https://o.example/720.m3u8", "headers": {"User-Agent": "M", "Accept-Encoding": "gzip"}},
            "best": {"type": "hls", "url": "https://o.example/1080.m3u8"},
            "audio": {"type": "muxed-stream"}, "file": {"type": "http", "url": "https://o.example/x.mp4"},
        }}),
    );
    let mut seen: Vec<_> = answer
        .entries
        .iter()
        .map(|e| (e.id.as_str(), e.kind, e.title.as_str()))
        .collect();
    seen.sort_by_key(|(id, ..)| *id);
    assert_eq!(
        seen,
        [
            ("720p", Kind::Hls, "Cup"),
            ("best", Kind::Hls, "Cup"),
            ("file", Kind::File, "Cup")
        ]
    );
    let refusal = read(
        Format::Streamlink,
        br#"{"error":"No playable streams found on this URL: https://club.example/x?k=1"}"#,
        NOW_MS,
    );
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code, Code::NotLive);
    assert!(!refusal.detail.contains("k=1"));
}

#[test]
fn yt_dlps_formats_are_entries() {
    let answer = answer(
        Format::YtDlp,
        &json!({"id": "x", "title": "Match", "is_live": true, "formats": [
            {"format_id": "sb0", "url": "https://o.example/sb.jpg", "protocol": "mhtml"},
            {"format_id": "95", "url": "https://o.example/720.m3u8", "protocol": "m3u8_native", "height": 720,
                "http_headers": {"User-Agent": "Mozilla/5.0", "Sec-Fetch-Mode": "navigate"}},
            {"format_id": "hls-live", "url": "https://o.example/a.m3u8", "protocol": "m3u8", "format_note": "source"},
        ]}),
    );
    let seen: Vec<_> = answer
        .entries
        .iter()
        .map(|e| (e.id.as_str(), e.quality.as_str(), e.live))
        .collect();
    assert_eq!(
        seen,
        [
            ("95", "720p", Some(true)),
            ("hls-live", "source", Some(true))
        ]
    );
    assert_eq!(answer.entries[0].headers.len(), 2);
}

#[test]
fn a_flood_of_entries_is_cut() {
    let entries: Vec<_> = (0..ENTRIES_MAX + 5)
        .map(|n| json!({"id": n, "url": "http://o.example/"}))
        .collect();
    let answer = answer(Format::Native, &json!({ "entries": entries }));
    assert_eq!(
        (answer.entries.len(), answer.refused.len()),
        (ENTRIES_MAX, 1)
    );
}

proptest! {
    #[test]
    fn any_output_is_survived(text in ".{0,200}", title in ".{0,40}", url in ".{0,40}") {
        let document = json!({"entries": [{"id": &title, "title": title, "url": url, "kind": text}],
            "streams": {&title: {"type": "hls", "url": url}},
            "formats": [{"format_id": title, "protocol": "m3u8", "url": url}]});
        for format in [Format::Native, Format::Streamlink, Format::YtDlp] {
            drop(read(format, text.as_bytes(), NOW_MS));
            drop(read(format, document.to_string().as_bytes(), NOW_MS));
        }
    }
}
