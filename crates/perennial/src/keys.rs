//! `perennial key`: make, list and revoke API keys, also beside a running gateway.

use store::{KeyId, Location, Store};

use crate::cli::{ConfigFile, Exit, KeyVerb};
use crate::{app, log, with_config};

const LABEL: &str = "perennial key create";

pub(crate) fn run(verb: KeyVerb) -> Exit {
    let file: &ConfigFile = match &verb {
        KeyVerb::Create { file, .. } | KeyVerb::List(file) | KeyVerb::Revoke { file, .. } => file,
    };
    let path = file.path().map(ToOwned::to_owned);
    with_config(path.as_deref(), |loaded| {
        let location = Location::Directory(loaded.config.server.data_dir);
        app::run(carry_out(verb, location))
    })
}

async fn carry_out(verb: KeyVerb, location: Location) -> anyhow::Result<Exit> {
    let store = Store::join(&location).await.map_err(app::with_hint)?;
    match verb {
        KeyVerb::Create { label, .. } => {
            let label = label.unwrap_or_else(|| LABEL.to_owned());
            let (info, key) = store.create_key(&label).await.map_err(app::with_hint)?;
            log::complain(&format!("key {} is shown this once:", info.id));
            log::say(&format!("{}\n", key.expose()));
        }
        KeyVerb::List(_) => {
            for key in store.list_keys().await.map_err(app::with_hint)? {
                log::say(&format!(
                    "{}\t{}\t{}\t{}\n",
                    key.id,
                    key.prefix,
                    hls::date::utc(key.created_ms),
                    key.label
                ));
            }
        }
        KeyVerb::Revoke { id, .. } => {
            if !store
                .revoke_key(&KeyId::from(id.clone()))
                .await
                .map_err(app::with_hint)?
            {
                anyhow::bail!("there is no key {id:?}\n  hint: perennial key list shows them");
            }
            log::complain("revoked; a running gateway refuses it within a second");
        }
    }
    store.close().await.map_err(app::with_hint)?;
    Ok(Exit::Done)
}
