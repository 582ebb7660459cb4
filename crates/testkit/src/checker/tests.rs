use std::time::Duration;

use super::*;

/// The rules that playlists of one URL break, one after the other, a target duration apart.
fn broken(playlists: &[&str]) -> Vec<Rule> {
    let mut checker = PlaylistChecker::new(Promises::PERENNIAL);
    for (turn, playlist) in (0..).zip(playlists) {
        checker.check(Duration::from_secs(2) * turn, playlist.as_bytes());
    }
    checker
        .violations()
        .iter()
        .map(|violation| violation.rule)
        .collect()
}

#[track_caller]
fn check(playlists: &[&str], expected: &[Rule]) {
    assert_eq!(broken(playlists), expected, "{playlists:#?}");
}

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n";

/// A playlist of version 8 and target duration 2.
fn media(lines: &str) -> String {
    format!("{HEAD}{lines}")
}

/// A list of segments `first..end` of 2 s, with `extra` before the last one.
fn live(first: u64, end: u64, extra: &str) -> String {
    let mut text = media(&format!("#EXT-X-MEDIA-SEQUENCE:{first}\n"));
    for number in first..end {
        let extra = if number + 1 == end { extra } else { "" };
        text.push_str(&format!("{extra}#EXTINF:2.0,\n{number}.ts\n"));
    }
    text
}

#[test]
fn good_playlists_break_nothing() {
    let everything = media(
        "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-DEFINE:NAME=\"d\",VALUE=\"low\"\n\
         #EXT-X-MAP:URI=\"init-0.mp4\",BYTERANGE=\"10@0\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"../key/1\",IV=0x0123456789abcdef0123456789ABCDEF\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-20T09:30:00.000Z\n\
         #EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2026-11-20T09:30:00Z\",X-ANY=\"1\"\n\
         #EXTINF:2.4,A title, with a comma\n{$d}/7.m4s\n\
         #EXT-X-BYTERANGE:100@50\n#EXTINF:1,\nall.m4s\n#EXT-X-BYTERANGE:100\n#EXTINF:1,\nall.m4s\n\
         # a comment\n\n#EXT-X-SOMETHING-NEW:1\n#EXT-X-GAP\n#EXTINF:2,\n9.m4s\n\
         #EXT-X-KEY:METHOD=NONE\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-1.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2020-01-01T00:00:00Z\n#EXTINF:2.0,\n10.m4s\n#EXT-X-ENDLIST\n",
    );
    check(&[&everything, &everything], &[]);
    check(&[&everything.replace('\n', "\r\n")], &[]);
    check(
        &[
            &live(0, 6, ""),
            &live(0, 6, ""),
            &live(1, 7, ""),
            &live(3, 8, ""),
            &live(20, 26, ""),
        ],
        &[],
    );
    check(
        &[
            &live(5, 6, ""),
            &live(5, 8, ""),
            &(live(5, 8, "") + "#EXT-X-ENDLIST\n"),
        ],
        &[],
    );
    let origin = media("#EXT-X-KEY:METHOD=AES-128,URI=\"http://h/k\"\n#EXTINF:2,\n/1.ts\n");
    let mut checker = PlaylistChecker::new(Promises::NONE);
    checker.check(Duration::ZERO, origin.as_bytes());
    assert_eq!(checker.violations(), []);
}

