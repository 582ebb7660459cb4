//! How long a clip plays.

use std::time::Duration;

use super::access::find_program;
use super::{Packets, PesHeader, Ticks};

/// From the first picture's PTS (or sound's, where there is no picture) to the end of the last one,
/// which is taken to last as long as those before it on average. `None` without timestamps.
pub fn duration(clip: &[u8]) -> Option<Duration> {
    let program = find_program(clip)?;
    let pid = program.video().or_else(|| program.audio())?.pid;
    let starts =
        Packets::new(clip).filter(|(_, packet)| packet.pid() == pid && packet.unit_start());
    let stamps = starts.filter_map(|(_, packet)| PesHeader::parse(packet.payload()?)?.pts);
    let (mut first, mut span, mut count): (Option<Ticks>, i64, i64) = (None, 0, 0);
    let mut earliest = 0;
    for pts in stamps {
        let since = pts.since(*first.get_or_insert(pts));
        span = span.max(since);
        earliest = earliest.min(since);
        count += 1;
    }
    let span = span - earliest;
    let last = if count > 1 { span / (count - 1) } else { 0 };
    let ticks = u64::try_from(span + last).ok().filter(|&ticks| ticks > 0)?;
    Some(Duration::from_micros(ticks * 100 / 9))
}
