//! Which of a source's streams goes to which output PID.

use std::ops::Range;

use super::super::psi::{MapEntry, MapTable};
use super::super::{Pid, StreamKind, section};

/// Where the output's map table is.
pub(super) const MAP_PID: Pid = Pid::new(0x1000);

/// The PID of the first slot.
const FIRST_PID: u16 = 0x100;

// The slots: one for each output PID.
pub(super) const VIDEO: usize = 0;
pub(super) const AUDIO: Range<usize> = 1..16;
pub(super) const SUBTITLES: Range<usize> = 16..31;
/// Clock references of a PID that carries none of the streams.
pub(super) const CLOCK: usize = 31;
pub(super) const SLOTS: usize = 32;

/// Descriptors (ISO/IEC 13818-1 §2.6, ETSI EN 300 468 §6.2).
const LANGUAGE: u8 = 0x0a;
const TELETEXT: u8 = 0x56;
const SUBTITLING: u8 = 0x59;

/// The PID of a slot.
pub(super) const fn pid_of(slot: usize) -> Pid {
    Pid::new(FIRST_PID + slot as u16)
}

/// ISO 639-2 code.
type Language = [u8; 3];

/// The language that each audio slot was given first. Players were told to play a PID, so a
/// language comes back to the PID that it had.
#[derive(Clone, Debug, Default)]
pub(super) struct Languages([Option<Language>; AUDIO.end]);

/// What a source's map table comes to.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The source's section.
    pub(super) source: Vec<u8>,
    /// The content of the output's section.
    pub(super) map: Vec<u8>,
    streams: Vec<Carried>,
}

#[derive(Clone, Copy, Debug)]
struct Carried {
    pid: Pid,
    slot: usize,
    kind: StreamKind,
}

impl Layout {
    /// Reads a map table's section without its CRC.
    pub(super) fn new(source: &[u8], languages: &mut Languages) -> Option<Self> {
        let table = MapTable::parse(source)?;
        let mut chosen = Vec::new();
        let video = table.entries.iter().find(|entry| entry.kind().is_video());
        chosen.extend(video.map(|entry| (VIDEO, *entry)));
        chosen.extend(languages.assign(&table.entries));
        let subtitles = table.entries.iter().filter(|entry| is_subtitle(entry));
        chosen.extend(SUBTITLES.zip(subtitles.copied()));

        let mut streams: Vec<_> = chosen
            .iter()
            .map(|&(slot, entry)| Carried {
                pid: entry.pid,
                slot,
                kind: entry.kind(),
            })
            .collect();
        let clock = streams.iter().find(|stream| stream.pid == table.pcr_pid);
        let pcr_pid = match clock {
            Some(stream) => pid_of(stream.slot),
            None if table.pcr_pid == Pid::NULL => Pid::NULL,
            None => {
                streams.push(Carried {
                    pid: table.pcr_pid,
                    slot: CLOCK,
                    kind: StreamKind::Other(0),
                });
                pid_of(CLOCK)
            }
        };
        let entries = chosen.iter().map(|&(slot, entry)| MapEntry {
            pid: pid_of(slot),
            ..entry
        });
        Some(Self {
            source: source.to_vec(),
            map: section::map(pcr_pid, table.info, entries),
            streams,
        })
    }

    /// Where the packets of a source's PID go.
    pub(super) fn slot(&self, pid: Pid) -> Option<usize> {
        let stream = self.streams.iter().find(|stream| stream.pid == pid)?;
        Some(stream.slot)
    }

    pub(super) fn kind(&self, slot: usize) -> Option<StreamKind> {
        let stream = self.streams.iter().find(|stream| stream.slot == slot)?;
        Some(stream.kind)
    }
}

impl Languages {
    /// Gives each audio stream a slot as long as there are any, in the order of slots: to the first
    /// slot the stream with its language, else the first stream; to the others the streams with
    /// their languages; what is left fills the gaps.
    fn assign<'a>(&mut self, entries: &[MapEntry<'a>]) -> Vec<(usize, MapEntry<'a>)> {
        let audio = entries.iter().filter(|entry| entry.kind().is_audio());
        let mut rest: Vec<_> = audio.copied().collect();
        let mut slots = [None; AUDIO.end];
        for slot in AUDIO {
            let same =
                |entry: &MapEntry<'_>| self.0[slot].is_some() && language(entry) == self.0[slot];
            let first = (slot == AUDIO.start && !rest.is_empty()).then_some(0);
            if let Some(at) = rest.iter().position(same).or(first) {
                slots[slot] = Some(rest.remove(at));
            }
        }
        let free = slots[AUDIO].iter_mut().filter(|slot| slot.is_none());
        for (slot, entry) in free.zip(rest) {
            *slot = Some(entry);
        }
        for (known, entry) in self.0.iter_mut().zip(slots) {
            *known = known.or(entry.as_ref().and_then(language));
        }
        let taken = slots.into_iter().enumerate();
        taken
            .filter_map(|(slot, entry)| Some((slot, entry?)))
            .collect()
    }
}

