//! Whether a provider can be used: for `perennial check`.

use std::time::Duration;

use tokio::time::Instant;

use crate::pool::Refusal;
use crate::{Error, ProviderSettings, connection};

/// What a provider answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// From nothing to signed in.
    pub sign_in: Duration,
    /// From a command to its answer.
    pub round_trip: Duration,
}

/// Connects, signs in and asks for the time.
///
/// # Errors
/// [`Error::Provider`] says at which step it went wrong and what the server said.
pub async fn check(settings: &ProviderSettings) -> Result<Checked, Error> {
    let refused = |refusal: Refusal| Error::Provider {
        host: format!("{}:{}", settings.host, settings.port),
        is_denied: matches!(refusal, Refusal::Denied(_)),
        what: refusal.to_string(),
    };
    let began = Instant::now();
    let mut wire = connection::open(settings).await.map_err(refused)?;
    let sign_in = began.elapsed();
    let asked = Instant::now();
    connection::date(&mut wire).await.map_err(refused)?;
    let round_trip = asked.elapsed();
    connection::quit(wire).await;
    Ok(Checked {
        sign_in,
        round_trip,
    })
}
