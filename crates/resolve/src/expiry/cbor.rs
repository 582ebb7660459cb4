//! As much of CBOR (RFC 8949) and COSE (RFC 9052) as it takes to find claim 4 of a CWT.

/// Containers within containers; a token has four.
const DEPTH_MAX: u32 = 8;
/// The claim `exp` (RFC 8392 §4).
const EXP: i128 = 4;

/// The time at which a CWT ends, in seconds: of `COSE_Mac0` or `COSE_Sign1`, tagged or not.
pub(super) fn cwt_expiry(bytes: &[u8]) -> Option<u64> {
    let mut message = Reader(bytes);
    let (major, count) = message.head_behind_tags()?;
    // Protected header, unprotected header, payload, and a tag or a signature.
    if major != ARRAY || count != 4 {
        return None;
    }
    message.skip(0)?;
    message.skip(0)?;
    let (major, length) = message.head()?;
    if major != BYTES {
        return None;
    }
    let mut claims = Reader(message.take(length)?);
    let (major, count) = claims.head_behind_tags()?;
    if major != MAP {
        return None;
    }
    for _ in 0..count {
        if claims.integer_or_skip()? == Some(EXP) {
            return claims.seconds();
        }
        claims.skip(0)?;
    }
    None
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// Major type and argument. Indefinite lengths, which COSE forbids where it matters, are refused.
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = self.take(1)?[0];
        let argument = match first & 31 {
            small @ 0..24 => u64::from(small),
            wide @ 24..28 => {
                let bytes = self.take(1 << (wide - 24))?;
                bytes
                    .iter()
                    .fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
            _ => return None,
        };
        Some((first >> 5, argument))
    }

    fn head_behind_tags(&mut self) -> Option<(u8, u64)> {
        for _ in 0..DEPTH_MAX {
            match self.head()? {
                (TAG, _) => {}
                head => return Some(head),
            }
        }
        None
    }

    /// Passes over an item.
    fn skip(&mut self, depth: u32) -> Option<()> {
        if depth == DEPTH_MAX {
            return None;
        }
        let (major, argument) = self.head()?;
        let items = match major {
            BYTES | TEXT => return self.take(argument).map(|_| ()),
            ARRAY => argument,
            MAP => argument.checked_mul(2)?,
            TAG => 1,
            _ => 0,
        };
        for _ in 0..items {
            self.skip(depth + 1)?;
        }
        Some(())
    }

    /// An integer; `Some(None)` for an item of another type, which is passed over.
    fn integer_or_skip(&mut self) -> Option<Option<i128>> {
        let before = self.0;
        match self.head()? {
            (UNSIGNED, value) => Some(Some(i128::from(value))),
            (NEGATIVE, value) => Some(Some(-1 - i128::from(value))),
            _ => {
                self.0 = before;
                self.skip(0).map(|()| None)
            }
        }
    }

    /// A `NumericDate`: an integer or a floating-point number of seconds.
    fn seconds(&mut self) -> Option<u64> {
        let width = self.0.first()? & 31;
        let seconds = match self.head_behind_tags()? {
            (UNSIGNED, value) => return Some(value),
            (7, bits) if width == 26 => f64::from(f32::from_bits(u32::try_from(bits).ok()?)),
            (7, bits) if width == 27 => f64::from_bits(bits),
            _ => return None,
        };
        (seconds.is_finite() && seconds >= 0.0).then_some(seconds as u64)
    }
}
