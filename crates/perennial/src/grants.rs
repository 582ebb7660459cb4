//! `perennial grant`: made and ended from the command line, also beside a running gateway.

use anyhow::{Context, bail};
use base::ChannelId;
use grant::{Actions, Order, Subject};

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
            let order = |scope| Order {
                actions,
                must_start: !until_revoked,
                ..Order::play(scope)
            };
            let (grant, path) = match (asset, channel.as_deref()) {
                (Some(asset), _) => {
                    let asset = beside.vod.wanted(&asset).await?;
                    let path = beside.vod.entry_path(&asset)?;
                    let (grant, text) = mint(beside, order(Subject::Asset(asset.id)))?;
                    (grant, format!("/vod/{}/{text}/{path}", asset.id))
                }
                (None, Some("*")) => {
                    let (grant, text) = mint(beside, order(Subject::Channels))?;
                    (grant, format!("/live/g/{text}/channels.m3u"))
                }
                (None, Some(id)) => {
                    let id: ChannelId = id.parse()?;
                    if !beside.has_channel(&id).await? {
                        log::complain(&format!(
                            "there is no channel \"{id}\" yet; the grant is for it when there is"
                        ));
                    }
                    let (grant, text) = mint(beside, order(Subject::Channel(id.to_string())))?;
                    (grant, format!("/live/g/{text}/{id}/index.m3u8"))
                }
                (None, None) => bail!("give --asset or --channel"),
            };
            log::complain(&format!("grant {}", grant.session));
            log::say(&format!("{}\n", beside.link(&path)));
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

fn mint(beside: &Beside, order: Order) -> anyhow::Result<(grant::Grant, String)> {
    let minted = beside.grants.gate().mint(order, beside.vod.now_ms());
    minted.context("no grant can be signed")
}
