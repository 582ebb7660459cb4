//! A posted file's bytes in its articles, learned from the articles' headers.
//!
//! All parts of a file but the last have one length, nearly always: one header gives the place of
//! every part. Where that proves wrong, parts that were seen fix those around them, and what lies
//! between is shared out evenly until it is seen.

use std::ops::Range;

use crate::archive::Certainty;
use crate::document::Segment;
use crate::yenc::Part;

/// The map of one posted file.
#[derive(Clone, Debug)]
pub struct Posted {
    /// In order of their numbers.
    segments: Vec<Known>,
    size: Option<u64>,
    shape: Shape,
}

#[derive(Clone, Debug)]
struct Known {
    number: u32,
    span: Option<Range<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Unknown,
    /// All parts but the last have this many bytes.
    Regular(u64),
    Irregular,
}

/// A run of a posted file's bytes in one article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The article: index into the file's segments, `None` where the document has no segment.
    pub segment: Option<usize>,
    /// Where the run begins in the posted file.
    pub at: u64,
    /// Where it begins in the article's decoded bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Whether the article's header was seen.
    pub certainty: Certainty,
}

/// What a header changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing: the article holds what was expected of it.
    AsExpected,
    /// Places of other articles, or all of them: slices made before are to be made again.
    Otherwise,
}

/// An article that cannot belong to the file as the others describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Its file has another length.
    #[error("the file has {got} bytes by this article and {expected} by others")]
    Size {
        /// Bytes by the others.
        expected: u64,
        /// Bytes by this one.
        got: u64,
    },
    /// Its bytes overlap those of another one, or are out of order.
    #[error("part {number} overlaps its neighbours")]
    Overlap {
        /// The segment's number.
        number: u32,
    },
    /// The file has no such segment.
    #[error("no segment {0}")]
    NoSegment(usize),
}

impl Contradiction {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Corrupt
    }
}

impl Posted {
    /// The map of a file with these segments, as the document has them.
    pub fn new(segments: &[Segment]) -> Self {
        let known = |segment: &Segment| Known {
            number: segment.number,
            span: None,
        };
        Self {
            segments: segments.iter().map(known).collect(),
            size: None,
            shape: Shape::Unknown,
        }
    }

    /// The file's length in bytes, once one article was seen.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Takes in the header of the article of a segment.
    pub fn learn(&mut self, segment: usize, part: &Part) -> Result<Learned, Contradiction> {
        let known = self
            .segments
            .get(segment)
            .ok_or(Contradiction::NoSegment(segment))?;
        let number = known.number;
        if let Some(expected) = self.size.filter(|&size| size != part.file_size) {
            return Err(Contradiction::Size {
                expected,
                got: part.file_size,
            });
        }
        let before = self.segments[..segment]
            .iter()
            .rev()
            .find_map(|s| s.span.as_ref());
        let after = self.segments[segment + 1..]
            .iter()
            .find_map(|s| s.span.as_ref());
        if before.is_some_and(|span| span.end > part.begin)
            || after.is_some_and(|span| span.start < part.end)
        {
            return Err(Contradiction::Overlap { number });
        }
        self.size = Some(part.file_size);
        let span = part.begin..part.end;
        let is_expected = match self.shape {
            Shape::Unknown => {
                self.shape = self.shape_by(number, part);
                false
            }
            Shape::Regular(part_len) => {
                let is_expected = regular(number, part_len, part.file_size) == span;
                if !is_expected {
                    self.shape = Shape::Irregular;
                }
                is_expected
            }
            Shape::Irregular => known.span.as_ref() == Some(&span),
        };
        self.segments[segment].span = Some(span);
        Ok(if is_expected {
            Learned::AsExpected
        } else {
            Learned::Otherwise
        })
    }

    /// The shape that the first header seen suggests, if all numbers fit into it.
    fn shape_by(&self, number: u32, part: &Part) -> Shape {
        let before = u64::from(number) - 1;
        // A last part is shorter than the others, of which it tells the length all the same.
        let part_len = match (before, part.end == part.file_size) {
            (1.., true) => part.begin / before,
            _ => part.len(),
        };
        if part_len == 0 || regular(number, part_len, part.file_size) != (part.begin..part.end) {
            return Shape::Irregular;
        }
        let parts = part.file_size.div_ceil(part_len);
        let last = self.segments.last().map_or(0, |s| u64::from(s.number));
        if last <= parts {
            Shape::Regular(part_len)
        } else {
            Shape::Irregular
        }
    }

