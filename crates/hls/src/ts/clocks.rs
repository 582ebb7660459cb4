//! For tests: what a strict player sees of a stream's clocks and counters.

use std::collections::BTreeMap;

use super::{Packets, PesHeader, Pid, Ticks};

/// A PES packet's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) pts: Ticks,
    pub(crate) dts: Ticks,
}

/// The units of each PID and the program's clock references.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    pub(crate) units: BTreeMap<Pid, Vec<Unit>>,
    pub(crate) pcrs: Vec<Ticks>,
}

impl Clocks {
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut clocks = Self::default();
        for (_, packet) in Packets::new(body) {
            clocks
                .pcrs
                .extend(packet.adaptation().and_then(|field| field.pcr()));
            let header = packet
                .payload()
                .filter(|_| packet.unit_start())
                .and_then(PesHeader::parse);
            if let Some(pts) = header.and_then(|header| header.pts) {
                let dts = header.and_then(|header| header.dts).unwrap_or(pts);
                let units = clocks.units.entry(packet.pid()).or_default();
                units.push(Unit { pts, dts });
            }
        }
        clocks
    }

    /// How far apart the first units of two PIDs are.
    pub(crate) fn distance(&self, a: Pid, b: Pid) -> i64 {
        self.units[&a][0].dts.since(self.units[&b][0].dts)
    }
}

/// Checks that counters go on without a jump or a repeat, that decoding times and clock references
/// only rise, and that no step of a leading stream is longer than `gap_max` ticks.
#[track_caller]
pub(crate) fn assert_continuous(body: &[u8], gap_max: i64) -> Clocks {
    assert_eq!(body.len() % 188, 0);
    let mut counters = BTreeMap::new();
    for (index, (_, packet)) in Packets::new(body).enumerate() {
        let (pid, counter) = (packet.pid(), packet.continuity());
        assert!(pid != Pid::NULL && !packet.transport_error());
        let field = packet.adaptation();
        assert!(!field.is_some_and(|field| field.discontinuity()));
        let step = u8::from(packet.has_payload());
        let expected = counters.insert(pid, counter);
        let expected = expected.map_or(counter, |last: u8| (last + step) & 0x0f);
        assert_eq!(counter, expected, "counter of {pid:?} in packet {index}");
    }
    let clocks = Clocks::of(body);
    for (pid, units) in &clocks.units {
        for (index, pair) in units.windows(2).enumerate() {
            let step = pair[1].dts.since(pair[0].dts);
            assert!(
                (1..=gap_max).contains(&step),
                "{pid:?}: {step} after unit {index}"
            );
        }
    }
    for pair in clocks.pcrs.windows(2) {
        assert!(pair[1].since(pair[0]) > 0, "clock reference goes back");
    }
    clocks
}
