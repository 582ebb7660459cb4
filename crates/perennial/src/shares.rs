//! `perennial share`: links to assets, also beside a running gateway.

use anyhow::{Context, bail};
use base::Redacted;
use server::ShareOptions;

use crate::app::{self, Beside, with_hint};
use crate::cli::{Exit, ShareVerb};
use crate::log;

pub(crate) fn run(verb: ShareVerb) -> Exit {
    let (ShareVerb::Create { file, .. }
    | ShareVerb::List { file, .. }
    | ShareVerb::Revoke { file, .. }) = &verb;
    let file = file.clone();
    app::beside(&file, async move |beside| carry_out(verb, &beside).await)
}

async fn carry_out(verb: ShareVerb, beside: &Beside) -> anyhow::Result<Exit> {
    match verb {
        ShareVerb::Create {
            asset,
            title,
            password_file,
            expires_in_s,
            allow_download,
            max_views,
            ..
        } => {
            let asset = beside.vod.asset(&asset).await?;
            let password = match password_file {
                None => None,
                Some(file) => {
                    let text = std::fs::read_to_string(&file)
                        .with_context(|| format!("reading {}", file.display()))?;
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    Some(Redacted::new(line))
                }
            };
            let now_ms = beside.vod.now_ms();
            let options = ShareOptions {
                title,
                password,
                expires_ms: expires_in_s.map(|s| now_ms + i64::from(s) * 1000),
                allow_download,
                max_views,
            };
            let id = asset.id.to_string();
            let token = server::create_share(&beside.store, &id, options, now_ms).await;
            let token = token.map_err(anyhow::Error::msg)?;
            let path = format!("/share/{}", token.expose());
            log::say(&format!("{}\n", beside.link(&path)));
        }
        ShareVerb::List { asset, .. } => {
            let asset = match asset {
                Some(asset) => Some(beside.vod.asset(&asset).await?.id.to_string()),
                None => None,
            };
            for share in beside
                .store
                .shares(asset.as_deref())
                .await
                .map_err(with_hint)?
            {
                log::say(&format!("{}\n", server::describe_share(&share)));
            }
        }
        ShareVerb::Revoke { token, .. } => {
            let token = token_of(&token);
            if !beside.grants.end_share(token).await.map_err(with_hint)? {
                bail!("there is no such share\n  hint: perennial share list shows them");
            }
            log::complain("revoked; what came from it ends within a second");
        }
    }
    Ok(Exit::Done)
}

/// The token of a link, as it was printed or alone.
fn token_of(link: &str) -> &str {
    let token = link.rsplit_once("/share/").map_or(link, |(_, token)| token);
    token.split(['/', '?', '#']).next().unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_its_token() {
        for link in [
            "a-_9",
            "/share/a-_9",
            "https://tv.example/share/a-_9",
            "https://tv.example/sub/share/a-_9/?x=1#y",
        ] {
            assert_eq!(token_of(link), "a-_9", "{link}");
        }
    }
}