#[test]
fn each_rule_of_one_playlist_has_a_bad_example() {
    let segment = "#EXTINF:2.0,\n1.ts\n";
    let with = |lines: &str| media(&format!("{lines}{segment}"));
    for (playlist, rule) in [
        (format!("\u{feff}{HEAD}{segment}"), Rule::Encoding),
        (with("#\u{7}\n"), Rule::Encoding),
        (media("#EXTINF:2.0,\n1.ts"), Rule::FinalNewline),
        (format!("\n{HEAD}{segment}"), Rule::FirstLine),
        (with("#EXT-X-STREAM-INF:BANDWIDTH=1\n"), Rule::MixedPlaylist),
        (with("#EXT-X-MEDIA-SEQUENCE:-1\n"), Rule::TagSyntax),
        (media("#EXTINF:2.0\n1.ts\n"), Rule::TagSyntax),
        (media("#EXTINF:1e0,\n1.ts\n"), Rule::TagSyntax),
        (with("#EXT-X-PROGRAM-DATE-TIME:today\n"), Rule::TagSyntax),
        (with("#EXT-X-BYTERANGE:x@0\n"), Rule::TagSyntax),
        (
            with("#EXT-X-KEY:METHOD=AES-128,URI=k,IV=0x1\n"),
            Rule::AttributeSyntax,
        ),
        (
            with("#EXT-X-KEY:METHOD=AES-128,IV=0x1\n"),
            Rule::AttributeMissing,
        ),
        (
            with("#EXT-X-MAP:BYTERANGE=\"1@0\"\n"),
            Rule::AttributeMissing,
        ),
        (with("#EXT-X-TARGETDURATION:2\n"), Rule::TagRepeated),
        (with("#EXT-X-VERSION:8\n"), Rule::TagRepeated),
        (
            media(&format!("{segment}#EXT-X-MEDIA-SEQUENCE:0\n{segment}")),
            Rule::TagTooLate,
        ),
        (
            media(&format!(
                "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n{segment}"
            )),
            Rule::TagTooLate,
        ),
        (format!("#EXTM3U\n{segment}"), Rule::TargetDurationMissing),
        (media("#EXTINF:2.5,\n1.ts\n"), Rule::TargetDurationExceeded),
        (media("1.ts\n"), Rule::ExtinfMissing),
        (with("#EXT-X-BYTERANGE:5\n"), Rule::ByteRangeOffset),
        (
            with("#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\"\n"),
            Rule::DateRangeWithoutDate,
        ),
        (
            with(&"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXTINF:2,\n1.ts\n".repeat(2)),
            Rule::DateBackwards,
        ),
        (
            with("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n"),
            Rule::ImplicitIv,
        ),
        (
            media(&format!(
                "#EXT-X-MAP:URI=\"i\"\n{segment}#EXT-X-DISCONTINUITY\n{segment}"
            )),
            Rule::MapNotRepeated,
        ),
        (media("#EXTINF:2.0,\nhttp://h/1.ts\n"), Rule::AbsoluteUri),
        (media("#EXTINF:2.0,\n/1.ts\n"), Rule::AbsoluteUri),
        (with("#EXT-X-PART:DURATION=1,URI=\"p\"\n"), Rule::LowLatency),
    ] {
        let found = broken(&[&playlist]);
        assert!(found.contains(&rule), "{rule:?} in {found:?} of {playlist}");
        // Nothing but the rule itself, and what follows from it.
        let follows = [Rule::TargetDurationMissing, Rule::VersionTooLow, rule];
        assert!(
            found.iter().all(|other| follows.contains(other)),
            "{found:?} of {playlist}"
        );
    }
}

#[test]
fn versions_cover_the_features() {
    let needs = |version: u64, lines: &str| {
        let playlist = |version| {
            format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:2\n{lines}")
        };
        check(&[&playlist(version)], &[]);
        check(&[&playlist(version - 1)], &[Rule::VersionTooLow]);
    };
    let segment = "#EXTINF:2,\n1.ts\n";
    needs(
        2,
        &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n{segment}"),
    );
    needs(3, "#EXTINF:2.0,\n1.ts\n");
    needs(4, &format!("#EXT-X-BYTERANGE:1@0\n{segment}"));
    needs(4, &format!("#EXT-X-I-FRAMES-ONLY\n{segment}"));
    needs(
        5,
        &format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"x\"\n{segment}"),
    );
    needs(
        5,
        &format!("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i\"\n{segment}"),
    );
    needs(6, &format!("#EXT-X-MAP:URI=\"i\"\n{segment}"));
    needs(
        8,
        &format!("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n{segment}"),
    );
    needs(8, &format!("#EXT-X-GAP\n{segment}"));
}

#[test]
fn each_rule_of_change_has_a_bad_example() {
    let six = live(10, 16, "");
    check(
        &[&six, &six.replace("DURATION:2", "DURATION:3")],
        &[Rule::TargetDurationChanged],
    );
    check(&[&six, &live(9, 15, "")], &[Rule::MediaSequenceBack]);
    check(&[&six, &live(10, 15, "")], &[Rule::TailRemoved]);
    check(&[&six, &live(14, 16, "")], &[Rule::WindowTooShort]);
    check(&[&live(0, 3, ""), &live(1, 3, "")], &[Rule::WindowTooShort]);
    let ended = format!("{six}#EXT-X-ENDLIST\n");
    check(&[&ended, &live(10, 17, "")], &[Rule::ChangedAfterEnd]);
    for change in [
        six.replace("15.ts", "15b.ts"),
        six.replace("#EXTINF:2.0,\n15.ts", "#EXTINF:1.9,\n15.ts"),
        live(10, 16, "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n"),
        live(10, 16, "#EXT-X-MAP:URI=\"i\"\n"),
        live(10, 16, "#EXT-X-GAP\n"),
        live(10, 16, "#EXT-X-BYTERANGE:1@0\n"),
    ] {
        check(&[&six, &change], &[Rule::SegmentChanged]);
    }
    let dated = |date| {
        live(
            10,
            16,
            &format!("#EXT-X-PROGRAM-DATE-TIME:2026-01-0{date}T00:00:00Z\n"),
        )
    };
    check(&[&dated(1), &dated(2)], &[Rule::SegmentChanged]);
    check(
        &[&six, &live(10, 16, "#EXT-X-DISCONTINUITY\n")],
        &[Rule::SegmentChanged, Rule::DiscontinuityMoved],
    );
    // A fault that stays is reported once.
    let bad = live(0, 3, "#EXT-X-PART:DURATION=1,URI=\"p\"\n");
    check(&[&bad, &bad, &bad], &[Rule::LowLatency]);
}

