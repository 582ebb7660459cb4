//! Where we are in a source's playlist: which of its segments are new, although sources restart,
//! renumber, repeat themselves and are served by caches that lag.
//!
//! Sequence numbers lead; names (the last path component, the byte range and the duration) check
//! them, since a token or a host may change with every reload.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use base::Time;

use crate::playlist::{Media, Segment};

/// Segments remembered. A cache that lags further behind is taken for a restart.
const SEEN_MAX: usize = 256;

/// Dates of one segment may be corrected by less than this between reloads.
const SAME_DATE_MS: u64 = 1000;

/// What has been taken from a playlist so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    seen: VecDeque<Mark>,
    behind_since: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    msn: u64,
    name: u64,
    unix_ms: Option<i64>,
}

/// What a reload brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// Nothing new.
    Nothing,
    /// Segments from this index on are new.
    New {
        from: usize,
        /// What lies between them and the last one.
        joint: Joint,
    },
}

/// How new segments join those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// They follow.
    Seamless,
    /// The same stream under new numbers.
    Renumbered,
    /// So many were never listed while we looked.
    Missed(u64),
    /// Another stream: an encoder was restarted.
    Restarted,
}

impl Joint {
    /// Whether timestamps may jump here.
    pub(super) fn is_break(self) -> bool {
        matches!(self, Self::Missed(_) | Self::Restarted)
    }
}

impl Mark {
    fn of(segment: &Segment) -> Self {
        let unix_ms = segment
            .program_date_time
            .as_ref()
            .and(segment.date)
            .map(|date| date.unix_ms);
        Self {
            msn: segment.msn,
            name: name(segment),
            unix_ms,
        }
    }

    /// The same segment, by all but its number. Dates may be corrected a little between reloads.
    fn same(&self, other: &Self) -> bool {
        let same_time = match (self.unix_ms, other.unix_ms) {
            (Some(a), Some(b)) => a.abs_diff(b) < SAME_DATE_MS,
            _ => true,
        };
        self.name == other.name && same_time
    }
}

/// The last path component without its query: what stays when tokens and hosts change.
pub(super) fn file_name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}

fn name(segment: &Segment) -> u64 {
    let mut hasher = DefaultHasher::new();
    file_name(&segment.uri).hash(&mut hasher);
    segment.byte_range.hash(&mut hasher);
    segment.duration.hash(&mut hasher);
    hasher.finish()
}

impl Cursor {
    /// Takes everything before `index` for known.
    pub(super) fn start_at(playlist: &Media, index: usize) -> Self {
        let mut cursor = Self::default();
        cursor.remember(&playlist.segments[..index]);
        cursor
    }

    /// Compares a reload with what was seen, and takes what is new for seen. A playlist that lies
    /// behind ours for longer than `patience` is no cache that lags, but an encoder that began again
    /// under the same names.
    pub(super) fn advance(&mut self, now: Time, playlist: &Media, patience: Duration) -> Advance {
        let advance = self.compare(now, playlist, patience);
        if let Advance::New { from, joint } = advance {
            self.behind_since = None;
            if joint != Joint::Seamless {
                self.seen.clear();
                self.remember(&playlist.segments[..from]);
            }
            self.remember(&playlist.segments[from..]);
        }
        advance
    }

    /// Takes the first playlist of a fresh link for the same stream, though its names may be others, if
    /// its numbers carry on: the link's owner says that it is the same, and no date speaks against it.
    pub(super) fn carry_on(&mut self, playlist: &Media) {
        let marks: Vec<Mark> = playlist.segments.iter().map(Mark::of).collect();
        let known = |mark: &Mark| self.find(mark.msn).copied();
        let contradicts = |mark: &Mark| {
            let dates = known(mark).and_then(|known| known.unix_ms.zip(mark.unix_ms));
            dates.is_some_and(|(a, b)| a.abs_diff(b) >= SAME_DATE_MS)
        };
        if marks
            .iter()
            .any(|mark| known(mark).is_some_and(|known| known.name == mark.name))
            || marks.iter().any(contradicts)
            || self.find_by_name(playlist).is_some()
        {
            return;
        }
        let Some(first) = self.seen.front().map(|mark| mark.msn) else {
            return;
        };
        for mark in marks {
            let index = mark.msn.checked_sub(first);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(known) = index.and_then(|index| self.seen.get_mut(index)) {
                *known = mark;
            }
        }
    }

