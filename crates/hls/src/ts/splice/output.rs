//! What of each output PID has gone out: its counter, and where the next unit may lie.

use super::super::restamp::{clock_only, write_pcr};
use super::super::{PACKET_LEN, Pid, SYNC_BYTE, StreamKind, Ticks, pes};
use super::later;
use super::layout::{AUDIO, CLOCK, Layout, MAP_PID, SLOTS, VIDEO, pid_of};
use super::units::{CarriedPacket, Fate, Units};

/// How long a picture lasts while only one is known.
const PICTURE: u64 = Ticks::PER_SECOND / 25;

/// Units that seem to last longer are not believed.
const STEP_MAX: u64 = Ticks::PER_SECOND;

/// A clock reference that is back by more is no matter of streams that are sent ahead of their time
/// by different spans.
const CLOCK_BACK_MAX: i64 = 10 * Ticks::PER_SECOND as i64;

#[derive(Clone, Debug, Default)]
pub(super) struct Outputs {
    slots: [Output; SLOTS],
    /// The last counters of PAT and PMT.
    tables: [Counter; 2],
    pcr: Option<Ticks>,
    going_on: [Option<u8>; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Output {
    counter: Counter,
    dts: Option<Ticks>,
    end: Option<End>,
    /// How long the last unit lasts, by what is known of its stream; nothing is of subtitles.
    step: Option<u64>,
}

/// Where a stream ends: the next unit's times must not be earlier.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) dts: Ticks,
    pub(super) pts: Ticks,
}

/// The last continuity counter. The first packet has 0.
#[derive(Clone, Copy, Debug)]
struct Counter(u8);

impl Default for Counter {
    fn default() -> Self {
        Self(15)
    }
}

impl Counter {
    const fn next(&mut self) -> u8 {
        self.0 = (self.0 + 1) & 0x0f;
        self.0
    }
}

impl Outputs {
    pub(super) fn end(&self, slot: usize) -> Option<End> {
        self.slots[slot].end
    }

    /// See [`Units::going_on`].
    pub(super) const fn going_on(&self) -> [Option<u8>; SLOTS] {
        self.going_on
    }

    pub(super) fn table_counter(&mut self, pid: Pid) -> &mut u8 {
        &mut self.tables[usize::from(pid == MAP_PID)].0
    }

    /// Drops the units that would take a stream's decoding times back. What has no time shares the
    /// fate of the unit before it.
    pub(super) fn drop_late(&mut self, units: &mut Units<'_>, offset: Ticks) {
        let mut fates = [Fate::Kept; SLOTS];
        for unit in &mut units.list {
            let output = &mut self.slots[unit.slot];
            match unit.dts.filter(|_| unit.fate == Fate::Kept) {
                Some(dts) => {
                    let dts = dts + offset;
                    // Lines of teletext may share a time.
                    let least = i64::from(unit.slot < AUDIO.end);
                    if output.dts.is_some_and(|last| dts.since(last) < least) {
                        unit.fate = Fate::Dropped;
                    } else {
                        output.dts = Some(dts);
                    }
                }
                None if unit.dts.is_none() && unit.fate == Fate::Kept => {
                    unit.fate = fates[unit.slot];
                }
                None => {}
            }
            fates[unit.slot] = unit.fate;
        }
    }

    /// Appends a packet.
    pub(super) fn write(&mut self, carried: &CarriedPacket<'_>, offset: Ticks, out: &mut Vec<u8>) {
        let (packet, slot) = (carried.packet, carried.slot);
        let mut bytes = *packet.bytes();
        if slot == CLOCK {
            let Some(clock) = clock_only(&packet) else {
                return;
            };
            bytes = clock;
        }
        let counter = &mut self.slots[slot].counter;
        let payload = packet.payload_start().filter(|_| slot != CLOCK);
        let counter = match payload {
            Some(_) => counter.next(),
            None => counter.0,
        };
        let [high, low] = pid_of(slot).get().to_be_bytes();
        bytes[1] = bytes[1] & 0x60 | high;
        bytes[2] = low;
        bytes[3] = bytes[3] & 0x30 | counter;
        if let Some(field) = packet.adaptation() {
            if field.discontinuity() {
                bytes[5] &= 0x7f;
            }
            if let Some(pcr) = field.pcr() {
                write_pcr(&mut bytes, self.clock(pcr + offset));
            }
        }
        if let Some(start) = payload.filter(|_| packet.unit_start()) {
            pes::shift(&mut bytes[start..], offset);
        }
        out.extend_from_slice(&bytes);
    }

