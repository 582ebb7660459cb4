//! What may change from one playlist to the next (RFC 8216 §6.2.1, §6.2.2).

use super::{Playlist, Rule, Segment, Violation};

/// Decimals lose a little when they are added.
const ROUNDING_S: f64 = 0.001;

/// The rules that `new` breaks as the successor of `old`.
pub(super) fn changes(old: &Playlist, new: &Playlist) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |rule, detail: String| found.push(Violation::new(rule, 0, detail));
    if old.ended {
        broken(Rule::ChangedAfterEnd, "another text".to_owned());
    }
    if old.target_s != new.target_s {
        let detail = format!("from {:?} to {:?}", old.target_s, new.target_s);
        broken(Rule::TargetDurationChanged, detail);
    }
    let Some(removed) = new.first_number.checked_sub(old.first_number) else {
        let detail = format!("from {} to {}", old.first_number, new.first_number);
        broken(Rule::MediaSequenceBack, detail);
        return found;
    };
    let (left_s, needed_s) = (new.duration_s(), 3.0 * new.target_s.unwrap_or(0) as f64);
    if removed > 0 && left_s + ROUNDING_S < needed_s {
        let detail = format!("{left_s:.3} s left, {needed_s} s needed");
        broken(Rule::WindowTooShort, detail);
    }
    let (old_end, new_end) = (old.end(), new.end());
    if new_end < old_end {
        let detail = format!("ends before {new_end}, ended before {old_end}");
        broken(Rule::TailRemoved, detail);
    }
    let removed = usize::try_from(removed).unwrap_or(usize::MAX);
    for (was, is) in old.segments.iter().skip(removed).zip(&new.segments) {
        segment(was, is, &mut found);
    }
    // Where nothing was kept there is only the order to hold to.
    if removed >= old.segments.len()
        && let (Some(was), Some(is)) = (old.segments.last(), new.segments.first())
        && is.discontinuity_number < was.discontinuity_number
    {
        found.push(moved(was, is));
    }
    found
}

fn segment(was: &Segment, is: &Segment, found: &mut Vec<Violation>) {
    if let Some(what) = difference(was, is) {
        let detail = format!("segment {}: {what}", is.number);
        found.push(Violation::new(Rule::SegmentChanged, is.line, detail));
    }
    if was.discontinuity_number != is.discontinuity_number {
        found.push(moved(was, is));
    }
}

fn moved(was: &Segment, is: &Segment) -> Violation {
    let (from, to) = (was.discontinuity_number, is.discontinuity_number);
    let detail = format!("segment {} from {from} to {to}", is.number);
    Violation::new(Rule::DiscontinuityMoved, is.line, detail)
}

fn difference(was: &Segment, is: &Segment) -> Option<String> {
    let dates = was.unix_ms.zip(is.unix_ms);
    Some(if was.uri != is.uri {
        format!("URI from {:?} to {:?}", was.uri, is.uri)
    } else if was.duration_s != is.duration_s {
        format!("duration from {} to {}", was.duration_s, is.duration_s)
    } else if was.range != is.range {
        format!("range from {:?} to {:?}", was.range, is.range)
    } else if was.keys != is.keys {
        "another key".to_owned()
    } else if was.map != is.map {
        "another map".to_owned()
    } else if was.discontinuity != is.discontinuity {
        "discontinuity tag".to_owned()
    } else if was.gap != is.gap {
        "gap tag".to_owned()
    } else if dates.is_some_and(|(was, is)| was != is) {
        "another date".to_owned()
    } else {
        return None;
    })
}
