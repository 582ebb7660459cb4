//! What holds for whatever names a file of an asset: a path or a URI leads below the prefix, or nowhere.

use vod::Prefix;

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\n');
    let prefix = Prefix::new("processed/film 1").expect("a prefix");
    let from = "processed/film 1/v0/index.m3u8";
    let found = [
        prefix.at_path(text).ok(),
        prefix.resolve(from, text).ok().map(|target| target.key),
    ];
    for key in found.into_iter().flatten() {
        assert!(prefix.holds(&key), "{key:?}");
        let odd = |segment: &str| matches!(segment, "" | "." | "..");
        assert!(
            !key.split('/').any(odd) && !key.contains(['\\', '\0']),
            "{key:?}"
        );
        let path = prefix.path_of(&key);
        assert!(path.bytes().all(|b| b.is_ascii_graphic()), "{path:?}");
        assert_eq!(prefix.at_path(&path), Ok(key), "a key has one path");
    }
    if let Ok(other) = Prefix::new(text) {
        assert!(!other.as_str().is_empty() && !other.holds(other.as_str()));
    }
}
