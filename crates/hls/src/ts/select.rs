//! Taking the pictures or the sound out of a program, for tracks that carry only one of them.

use super::psi::{MapTable, Tables};
use super::restamp::clock_only;
use super::{Packets, Pid, section};

/// Which streams of a program are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All video.
    Video,
    /// All audio.
    Audio,
}

/// The first program of `body` with only its video or only its audio streams: its PAT, a PMT that
/// lists these streams, their packets as they are, and the clock references, whichever stream
/// carries them. Damaged packets and null packets are left out. Empty if the tables are missing or
/// list no such stream.
///
/// PIDs, timestamps and the streams' counters stay; those of the PMT count anew.
pub fn select(body: &[u8], keep: Keep) -> Vec<u8> {
    selection(body, keep).unwrap_or_default()
}

fn selection(body: &[u8], keep: Keep) -> Option<Vec<u8>> {
    let whole = || Packets::new(body).filter(|(_, packet)| !packet.transport_error());
    let mut tables = Tables::default();
    for (_, packet) in whole() {
        tables.push(&packet);
    }
    let program = tables.program()?;
    let (_, source) = tables.sections()?;
    let mut map = MapTable::parse(source)?;
    map.entries.retain(|entry| match keep {
        Keep::Video => entry.kind().is_video(),
        Keep::Audio => entry.kind().is_audio(),
    });
    let pids: Vec<_> = map.entries.iter().map(|entry| entry.pid).collect();
    pids.first()?;
    let version = source[5] >> 1;
    let content = section::map(map.pcr_pid, map.info, map.entries.into_iter());
    let map = section::with_crc(section::section(0x02, program.number, version, &content));

    let mut out = Vec::with_capacity(body.len());
    let mut counter = 15;
    for (_, packet) in whole() {
        let pid = packet.pid();
        if pid == Pid::PAT || pids.contains(&pid) {
            out.extend_from_slice(packet.bytes());
        } else if pid == program.map_pid && packet.unit_start() {
            section::write(pid, &map, &mut counter, &mut out);
        } else if pid == program.pcr_pid
            && let Some(clock) = clock_only(&packet)
        {
            out.extend_from_slice(&clock);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::build::{AUDIO, MAP, Mux, VIDEO};
    use super::super::{Report, Ticks, verify};
    use super::*;
    use proptest::prelude::*;

    fn segment() -> Vec<u8> {
        let mut mux = Mux::new();
        for frame in 0..10 {
            if frame % 5 == 0 {
                mux.tables();
            }
            mux.video(frame * 3600, frame % 5 == 0, 500);
            mux.audio(frame * 3600, 200);
            mux.null();
        }
        mux.bytes
    }

    fn packets_of(body: &[u8], pid: Pid) -> Vec<&[u8]> {
        Packets::new(body)
            .filter(|(_, packet)| packet.pid() == pid && packet.has_payload())
            .map(|(_, packet)| &packet.bytes()[..])
            .collect()
    }

    fn clocks(body: &[u8]) -> Vec<Ticks> {
        Packets::new(body)
            .filter_map(|(_, packet)| packet.adaptation()?.pcr())
            .collect()
    }

    /// All of `kept` is there and nothing of `dropped` but clocks.
    #[track_caller]
    fn check(body: &[u8], keep: Keep, kept: Pid, dropped: Pid) -> Report {
        let selected = select(body, keep);
        assert_eq!(packets_of(&selected, kept), packets_of(body, kept));
        assert_eq!(packets_of(&selected, Pid::PAT), packets_of(body, Pid::PAT));
        assert_eq!(packets_of(&selected, MAP).len(), 2);
        assert!(packets_of(&selected, dropped).is_empty());
        assert_eq!(clocks(&selected), clocks(body));
        let report = verify(&selected);
        assert_eq!((report.continuity_errors, report.lost_bytes), (0, 0));
        report
    }

    #[test]
    fn one_kind_of_stream_is_left() {
        let video = check(&segment(), Keep::Video, VIDEO, AUDIO);
        let program = video.program.unwrap();
        assert!(program.video().is_some() && program.audio().is_none());
        let audio = check(&segment(), Keep::Audio, AUDIO, VIDEO);
        let program = audio.program.unwrap();
        assert!(program.video().is_none() && program.audio().is_some());
        assert_eq!(program.pcr_pid, VIDEO);
    }

    #[test]
    fn a_kind_that_is_not_there_leaves_nothing() {
        let mut radio = Mux::new();
        radio.tables_of(&[(0x0f, AUDIO)]);
        radio.audio(0, 100);
        assert!(select(&radio.bytes, Keep::Video).is_empty());
        assert!(!select(&radio.bytes, Keep::Audio).is_empty());
        assert!(select(b"", Keep::Audio).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_selected_from(at in 0usize..8000, noise in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut body = segment();
            let at = at.min(body.len());
            let end = (at + noise.len()).min(body.len());
            body.splice(at..end, noise);
            prop_assert_eq!(select(&body, Keep::Audio).len() % 188, 0);
        }
    }
}