    /// The articles that hold the bytes of `range`, in order; empty before one article was seen.
    /// What of the range lies behind the end is left out.
    pub fn slices(&self, range: Range<u64>) -> Vec<Slice> {
        let end = range.end.min(self.size.unwrap_or(0));
        let mut slices = Vec::new();
        let mut at = range.start;
        while at < end {
            let (segment, span) = self.place(at);
            let (start, stop) = (at, span.end.min(end));
            let is_seen = segment.is_some_and(|i| self.segments[i].span.is_some());
            slices.push(Slice {
                segment,
                at,
                offset: start - span.start,
                len: stop - start,
                certainty: if is_seen {
                    Certainty::Exact
                } else {
                    Certainty::Provisional
                },
            });
            at = stop;
        }
        slices
    }

    /// The segment that holds the byte at `at`, and all its bytes. The byte lies in the file.
    fn place(&self, at: u64) -> (Option<usize>, Range<u64>) {
        let size = self.size.unwrap_or(0);
        match self.shape {
            Shape::Regular(part_len) => {
                let number = at / part_len + 1;
                let find = |number| {
                    self.segments
                        .binary_search_by_key(&number, |s| s.number)
                        .ok()
                };
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                (find(number), regular(number, part_len, size))
            }
            Shape::Unknown | Shape::Irregular => self.between(at, size),
        }
    }

    /// The place among those that were seen: in one of them, or in the share of one of those between.
    fn between(&self, at: u64, size: u64) -> (Option<usize>, Range<u64>) {
        let seen = |i: &usize| self.segments[*i].span.is_some();
        let span = |i: usize| self.segments[i].span.clone().unwrap_or(0..0);
        let all = || (0..self.segments.len()).filter(seen);
        let before = all().take_while(|&i| span(i).start <= at).last();
        if let Some(i) = before.filter(|&i| span(i).contains(&at)) {
            return (Some(i), span(i));
        }
        let after = all().find(|&i| span(i).start > at);
        let (start, first) = before.map_or((0, 0), |i| (span(i).end, i + 1));
        let (end, last) = after.map_or((size, self.segments.len()), |i| (span(i).start, i));
        let count = (last - first) as u64;
        if count == 0 {
            // No segment has these bytes.
            return (None, start..end);
        }
        let share = (end - start).div_ceil(count).max(1);
        let index = (at - start) / share;
        let from = start + index * share;
        (Some(first + index as usize), from..(from + share).min(end))
    }
}

