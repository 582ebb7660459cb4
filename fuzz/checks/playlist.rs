//! What holds for every playlist, whoever wrote it. The fuzzer looks for bytes for which it does not;
//! `crates/hls/tests/fuzz_corpus.rs` replays those that are kept.

use hls::playlist::{Document, Error, Limits, Playlist, Variables};
use url::Url;

pub(crate) fn check(bytes: &[u8]) {
    let url = Url::parse("http://origin.example/a/b.m3u8?x=1").expect("a constant URL is valid");
    let limits = Limits::default();
    match Playlist::parse(bytes, &url, &Variables::default(), &limits) {
        Ok(Playlist::Media(media)) => {
            assert!(media.segments.len() <= limits.segments_max);
            for pair in media.segments.windows(2) {
                assert_eq!(pair[1].msn, pair[0].msn + 1, "numbers go up by one");
                assert!(pair[1].dsn >= pair[0].dsn, "discontinuities never go back");
            }
            media.duration();
        }
        Ok(Playlist::Multivariant(_)) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(document) = Document::parse(bytes, &limits) {
        let again = Document::parse(&document.render(), &limits).expect("what we render we read");
        // A line may end in several carriage returns; each reading takes one.
        let lines = |text: &str| text.replace('\r', "");
        assert_eq!(
            lines(again.text()),
            lines(document.text()),
            "rendering loses nothing"
        );
        if let Ok(same) = document.rewrite::<Error>(|found| Ok(found.uri.to_owned())) {
            // Blanks around an attribute's value are not part of its URI and go.
            let solid = |text: &str| text.replace(char::is_whitespace, "");
            assert_eq!(
                solid(same.text()),
                solid(document.text()),
                "only URIs are rewritten"
            );
        }
    }
}
