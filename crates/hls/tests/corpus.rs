//! Playlists that nobody here wrote: `PERENNIAL_CORPUS` names a folder of `*.m3u8` files. Some are
//! invalid on purpose. None may panic or hang; one that is accepted comes back unchanged but for
//! newline form and byte-order mark, and after rewriting every URI in it is ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use hls::playlist::{Document, Error, Limits, Playlist, Variables};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "m3u8") {
            found.push(path);
        }
    }
    found
}

fn newlines_folded(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut folded: Vec<u8> = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte == b'\n' && folded.last() == Some(&b'\r') {
            folded.pop();
        }
        folded.push(byte);
    }
    while folded.last() == Some(&b'\n') {
        folded.pop();
    }
    folded
}

#[test]
fn every_playlist_of_the_corpus_is_read_without_loss() {
    let Some(folder) = std::env::var_os("PERENNIAL_CORPUS")
        .map(PathBuf::from)
        .filter(|f| f.is_dir())
    else {
        println!("skipped: PERENNIAL_CORPUS names no folder");
        return;
    };
    let url = "http://origin.example/a/b.m3u8?x=1".parse().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for path in files(&folder) {
        let bytes = std::fs::read(&path).unwrap();
        let _ = Playlist::parse(&bytes, &url, &Variables::default(), &Limits::default());
        let Ok(document) = Document::parse(&bytes, &Limits::default()) else {
            refused += 1;
            continue;
        };
        assert_eq!(
            newlines_folded(&document.render()),
            newlines_folded(&bytes),
            "{}",
            path.display()
        );
        check_rewriting(&document, &path);
        accepted += 1;
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > refused, "{accepted} accepted, {refused} refused");
}

/// Replaces every URI by a mark, looks for what is left over, and puts the URIs back.
fn check_rewriting(document: &Document, path: &Path) {
    let mut uris = Vec::new();
    let marked = document.rewrite::<Error>(|found| {
        uris.push(found.uri.to_owned());
        Ok(format!("ours-{}-", uris.len() - 1))
    });
    let Ok(marked) = marked else { return };
    for line in marked.text().lines() {
        let line = line.trim_start();
        let uri_line = !line.starts_with('#') && !line.is_empty();
        assert!(
            !uri_line || line.starts_with("ours-"),
            "{}: {line}",
            path.display()
        );
        let tag = line.starts_with("#EXT") && !line.starts_with("#EXTINF");
        for attribute in line.split("URI=\"").skip(1).filter(|_| tag) {
            assert!(attribute.starts_with("ours-"), "{}: {line}", path.display());
        }
    }
    let mut restored = String::new();
    for (index, part) in marked.text().split("ours-").enumerate() {
        let Some(uri) = index.checked_sub(1).map(|index| &uris[index]) else {
            restored.push_str(part);
            continue;
        };
        restored.push_str(uri);
        restored.push_str(part.split_once('-').unwrap().1);
    }
    assert_eq!(restored, document.text(), "{}", path.display());
}