    fn compare(&mut self, now: Time, playlist: &Media, patience: Duration) -> Advance {
        let (Some(first), Some(last)) = (playlist.segments.first(), playlist.segments.last())
        else {
            return Advance::Nothing;
        };
        let Some(newest) = self.seen.back() else {
            return Advance::New {
                from: 0,
                joint: Joint::Seamless,
            };
        };
        let (mut same, mut other) = (0, 0);
        for segment in &playlist.segments {
            match self.find(segment.msn) {
                Some(mark) if mark.same(&Mark::of(segment)) => same += 1,
                Some(_) => other += 1,
                None => {}
            }
        }
        if same > 0 && same >= other {
            return self.overlapping(now, playlist, patience);
        }
        if same == 0 && other == 0 && first.msn == newest.msn + 1 {
            return Advance::New {
                from: 0,
                joint: Joint::Seamless,
            };
        }
        if let Some(index) = self.find_by_name(playlist) {
            let from = index + 1;
            return match playlist.segments.len() > from {
                true => Advance::New {
                    from,
                    joint: Joint::Renumbered,
                },
                false => Advance::Nothing,
            };
        }
        if other == 0 && first.msn > newest.msn {
            return Advance::New {
                from: 0,
                joint: Joint::Missed(first.msn - newest.msn - 1),
            };
        }
        debug_assert!(last.msn >= first.msn);
        Advance::New {
            from: 0,
            joint: Joint::Restarted,
        }
    }

    fn overlapping(&mut self, now: Time, playlist: &Media, patience: Duration) -> Advance {
        let newest = self.seen.back().map_or(0, |mark| mark.msn);
        if let Some(from) = playlist
            .segments
            .iter()
            .position(|segment| segment.msn > newest)
        {
            return Advance::New {
                from,
                joint: Joint::Seamless,
            };
        }
        if playlist
            .segments
            .last()
            .is_none_or(|last| last.msn == newest)
        {
            self.behind_since = None;
            return Advance::Nothing;
        }
        let since = *self.behind_since.get_or_insert(now);
        if now - since > patience {
            return Advance::New {
                from: 0,
                joint: Joint::Restarted,
            };
        }
        Advance::Nothing
    }

    fn find(&self, msn: u64) -> Option<&Mark> {
        let first = self.seen.front()?.msn;
        self.seen
            .get(usize::try_from(msn.checked_sub(first)?).ok()?)
    }

    /// Where the newest segment we know stands in a playlist with other numbers.
    fn find_by_name(&self, playlist: &Media) -> Option<usize> {
        let newest = self.seen.back()?;
        playlist
            .segments
            .iter()
            .rposition(|segment| newest.same(&Mark::of(segment)))
    }

