//! What is registered: adding, changing, finding and forgetting assets.

use std::sync::Arc;

use store::Kept;

use crate::asset::{Asset, NewAsset, Patch};
use crate::error::Error;
use crate::probe::probe;
use crate::vod::Vod;

/// Some of the assets.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub assets: Vec<Asset>,
    /// What to ask for the next page with.
    pub cursor: Option<String>,
}

/// What could not be played is not looked at more often.
const LOOK_AGAIN_MS: i64 = 10_000;

impl Vod {
    /// Registers an asset, and looks at it.
    ///
    /// # Errors
    /// [`Error::Taken`] where the library has one at the same place, or one has its slug.
    pub async fn add(&self, new: NewAsset) -> Result<Arc<Asset>, Error> {
        let library = self.library(&new.library)?;
        let mut asset = Asset::new(new)?;
        // What is there already need not be looked at.
        if let Some(other) = self
            .store()
            .asset_at(library.id(), &asset.location())
            .await?
        {
            return Err(taken("place", other.id));
        }
        asset.facts.probe = Some(probe(&library, &asset, self.now_ms()).await);
        asset.created_ms = self.now_ms();
        kept(self.store().add_asset(&asset.stored()).await?, &asset)?;
        tracing::info!(asset = %asset.id, library = asset.library, name = asset.facts.name, "asset added");
        self.remember(asset).await
    }

    /// Changes an asset; looks at it again where its files changed.
    ///
    /// # Errors
    /// As [`Vod::add`], and [`Error::NoAsset`].
    pub async fn change(&self, id: &str, patch: Patch) -> Result<Arc<Asset>, Error> {
        let mut asset = Asset::clone(&*self.asset(id).await?);
        let before = asset.location();
        asset.change(patch)?;
        if asset.location() != before
            && let Ok(library) = self.library(&asset.library)
        {
            asset.facts.probe = Some(probe(&library, &asset, self.now_ms()).await);
        }
        kept(self.store().change_asset(&asset.stored()).await?, &asset)?;
        self.remember(asset).await
    }

    /// Forgets an asset and its shares; its files stay.
    ///
    /// # Errors
    /// [`Error::NoAsset`]; our own state cannot be written.
    pub async fn delete(&self, id: &str) -> Result<Arc<Asset>, Error> {
        let asset = self.asset(id).await?;
        self.store().delete_asset(&asset.id.to_string()).await?;
        self.forget(&asset).await;
        tracing::info!(asset = %asset.id, "asset removed");
        Ok(asset)
    }

    /// An asset by its id or its slug.
    ///
    /// # Errors
    /// [`Error::NoAsset`]; our own state cannot be read.
    pub async fn asset(&self, id_or_slug: &str) -> Result<Arc<Asset>, Error> {
        if let Some(asset) = self.cached(id_or_slug).await {
            return Ok(asset);
        }
        let shown: String = id_or_slug.chars().take(64).collect();
        if id_or_slug.contains('\0') {
            return Err(Error::NoAsset(shown));
        }
        let stored = self.store().asset(id_or_slug).await?;
        let stored = stored.ok_or(Error::NoAsset(shown))?;
        self.remember(Asset::read(stored)?).await
    }

    /// The asset at a place of a library, if one is registered there.
    pub(crate) async fn asset_at(
        &self,
        library: &str,
        location: &str,
    ) -> Result<Option<Arc<Asset>>, Error> {
        if let Some(asset) = self.cached(&place(library, location)).await {
            return Ok(Some(asset));
        }
        match self.store().asset_at(library, location).await? {
            Some(stored) => Ok(Some(self.remember(Asset::read(stored)?).await?)),
            None => Ok(None),
        }
    }

    /// An asset that somebody wants to play. One that could not be played is looked at again: its files
    /// may have come since.
    ///
    /// # Errors
    /// [`Error::NoAsset`]; our own state cannot be read or written.
    pub async fn wanted(&self, id_or_slug: &str) -> Result<Arc<Asset>, Error> {
        let asset = self.asset(id_or_slug).await?;
        let looked_ms = asset.broken().map(|probe| probe.looked_ms);
        if looked_ms.is_none_or(|ms| self.now_ms().saturating_sub(ms) < LOOK_AGAIN_MS) {
            return Ok(asset);
        }
        // Noted first, so that one looks for all who ask meanwhile.
        let mut noted = Asset::clone(&asset);
        if let Some(probe) = &mut noted.facts.probe {
            probe.looked_ms = self.now_ms();
        }
        self.remember(noted).await?;
        self.look_again(&asset).await
    }

    /// Finds out anew what an asset is.
    pub(crate) async fn look_again(&self, asset: &Asset) -> Result<Arc<Asset>, Error> {
        let library = self.library(&asset.library)?;
        let found = probe(&library, asset, self.now_ms()).await;
        // It may have been changed meanwhile.
        let mut now = Asset::clone(&*self.asset(&asset.id.to_string()).await?);
        if now.location() == asset.location() {
            now.facts.probe = Some(found);
            kept(self.store().change_asset(&now.stored()).await?, &now)?;
        }
        self.remember(now).await
    }

    /// Assets whose name holds `query`, newest first.
    ///
    /// # Errors
    /// The cursor is none of ours; our own state cannot be read.
    pub async fn assets(&self, query: &str, cursor: Option<&str>) -> Result<Page, Error> {
        let bad_cursor = Error::Invalid {
            what: "the cursor",
            reason: "is not one that a page gave",
        };
        let after = match cursor {
            None => None,
            Some(cursor) => {
                let (created_ms, id) = cursor.split_once('.').ok_or_else(|| bad_cursor.clone())?;
                Some((created_ms.parse().map_err(|_| bad_cursor)?, id))
            }
        };
        let stored = self.store().assets(query, after).await?;
        let full = stored.len() == store::ASSETS_PAGE;
        let cursor = stored.last().filter(|_| full);
        let cursor = cursor.map(|last| format!("{}.{}", last.created_ms, last.id));
        let assets = stored
            .into_iter()
            .map(Asset::read)
            .collect::<Result<_, _>>()?;
        Ok(Page { assets, cursor })
    }
}

/// Where an asset lies, as it is cached by. No id and no slug has a slash.
pub(crate) fn place(library: &str, location: &str) -> String {
    format!("{library}/{location}")
}

fn kept(kept: Kept, asset: &Asset) -> Result<(), Error> {
    match kept {
        Kept::New => Ok(()),
        Kept::SamePlace(id) => Err(taken("place", id)),
        Kept::SameSlug(id) => Err(taken("slug", id)),
        Kept::Missing => Err(Error::NoAsset(asset.id.to_string())),
    }
}

fn taken(what: &'static str, id: String) -> Error {
    Error::Taken { what, id }
}
