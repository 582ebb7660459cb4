//! `perennial check` of Usenet providers: does each let us in, and how far is it?

use crate::config::Config;
use crate::{log, usenet_settings};

/// Asks every provider; how many did not let us in.
pub(crate) async fn all(config: &Config) -> anyhow::Result<usize> {
    let mut failed = 0;
    for provider in usenet_settings::providers(config)? {
        let place = format!("provider {}:{}", provider.host, provider.port);
        let line = match usenet::check(&provider).await {
            Ok(checked) => format!(
                "ok    {place}: signed in after {:.0?}, a round trip takes {:.0?}\n",
                checked.sign_in, checked.round_trip
            ),
            Err(error) => {
                failed += 1;
                format!("FAIL  {error}; {}\n", error.hint())
            }
        };
        log::say(&line);
    }
    Ok(failed)
}