#[test]
fn discontinuities_are_counted_as_they_leave() {
    let list = |first: u64, sequence: u64, marked: u64| {
        let text = live(first, first + 4, "");
        let text = text.replace(
            &format!("#EXTINF:2.0,\n{marked}.ts"),
            &format!("#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\n{marked}.ts"),
        );
        text.replace(
            "#EXT-X-MEDIA",
            &format!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n#EXT-X-MEDIA"),
        )
    };
    check(
        &[
            &list(0, 4, 2),
            &list(1, 4, 2),
            &list(2, 4, 2),
            &list(3, 5, 2),
            &list(9, 5, 2),
        ],
        &[],
    );
    let moved = [Rule::DiscontinuityMoved; 3];
    check(&[&list(0, 4, 2), &list(3, 4, 2)], &moved[..1]);
    check(&[&list(1, 4, 2), &list(2, 5, 2)], &moved);
    check(&[&list(1, 4, 2), &list(20, 3, 2)], &moved[..1]);
}

#[test]
fn a_standing_playlist_is_measured() {
    let mut checker = PlaylistChecker::new(Promises::NONE);
    for (at, playlist) in [
        (0, live(0, 6, "")),
        (2, live(0, 6, "")),
        (5, live(0, 6, "")),
        (6, live(1, 7, "")),
    ] {
        checker.check(Duration::from_secs(at), playlist.as_bytes());
    }
    assert_eq!(checker.longest_unchanged(), Duration::from_secs(5));
}

#[track_caller]
fn check_tracks(lines: &str, expected: &[Rule]) {
    let playlist = format!("#EXTM3U\n{lines}");
    let found = check_multivariant(playlist.as_bytes(), Promises::PERENNIAL);
    assert_eq!(
        found
            .iter()
            .map(|violation| violation.rule)
            .collect::<Vec<_>>(),
        expected,
        "{playlist}"
    );
}

#[test]
fn multivariant_playlists() {
    let audio =
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"a/index.m3u8\"\n";
    let variant = "#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"x,y\",AUDIO=\"a\",CLOSED-CAPTIONS=NONE\nv/index.m3u8\n";
    let frames = "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i/index.m3u8\"\n";
    check_tracks(&format!("{audio}{variant}{frames}"), &[]);
    check_tracks(variant, &[Rule::GroupMissing]);
    check_tracks(&format!("{audio}{audio}{variant}"), &[Rule::GroupAmbiguous]);
    check_tracks(
        "#EXT-X-STREAM-INF:RESOLUTION=1x1\nv\n",
        &[Rule::AttributeMissing],
    );
    check_tracks(
        "#EXT-X-STREAM-INF:BANDWIDTH=fast\nv\n",
        &[Rule::AttributeSyntax],
    );
    check_tracks("#EXT-X-STREAM-INF:BANDWIDTH=1\n", &[Rule::UriMissing]);
    check_tracks(
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\nv\n",
        &[Rule::UriMissing],
    );
    check_tracks("#EXT-X-STREAM-INF:BANDWIDTH=1\nv\nw\n", &[Rule::UriMissing]);
    check_tracks(
        "#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://h/v\n",
        &[Rule::AbsoluteUri],
    );
    check_tracks(
        "#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n#EXTINF:1,\n",
        &[Rule::MixedPlaylist],
    );
    check_tracks(
        "#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1\n",
        &[Rule::AttributeMissing],
    );
}

#[test]
fn violations_name_section_and_line_and_are_bounded() {
    let mut checker = PlaylistChecker::new(Promises::PERENNIAL);
    checker.check(Duration::ZERO, media("#EXTINF:9,\n1.ts\n").as_bytes());
    assert_eq!(
        checker.violations()[0].to_string(),
        "TargetDurationExceeded (§4.3.3.1, line 5): no EXTINF, rounded, is longer than the target duration: 9 s against 2 s"
    );
    for _ in 0..2 {
        checker.check(Duration::ZERO, media(&"1.ts\n".repeat(300)).as_bytes());
        checker.check(Duration::ZERO, media(&"2.ts\n".repeat(300)).as_bytes());
    }
    assert!(checker.violations().len() == 200 && checker.violations_total() > 1200);
}