/// The bytes of a part where all but the last are of one length.
fn regular(number: u32, part_len: u64, size: u64) -> Range<u64> {
    let begin = (u64::from(number) - 1).saturating_mul(part_len).min(size);
    begin..begin.saturating_add(part_len).min(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nntp::MessageId;

    fn posted(numbers: &[u32]) -> Posted {
        let segments: Vec<_> = numbers
            .iter()
            .map(|&number| Segment {
                id: MessageId::new("a@b").unwrap(),
                number,
                bytes: 0,
            })
            .collect();
        Posted::new(&segments)
    }

    fn part(begin: u64, end: u64, file_size: u64) -> Part {
        Part {
            name: String::new(),
            file_size,
            number: Some(1),
            total: None,
            begin,
            end,
        }
    }

    /// Segment, offset in it, length, exact.
    #[track_caller]
    fn check(posted: &Posted, range: Range<u64>, expected: &[(Option<usize>, u64, u64, bool)]) {
        let got: Vec<_> = posted
            .slices(range)
            .iter()
            .map(|s| (s.segment, s.offset, s.len, s.certainty == Certainty::Exact))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn one_header_places_every_part() {
        let mut file = posted(&[1, 2, 3]);
        check(&file, 0..10, &[]);
        assert_eq!(file.learn(0, &part(0, 100, 250)), Ok(Learned::Otherwise));
        assert_eq!(file.size(), Some(250));
        check(
            &file,
            0..1000,
            &[
                (Some(0), 0, 100, true),
                (Some(1), 0, 100, false),
                (Some(2), 0, 50, false),
            ],
        );
        check(&file, 150..160, &[(Some(1), 50, 10, false)]);
        check(&file, 250..260, &[]);
        assert_eq!(file.learn(2, &part(200, 250, 250)), Ok(Learned::AsExpected));
        check(&file, 249..250, &[(Some(2), 49, 1, true)]);
    }

    #[test]
    fn any_header_will_do() {
        let expected = [
            (Some(0), 0, 100, false),
            (Some(1), 0, 100, false),
            (Some(2), 0, 50, true),
        ];
        let mut file = posted(&[1, 2, 3]);
        file.learn(2, &part(200, 250, 250)).unwrap();
        check(&file, 0..250, &expected);
        let mut single = posted(&[1]);
        single.learn(0, &part(0, 70, 70)).unwrap();
        check(&single, 0..70, &[(Some(0), 0, 70, true)]);
    }

    #[test]
    fn missing_segments_are_holes_of_the_right_size() {
        let mut file = posted(&[1, 3]);
        file.learn(0, &part(0, 100, 350)).unwrap();
        check(
            &file,
            90..350,
            &[
                (Some(0), 90, 10, true),
                (None, 0, 100, false),
                (Some(1), 0, 100, false),
                (None, 0, 50, false),
            ],
        );
    }

    #[test]
    fn parts_of_odd_lengths_are_learned() {
        let mut file = posted(&[1, 2, 3, 4]);
        file.learn(0, &part(0, 100, 340)).unwrap();
        assert_eq!(file.learn(1, &part(100, 190, 340)), Ok(Learned::Otherwise));
        check(
            &file,
            180..340,
            &[
                (Some(1), 80, 10, true),
                (Some(2), 0, 75, false),
                (Some(3), 0, 75, false),
            ],
        );
        file.learn(2, &part(190, 260, 340)).unwrap();
        file.learn(3, &part(260, 340, 340)).unwrap();
        assert_eq!(file.learn(3, &part(260, 340, 340)), Ok(Learned::AsExpected));
        check(
            &file,
            0..340,
            &[
                (Some(0), 0, 100, true),
                (Some(1), 0, 90, true),
                (Some(2), 0, 70, true),
                (Some(3), 0, 80, true),
            ],
        );
        // More numbers than the length of the first part has room for.
        let mut many = posted(&[1, 2, 3]);
        many.learn(0, &part(0, 200, 250)).unwrap();
        check(
            &many,
            0..250,
            &[
                (Some(0), 0, 200, true),
                (Some(1), 0, 25, false),
                (Some(2), 0, 25, false),
            ],
        );
    }

    #[test]
    fn articles_of_another_file_are_told() {
        let mut file = posted(&[1, 2, 3]);
        file.learn(1, &part(100, 200, 250)).unwrap();
        assert_eq!(
            file.learn(0, &part(0, 100, 251)),
            Err(Contradiction::Size {
                expected: 250,
                got: 251
            })
        );
        assert_eq!(
            file.learn(0, &part(0, 101, 250)),
            Err(Contradiction::Overlap { number: 1 })
        );
        assert_eq!(
            file.learn(2, &part(100, 200, 250)),
            Err(Contradiction::Overlap { number: 3 })
        );
        assert_eq!(
            file.learn(9, &part(0, 100, 250)),
            Err(Contradiction::NoSegment(9))
        );
    }

    proptest! {
        /// Whatever was seen, slices cover the range, in order, without gaps.
        #[test]
        fn slices_cover_the_range(
            lens in proptest::collection::vec(1u64..50, 1..12),
            seen in proptest::collection::vec(any::<prop::sample::Index>(), 1..8),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let size: u64 = lens.iter().sum();
            let ends: Vec<u64> = lens.iter().scan(0, |sum, len| { *sum += len; Some(*sum) }).collect();
            let numbers: Vec<u32> = (1..=lens.len() as u32).collect();
            let mut file = posted(&numbers);
            for index in &seen {
                let i = index.index(lens.len());
                file.learn(i, &part(ends[i] - lens[i], ends[i], size)).unwrap();
            }
            let (a, b) = (from.index(size as usize) as u64, to.index(size as usize) as u64 + 1);
            let range = a.min(b)..a.max(b);
            let mut at = range.start;
            for slice in file.slices(range.clone()) {
                prop_assert_eq!(slice.at, at);
                prop_assert!(slice.len > 0);
                if slice.certainty == Certainty::Exact {
                    let i = slice.segment.unwrap();
                    prop_assert_eq!(ends[i] - lens[i] + slice.offset, at);
                }
                at += slice.len;
            }
            prop_assert_eq!(at, range.end);
        }
    }
}
