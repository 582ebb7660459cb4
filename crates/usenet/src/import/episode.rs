//! Seasons and episodes out of file names: `S01E02`, `S01E02E03`, `S01E02-E04`, `1x02`.

use crate::Episode;

/// The episodes that a name says the file holds.
pub(crate) fn of(name: &str) -> Option<Episode> {
    let lower = name.to_ascii_lowercase();
    let text = lower.as_bytes();
    (0..text.len()).find_map(|at| {
        let is_start = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        is_start.then(|| marked(&text[at..]).or_else(|| crossed(&text[at..])))?
    })
}

/// `s01e02`, with what may follow.
fn marked(text: &[u8]) -> Option<Episode> {
    let (season, rest) = number(text.strip_prefix(b"s")?, 4)?;
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    let (first, mut rest) = number(rest.strip_prefix(b"e")?, 4)?;
    let mut last = first;
    // `e03`, `-e03` and `-03` go on; `-2160p` does not.
    loop {
        let after = rest.strip_prefix(b"-").unwrap_or(rest);
        let next = match after.strip_prefix(b"e") {
            Some(after) => number(after, 4),
            None if after.len() < rest.len() => number(after, 2).filter(|(_, rest)| ends(rest)),
            None => None,
        };
        match next {
            Some((number, after)) if number > last => (last, rest) = (number, after),
            _ => break,
        }
    }
    ends(rest).then_some(Episode {
        season,
        first,
        last,
    })
}

/// `1x02`.
fn crossed(text: &[u8]) -> Option<Episode> {
    let (season, rest) = number(text, 2)?;
    let (episode, rest) = number(rest.strip_prefix(b"x")?, 3)?;
    ends(rest).then_some(Episode {
        season,
        first: episode,
        last: episode,
    })
}

fn ends(rest: &[u8]) -> bool {
    rest.first()
        .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn number(text: &[u8], digits_max: usize) -> Option<(u32, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text
        .split_at_checked(len)
        .filter(|_| (1..=digits_max).contains(&len))?;
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(u32, u32, u32)>) {
        let got = of(name).map(|e| (e.season, e.first, e.last));
        assert_eq!(got, expected, "{name}");
    }

    #[test]
    fn reads_the_habits_of_names() {
        check("Show.S01E02.1080p.mkv", Some((1, 2, 2)));
        check("show s1e2.mkv", Some((1, 2, 2)));
        check("Show.S01E02E03.mkv", Some((1, 2, 3)));
        check("Show.S01E02-E04.mkv", Some((1, 2, 4)));
        check("Show.S01E02-04.mkv", Some((1, 2, 4)));
        check("Show.S01E02-2160p.mkv", Some((1, 2, 2)));
        check("Show - 1x02 - Title.mkv", Some((1, 2, 2)));
        check("Show.S2024E101.mkv", Some((2024, 101, 101)));
        for none in [
            "Film.2024.1920x1080.mkv",
            "xs01e02y",
            "S01",
            "Film.x264",
            "",
        ] {
            check(none, None);
        }
    }
}
