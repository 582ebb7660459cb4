use proptest::prelude::*;

use super::*;

fn prefix() -> Prefix {
    Prefix::new("processed/film 1").unwrap()
}

#[track_caller]
fn at(path: &str, expected: Result<&str, UriError>) {
    assert_eq!(
        prefix().at_path(path),
        expected.map(str::to_owned),
        "{path}"
    );
}

#[track_caller]
fn resolved(uri: &str, expected: Result<&str, UriError>) {
    let from = "processed/film 1/v0/index.m3u8";
    let found = prefix().resolve(from, uri).map(|target| target.key);
    assert_eq!(found, expected.map(str::to_owned), "{uri}");
}

#[test]
fn a_prefix_is_whole_segments_and_never_empty() {
    for (text, expected) in [
        ("a", Ok("a")),
        ("a/b/", Ok("a/b")),
        ("ü +%/x", Ok("ü +%/x")),
        ("", Err(UriError::Empty)),
        ("/", Err(UriError::Empty)),
        ("/a", Err(UriError::Root)),
        ("a//b", Err(UriError::EmptySegment)),
        ("a//", Err(UriError::EmptySegment)),
        ("a/../b", Err(UriError::Dots)),
        ("a/%2e%2e", Err(UriError::Dots)),
        ("a\\b", Err(UriError::Backslash)),
        ("a\0", Err(UriError::Control)),
    ] {
        let made = Prefix::new(text).map(|prefix| prefix.as_str().to_owned());
        assert_eq!(made, expected.map(str::to_owned), "{text:?}");
    }
    assert!(prefix().holds("processed/film 1/a") && prefix().holds("processed/film 1/a/b"));
    for other in [
        "processed/film 1",
        "processed/film 1/",
        "processed/film 10/a",
        "processed/film",
    ] {
        assert!(!prefix().holds(other), "{other}");
    }
}

#[test]
fn a_request_names_what_lies_below() {
    at("master.m3u8", Ok("processed/film 1/master.m3u8"));
    at("v0/seg%201.ts", Ok("processed/film 1/v0/seg 1.ts"));
    at("a+b%2Bc.ts", Ok("processed/film 1/a+b+c.ts"));
    at("100%25.ts", Ok("processed/film 1/100%.ts"));
    at("%C3%BC.ts", Ok("processed/film 1/ü.ts"));
    at("...ts", Ok("processed/film 1/...ts"));
    at("", Err(UriError::Empty));
    at("/a.ts", Err(UriError::EmptySegment));
    at("a//b.ts", Err(UriError::EmptySegment));
    at("a/", Err(UriError::EmptySegment));
    at("../x/master.m3u8", Err(UriError::Dots));
    at("v0/../../x", Err(UriError::Dots));
    at("./a.ts", Err(UriError::Dots));
    at("%2e%2e/a", Err(UriError::Dots));
    at("%2E./a", Err(UriError::Dots));
    at("%252e%252e/a", Err(UriError::Dots));
    at("%25252e%25252e/a", Err(UriError::Dots));
    at("..%2fa", Err(UriError::EncodedSlash));
    at("..%252fa", Err(UriError::Dots));
    at("a%5cb", Err(UriError::Backslash));
    at("a%00", Err(UriError::Control));
    at("%ff", Err(UriError::Encoding));
}

#[test]
fn a_playlist_names_what_lies_in_its_asset() {
    resolved("seg 1.ts", Ok("processed/film 1/v0/seg 1.ts"));
    resolved("seg%201.ts?x=1#t", Ok("processed/film 1/v0/seg 1.ts"));
    resolved("./a.ts", Ok("processed/film 1/v0/a.ts"));
    resolved("../audio/de.m3u8", Ok("processed/film 1/audio/de.m3u8"));
    resolved("%2e%2e/audio/de.m3u8", Ok("processed/film 1/audio/de.m3u8"));
    resolved("a/../b/../../c.ts", Ok("processed/film 1/c.ts"));
    resolved("../../film 1/c.ts", Ok("processed/film 1/c.ts"));
    resolved("seg:1.ts", Err(UriError::Absolute));
    resolved("./seg:1.ts", Ok("processed/film 1/v0/seg:1.ts"));
    resolved("1:2.ts", Ok("processed/film 1/v0/1:2.ts"));
    resolved("../../film 2/c.ts", Err(UriError::Outside));
    resolved("../../../../../etc/passwd", Err(UriError::Outside));
    resolved("../..", Err(UriError::Dots));
    resolved("..", Err(UriError::Dots));
    resolved("", Err(UriError::Empty));
    resolved("?x", Err(UriError::Empty));
    resolved("/processed/film 1/a.ts", Err(UriError::Root));
    resolved("//evil.example/a.ts", Err(UriError::OtherHost));
    resolved("http://evil.example/a.ts", Err(UriError::Absolute));
    resolved("HTTPS:a.ts", Err(UriError::Absolute));
    resolved("data:text/plain,x", Err(UriError::Absolute));
    resolved("skd://key", Err(UriError::Absolute));
    resolved("\\\\evil\\a.ts", Err(UriError::Backslash));
    resolved("a%5c..%5cb", Err(UriError::Backslash));
    resolved("a//b", Err(UriError::EmptySegment));
    resolved("%252e%252e/%252e%252e/x", Err(UriError::Dots));
    resolved("a.ts?x=\u{1}", Err(UriError::Control));
    resolved(&"x".repeat(2000), Err(UriError::TooLong));
}

