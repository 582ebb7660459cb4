//! `perennial asset`: what is registered of private libraries, also beside a running gateway.

use std::time::Duration;

use anyhow::bail;
use vod::{Kind, NewAsset, Vod};

use crate::app::{self, Beside};
use crate::cli::{AssetVerb, Exit};
use crate::log;

const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn run(verb: AssetVerb) -> Exit {
    let (AssetVerb::Add { file, .. } | AssetVerb::List { file, .. } | AssetVerb::Scan { file, .. }) =
        &verb;
    let file = file.clone();
    app::beside(&file, async move |beside| carry_out(verb, &beside).await)
}

async fn carry_out(verb: AssetVerb, beside: &Beside) -> anyhow::Result<Exit> {
    match verb {
        AssetVerb::Add {
            library,
            key,
            name,
            kind,
            slug,
            raw_key,
            ..
        } => {
            let kind = match kind.as_str() {
                "image" => Kind::Image,
                "audio" => Kind::Audio,
                _ => Kind::Video,
            };
            let new = NewAsset {
                library,
                kind,
                processed_key: Some(key),
                prefix: None,
                raw_key,
                name,
                download_name: None,
                slug,
            };
            add(&beside.vod, new).await?;
        }
        AssetVerb::List { query, .. } => list(&beside.vod, &query.unwrap_or_default()).await?,
        AssetVerb::Scan {
            library, prefix, ..
        } => scan(&beside.vod, &library, &prefix).await?,
    }
    Ok(Exit::Done)
}

async fn add(vod: &Vod, new: NewAsset) -> anyhow::Result<()> {
    let asset = vod.add(new).await?;
    log::say(&format!("{}\n", asset.id));
    let probe = asset.facts.probe.as_ref();
    if let Some(error) = probe.and_then(|probe| probe.error.as_ref()) {
        log::complain(&format!("registered, but it cannot be played: {error}"));
    }
    Ok(())
}

async fn list(vod: &Vod, query: &str) -> anyhow::Result<()> {
    let mut cursor = None;
    loop {
        let page = vod.assets(query, cursor.as_deref()).await?;
        for asset in &page.assets {
            log::say(&format!(
                "{}\t{}\t{}\t{}\t{}\n",
                asset.id,
                asset.library,
                asset.facts.kind.as_str(),
                asset.facts.name,
                asset.slug.as_deref().unwrap_or("-")
            ));
        }
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn scan(vod: &Vod, library: &str, prefix: &str) -> anyhow::Result<()> {
    vod.start_scan(library, prefix)?;
    let status = loop {
        tokio::time::sleep(LOOK).await;
        let status = vod.scan_status(library)?;
        if let Some(status) = status.filter(|status| !status.running) {
            break status;
        }
    };
    log::say(&format!(
        "{} objects seen, {} assets added, {} known before, {} of the added cannot be played, {} are gone\n",
        status.seen, status.added, status.known, status.unplayable, status.gone
    ));
    if let Some(error) = status.error {
        bail!(
            "the scan ended early: {error}\n  hint: perennial check says what is wrong with the library"
        );
    }
    Ok(())
}
