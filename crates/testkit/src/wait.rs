//! Waiting for facts instead of sleeping, and ports for programs that cannot choose their own.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;

/// How often a fact is asked for.
const POLL: Duration = Duration::from_millis(20);

/// Asks `fact` every 20 ms until it answers with a value, and gives that value.
///
/// # Errors
/// [`Error::Deadline`], which names `what`, when `within` has passed. An answer that takes longer than
/// the deadline is given up.
pub async fn wait_until<T>(
    within: Duration,
    what: &str,
    mut fact: impl AsyncFnMut() -> Option<T>,
) -> Result<T, Error> {
    let deadline = Instant::now() + within;
    let poll = async {
        loop {
            if let Some(value) = fact().await {
                return value;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout_at(deadline, poll)
        .await
        .map_err(|_| Error::Deadline {
            what: what.to_owned(),
            waited: within,
        })
}

/// Ports below those that the kernel gives to connections and to servers that ask for any: one of these
/// is not taken while the server that had it is restarted.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port of 127.0.0.1 that nothing listens on. Another program may take it first: whoever starts one
/// on it tries again with the next.
pub fn free_port() -> io::Result<u16> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Processes that ask at the same time begin far from each other.
    let first = std::process::id().wrapping_mul(7919);
    for _ in 0..PORTS.len() {
        let step = COUNT.fetch_add(1, Ordering::Relaxed);
        let offset = first.wrapping_add(step) % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fact_is_waited_for_and_missed_by_name() {
        let mut asked = 0;
        let fact = wait_until(Duration::from_secs(1), "three", async || {
            asked += 1;
            (asked == 3).then_some("came true")
        });
        assert_eq!(fact.await.unwrap(), "came true");

        let never = wait_until(Duration::from_secs(1), "rain", async || None::<()>).await;
        assert_eq!(
            never.unwrap_err().to_string(),
            "rain did not happen within 1s"
        );
    }
}