    /// Tells the decoder that what comes next refers to no picture before: else one that counts on,
    /// as after an H.265 CRA picture, takes the new source's pictures for the old one's. H.264 table
    /// 7-1, H.265 table 7-1, H.262 table 6-1.
    pub(super) fn end_sequence(&mut self, kind: StreamKind, out: &mut Vec<u8>) {
        let code: &[u8] = match kind {
            StreamKind::H264 => &[0, 0, 1, 0x0a],
            StreamKind::H265 => &[0, 0, 1, 36 << 1, 1],
            StreamKind::Mpeg2 => &[0, 0, 1, 0xb7],
            _ => return,
        };
        let pes = [0, 0, 1, 0xe0, 0, 3 + code.len() as u8, 0x80, 0, 0];
        let stuffing = PACKET_LEN - 4 - pes.len() - code.len();
        let counter = self.slots[VIDEO].counter.next();
        let [high, low] = pid_of(VIDEO).get().to_be_bytes();
        out.extend([SYNC_BYTE, 0x40 | high, low, 0x30 | counter]);
        out.extend([stuffing as u8 - 1, 0]);
        out.resize(out.len() + stuffing - 2, 0xff);
        out.extend(pes);
        out.extend(code);
    }

    /// The clock reference that goes out. Sources are sent ahead of their time by different spans,
    /// so that after a switch it may be early: then it stands still.
    fn clock(&mut self, pcr: Ticks) -> Ticks {
        let pcr = match self.pcr {
            Some(last) if (-CLOCK_BACK_MAX..1).contains(&pcr.since(last)) => last + Ticks::new(1),
            _ => pcr,
        };
        self.pcr = Some(pcr);
        pcr
    }

    /// Notes where the streams end with these units.
    pub(super) fn note(&mut self, units: &Units<'_>, layout: &Layout, offset: Ticks) {
        self.going_on = units.going_on();
        let mut last: [Option<usize>; SLOTS] = [None; SLOTS];
        let mut shown: [Option<Ticks>; SLOTS] = [None; SLOTS];
        for (index, unit) in units.list.iter().enumerate() {
            let (Some(dts), Some(pts), Fate::Kept) = (unit.dts, unit.pts, unit.fate) else {
                continue;
            };
            let slot = unit.slot;
            if let Some(before) = last[slot].replace(index) {
                let before = &units.list[before];
                let step = before.dts.map_or(0, |before| (dts - before).get());
                let step = step.min(STEP_MAX);
                self.slots[slot].step = match slot {
                    VIDEO => Some(step),
                    // Of a constant bitrate, which is all that is known of most sound.
                    _ if AUDIO.contains(&slot) => {
                        Some(step * unit.bytes as u64 / before.bytes.max(1) as u64)
                    }
                    _ => None,
                };
            }
            shown[slot] = Some(shown[slot].map_or(pts, |last| later(last, pts)));
        }
        for slot in 0..SLOTS {
            let (Some(index), Some(pts)) = (last[slot], shown[slot]) else {
                continue;
            };
            let output = &mut self.slots[slot];
            let by_frames = match layout.kind(slot) {
                Some(StreamKind::Aac) => adts_duration(&units.content(index)),
                _ => None,
            };
            let step = by_frames
                .or(output.step)
                .unwrap_or(if slot == VIDEO { PICTURE } else { 1 });
            let step = Ticks::new(step);
            let dts = units.list[index].dts.unwrap_or(pts) + offset + step;
            let pts = pts + offset + step;
            let pts = output.end.map_or(pts, |end| later(pts, end.pts));
            output.end = Some(End { dts, pts });
        }
    }
}

/// How long the ADTS frames that start in `content` last, in ticks rounded up (ISO/IEC 14496-3
/// §1.A.2.2): 1,024 samples for each raw data block. `None` if it does not start with a frame.
fn adts_duration(content: &[u8]) -> Option<u64> {
    const HERTZ: [u64; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let (mut rest, mut samples, mut hertz) = (content, 0, None);
    while let &[0xff, sync, rates, a, b, c, d, ..] = rest
        && sync & 0xf6 == 0xf0
    {
        let len = usize::from(a & 3) << 11 | usize::from(b) << 3 | usize::from(c >> 5);
        hertz = Some(*HERTZ.get(usize::from(rates >> 2 & 0x0f))?);
        samples += 1024 * (u64::from(d & 3) + 1);
        // A frame is no shorter than its header.
        rest = rest.get(len.max(7)..).unwrap_or_default();
    }
    Some((samples * Ticks::PER_SECOND).div_ceil(hertz?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_lasts_as_long_as_its_frames() {
        // Two frames of 8 bytes at 48 kHz, the second cut short.
        let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x1f, 0xfc, 0x21];
        assert_eq!(adts_duration(&frame), Some(1920));
        assert_eq!(
            adts_duration(&[&frame[..], &frame[..7]].concat()),
            Some(3840)
        );
        assert_eq!(adts_duration(&frame[1..]), None);
        assert_eq!(adts_duration(&[]), None);
    }
}