    fn remember(&mut self, segments: &[Segment]) {
        self.seen
            .extend(segments.iter().rev().take(SEEN_MAX).rev().map(Mark::of));
        let surplus = self.seen.len().saturating_sub(SEEN_MAX);
        self.seen.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{Limits, Playlist, Variables};

    /// `7:abc` is a playlist whose segments 7, 8, 9 are named a, b, c.
    fn playlist(text: &str) -> Media {
        let (first, names) = text.split_once(':').unwrap();
        let segments: String = names
            .chars()
            .map(|c| format!("#EXTINF:2.000,\n{c}.ts?token={first}\n"))
            .collect();
        let text =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{segments}");
        let url = "http://o.example/".parse().unwrap();
        match Playlist::parse(
            text.as_bytes(),
            &url,
            &Variables::default(),
            &Limits::default(),
        )
        .unwrap()
        {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => unreachable!(),
        }
    }

    #[track_caller]
    fn check(before: &str, after: &str, expected: Advance) {
        let before = playlist(before);
        let mut cursor = Cursor::start_at(&before, before.segments.len());
        let patience = Duration::from_secs(6);
        assert_eq!(
            cursor.advance(Time::ZERO, &playlist(after), patience),
            expected,
            "{after}"
        );
        // What was taken is not taken again.
        assert_eq!(
            cursor.advance(Time::ZERO, &playlist(after), patience),
            Advance::Nothing,
            "{after}"
        );
    }

    const fn new(from: usize, joint: Joint) -> Advance {
        Advance::New { from, joint }
    }

    #[test]
    fn knows_what_is_new() {
        check("7:abc", "7:abc", Advance::Nothing);
        check("7:abc", "8:bcde", new(2, Joint::Seamless));
        check("7:abc", "10:def", new(0, Joint::Seamless));
        check("7:abc", "12:fgh", new(0, Joint::Missed(2)));
    }

    #[test]
    fn follows_a_source_that_renumbers() {
        check("7:abc", "0:bcd", new(2, Joint::Renumbered));
        check("7:abc", "100:bcd", new(2, Joint::Renumbered));
        check("7:abc", "0:xyz", new(0, Joint::Restarted));
        check("7:abc", "8:xyz", new(0, Joint::Restarted));
    }

    #[test]
    fn a_fresh_link_carries_on_by_number_or_by_name() {
        let check = |before: &str, after: &str, expected| {
            let before = playlist(before);
            let mut cursor = Cursor::start_at(&before, before.segments.len());
            let after = playlist(after);
            cursor.carry_on(&after);
            assert_eq!(
                cursor.advance(Time::ZERO, &after, Duration::from_secs(6)),
                expected
            );
        };
        check("7:abc", "8:bcde", new(2, Joint::Seamless));
        check("7:abc", "8:xyzw", new(2, Joint::Seamless));
        check("7:abc", "10:xyz", new(0, Joint::Seamless));
        check("7:abc", "100:bcd", new(2, Joint::Renumbered));
        check("7:abc", "12:xyz", new(0, Joint::Missed(2)));
        check("70:abc", "0:xyz", new(0, Joint::Restarted));
    }

    #[test]
    fn a_cache_that_lags_brings_nothing_but_an_encoder_that_began_again_does() {
        let before = playlist("0:abcdef");
        let mut cursor = Cursor::start_at(&before, 6);
        let patience = Duration::from_secs(6);
        let at = |s: u64| Time::from_ms(s * 1000);
        assert_eq!(
            cursor.advance(at(0), &playlist("0:abcd"), patience),
            Advance::Nothing
        );
        assert_eq!(
            cursor.advance(at(2), &playlist("1:bcdefg"), patience),
            new(5, Joint::Seamless)
        );
        assert_eq!(
            cursor.advance(at(4), &playlist("0:ab"), patience),
            Advance::Nothing
        );
        assert_eq!(
            cursor.advance(at(9), &playlist("0:abc"), patience),
            Advance::Nothing
        );
        assert_eq!(
            cursor.advance(at(11), &playlist("0:abcd"), patience),
            new(0, Joint::Restarted)
        );
        assert_eq!(
            cursor.advance(at(13), &playlist("0:abcde"), patience),
            new(4, Joint::Seamless)
        );
    }

    #[test]
    fn dates_tell_a_restart_from_a_repeat() {
        let dated = |first: u64, date: &str| {
            let mut playlist = playlist(&format!("{first}:abc"));
            playlist.segments[0].program_date_time = Some(date.to_owned());
            for segment in &mut playlist.segments {
                segment.program_date_time = Some(date.to_owned());
                segment.date = crate::date::DateTime::parse(date);
            }
            playlist
        };
        let before = dated(0, "2026-01-01T00:00:00Z");
        let mut cursor = Cursor::start_at(&before, 3);
        let after = dated(0, "2026-01-01T00:01:00Z");
        assert_eq!(
            cursor.advance(Time::ZERO, &after, Duration::from_secs(6)),
            new(0, Joint::Restarted)
        );
    }

    #[test]
    fn file_names_lose_host_path_and_token() {
        assert_eq!(
            file_name("https://edge7.example/exp=12/a.ts?token=/x"),
            "a.ts"
        );
        assert_eq!(file_name("a.ts#f"), "a.ts");
    }
}
