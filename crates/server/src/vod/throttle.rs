//! How often an address may try something.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use base::ErrorKind;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::Problem;

/// A limit on each address. An IPv6 household is one, whatever address of its /64 it takes.
pub(crate) struct Throttle {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

/// More addresses at once: those that have not tried lately are forgotten first.
const ADDRESSES_MAX: usize = 20_000;

impl Throttle {
    /// So many a minute, all of them at once if need be.
    pub(crate) fn per_minute(tries: u32) -> Self {
        let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(tries)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a try.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        if self.limiter.len() > ADDRESSES_MAX {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(&household(address))
            .map_err(|early| {
                let wait = early.wait_time_from(self.clock.now());
                Problem::new(
                    ErrorKind::RateLimited,
                    "too_many_tries",
                    "too many tries from this address",
                )
                .retry_after(wait + Duration::from_millis(500))
            })
    }
}

fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirty_first_try_of_a_household_waits() {
        let throttle = Throttle::per_minute(30);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for n in 0..30 {
            let near = address(&format!("2001:db8:1:2::{n:x}"));
            assert!(throttle.admit(near).is_ok(), "{n}");
        }
        assert!(throttle.admit(address("2001:db8:1:2:ffff::1")).is_err());
        assert!(throttle.admit(address("2001:db8:1:3::1")).is_ok());
        assert!(throttle.admit(address("198.51.100.1")).is_ok());
    }
}
