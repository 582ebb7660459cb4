//! What holds for every `Range`: what is selected lies inside the body, is not empty, and is what was asked for.
//! The first two bytes are the body's length, the rest is the header.

use base::RangeSet;

const LENGTH_BYTES: usize = 2;

pub(crate) fn check(bytes: &[u8]) {
    let Some((length, header)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return;
    };
    let length = u64::from(u16::from_be_bytes(*length));
    let header = String::from_utf8_lossy(header);
    match RangeSet::resolve(Some(&header), length) {
        Ok(RangeSet::Whole) => {}
        Ok(RangeSet::Parts(parts)) => {
            assert!(!parts.is_empty(), "{header}");
            for part in parts {
                assert!(part.start < part.end && part.end <= length, "{header}");
                assert_eq!(part.len(), part.end - part.start);
            }
        }
        Err(unsatisfiable) => assert_eq!(unsatisfiable.length, length),
    }
}
