//! The bytes of a response that a ranged request asked for (RFC 9110 §14, §15.3.7): exactly those,
//! or an error.

use base::ByteRange;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::error::Fault;

/// What to drop from the front of a body and how much to hand on after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    skip: u64,
    take: Option<u64>,
    /// The body may end before `take` is reached.
    may_end: bool,
}

impl Slice {
    /// How to cut the body of a 2xx response. A 206 must be exactly the range, or its beginning where
    /// the resource `may_end` in it, and be as long as it says; a server that ignored the range sent
    /// everything, of which the range is cut out.
    pub(crate) fn new(
        range: Option<ByteRange>,
        may_end: bool,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, Fault> {
        let partial = status == StatusCode::PARTIAL_CONTENT;
        match range {
            None if partial => Err(Fault::Range(
                "a part was sent where all was asked for".to_owned(),
            )),
            None => Ok(Self {
                skip: 0,
                take: None,
                may_end: false,
            }),
            Some(range) if !partial => Ok(Self {
                skip: range.start,
                take: Some(range.len()),
                may_end,
            }),
            Some(range) => {
                let sent = headers
                    .get(header::CONTENT_RANGE)
                    .and_then(|value| content_range(value.to_str().ok()?));
                match sent {
                    Some(sent) if sent == range || may_end && is_head_of(sent, range) => Ok(Self {
                        skip: 0,
                        take: Some(sent.len()),
                        may_end: false,
                    }),
                    Some(sent) => Err(Fault::Range(format!(
                        "asked for bytes {}-{}, got {}-{}",
                        range.start,
                        range.end - 1,
                        sent.start,
                        sent.end - 1
                    ))),
                    None => Err(Fault::Range(
                        "206 without a readable content-range".to_owned(),
                    )),
                }
            }
        }
    }

    /// Whether everything that was asked for has been handed on.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.take, Some(0))
    }

    /// Whether the end of the body leaves something missing.
    pub(crate) const fn lacks(&self) -> bool {
        !self.may_end && matches!(self.take, Some(1..))
    }

    /// The length of what will be handed on, when the whole body has `length` bytes.
    pub(crate) fn length(&self, length: Option<u64>) -> Option<u64> {
        if self.may_end {
            None
        } else {
            self.take.or(length)
        }
    }

    /// What of the next `bytes` of the body was asked for.
    pub(crate) fn cut(&mut self, mut bytes: Bytes) -> Bytes {
        let skipped = bytes
            .len()
            .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= skipped as u64;
        bytes = bytes.slice(skipped..);
        if let Some(take) = &mut self.take {
            bytes.truncate(usize::try_from(*take).unwrap_or(usize::MAX));
            *take -= bytes.len() as u64;
        }
        bytes
    }
}

fn is_head_of(sent: ByteRange, range: ByteRange) -> bool {
    sent.start == range.start && sent.end < range.end
}

/// `bytes a-b/length` (RFC 9110 §14.4); the length, which may be `*`, does not concern us.
fn content_range(value: &str) -> Option<ByteRange> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (first, last) = rest.trim().split_once('/')?.0.split_once('-')?;
    let (start, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    (unit.eq_ignore_ascii_case("bytes") && start < end).then_some(ByteRange { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_content_range() {
        for (value, expected) in [
            ("bytes 0-9/100", Some((0, 10))),
            ("Bytes 5-5/*", Some((5, 6))),
            ("bytes */100", None),
            ("bytes 9-5/100", None),
            ("bytes 0-18446744073709551615/*", None),
            ("items 0-9/100", None),
            ("0-9/100", None),
            ("", None),
        ] {
            assert_eq!(
                content_range(value).map(|r| (r.start, r.end)),
                expected,
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn cuts_the_same_bytes_however_they_arrive(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            start in 0u64..100,
            length in 1u64..100,
        ) {
            let whole = pieces.concat();
            let range = ByteRange { start, end: start + length };
            let mut slice = Slice::new(Some(range), false, StatusCode::OK, &HeaderMap::new()).unwrap();
            let got: Vec<u8> = pieces.into_iter().flat_map(|piece| slice.cut(piece.into())).collect();
            let cut = |at: u64| usize::try_from(at).unwrap().min(whole.len());
            prop_assert_eq!(&got, &whole[cut(start)..cut(start + length)]);
            prop_assert_eq!(slice.is_done(), got.len() as u64 == length);
        }
    }
}
