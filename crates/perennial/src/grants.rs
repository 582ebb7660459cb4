//! `perennial grant`: made and ended from the command line, also beside a running gateway.

use anyhow::{Context, anyhow, bail};
use grant::issuer::Target;
use grant::{Actions, Order};

use crate::app::{self, Beside, with_hint};
use crate::cli::{Exit, GrantVerb};
use crate::log;

pub(crate) fn run(verb: GrantVerb) -> Exit {
    let (GrantVerb::Mint { file, .. } | GrantVerb::Revoke { file, .. } | GrantVerb::Rotate(file)) =
        &verb;
    let file = file.clone();
    app::beside(&file, async move |beside| carry_out(verb, &beside).await)
}

async fn carry_out(verb: GrantVerb, beside: &Beside) -> anyhow::Result<Exit> {
    match verb {
        GrantVerb::Mint {
            asset,
            channel,
            until_revoked,
            download,
            ..
        } => {
            let actions = if download {
                Actions::PLAY.and(Actions::DOWNLOAD)
            } else {
                Actions::PLAY
            };
            let order = |basis| Order {
                actions,
                must_start: !until_revoked,
                ..Order::play(basis)
            };
            let target = match (asset, channel) {
                (Some(asset), _) => Target::Asset(asset),
                (None, Some(channel)) => Target::Channel(channel),
                (None, None) => bail!("give --asset or --channel"),
            };
            if let Target::Channel(id) = &target
                && id != "*"
                && !beside.has_channel(&id.parse()?).await?
            {
                log::complain(&format!(
                    "there is no channel \"{id}\" yet; the grant is for it when there is"
                ));
            }
            let minted = server::create_grant(&beside.vod, &beside.grants, &target, order).await;
            let minted = minted.map_err(|problem| anyhow!("{problem}"))?;
            log::complain(&format!("grant {}", minted.grant.session));
            for path in [Some(minted.url), minted.download_url]
                .into_iter()
                .flatten()
            {
                log::say(&format!("{}\n", beside.link(&path)));
            }
        }
        GrantVerb::Revoke { id, .. } => {
            let session: grant::SessionId =
                id.parse().ok().context("a grant's id has 24 hex digits")?;
            let revoked = beside.store.revoke_session(&session.to_string()).await;
            revoked.map_err(with_hint)?;
            log::complain("revoked; what it plays ends within a second");
        }
        GrantVerb::Rotate(_) => {
            beside
                .store
                .add_secret(server::GRANT_KEYS)
                .await
                .map_err(with_hint)?;
            log::complain(
                "a new key signs from now on; a running gateway takes it within a second",
            );
        }
    }
    Ok(Exit::Done)
}
