//! `perennial check`: the file is valid, each resolver returns entries, and each source answers with media.

use std::collections::HashMap;

use base::{Clock, redact_url};
use live::SystemClock;
use live::spec::SourceSpec;
use resolve::entry::{Entry, Kind, Link};
use resolve::{EntryKey, ResolverSpec};

use crate::cli::Exit;
use crate::config::Loaded;
use crate::{app, library_check, log, probe, usenet_check};

/// Entries of a resolver that are looked at.
const PROBES_MAX: usize = 20;

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
    let client = fetch::Client::new(fetch::Settings::default())?;
    let mut checked = Checked {
        client,
        entries: HashMap::new(),
        failed: 0,
    };
    if let Some(tls) = &config.server.tls {
        match server::Tls::load(tls.cert_file.clone(), tls.key_file.clone()) {
            Ok(_) => log::say("ok    [server.tls]: certificate and key belong together\n"),
            Err(error) => {
                checked.failed += 1;
                log::say(&format!("FAIL  [server.tls]: {error}\n"));
            }
        }
    }
    for resolver in &config.resolvers {
        checked.resolver(resolver).await;
    }
    for channel in &config.channels {
        for (index, source) in channel.sources.iter().enumerate() {
            let place = format!("{} source {index} {}", channel.id, redact_url(&source.url));
            checked
                .source(&place, source, &config.live.user_agent)
                .await;
        }
    }
    checked.failed += library_check::all(config).await?;
    checked.failed += library_check::slates(config).await?;
    checked.failed += usenet_check::all(config).await?;
    Ok(if checked.failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

struct Checked {
    client: fetch::Client,
    entries: HashMap<EntryKey, Entry>,
    failed: usize,
}

impl Checked {
    /// Runs a resolver and looks at what it returns.
    async fn resolver(&mut self, spec: &ResolverSpec) {
        let now_ms = SystemClock::new().unix_ms();
        let answer = match resolve::run(spec, &self.client, now_ms).await {
            Ok(answer) => answer,
            Err(refusal) => {
                self.failed += 1;
                log::say(&format!("FAIL  resolver {}: {refusal}\n", spec.id));
                return;
            }
        };
        for reason in &answer.refused {
            log::say(&format!("warn  resolver {}: {reason}\n", spec.id));
        }
        let mut live = 0;
        let count = answer.entries.len();
        for (index, entry) in answer.entries.into_iter().enumerate() {
            if index < PROBES_MAX {
                let link = Link::new(entry.clone(), 0, now_ms);
                let probe = resolve::probe(&self.client, &link, None, now_ms).await;
                live += usize::from(match entry.kind {
                    Kind::Hls | Kind::Ts => probe.is_live,
                    Kind::File => probe.answers,
                });
            }
            let key = EntryKey {
                resolver: spec.id.clone(),
                entry: entry.id.clone(),
            };
            self.entries.insert(key, entry);
        }
        let looked = count.min(PROBES_MAX);
        let level = if live == 0 && looked > 0 {
            "warn "
        } else {
            "ok   "
        };
        let id = &spec.id;
        log::say(&format!(
            "{level} resolver {id}: {count} entries, {live} of {looked} looked at play\n"
        ));
    }

    async fn source(&mut self, place: &str, source: &SourceSpec, user_agent: &str) {
        let found = match source.entry() {
            None => probe::source(&self.client, source, user_agent).await,
            Some(key) => match self.entries.get(&key) {
                Some(entry) => {
                    let source = SourceSpec {
                        url: entry.url.clone(),
                        headers: entry.headers.clone(),
                        ..source.clone()
                    };
                    probe::source(&self.client, &source, user_agent).await
                }
                None => Err(anyhow::anyhow!("the resolver did not return it")),
            },
        };
        let line = match found {
            Ok(found) => match found.warning {
                None => format!("ok    {place}: {}\n", found.what),
                Some(warning) => format!("warn  {place}: {}, but {warning}\n", found.what),
            },
            Err(error) => {
                self.failed += 1;
                format!("FAIL  {place}: {error:#}\n")
            }
        };
        log::say(&line);
    }
}
