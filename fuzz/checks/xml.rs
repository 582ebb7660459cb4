//! What holds for XML that others send to the faces of posts: a propfind of WebDAV, a feed of an indexer.

pub(crate) fn check(bytes: &[u8]) {
    assert!(server::properties_of(bytes).is_none_or(|count| count <= 100));
    for (name, url) in server::results_of(bytes).into_iter().flatten() {
        assert!(!name.is_empty());
        assert!(
            url.starts_with("http://") || url.starts_with("https://"),
            "{url}"
        );
    }
}
