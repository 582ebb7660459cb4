use super::*;
use proptest::prelude::*;

fn url() -> Url {
    "http://o.example/live/index.m3u8".parse().unwrap()
}

#[track_caller]
fn media(text: &str) -> Media {
    match Playlist::parse(
        text.as_bytes(),
        &url(),
        &Variables::default(),
        &Limits::default(),
    )
    .unwrap()
    {
        Playlist::Media(media) => media,
        Playlist::Multivariant(_) => panic!("a multivariant playlist"),
    }
}

#[test]
fn an_unknown_tag_that_cannot_be_read_is_left_out_and_the_rest_stays() {
    let text = "#EXTM3U\n#EXT-X-FOO:URI=\"open,X\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n";
    let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    let name = |found: UriRef<'_>| Ok::<_, Error>(format!("our-{}", found.uri));
    let ours = document.rewrite(name).unwrap();
    assert_eq!(
        ours.text(),
        "#EXTM3U\n\n#EXT-X-STREAM-INF:BANDWIDTH=1\nour-a.m3u8\n"
    );
    let known = text.replace("X-FOO", "X-SESSION-DATA");
    let document = Document::parse(known.as_bytes(), &Limits::default()).unwrap();
    let error = document.rewrite(name).unwrap_err();
    assert_eq!(error.code(), "playlist_bad_tag");
}

#[track_caller]
fn check_error(text: &[u8], expected: &str) {
    let limits = Limits {
        segments_max: 3,
        ..Limits::default()
    };
    let error = Playlist::parse(text, &url(), &Variables::default(), &limits).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_stands_before_a_segment_applies_to_it() {
    let playlist = media(concat!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n",
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-MY-HEADER:1\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"10@5\"\n",
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:3.5,One\n#EXT-X-BYTERANGE:100@0\na.mp4\n",
        "#EXT-X-CUE-OUT:30\n#EXTINF:4\n#EXT-X-BYTERANGE:50\na.mp4\n",
        "#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-GAP\n#EXTINF:2.0,\nb.mp4\n",
    ));
    assert_eq!(
        (playlist.target_duration_s, playlist.header_tags.as_slice()),
        (4, &["#EXT-X-MY-HEADER:1".to_owned()][..])
    );
    let [one, two, three] = &playlist.segments[..] else {
        panic!("{playlist:?}")
    };
    assert_eq!((one.msn, one.dsn, one.inf.as_str()), (7, 3, "3.5,One"));
    assert_eq!(one.byte_range, Some(base::ByteRange { start: 0, end: 100 }));
    assert_eq!(
        one.map.as_ref().unwrap().byte_range,
        Some(base::ByteRange { start: 5, end: 15 })
    );
    assert_eq!(one.keys[0].uri, "k1");
    assert_eq!(
        two.byte_range,
        Some(base::ByteRange {
            start: 100,
            end: 150
        })
    );
    assert_eq!(
        (two.inf.as_str(), two.tags.as_slice()),
        ("4,", &["#EXT-X-CUE-OUT:30".to_owned()][..])
    );
    assert_eq!(two.date.unwrap().to_string(), "2026-01-01T00:00:03.500Z");
    assert_eq!(
        (two.program_date_time.as_deref(), two.discontinuity),
        (None, false)
    );
    assert_eq!(
        (three.msn, three.dsn, three.discontinuity, three.gap),
        (9, 4, true, true)
    );
    assert!(three.keys.is_empty() && three.date.is_none());
}

#[test]
fn keys_of_different_formats_apply_together_and_each_replaces_its_own() {
    let playlist = media(concat!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",IV=0xFF\n#EXTINF:4,\n1.ts\n",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k2\"\n#EXTINF:4,\n2.ts\n",
    ));
    let uris = |index: usize| {
        playlist.segments[index]
            .keys
            .iter()
            .map(|k| k.uri.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (uris(0), uris(1)),
        (vec!["skd://a", "k"], vec!["skd://a", "k2"])
    );
    assert_eq!(playlist.segments[0].keys[1].iv.unwrap()[15], 0xFF);
    assert_eq!(
        playlist.segments[0].keys[0].rest,
        ",KEYFORMAT=\"com.apple.streamingkeydelivery\""
    );
}

/// RFC 8216 knows nothing of them; what stands between segments is the next segment's, and so before the first.
#[test]
fn unknown_tags_between_segments_are_of_segments_before_the_first_too() {
    let playlist = media(concat!(
        "#EXTM3U\n#EXT-X-OF-ALL\n#EXT-X-TARGETDURATION:4\n#EXT-X-NUMBER:7\n#EXTINF:4,\n7.ts\n",
        "#EXT-X-NUMBER:8\n#EXTINF:4,\n8.ts\n",
    ));
    assert_eq!(playlist.header_tags, ["#EXT-X-OF-ALL"]);
    assert_eq!(playlist.segments[0].tags, ["#EXT-X-NUMBER:7"]);
    assert_eq!(playlist.segments[1].tags, ["#EXT-X-NUMBER:8"]);
}

/// They may carry a password, and nothing serves here what they name.
#[test]
fn tags_are_kept_without_urls() {
    let playlist = media(concat!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-FOO:URI=\"x.bin\"\n#EXT-X-BAR:A=1,B=\"two\"\n",
        "#EXT-X-BAZ:https://a.example/b\n",
        "#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\",X-ASSET-URI=\"ad/i.m3u8\",X-N=1,X-S=\"a\"\n",
        "#EXTINF:4,\n1.ts\n",
    ));
    assert_eq!(playlist.header_tags, ["#EXT-X-BAR:A=1,B=\"two\""]);
    assert_eq!(
        playlist.date_ranges[0].line,
        "#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-01-01T00:00:00Z\",X-N=1,X-S=\"a\""
    );
}