fn language(entry: &MapEntry<'_>) -> Option<Language> {
    entry.descriptor(&[LANGUAGE])?.first_chunk().copied()
}

fn is_subtitle(entry: &MapEntry<'_>) -> bool {
    entry.stream_type == 0x06 && entry.descriptor(&[SUBTITLING, TELETEXT]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(pcr_pid: u16, streams: &[(u8, u16, &[u8])]) -> Vec<u8> {
        let entries = streams
            .iter()
            .map(|&(stream_type, pid, descriptors)| MapEntry {
                stream_type,
                pid: Pid::new(pid),
                descriptors,
            });
        section::section(0x02, 7, 3, &section::map(Pid::new(pcr_pid), &[], entries))
    }

    /// The source PID of each output PID, after what sources had before.
    #[track_caller]
    fn check(languages: &mut Languages, source: &[u8], expected: &[(u16, u16)]) -> Pid {
        let layout = Layout::new(source, languages).unwrap();
        let mut got: Vec<_> = layout
            .streams
            .iter()
            .map(|stream| (pid_of(stream.slot).get(), stream.pid.get()))
            .collect();
        got.sort_unstable();
        assert_eq!(got, expected);
        let map = section::section(0x02, 1, 0, &layout.map);
        let map = MapTable::parse(&map).unwrap();
        assert!(
            map.entries
                .iter()
                .all(|entry| got.iter().any(|(out, _)| *out == entry.pid.get()))
        );
        map.pcr_pid
    }

    const ENGLISH: &[u8] = b"\x0a\x04eng\0";
    const FRENCH: &[u8] = b"\x0a\x04fre\0";
    const GERMAN: &[u8] = b"\x0a\x04ger\0";

    #[test]
    fn a_language_keeps_its_pid_and_the_first_pid_is_never_left_empty() {
        let languages = &mut Languages::default();
        let both = source(
            0x20,
            &[
                (0x1b, 0x20, &[]),
                (0x0f, 0x21, ENGLISH),
                (0x0f, 0x22, FRENCH),
            ],
        );
        check(
            languages,
            &both,
            &[(0x100, 0x20), (0x101, 0x21), (0x102, 0x22)],
        );
        let swapped = source(
            0x50,
            &[
                (0x81, 0x51, FRENCH),
                (0x0f, 0x52, ENGLISH),
                (0x1b, 0x50, &[]),
            ],
        );
        check(
            languages,
            &swapped,
            &[(0x100, 0x50), (0x101, 0x52), (0x102, 0x51)],
        );
        let other = source(
            0x50,
            &[
                (0x1b, 0x50, &[]),
                (0x0f, 0x51, GERMAN),
                (0x0f, 0x52, FRENCH),
            ],
        );
        check(
            languages,
            &other,
            &[(0x100, 0x50), (0x101, 0x51), (0x102, 0x52)],
        );
        let french = source(0x50, &[(0x1b, 0x50, &[]), (0x0f, 0x52, FRENCH)]);
        check(languages, &french, &[(0x100, 0x50), (0x101, 0x52)]);
        check(
            languages,
            &both,
            &[(0x100, 0x20), (0x101, 0x21), (0x102, 0x22)],
        );
    }

    #[test]
    fn subtitles_are_carried_and_unknown_streams_are_not() {
        let source = source(
            0x20,
            &[
                (0x06, 0x30, &[SUBTITLING, 0]),
                (0x15, 0x31, &[]),
                (0x86, 0x32, &[]),
                (0x06, 0x33, &[0x6a, 0]),
                (0x1b, 0x20, &[]),
                (0x1b, 0x25, &[]),
            ],
        );
        let expected = [(0x100, 0x20), (0x101, 0x33), (0x110, 0x30)];
        assert_eq!(
            check(&mut Languages::default(), &source, &expected),
            Pid::new(0x100)
        );
    }

    #[test]
    fn a_clock_of_its_own_keeps_a_pid_of_its_own() {
        let source = source(0x99, &[(0x1b, 0x20, &[])]);
        let expected = [(0x100, 0x20), (0x11f, 0x99)];
        assert_eq!(
            check(&mut Languages::default(), &source, &expected),
            Pid::new(0x11f)
        );
    }

    #[test]
    fn streams_beyond_the_slots_are_dropped() {
        let streams: Vec<_> = (0..40).map(|pid| (0x0f, 0x20 + pid, &[][..])).collect();
        let layout = Layout::new(&source(0x20, &streams), &mut Languages::default()).unwrap();
        assert_eq!(layout.streams.len(), AUDIO.len());
    }
}
