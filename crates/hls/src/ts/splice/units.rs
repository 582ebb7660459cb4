//! The PES packets of a segment, gathered before any of them goes out, so that each goes out whole
//! or not at all.

use super::super::{Packet, Packets, PesHeader, Ticks};
use super::layout::{AUDIO, CLOCK, Layout, SLOTS, VIDEO};
use super::output::Outputs;
use super::{First, Lead};

/// Packets of one held-back PES packet: enough for a picture of 3 MB.
const HELD_PACKETS_MAX: usize = 1 << 14;

/// Timestamps this far outside the segment belong to something else.
const STRAY: u64 = 60 * Ticks::PER_SECOND;

/// What becomes of a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
    /// Kept for the next segment, which has the rest of it.
    Held,
}

/// A PES packet.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) slot: usize,
    /// Where in the body it starts; 0 if it was held back.
    pub(super) offset: usize,
    pub(super) pts: Option<Ticks>,
    /// When it is decoded, also where that is when it is shown.
    pub(super) dts: Option<Ticks>,
    /// Bytes that are there.
    pub(super) bytes: usize,
    /// Bytes that should be, if it says so.
    announced: Option<usize>,
    /// Its last packet is filled with payload to its end, as only one in 184 last ones is.
    ends_full: bool,
    packets: usize,
    pub(super) fate: Fate,
}

/// A packet of a stream that is carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarriedPacket<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) slot: usize,
    /// Its unit; `None` for a packet that has only a clock reference.
    unit: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Units<'a> {
    pub(super) list: Vec<Unit>,
    pub(super) packets: Vec<CarriedPacket<'a>>,
    /// Each slot's newest unit.
    open: [Option<usize>; SLOTS],
    /// Each slot's newest packet with payload.
    last: [Option<Packet<'a>>; SLOTS],
}

impl<'a> Units<'a> {
    /// The units of a segment that starts anew: what comes before the first start of a unit has
    /// lost its beginning.
    pub(super) fn of(body: &'a [u8], layout: &Layout) -> Self {
        Self::gather(&[], body, layout, [None; SLOTS])
    }

    /// The units of a segment that goes on from the last, of which `held` was held back.
    pub(super) fn continued(
        held: &'a [u8],
        body: &'a [u8],
        layout: &Layout,
        outputs: &Outputs,
    ) -> Self {
        Self::gather(held, body, layout, outputs.going_on())
    }

    /// `going_on` has the source's last counter of each slot whose last unit went out and may have
    /// more to come.
    fn gather(
        held: &'a [u8],
        body: &'a [u8],
        layout: &Layout,
        going_on: [Option<u8>; SLOTS],
    ) -> Self {
        let mut units = Self {
            list: Vec::new(),
            packets: Vec::with_capacity(held.len().saturating_add(body.len()) / 188),
            open: [None; SLOTS],
            last: [None; SLOTS],
        };
        for (_, packet) in Packets::new(held) {
            if let Some(slot) = layout.slot(packet.pid()) {
                units.take(0, packet, slot, None);
            }
        }
        let mut resuming = units.open.map(|unit| unit.is_some());
        for (offset, packet) in Packets::new(body) {
            // Nothing in a packet that is marked as broken can be believed.
            if packet.transport_error() || packet.is_scrambled() {
                continue;
            }
            if let Some(slot) = layout.slot(packet.pid()) {
                if std::mem::take(&mut resuming[slot]) && !packet.unit_start() {
                    units.resume(slot, &packet);
                }
                units.take(offset, packet, slot, going_on[slot]);
            }
        }
        units.hold_back();
        units
    }

    fn take(&mut self, offset: usize, packet: Packet<'a>, slot: usize, going_on: Option<u8>) {
        let Some(payload) = packet.payload().filter(|_| slot != CLOCK) else {
            if packet
                .adaptation()
                .is_some_and(|field| field.pcr().is_some())
            {
                let unit = None;
                self.packets.push(CarriedPacket { packet, slot, unit });
            }
            return;
        };
        let before = self.last[slot].replace(packet);
        if before.is_some_and(|before| is_repeat(&before, &packet)) {
            return;
        }
        if packet.unit_start() {
            self.close(slot);
            self.open[slot] = self.start(offset, payload, slot);
        } else if before.is_none() && going_on.is_some_and(|last| follows(last, &packet)) {
            self.list.push(Unit::rest(slot));
            self.open[slot] = Some(self.list.len() - 1);
        }
        if let Some(unit) = self.open[slot] {
            self.list[unit].add(packet, payload.len());
            let unit = Some(unit);
            self.packets.push(CarriedPacket { packet, slot, unit });
        }
    }

    /// What was held back goes on with `packet`, or nothing does.
    fn resume(&mut self, slot: usize, packet: &Packet<'_>) {
        if self.last[slot].is_some_and(|last| !follows(last.continuity(), packet))
            && let Some(unit) = self.open[slot].take()
        {
            self.list[unit].fate = Fate::Dropped;
        }
    }

    /// `None` if the header cannot be read: what follows would be nobody's.
    fn start(&mut self, offset: usize, payload: &[u8], slot: usize) -> Option<usize> {
        let header = PesHeader::parse(payload)?;
        let announced = usize::from(u16::from_be_bytes([payload[4], payload[5]]));
        self.list.push(Unit {
            slot,
            offset,
            pts: header.pts,
            dts: header.dts.or(header.pts),
            bytes: 0,
            announced: (announced > 0).then_some(6 + announced),
            ends_full: false,
            packets: 0,
            fate: Fate::Kept,
        });
        Some(self.list.len() - 1)
    }