#[test]
fn a_reference_leads_from_a_playlist_to_a_file() {
    for (from, to, expected) in [
        ("p/master.m3u8", "p/v0/a.m3u8", "v0/a.m3u8"),
        ("p/v0/a.m3u8", "p/audio/x.m3u8", "../audio/x.m3u8"),
        ("p/v0/x/a.m3u8", "p/a b+.ts", "../../a%20b%2B.ts"),
        ("p/v0/a.m3u8", "p/v0x/a.ts", "../v0x/a.ts"),
        ("p/a.m3u8", "p/x:y.ts", "x%3Ay.ts"),
    ] {
        assert_eq!(relative(from, to), expected);
    }
}

/// A thousand ways out, each written in each way: none leads anywhere.
#[test]
fn hostile_paths_are_refused() {
    let ups = [
        "..",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%2e.",
        "%252e%252e",
        ".%252e",
        "%25252e%25252e",
    ];
    let slashes = [
        "/", "%2f", "%2F", "%5c", "\\", "//", "%252f", "/./", "/%2e/",
    ];
    let starts = ["", "a/", "v0/", "v0/x/", "%20/", "/", "//", "./", "a%2f"];
    let ends = ["film 2/a.ts", "etc/passwd", "secret.m3u8"];
    let mut tried = 0;
    for start in starts {
        for up in ups {
            for slash in slashes {
                for end in ends {
                    let path = format!("{start}{up}{slash}{up}{slash}{up}{slash}{end}");
                    assert!(prefix().at_path(&path).is_err(), "{path}");
                    // Three up from a folder three deep is still inside; nothing is further.
                    if let Ok(found) = prefix().resolve("processed/film 1/v0/a.m3u8", &path) {
                        assert!(prefix().holds(&found.key) && start == "v0/x/", "{path}");
                    }
                    tried += 1;
                }
            }
        }
    }
    for host in [
        "http://evil.example/",
        "//evil.example/",
        "https:\\\\evil.example\\",
        "file:///",
        "s3://b/",
        "\\\\evil\\",
    ] {
        for end in ends {
            let uri = format!("{host}{end}");
            assert!(
                prefix().resolve("processed/film 1/a.m3u8", &uri).is_err(),
                "{uri}"
            );
            assert!(prefix().at_path(&uri).is_err(), "{uri}");
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
}

proptest! {
    #[test]
    fn whatever_is_asked_for_lies_below_and_is_found_again(path in "\\PC{0,60}") {
        if let Ok(key) = prefix().at_path(&path) {
            prop_assert!(prefix().holds(&key));
            prop_assert_eq!(prefix().at_path(&prefix().path_of(&key)), Ok(key));
        }
    }

    #[test]
    fn whatever_a_playlist_names_lies_below(uri in "[a-z./%2eE5cfF:?#\\\\ü ]{0,40}") {
        let from = "processed/film 1/v0/index.m3u8";
        if let Ok(found) = prefix().resolve(from, &uri) {
            prop_assert!(prefix().holds(&found.key));
            prop_assert!(!found.key.split('/').any(|s| matches!(s, "" | "." | "..")));
            // What we write leads to the same place, for a player and for us.
            let written = relative(from, &found.key);
            let again = prefix().resolve(from, &written).map(|target| target.key);
            prop_assert_eq!(again, Ok(found.key));
        }
    }

    #[test]
    fn every_key_has_a_path(segments in proptest::collection::vec("[^/\\\\\\p{C}]{1,12}", 1..5)) {
        let key = format!("processed/film 1/{}", segments.join("/"));
        if check_key(&key).is_ok() {
            prop_assert_eq!(prefix().at_path(&prefix().path_of(&key)), Ok(key));
        }
    }
}
