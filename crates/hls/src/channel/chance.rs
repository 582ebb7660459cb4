//! Jitter from a seed: the machine is deterministic, the simulator replays it.

use std::time::Duration;

/// A small generator (splitmix64); its quality only has to keep retries apart.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let span = high.saturating_sub(low).as_millis() as u64 + 1;
        low + Duration::from_millis(z % span)
    }
}
