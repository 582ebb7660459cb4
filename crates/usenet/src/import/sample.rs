//! Whether a post is still there: some of its articles stand for all of them.

use std::collections::BTreeSet;

use nzb::archive::{Family, VolumeName};
use nzb::document::Document;

use super::names;
use crate::post::At;
use crate::{Code, Failure};

/// Articles asked for at least, if there are so many, and at most.
const SAMPLES_MIN: usize = 6;
const SAMPLES_MAX: usize = 24;
/// One article of so many may be missing: its place is filled while playing. One alone always may.
const RARE: usize = 50;
/// Of so many missing samples in a hundred the post is dead rather than damaged.
const DEAD_PERCENT: usize = 80;

/// Articles spread evenly over what can be played, the first and the last among them.
pub(super) fn choose(document: &Document) -> BTreeSet<At> {
    let is_data = |name: &str| {
        let is_par2 = VolumeName::parse(name).is_some_and(|v| v.family == Family::Par2);
        !is_par2 && !names::is_other(name) && !names::is_subtitle(name)
    };
    let data: Vec<At> = (0..)
        .zip(&document.files)
        .filter(|(_, file)| is_data(&file.name))
        .flat_map(|(index, file)| {
            (0..file.segments.len()).map(move |segment| At {
                file: index,
                segment,
            })
        })
        .collect();
    let count = (data.len() / 100)
        .clamp(SAMPLES_MIN, SAMPLES_MAX)
        .min(data.len());
    let last = data.len().saturating_sub(1);
    let steps = count.saturating_sub(1).max(1);
    (0..count).map(|at| data[at * last / steps]).collect()
}

/// Whether so much of a file may be missing: one article always, of many one in [`RARE`].
pub(super) fn is_rare(missing_bytes: u64, bytes: u64, article_bytes: u64) -> bool {
    missing_bytes <= article_bytes || missing_bytes <= bytes / RARE as u64
}

/// What the samples say: `missing` of `asked` are at no provider.
pub(super) fn verdict(missing: usize, asked: usize) -> Result<(), Failure> {
    if missing * 100 >= asked * DEAD_PERCENT && missing > 1 {
        let text = format!("{missing} of {asked} sampled articles are missing at every provider");
        return Err(Failure::new(Code::DeadPost, text));
    }
    if missing > 1 && missing * RARE > asked {
        let text = format!("{missing} of {asked} sampled articles are missing at every provider");
        return Err(Failure::new(Code::Incomplete, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(missing: usize, asked: usize, expected: Option<Code>) {
        let got = verdict(missing, asked);
        assert_eq!(
            got.err().map(|failure| failure.code),
            expected,
            "{missing} of {asked}"
        );
    }

    #[test]
    fn a_rare_hole_is_no_reason_to_refuse() {
        check(0, 24, None);
        check(1, 24, None);
        check(2, 24, Some(Code::Incomplete));
        check(20, 24, Some(Code::DeadPost));
        check(6, 6, Some(Code::DeadPost));
        check(1, 1, None);
        check(0, 0, None);
    }
}
