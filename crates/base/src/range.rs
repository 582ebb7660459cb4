//! Byte ranges of HTTP (RFC 9110 §14): the `Range` header and what it selects of a body.

/// A part of a body: `start` inclusive, `end` exclusive, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// As `end`: all there is from `start` on.
    pub const OPEN: u64 = u64::MAX;

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a byte range is never empty")]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// No range of the header lies inside the body: 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no requested range lies inside the {length} bytes")]
pub struct Unsatisfiable {
    /// The body's length.
    pub length: u64,
}

/// A request's `Range` header resolved against a body's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSet {
    /// No header, or one that RFC 9110 §14.2 tells to ignore: the whole body.
    Whole,
    /// One or more satisfiable ranges, in the order they were asked for.
    Parts(Vec<ByteRange>),
}

/// More ranges in one header are an attack, not a player: the header is ignored.
const RANGES_MAX: usize = 16;

impl RangeSet {
    /// Resolves `header` (the value of `Range`) against a body of `length` bytes.
    ///
    /// An unknown unit or a malformed set is ignored, as §14.2 permits; a set of well-formed ranges
    /// of which none can be satisfied is an error.
    pub fn resolve(header: Option<&str>, length: u64) -> Result<Self, Unsatisfiable> {
        let Some(specs) = header.and_then(parse) else {
            return Ok(Self::Whole);
        };
        let parts: Vec<_> = specs
            .iter()
            .filter_map(|spec| spec.select(length))
            .collect();
        if parts.is_empty() {
            Err(Unsatisfiable { length })
        } else {
            Ok(Self::Parts(parts))
        }
    }

    /// The only range of `header`, for a body whose length nobody knows yet; without a last byte its
    /// `end` is [`ByteRange::OPEN`]. `None` for what only the length could tell, such as the last 500
    /// bytes, and for several: both may be answered with the whole (§14.2).
    pub fn of_unknown_length(header: &str) -> Option<ByteRange> {
        match parse(header)?[..] {
            [Spec::FromTo(start, last)] => Some(ByteRange {
                start,
                end: last.map_or(ByteRange::OPEN, |last| last.saturating_add(1)),
            })
            .filter(|range| range.start < range.end),
            _ => None,
        }
    }
}

/// Whether `header` asks for nothing but the end of a body, such as the last 500 bytes: where that begins
/// only the length tells.
pub fn is_suffix_range(header: &str) -> bool {
    matches!(parse(header).as_deref(), Some([Spec::Last(_)]))
}

#[derive(Clone, Copy, Debug)]
enum Spec {
    FromTo(u64, Option<u64>),
    Last(u64),
}

impl Spec {
    fn select(self, length: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::FromTo(first, last) => (
                first,
                last.map_or(length, |l| l.saturating_add(1).min(length)),
            ),
            Self::Last(count) => (length.saturating_sub(count), length),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

fn parse(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for item in set
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        if specs.len() == RANGES_MAX {
            return None;
        }
        let (first, last) = item.split_once('-')?;
        specs.push(match (number(first)?, number(last)?) {
            (None, None) => return None,
            (None, Some(count)) => Spec::Last(count),
            (Some(first), Some(last)) if last < first => return None,
            (Some(first), last) => Spec::FromTo(first, last),
        });
    }
    (!specs.is_empty()).then_some(specs)
}

/// `Some(None)` for an empty side, `None` for what is no number. Digits beyond `u64` saturate: a
/// last byte past any body is legal.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(header: &str, expected: Result<&[(u64, u64)], ()>) {
        let got = RangeSet::resolve(Some(header), 100)
            .map_err(|_| ())
            .map(|set| match set {
                RangeSet::Whole => vec![],
                RangeSet::Parts(parts) => parts.iter().map(|r| (r.start, r.end)).collect(),
            });
        assert_eq!(got, expected.map(<[_]>::to_vec), "{header}");
    }

    #[test]
    fn selects_as_rfc_9110_says() {
        check("bytes=0-9", Ok(&[(0, 10)]));
        check("bytes=90-", Ok(&[(90, 100)]));
        check("bytes=-5", Ok(&[(95, 100)]));
        check("bytes=-500", Ok(&[(0, 100)]));
        check("bytes=50-99999999999999999999999", Ok(&[(50, 100)]));
        check("Bytes=0-0, 99-99", Ok(&[(0, 1), (99, 100)]));
        check("bytes=0-0,200-", Ok(&[(0, 1)]));
    }

    #[test]
    fn one_range_needs_no_length() {
        let range = |header| RangeSet::of_unknown_length(header).map(|r| (r.start, r.end));
        assert_eq!(range("bytes=0-"), Some((0, ByteRange::OPEN)));
        assert_eq!(range("bytes=5-9"), Some((5, 10)));
        for other in ["bytes=-5", "bytes=9-5", "items=0-1", "bytes=0-1,3-4"] {
            assert_eq!(range(other), None, "{other}");
            assert_eq!(is_suffix_range(other), other == "bytes=-5", "{other}");
        }
    }

    #[test]
    fn ignores_what_is_malformed_and_refuses_what_lies_outside() {
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=5-1",
            "items=0-1",
            "bytes=-",
            "bytes=+1-2",
        ] {
            check(ignored, Ok(&[]));
        }
        check(&format!("bytes={}", ["0-0"; 17].join(",")), Ok(&[]));
        check("bytes=100-", Err(()));
        check("bytes=-0", Err(()));
    }

    proptest! {
        #[test]
        fn never_selects_outside_the_body(header in ".{0,40}", length in 0u64..200) {
            for header in [header.clone(), format!("bytes={header}")] {
                if let Ok(RangeSet::Parts(parts)) = RangeSet::resolve(Some(&header), length) {
                    prop_assert!(parts.iter().all(|r| r.start < r.end && r.end <= length));
                }
            }
        }
    }
}