#[test]
fn odd_encodings_and_newlines_are_read() {
    let body =
        b"\xEF\xBB\xBF#EXTM3U\r\n#EXT-X-TARGETDURATION:2\r\n#EXTINF:2.000,caf\xE9\r\na.ts\r\n";
    let document = Document::parse(body, &Limits::default()).unwrap();
    assert_eq!(
        document.text().lines().nth(2),
        Some("#EXTINF:2.000,caf\u{e9}")
    );
    assert_eq!(
        document.render(),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.000,caf\xE9\na.ts\n"
    );
}

#[test]
fn each_fault_has_its_name() {
    check_error(
        b"<html>",
        "body is no playlist: it begins with \"<html>\" instead of #EXTM3U",
    );
    check_error(
        b"",
        "body is no playlist: it begins with \"\" instead of #EXTM3U",
    );
    check_error(
        b"#EXTM3U\n",
        "playlist has neither a target duration nor segments",
    );
    check_error(b"#EXTM3U\na.ts\n", "line 2: segment without EXTINF");
    check_error(
        b"#EXTM3U\n#EXTINF:-1 tvg-id=\"x\",Name\nhttp://a/\n",
        "line 2: EXTINF has no valid duration",
    );
    check_error(
        b"#EXTM3U\n#EXTINF:nan,\na\n",
        "line 2: EXTINF has no valid duration",
    );
    check_error(
        b"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"x\n",
        "line 2: attribute list is malformed",
    );
    check_error(
        b"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128\n",
        "line 2: EXT-X-KEY has no URI",
    );
    check_error(
        b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n",
        "line 2: EXT-X-MEDIA-SEQUENCE has no valid integer",
    );
    check_error(
        b"#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n",
        "line 2: delta update that was not asked for",
    );
    check_error(
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:1,\nb\n",
        "playlist has both segments and variants",
    );
    check_error(
        "#EXTM3U\n#EXTINF:1,\na\n#EXTINF:1,\na\n#EXTINF:1,\na\n#EXTINF:1,\na\n".as_bytes(),
        "playlist has more than 3 segments",
    );
    check_error(
        format!("#EXTM3U\n#{}\n", "x".repeat(1 << 20)).as_bytes(),
        "line 2 has 1048577 bytes, more than 65536",
    );
    check_error(
        &vec![b'#'; 5 << 20],
        "playlist has 5242880 bytes, more than 4194304",
    );
    let end = format!(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:1,\na\n",
        u64::MAX
    );
    check_error(end.as_bytes(), "sequence number is too large");
}

const EVERY_URI: &str = concat!(
    "#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"u1\"\n#EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"u2\"\n",
    "#EXT-X-CONTENT-STEERING:SERVER-URI=\"u3\",PATHWAY-ID=\"p\"\n",
    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"A, b\",URI=\"u4\"\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"u5\"\n",
    "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nu6\n",
    "#EXT-X-KEY:METHOD=AES-128,URI=\"u7\",IV=0x1\n#EXT-X-MAP:URI=\"u8\",BYTERANGE=\"1@0\"\n",
    "#EXT-X-PART:DURATION=1,URI=\"u9\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"u10\"\n",
    "#EXT-X-RENDITION-REPORT:URI=\"u11\"\n#EXT-X-DATERANGE:ID=\"1\",X-ASSET-URI=\"u12\",X-ASSET-LIST=\"u13\",X-COM=\"URI=\"\n",
    "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1, URI=\"u14\"\n# comment URI=\"no\"\n\n#EXTINF:1,URI=\"no\"\nu15\n",
);

#[test]
fn rewriting_reaches_every_uri_and_nothing_else() {
    let document = Document::parse(EVERY_URI.as_bytes(), &Limits::default()).unwrap();
    let mut seen = Vec::new();
    let rewritten = document
        .rewrite::<Error>(|found| {
            seen.push(found.kind);
            Ok(format!("/x/{}", found.uri))
        })
        .unwrap();
    assert_eq!(seen.len(), 15);
    assert_eq!(rewritten.text().replace("/x/u", "u"), EVERY_URI);
    assert_eq!(rewritten.text().matches("/x/u").count(), 15);
}

proptest! {
    #[test]
    fn rendering_gives_back_what_was_parsed(lines in prop::collection::vec("[ -~\u{e9}]{0,30}", 0..20)) {
        let text = format!("#EXTM3U\n{}", lines.join("\n"));
        let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(document.render(), text.as_bytes());
        if let Ok(same) = document.rewrite::<Error>(|found| Ok(found.uri.to_owned())) {
            prop_assert_eq!(same.text(), &text);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let body = [b"#EXTM3U\n".as_slice(), &tail].concat();
        let _ = Playlist::parse(&body, &url(), &Variables::default(), &Limits::default());
    }

    #[test]
    fn arbitrary_tags_never_panic(lines in prop::collection::vec(
        ("#(EXT-X-(KEY|MAP|MEDIA|DEFINE|BYTERANGE|DATERANGE|STREAM-INF|PROGRAM-DATE-TIME)|EXTINF):", "[ -~]{0,40}"), 0..12)
    ) {
        let body: String = lines.iter().map(|(tag, value)| format!("{tag}{value}\n")).collect();
        let _ = Playlist::parse(format!("#EXTM3U\n{body}").as_bytes(), &url(), &Variables::default(), &Limits::default());
    }
}
