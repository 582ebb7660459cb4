//! What a strict player asks of an endless transport stream: no packet lost or repeated, constant PIDs,
//! clocks that only go forward.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::packet::{NULL_PID, PACKET_LEN, Packet, WRAP, map_pid, pes, section, since, streams};
use crate::Sha256;

/// Takes a stream in pieces of any length.
#[derive(Clone, Debug, Default)]
pub struct StreamChecker {
    report: StreamReport,
    /// Less than a packet.
    rest: Vec<u8>,
    counters: BTreeMap<u16, u8>,
    map_pid: Option<u16>,
    pcr_pid: Option<u16>,
    pcr: Option<i64>,
    /// The unit that is arriving, and its content so far.
    open: BTreeMap<u16, (Unit, Vec<u8>)>,
    last: BTreeMap<u16, Unit>,
}

/// What a stream was like.
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// Packets, null packets apart.
    pub packets: u64,
    /// Null packets.
    pub null_packets: u64,
    /// The program's streams, PID and type, as the last PMT has them.
    pub streams: Vec<(u16, u8)>,
    /// Complete units, in the order in which they started; at most 200,000.
    pub units: Vec<Unit>,
    /// The longest time from one clock reference to the next.
    pub pcr_step_max: Duration,
    /// Broken rules, the first 100.
    pub violations: Vec<String>,
}

/// A PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its stream.
    pub pid: u16,
    /// When it is shown, in ticks of 90 kHz.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// Of its content without the header.
    pub hash: Sha256,
}

const UNITS_MAX: usize = 200_000;
const VIOLATIONS_MAX: usize = 100;
/// Longer is a hole, whatever the source's muxer thinks of §2.7.2 of ISO/IEC 13818-1.
const PCR_STEP_MAX: i64 = 90_000;
/// Sound of few bits comes in units of a second.
const DTS_STEP_MAX: i64 = 2 * 90_000;
const TICKS: f64 = 90_000.0;

impl StreamChecker {
    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let (packets, left) = rest.as_chunks::<PACKET_LEN>();
        for packet in packets {
            if let Err(wrong) = self.packet(packet) {
                let at = self.report.packets + self.report.null_packets;
                if self.report.violations.len() < VIOLATIONS_MAX {
                    self.report.violations.push(format!("packet {at}: {wrong}"));
                }
            }
        }
        self.rest = left.to_vec();
    }

    /// What it was like so far.
    pub const fn report(&self) -> &StreamReport {
        &self.report
    }

    /// What it was like, the units that its end completes included.
    pub fn finish(mut self) -> StreamReport {
        let pids: Vec<u16> = self.open.keys().copied().collect();
        pids.into_iter().for_each(|pid| self.close(pid));
        self.report
    }

    fn packet(&mut self, bytes: &[u8; PACKET_LEN]) -> Result<(), String> {
        let packet = Packet::read(bytes)?;
        if packet.pid == NULL_PID {
            self.report.null_packets += 1;
            return Ok(());
        }
        self.report.packets += 1;
        self.count(&packet)?;
        if let Some(payload) = packet.payload {
            match packet.pid {
                0 => self.association(payload)?,
                pid if Some(pid) == self.map_pid => self.map(payload)?,
                _ => self.media(&packet, payload)?,
            }
        }
        match packet.pcr {
            Some(pcr) if Some(packet.pid) == self.pcr_pid => self.clock(pcr),
            _ => Ok(()),
        }
    }

    fn count(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let before = self.counters.insert(packet.pid, packet.counter);
        let step = u8::from(packet.payload.is_some());
        let expected = before.map_or(packet.counter, |before| (before + step) & 0x0f);
        if packet.counter != expected {
            let (pid, counter) = (packet.pid, packet.counter);
            return Err(format!(
                "counter {counter} of PID 0x{pid:x} where {expected} was due"
            ));
        }
        if packet.jump {
            return Err(format!("a discontinuity of PID 0x{:x}", packet.pid));
        }
        Ok(())
    }

    fn association(&mut self, payload: &[u8]) -> Result<(), String> {
        let pid = map_pid(section(payload, 0)?);
        let before = self.map_pid.replace(pid.ok_or("a PAT without program")?);
        if before.is_some() && before != pid {
            return Err(format!("the PMT moved from {before:x?} to {pid:x?}"));
        }
        Ok(())
    }

    fn map(&mut self, payload: &[u8]) -> Result<(), String> {
        let (pcr_pid, streams) = streams(section(payload, 2)?).ok_or("a PMT cut off")?;
        let clock = self.pcr_pid.replace(pcr_pid);
        let before = std::mem::replace(&mut self.report.streams, streams);
        if clock.is_some() && (clock != self.pcr_pid || before != self.report.streams) {
            return Err(format!(
                "the streams changed from {before:x?} to {:x?}, the clock from {clock:x?} to {pcr_pid:x}",
                self.report.streams
            ));
        }
        Ok(())
    }

    fn media(&mut self, packet: &Packet<'_>, payload: &[u8]) -> Result<(), String> {
        let pid = packet.pid;
        if !self.report.streams.iter().any(|(known, _)| *known == pid) {
            return Err(format!("PID 0x{pid:x} is in no PMT"));
        }
        if !packet.starts_unit {
            let (_, content) = self.open.get_mut(&pid).ok_or("a unit without beginning")?;
            content.extend_from_slice(payload);
            return Ok(());
        }
        self.close(pid);
        // An end of the sequence belongs to no time.
        if let [0, 0, 1, _, _, _, _, 0, 0, ..] = payload {
            return Ok(());
        }
        let (pts, dts, content) = pes(payload)?;
        let hash = Sha256::of(&[]);
        let unit = Unit {
            pid,
            pts,
            dts,
            hash,
        };
        let content = payload.get(content..).unwrap_or_default().to_vec();
        self.open.insert(pid, (unit, content));
        let before = self.last.insert(pid, unit);
        let step = before.map_or(1, |before| since(dts, before.dts));
        if !(1..=DTS_STEP_MAX).contains(&step) {
            return Err(format!(
                "PID 0x{pid:x} goes on after {step} ticks, to {dts}"
            ));
        }
        if since(pts, dts) < 0 {
            return Err(format!(
                "PID 0x{pid:x} is shown at {pts} and decoded at {dts}"
            ));
        }
        match self.pcr.map(|pcr| since(dts, pcr)) {
            Some(lead) if lead < 0 => Err(format!("PID 0x{pid:x} comes {} ticks late", -lead)),
            _ => Ok(()),
        }
    }

    fn close(&mut self, pid: u16) {
        if let Some((unit, content)) = self.open.remove(&pid)
            && self.report.units.len() < UNITS_MAX
        {
            let hash = Sha256::of(&content);
            self.report.units.push(Unit { hash, ..unit });
        }
    }

    fn clock(&mut self, pcr: i64) -> Result<(), String> {
        let step = self.pcr.replace(pcr).map_or(1, |before| since(pcr, before));
        if step > 0 {
            let step = Duration::from_secs_f64(step as f64 / TICKS);
            self.report.pcr_step_max = self.report.pcr_step_max.max(step);
        }
        if (1..=PCR_STEP_MAX).contains(&step) {
            Ok(())
        } else {
            Err(format!("the clock goes on after {step} ticks, to {pcr}"))
        }
    }
}

