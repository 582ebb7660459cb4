use hls::playlist::{Limits, Variables};
use url::Url;

use super::*;

const KEY: &str = "media/film/master.m3u8";

fn document(text: &str) -> Document {
    let url: Url = "http://library.invalid/x".parse().unwrap();
    let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    document.expand(&url, &Variables::default()).unwrap().0
}

fn rewritten(text: &str, flavour: Flavour<'_>) -> Result<String, Error> {
    let prefix = Prefix::new("media/film").unwrap();
    render(&document(text), "lib", KEY, &prefix, flavour).map(|document| document.text().to_owned())
}

const EVERYTHING: &str = r#"#EXTM3U
#EXT-X-VERSION:9
# a comment with URI="http://left.alone/"
#EXT-X-DEFINE:NAME="dir",VALUE="v 1"
#EXT-X-SESSION-DATA:DATA-ID="x",URI="data.json"
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="keys/s.key"
#EXT-X-CONTENT-STEERING:SERVER-URI="steer.json",PATHWAY-ID="a"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch, \"x",URI="audio/de.m3u8?v=2"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"
{$dir}/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="if/index.m3u8"
#EXT-X-KEY:METHOD=AES-128,URI="keys/1.key",IV=0x1
#EXT-X-MAP:URI="init.mp4",BYTERANGE="100@0"
#EXT-X-DATERANGE:ID="1",START-DATE="2026-01-01T00:00:00Z",X-ASSET-URI="ad/master.m3u8",X-ASSET-LIST="ad.json"
#EXT-X-PART:DURATION=1,URI="p1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p2.m4s"
#EXT-X-RENDITION-REPORT:URI="audio/de.m3u8",LAST-MSN=3
#EXTINF:4.000,a title with URI="x"
seg 1+.ts?x=1&y=%20

#EXT-X-BYTERANGE:10@0
#EXTINF:4,
	ü.ts
#EXT-X-UNKNOWN:URI="u.bin"
"#;

#[test]
fn every_uri_of_every_tag_is_rewritten_and_nothing_else() {
    // quick attribute lists know no escaped quote, and neither does RFC 8216.
    let text = EVERYTHING.replace("\\\"", "'");
    insta::assert_snapshot!(rewritten(&text, Flavour::default()).unwrap());
    let presign = |key: &str| format!("https://store/{key}?sig");
    let flavour = Flavour {
        token: Some("TOKEN"),
        media_base: Some("../../vod/ID/GRANT/"),
        presign: None,
    };
    insta::assert_snapshot!(rewritten(&text, flavour).unwrap());
    insta::assert_snapshot!(
        rewritten(
            &text,
            Flavour {
                presign: Some(&presign),
                ..flavour
            }
        )
        .unwrap()
    );
}

#[track_caller]
fn refused(line: &str, expected: UriError) {
    match rewritten(&format!("#EXTM3U\n{line}\n"), Flavour::default()) {
        Err(Error::Uri {
            line,
            reason,
            library,
            key,
        }) => {
            assert_eq!(
                (reason, line, library.as_str(), key.as_str()),
                (expected, 2, "lib", KEY)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_leads_out_is_refused_in_every_place() {
    for (uri, expected) in [
        ("../other/a.ts", UriError::Outside),
        ("%2e%2e/other/a.ts", UriError::Outside),
        ("https://evil.example/a.ts", UriError::Absolute),
        ("//evil.example/a.ts", UriError::OtherHost),
        ("/media/film/a.ts", UriError::Root),
        ("a\\..\\..\\b.ts", UriError::Backslash),
    ] {
        refused(uri, expected);
        for tag in [
            "#EXT-X-KEY:METHOD=AES-128,URI",
            "#EXT-X-MAP:URI",
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI",
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI",
            "#EXT-X-SESSION-KEY:METHOD=AES-128,URI",
            "#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI",
            "#EXT-X-PART:DURATION=1,URI",
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI",
            "#EXT-X-RENDITION-REPORT:URI",
            "#EXT-X-CONTENT-STEERING:SERVER-URI",
            "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI",
            "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-LIST",
            "#EXT-X-NEW-TAG:URI",
        ] {
            refused(&format!("{tag}=\"{uri}\""), expected);
        }
    }
    refused("master.m3u8", UriError::Itself);
    refused("../film/master.m3u8", UriError::Itself);
    refused(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.php\"",
        UriError::NotAPlaylist,
    );
}

#[test]
fn a_query_is_nothing_that_a_variable_may_read() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXTINF:1,\na{$token}.ts\n";
    let url: Url = "http://library.invalid/x".parse().unwrap();
    let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    let error = document.expand(&url, &Variables::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: variable \"token\" is not defined"
    );
}
