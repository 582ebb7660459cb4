//! What names tell: roles, media types, paths that are safe to show.

use std::collections::HashSet;

use nzb::archive::{Kind, VolumeName};

use crate::Role;

/// Bytes of a path's component.
const COMPONENT_BYTES_MAX: usize = 255;
/// Components of a path.
const COMPONENTS_MAX: usize = 8;

/// Media type by extension; the first column also says what counts as media.
const MEDIA: &[(&str, &str)] = &[
    ("mkv", "video/x-matroska"),
    ("mk3d", "video/x-matroska"),
    ("webm", "video/webm"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mov", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("divx", "video/x-msvideo"),
    ("ts", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("mts", "video/mp2t"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("vob", "video/mpeg"),
    ("wmv", "video/x-ms-wmv"),
    ("asf", "video/x-ms-asf"),
    ("flv", "video/x-flv"),
    ("ogv", "video/ogg"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("m4b", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("aac", "audio/aac"),
    ("ac3", "audio/ac3"),
    ("wav", "audio/wav"),
];

const SUBTITLES: &[(&str, &str)] = &[
    ("srt", "application/x-subrip"),
    ("vtt", "text/vtt"),
    ("ass", "text/x-ssa"),
    ("ssa", "text/x-ssa"),
    ("sub", "text/plain"),
    ("idx", "text/plain"),
    ("sup", "application/octet-stream"),
];

/// What stands beside media and is no use to a player.
const OTHERS: &[&str] = &[
    "nfo", "sfv", "txt", "jpg", "jpeg", "png", "gif", "srr", "srs", "nzb", "url", "md5", "sha1",
    "diz", "log", "cue", "m3u", "html", "htm", "xml",
];

fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let is_one = !stem.is_empty()
        && (1..=5).contains(&extension.len())
        && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    is_one.then(|| extension.to_ascii_lowercase())
}

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let extension = extension(name)?;
    let row = table.iter().find(|(known, _)| *known == extension)?;
    Some(row.1)
}

/// The media type of a file by its name.
pub(crate) fn media_type(name: &str) -> &'static str {
    find(MEDIA, name)
        .or_else(|| find(SUBTITLES, name))
        .unwrap_or("application/octet-stream")
}

pub(super) fn is_media(name: &str) -> bool {
    find(MEDIA, name).is_some()
}

pub(super) fn is_subtitle(name: &str) -> bool {
    find(SUBTITLES, name).is_some()
}

pub(super) fn is_other(name: &str) -> bool {
    extension(name).is_some_and(|extension| OTHERS.contains(&&*extension))
}

/// Whether the name tells what the file is.
pub(super) fn tells(name: &str) -> bool {
    is_media(name) || is_subtitle(name) || is_other(name) || VolumeName::parse(name).is_some()
}

/// Whether a stem was made by a machine: nobody could say what film it is.
pub(super) fn is_random(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_hex = stem.bytes().all(|b| b.is_ascii_hexdigit());
    let is_word = stem
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let digits = stem.bytes().filter(u8::is_ascii_digit).count();
    (is_hex && stem.len() >= 12) || (is_word && stem.len() >= 20 && digits >= 3)
}

/// Whether bytes of this kind are to be expected of the name; `None` if the name promises nothing.
pub(super) fn keeps_promise(name: &str, kind: Option<Kind>) -> Option<bool> {
    let extension = extension(name)?;
    let has_magic = [
        "mkv", "mk3d", "webm", "mp4", "m4v", "mov", "avi", "ts", "m2ts", "wmv", "asf", "flv",
        "ogv", "mpg", "vob", "rar", "7z", "zip",
    ];
    has_magic.contains(&&*extension).then_some(kind.is_some())
}

/// What a file is for, by its name and how long it is beside the longest of the post.
pub(super) fn role(path: &str, size: u64, longest: u64) -> Role {
    if is_subtitle(path) {
        return Role::Subtitle;
    }
    if !is_media(path) {
        return Role::Other;
    }
    let lower = path.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let says_sample = words.any(|word| matches!(word, "sample" | "proof"));
    if says_sample && size < longest / 4 {
        return Role::Sample;
    }
    Role::Media
}

/// A component without what none may hold; `None` if nothing is left.
pub(crate) fn clean_component(text: &str) -> Option<String> {
    let mut clean: String = text
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '/' | '\\'))
        .collect();
    clean.truncate(clean.floor_char_boundary(COMPONENT_BYTES_MAX - 8));
    let clean = clean.trim();
    (!matches!(clean, "" | "." | "..")).then(|| clean.to_owned())
}

/// A path of an archive or a post as one of ours.
pub(super) fn clean_path(path: &str) -> String {
    let parts: Vec<String> = path
        .split(['/', '\\'])
        .filter_map(clean_component)
        .collect();
    let from = parts.len().saturating_sub(COMPONENTS_MAX);
    if parts.is_empty() {
        return "file".to_owned();
    }
    parts[from..].join("/")
}

/// `path`, or with a number if it is taken.
pub(super) fn unique(path: String, taken: &mut HashSet<String>) -> String {
    if taken.insert(path.clone()) {
        return path;
    }
    let (stem, end) = match path.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains('/') => (stem, format!(".{extension}")),
        _ => (&*path, String::new()),
    };
    let numbered = (2..).map(|number: u32| format!("{stem} ({number}){end}"));
    let free = numbered.into_iter().find(|path| taken.insert(path.clone()));
    free.expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_clean_and_unique() {
        assert_eq!(clean_path("../../etc/passwd"), "etc/passwd");
        assert_eq!(clean_path("a\\b\0c.mkv"), "a/bc.mkv");
        assert_eq!(clean_path("/"), "file");
        let mut taken = HashSet::new();
        let names = ["a.mkv", "a.mkv", "a.mkv", "d.x/a", "d.x/a"];
        let got: Vec<_> = names.map(|name| unique(name.to_owned(), &mut taken)).into();
        assert_eq!(
            got,
            ["a.mkv", "a (2).mkv", "a (3).mkv", "d.x/a", "d.x/a (2)"]
        );
    }

    #[track_caller]
    fn check_role(path: &str, size: u64, expected: Role) {
        assert_eq!(role(path, size, 1000), expected, "{path}");
    }

    #[test]
    fn samples_subtitles_and_notes_are_told_apart() {
        check_role("Film.2024.mkv", 1000, Role::Media);
        check_role("sample/film-sample.mkv", 50, Role::Sample);
        check_role("Sample.mkv", 900, Role::Media);
        check_role("Free.Samples.2012.mkv", 50, Role::Media);
        check_role("film.en.srt", 1, Role::Subtitle);
        check_role("film.nfo", 1, Role::Other);
        check_role("film", 1000, Role::Other);
    }

    #[test]
    fn names_made_by_machines_are_known() {
        for random in [
            "3d9c0ff1e2aa.mkv",
            "a8F7d6k2LmQ9x81bTz0q.mkv",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert!(is_random(random), "{random}");
        }
        for name in [
            "Film.2024.1080p.mkv",
            "film.mkv",
            "The-Long-Name-Of-It.mkv",
            "deadbeef.mkv",
        ] {
            assert!(!is_random(name), "{name}");
        }
    }
}
