//! What holds for every body of the compatible JSON routes. The fuzzer looks for bytes for which it
//! does not; `crates/perennial/tests/fuzz_corpus.rs` replays what is kept.

pub(crate) fn check(bytes: &[u8]) {
    let Some(url) = server::url_of(bytes) else {
        return;
    };
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    assert!(url.host().is_some(), "{url}");
    // What is logged of it names no user and no query.
    let logged = base::redact_url(&url);
    let (start, _) = logged.split_once("://").expect("a scheme comes first");
    let host = url.host_str().expect("checked above");
    assert!(logged.starts_with(&format!("{start}://{host}")), "{logged}");
    assert!(url.query().is_none() || logged.ends_with("?…"), "{logged}");
}