    /// A unit ends because the next one starts. Without a part, sound is noise and a subtitle
    /// garbled, but a decoder makes more of half a picture than of none.
    fn close(&mut self, slot: usize) {
        if let Some(unit) = self.open[slot].map(|unit| &mut self.list[unit])
            && slot != VIDEO
            && unit.is_short()
        {
            unit.fate = Fate::Dropped;
        }
    }

    /// The last unit of a stream may have the rest of it in the next segment.
    fn hold_back(&mut self) {
        for unit in self.open.into_iter().flatten() {
            let unit = &mut self.list[unit];
            if unit.seems_cut() {
                unit.fate = if unit.packets <= HELD_PACKETS_MAX {
                    Fate::Held
                } else {
                    Fate::Dropped
                };
            }
        }
    }

    /// The stream that leads the segment.
    pub(super) fn lead(&self) -> Option<Lead> {
        let kept = self.list.iter().filter(|unit| unit.fate != Fate::Dropped);
        kept.filter_map(|unit| {
            let (slot, dts) = (unit.slot, unit.dts?);
            (slot < AUDIO.end).then_some(Lead { slot, dts })
        })
        .min_by_key(|lead| lead.slot)
    }

    /// Drops the units whose times lie far outside the segment, which lasts `duration`.
    pub(super) fn drop_strays(&mut self, lead: Option<Lead>, duration: Ticks) {
        let Some(lead) = lead else {
            return;
        };
        for unit in &mut self.list {
            if let Some(dts) = unit.dts
                && dts.since(lead.dts).unsigned_abs() > duration.get() + STRAY
            {
                unit.fate = Fate::Dropped;
            }
        }
    }

    /// Where each stream begins.
    pub(super) fn firsts(&self) -> impl Iterator<Item = First> {
        let mut firsts: [Option<First>; SLOTS] = [None; SLOTS];
        for unit in self.list.iter().filter(|unit| unit.fate == Fate::Kept) {
            let (slot, Some(dts), Some(pts)) = (unit.slot, unit.dts, unit.pts) else {
                continue;
            };
            let first = firsts[slot].get_or_insert(First { slot, dts, pts });
            if pts.since(first.pts) < 0 {
                first.pts = pts;
            }
        }
        firsts.into_iter().flatten()
    }

    /// The packets to push again in front of the next segment.
    pub(super) fn held(&self) -> Vec<u8> {
        let is_held = |unit: usize| self.list[unit].fate == Fate::Held;
        self.packets
            .iter()
            .filter(|carried| carried.unit.is_some_and(is_held))
            .flat_map(|carried| carried.packet.bytes())
            .copied()
            .collect()
    }

    pub(super) fn is_kept(&self, carried: &CarriedPacket<'_>) -> bool {
        carried
            .unit
            .is_none_or(|unit| self.list[unit].fate == Fate::Kept)
    }

    /// The source's counter at the end of each slot whose last unit goes out and may have more to
    /// come.
    pub(super) fn going_on(&self) -> [Option<u8>; SLOTS] {
        std::array::from_fn(|slot| {
            let unit = &self.list[self.open[slot]?];
            let may_go_on = unit.fate == Fate::Kept && unit.announced.is_none();
            may_go_on.then_some(self.last[slot]?.continuity())
        })
    }

    /// The content of the unit at `index` of the list, without its header.
    pub(super) fn content(&self, index: usize) -> Vec<u8> {
        let packets = self
            .packets
            .iter()
            .filter(|carried| carried.unit == Some(index));
        let payloads = packets.filter_map(|carried| carried.packet.payload());
        let mut content = payloads.collect::<Vec<_>>().concat();
        let header_len = PesHeader::parse(&content).map_or(0, |header| header.len);
        content.drain(..header_len);
        content
    }
}

impl Unit {
    /// What is left of a unit that started in the segment before.
    const fn rest(slot: usize) -> Self {
        Self {
            slot,
            offset: 0,
            pts: None,
            dts: None,
            bytes: 0,
            announced: None,
            ends_full: false,
            packets: 0,
            fate: Fate::Kept,
        }
    }

    fn add(&mut self, packet: Packet<'_>, payload_len: usize) {
        self.bytes += payload_len;
        self.packets += 1;
        self.ends_full = packet.adaptation().is_none();
    }

    /// Whether the segment ended before its last unit did. One without length is told by its last
    /// packet: what a muxer ends it with is stuffed.
    fn seems_cut(&self) -> bool {
        self.is_short() || (self.announced.is_none() && self.ends_full)
    }

    fn is_short(&self) -> bool {
        self.announced
            .is_some_and(|announced| self.bytes < announced)
    }
}

fn follows(last: u8, packet: &Packet<'_>) -> bool {
    last.wrapping_add(1) & 0x0f == packet.continuity()
}

/// Whether a packet was sent twice. Counters alone do not tell: many sources count wrongly.
fn is_repeat(before: &Packet<'_>, packet: &Packet<'_>) -> bool {
    before.continuity() == packet.continuity()
        && before.unit_start() == packet.unit_start()
        && before.payload() == packet.payload()
}
