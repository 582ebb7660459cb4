//! File names and counters out of subjects. There is no standard, only habits:
//! `[01/15] - "name.part01.rar" yEnc (1/205)` and what posters made of it.

/// Bytes of a file name on any file system.
const NAME_BYTES_MAX: usize = 255;

/// The file's name in `subject`, or the subject itself where nothing looks like one.
pub(super) fn file_name(subject: &str) -> String {
    quoted(subject)
        .or_else(|| bracketed(subject))
        .or_else(|| bare(subject))
        .map(sanitize)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| sanitize(&subject.replace(['/', '\\'], "_")))
}

/// How many articles the file has by the last `(n/m)`, which counts articles; `[n/m]` counts files.
pub(super) fn announced(subject: &str) -> Option<u32> {
    let (at, _) = subject.rmatch_indices('(').find(|(at, _)| {
        let rest = &subject[at + 1..];
        counter(rest.split_once(')').map_or("", |(inside, _)| inside)).is_some()
    })?;
    counter(subject[at + 1..].split_once(')')?.0)
}

/// `n` and `m` of `n/m`; the total, if it is one.
fn counter(text: &str) -> Option<u32> {
    let (number, total) = text.split_once('/')?;
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (is_number(number) && is_number(total)).then(|| total.parse().ok())?
}

/// The last quoted text that ends like a file, else the first that is not empty.
fn quoted(subject: &str) -> Option<&str> {
    let texts = || {
        let inside = subject.split('"').skip(1).step_by(2);
        inside.map(str::trim).filter(|text| !text.is_empty())
    };
    let has_end = subject.matches('"').count() >= 2;
    has_end.then(|| {
        texts()
            .filter(|text| has_extension(text))
            .last()
            .or_else(|| texts().next())
    })?
}

/// `[PRiVATE]-[Poster]-[name.mkv]-[1/5] - "" yEnc (1/9)`: the last bracket that ends like a file.
fn bracketed(subject: &str) -> Option<&str> {
    let inside = |text: &'_ str| text.split_once(']').map(|(inside, _)| inside.len());
    subject
        .match_indices('[')
        .filter_map(|(at, _)| {
            let rest = &subject[at + 1..];
            Some(rest[..inside(rest)?].trim())
        })
        .rfind(|text| has_extension(text))
}

/// The last piece between ` - ` that ends like a file once counters, brackets and `yEnc` are off.
fn bare(subject: &str) -> Option<&str> {
    subject
        .split(" - ")
        .filter_map(|piece| {
            let mut piece = piece.trim();
            loop {
                let before = piece;
                piece = trim_end(trim_start(piece));
                if piece == before {
                    break;
                }
            }
            has_extension(piece).then_some(piece)
        })
        .last()
}

fn trim_start(piece: &str) -> &str {
    match piece
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((_, rest)) => rest.trim_start(),
        None => piece,
    }
}

fn trim_end(piece: &str) -> &str {
    if let Some(rest) = piece.strip_suffix("yEnc") {
        return rest.trim_end();
    }
    let cut = |open| {
        let (front, inside) = piece[..piece.len() - 1].rsplit_once(open)?;
        counter(inside).map(|_| front.trim_end())
    };
    let digits = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    match piece.as_bytes().last() {
        Some(b')') => cut('(').unwrap_or(piece),
        Some(b']') => cut('[').unwrap_or(piece),
        // A size between `yEnc` and the counter.
        Some(b'0'..=b'9') if digits.trim_end().ends_with("yEnc") => digits.trim_end(),
        _ => piece,
    }
}

/// Whether `text` ends in a dot and two to four letters or digits, as nearly every posted file does.
fn has_extension(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (2..=4).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// The last component, without what a file name cannot hold.
fn sanitize(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean: String = last.chars().filter(|c| !c.is_control()).collect();
    clean.truncate(clean.floor_char_boundary(NAME_BYTES_MAX));
    let clean = clean.trim();
    if matches!(clean, "." | "..") {
        return String::new();
    }
    clean.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(subject: &str, name: &str, total: Option<u32>) {
        assert_eq!(
            (&*file_name(subject), announced(subject)),
            (name, total),
            "{subject}"
        );
    }

    #[test]
    fn reads_the_habits_of_posters() {
        check(
            r#"[01/15] - "a b.part01.rar" yEnc (1/205)"#,
            "a b.part01.rar",
            Some(205),
        );
        check(
            r#""The Title" [2/9] - "file.mkv" yEnc 12345 (1/3)"#,
            "file.mkv",
            Some(3),
        );
        check(
            r#""file.mkv" (said "nobody") yEnc (1/3)"#,
            "file.mkv",
            Some(3),
        );
        check(r#"obfuscated "a8f7d6" yEnc (01/20)"#, "a8f7d6", Some(20));
        check(
            r#"[PRiVATE]-[Abc]-[Show.S01E01.1080p.mkv]-[1/5] - "" yEnc  7168 (1/1000)"#,
            "Show.S01E01.1080p.mkv",
            Some(1000),
        );
        check("[123] [grp] my file.mkv yEnc (1/7)", "my file.mkv", Some(7));
        check("Some Title - my.file.r00 (1/7)", "my.file.r00", Some(7));
        check("my.file.7z.001 yEnc 4455 (1/7)", "my.file.7z.001", Some(7));
        check("my.file.mkv [1/7]", "my.file.mkv", None);
        check("3d9c0ff1e2", "3d9c0ff1e2", None);
        check(
            r#""../../etc/passwd.txt" yEnc (1/1)"#,
            "passwd.txt",
            Some(1),
        );
        check(r#""C:\dir\x.rar" yEnc (1/1)"#, "x.rar", Some(1));
        check("\"..\"", "\"..\"", None);
        check("a/..", "a_..", None);
        check("", "", None);
        check(r#"one " quote.mkv (1/2)"#, r#"one " quote.mkv"#, Some(2));
        check("(x/y) (4/5", "(x_y) (4_5", None);
    }

    proptest! {
        #[test]
        fn any_subject_gives_a_name_without_directories(subject in any::<String>()) {
            let name = file_name(&subject);
            prop_assert!(name.len() <= NAME_BYTES_MAX && !name.contains(['/', '\\', '\0', '\n']));
            announced(&subject);
        }

        #[test]
        fn odd_subjects_do_no_harm(subject in r#"["\[\]()/. a1-]{0,30}(yEnc)?[ 0-9()/\]]{0,9}"#) {
            file_name(&subject);
            announced(&subject);
        }
    }
}
