//! All libraries together, with what is remembered of them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::Clock;
use fetch::Client;
use moka::future::Cache;
use store::Store;

use crate::asset::Asset;
use crate::error::Error;
use crate::known::place;
use crate::library::Library;
use crate::playlists::Playlists;
use crate::scan::Scans;
use crate::spec::LibrarySpec;
use crate::tunnel::Tunnels;

/// Private libraries. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Vod(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    libraries: RwLock<Vec<Arc<Library>>>,
    client: Client,
    store: Store,
    clock: Arc<dyn Clock>,
    /// By id, slug and place.
    assets: Cache<String, Arc<Asset>>,
    playlists: Playlists,
    tunnels: Tunnels,
    scans: Scans,
}

const ASSETS_CACHED_MAX: u64 = 10_000;
/// After this a change by another process is seen.
const ASSET_FRESH: Duration = Duration::from_secs(10);

impl Vod {
    /// No libraries yet. `client` is one without the manners that small providers need.
    pub fn new(client: Client, store: Store, clock: Arc<dyn Clock>) -> Self {
        let assets = Cache::builder()
            .max_capacity(ASSETS_CACHED_MAX)
            .time_to_live(ASSET_FRESH)
            .build();
        Self(Arc::new(Inner {
            libraries: RwLock::default(),
            client,
            store,
            clock,
            assets,
            playlists: Playlists::new(),
            tunnels: Tunnels::new(),
            scans: Scans::default(),
        }))
    }

    /// Makes the libraries those of the configuration. One that is as it was stays.
    ///
    /// # Errors
    /// One that makes no URL; then nothing is changed.
    pub fn apply(&self, specs: Vec<LibrarySpec>) -> Result<(), Error> {
        let mut next = Vec::with_capacity(specs.len());
        for spec in specs {
            let same = self
                .libraries()
                .into_iter()
                .find(|library| library.spec == spec);
            next.push(match same {
                Some(library) => library,
                None => {
                    let library = Library::new(spec, self.0.client.clone(), self.0.clock.clone())?;
                    if let Some(fault) = library.fault() {
                        let id = library.id();
                        tracing::warn!(
                            "library {id}: {fault}; nothing of it plays until that is mended"
                        );
                    }
                    Arc::new(library)
                }
            });
        }
        *self
            .0
            .libraries
            .write()
            .unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// All libraries, in the configuration's order.
    pub fn libraries(&self) -> Vec<Arc<Library>> {
        self.0
            .libraries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A library by its id.
    ///
    /// # Errors
    /// [`Error::NoLibrary`].
    pub fn library(&self, id: &str) -> Result<Arc<Library>, Error> {
        let library = self
            .libraries()
            .into_iter()
            .find(|library| library.id() == id);
        library.ok_or_else(|| Error::NoLibrary(id.chars().take(64).collect()))
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.clock.unix_ms()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn playlists(&self) -> &Playlists {
        &self.0.playlists
    }

    pub(crate) fn tunnels(&self) -> &Tunnels {
        &self.0.tunnels
    }

    pub(crate) fn scans(&self) -> &Scans {
        &self.0.scans
    }

    pub(crate) async fn cached(&self, name: &str) -> Option<Arc<Asset>> {
        self.0.assets.get(name).await
    }

    pub(crate) async fn remember(&self, asset: Asset) -> Result<Arc<Asset>, Error> {
        self.forget(&asset).await;
        let asset = Arc::new(asset);
        for name in names(&asset) {
            self.0.assets.insert(name, asset.clone()).await;
        }
        Ok(asset)
    }

    pub(crate) async fn forget(&self, asset: &Asset) {
        let before = self.0.assets.get(&asset.id.to_string()).await;
        for name in names(asset).chain(before.iter().flat_map(|before| names(before))) {
            self.0.assets.invalidate(&name).await;
        }
    }
}

fn names(asset: &Asset) -> impl Iterator<Item = String> {
    let place = place(&asset.library, &asset.location());
    [Some(asset.id.to_string()), asset.slug.clone(), Some(place)]
        .into_iter()
        .flatten()
}
