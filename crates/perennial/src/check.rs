//! `perennial check`: the file is valid, and each source answers with media.

use base::redact_url;

use crate::cli::Exit;
use crate::config::Loaded;
use crate::{app, library_check, log, probe};

pub(crate) fn run(loaded: Loaded) -> Exit {
    app::run(check(loaded))
}

async fn check(loaded: Loaded) -> anyhow::Result<Exit> {
    for warning in &loaded.warnings {
        log::complain(&warning.to_string());
    }
    let config = &loaded.config;
    let name = loaded.file.as_ref().map_or_else(
        || "built-in defaults".to_owned(),
        |file| file.display().to_string(),
    );
    log::say(&format!(
        "ok    {name}: valid, {} channels\n",
        config.channels.len()
    ));
    let mut failed = 0;
    if let Some(tls) = &config.server.tls {
        match server::Tls::load(tls.cert_file.clone(), tls.key_file.clone()) {
            Ok(_) => log::say("ok    [server.tls]: certificate and key belong together\n"),
            Err(error) => {
                failed += 1;
                log::say(&format!("FAIL  [server.tls]: {error}\n"));
            }
        }
    }
    let client = fetch::Client::new(fetch::Settings::default())?;
    for channel in &config.channels {
        for (index, source) in channel.sources.iter().enumerate() {
            let place = format!("{} source {index} {}", channel.id, redact_url(&source.url));
            let line = match probe::source(&client, source, &config.live.user_agent).await {
                Ok(found) => match found.warning {
                    None => format!("ok    {place}: {}\n", found.what),
                    Some(warning) => format!("warn  {place}: {}, but {warning}\n", found.what),
                },
                Err(error) => {
                    failed += 1;
                    format!("FAIL  {place}: {error:#}\n")
                }
            };
            log::say(&line);
        }
    }
    failed += library_check::all(config).await?;
    failed += library_check::slates(config).await?;
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}