impl StreamReport {
    /// The time from the first to the last unit's decoding, of the stream that has the most of it.
    pub fn length(&self) -> Duration {
        let mut lengths: BTreeMap<u16, (i64, i64)> = BTreeMap::new();
        for unit in &self.units {
            let (last, length) = lengths.entry(unit.pid).or_insert((unit.dts, 0));
            *length += since(unit.dts, *last);
            *last = unit.dts;
        }
        let longest = lengths.values().map(|(_, length)| *length).max();
        Duration::from_secs_f64(longest.unwrap_or(0).max(0) as f64 / TICKS)
    }

    /// How often the stream's clock began again at 0.
    pub fn wraps(&self) -> usize {
        let Some((pid, _)) = self.streams.first() else {
            return 0;
        };
        let times: Vec<_> = self.units.iter().filter(|unit| unit.pid == *pid).collect();
        times
            .windows(2)
            .filter(|pair| pair[1].dts < pair[0].dts - WRAP / 2)
            .count()
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} packets, {} null packets, streams {:x?}, {} units in {:?}, clock references at most {:?} apart",
            self.packets,
            self.null_packets,
            self.streams,
            self.units.len(),
            self.length(),
            self.pcr_step_max,
        )?;
        self.violations
            .iter()
            .try_for_each(|violation| writeln!(f, "  ! {violation}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clip;

    fn report(bytes: &[u8]) -> StreamReport {
        let mut checker = StreamChecker::default();
        // Pieces of any length.
        bytes.chunks(1000).for_each(|piece| checker.push(piece));
        checker.report().clone()
    }

    /// The clip without the service table, which is in no PMT.
    fn clip() -> Vec<u8> {
        let bytes = Clip::A.stream(0, 3);
        let packets = bytes.chunks_exact(PACKET_LEN);
        let wanted = packets.filter(|packet| packet[1] & 0x1f != 0 || packet[2] != 0x11);
        wanted.flatten().copied().collect()
    }

    fn first_of(bytes: &[u8], pid: u16) -> usize {
        let mut packets = bytes.chunks_exact(PACKET_LEN);
        let found =
            packets.position(|packet| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid);
        found.expect("the clip has it") * PACKET_LEN
    }

    #[track_caller]
    fn check(spoil: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut bytes = clip();
        spoil(&mut bytes);
        let violations = report(&bytes).violations;
        assert!(
            violations.iter().any(|wrong| wrong.contains(expected)),
            "{expected}: {violations:?}"
        );
    }

    #[test]
    fn the_clip_is_clean_and_its_faults_are_found() {
        let clean = report(&clip());
        assert!(clean.violations.is_empty(), "{clean}");
        assert!(clean.length() >= Duration::from_millis(5_900), "{clean}");
        assert_eq!(clean.streams, [(0x100, 0x1b), (0x101, 0x0f)]);

        check(
            |bytes| drop(bytes.drain(20 * PACKET_LEN..21 * PACKET_LEN)),
            "was due",
        );
        check(|bytes| bytes[30 * PACKET_LEN] = 0, "sync byte");
        check(|bytes| drop(bytes.drain(..PACKET_LEN)), "is in no PMT");
        check(
            |bytes| {
                let twice = bytes[40 * PACKET_LEN..41 * PACKET_LEN].to_vec();
                bytes.splice(41 * PACKET_LEN..41 * PACKET_LEN, twice);
            },
            "was due",
        );
        check(
            |bytes| *bytes = Clip::A.stream(0, 1).to_vec(),
            "PID 0x11 is in no PMT",
        );
        check(
            |bytes| {
                let map = first_of(bytes, 0x1000);
                bytes[map + 20] ^= 1;
            },
            "bad CRC",
        );
        check(|bytes| bytes.extend_from_within(..), "ticks, to");
    }
}
