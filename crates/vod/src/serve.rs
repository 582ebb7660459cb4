//! What a viewer whose grant was checked gets for a path.

use std::sync::Arc;
use std::time::Duration;

use base::ByteRange;
use url::Url;

use crate::asset::{Asset, Plays};
use crate::confine::{Prefix, encode_path, file_name, is_playlist};
use crate::error::Error;
use crate::library::{Library, Meta, Object};
use crate::mime::{disposition, mime_of};
use crate::playlists::{Place, Rendered};
use crate::rewrite::Flavour;
use crate::s3::Presign;
use crate::spec::Segments;
use crate::vod::Vod;

/// How a file gets to the viewer.
pub enum Delivery {
    /// A playlist.
    Playlist(Arc<Rendered>),
    /// The viewer fetches it there.
    Redirect(Url),
    /// We send it.
    File(File),
}

/// A file that is there, for who decides which part of it is sent.
pub struct File {
    /// The whole object.
    pub meta: Meta,
    /// Media type.
    pub mime: &'static str,
    vod: Vod,
    library: Arc<Library>,
    key: String,
}

/// What is asked for with a grant's path or a token.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Below the asset's prefix, percent-encoded.
    pub path: &'a str,
    /// HEAD: no byte of it is wanted.
    pub head: bool,
}

/// Presigned URLs of whole files: pictures, sounds, originals.
pub const FILE_TTL: Duration = Duration::from_secs(3600);

impl Vod {
    /// What lies at `path` of an asset: a playlist named relative to itself, or a media object by the
    /// library's way.
    ///
    /// # Errors
    /// The path is none, nothing is there, or the store is unwell.
    pub async fn serve(&self, asset: &Asset, asked: Asked<'_>) -> Result<Delivery, Error> {
        let library = self.library(&asset.library)?;
        let (prefix, entry) = match asset.plays() {
            Plays::Hls { prefix, entry } => (Prefix::new(prefix).map_err(Error::Path)?, entry),
            Plays::File(key) => return self.file(&library, key, asked).await,
            Plays::Nothing => return Err(Error::NotReady(asset.id.to_string())),
        };
        let key = prefix.at_path(asked.path).map_err(Error::Path)?;
        if !is_playlist(&key) {
            return self.deliver(&library, &key, asked).await;
        }
        let entry = format!("{}/{entry}", prefix.as_str());
        let place = Place {
            library: &library,
            prefix: &prefix,
            key: &key,
            entry: &entry,
        };
        let rendered = self.rendered(place, Flavour::default()).await;
        rendered.map(Delivery::Playlist)
    }

    /// A playlist in a flavour, its media signed where its library wants that.
    pub(crate) async fn rendered(
        &self,
        place: Place<'_>,
        flavour: Flavour<'_>,
    ) -> Result<Arc<Rendered>, Error> {
        let presign = presigner(place.library);
        let flavour = Flavour {
            presign: presign.as_ref().map(|presign| presign as _),
            ..flavour
        };
        let words = words(place.library, flavour);
        self.playlists().playlist(place, words, flavour).await
    }

    /// A URL of an asset's file for who may have it, where its library hands out such: presigned, good
    /// for an hour. `None` where the gateway must serve it itself.
    ///
    /// # Errors
    /// There is nothing to play or to save.
    pub fn file_url(&self, asset: &Asset, download: bool) -> Result<Option<Url>, Error> {
        let library = self.library(&asset.library)?;
        let key = self.file_key(asset, download)?;
        let Some(bucket) = library
            .bucket()
            .filter(|_| library.segments() != Segments::Tunnel)
        else {
            return Ok(None);
        };
        let disposition = download.then(|| disposition(&asset.save_as(key)));
        let presign = Presign {
            key,
            head: false,
            disposition: disposition.as_deref(),
            ttl: FILE_TTL,
        };
        Ok(Some(bucket.presign(presign)))
    }

    /// The file that an asset plays, or the one that it is saved as: the original.
    ///
    /// # Errors
    /// There is none.
    pub fn file_key<'a>(&self, asset: &'a Asset, download: bool) -> Result<&'a str, Error> {
        let original = asset.facts.raw_key.as_deref();
        let played = match asset.plays() {
            Plays::File(key) => Some(key),
            Plays::Hls { .. } | Plays::Nothing => None,
        };
        if download {
            let key = original.or(played);
            return key.ok_or_else(|| Error::NoOriginal(asset.id.to_string()));
        }
        asset.check_sound()?;
        played.ok_or_else(|| Error::NotReady(asset.id.to_string()))
    }

    /// The path of the file that an asset plays, as [`Vod::serve`] takes it; of HLS, its first
    /// playlist.
    ///
    /// # Errors
    /// There is none.
    pub fn entry_path(&self, asset: &Asset) -> Result<String, Error> {
        asset.check_sound()?;
        match asset.plays() {
            Plays::Hls { entry, .. } => Ok(encode_path(entry)),
            Plays::File(key) => Ok(encode_path(file_name(key))),
            Plays::Nothing => Err(Error::NotReady(asset.id.to_string())),
        }
    }

    /// The original, to be saved, through the gateway; for a HEAD, or else its bytes are on their way.
    ///
    /// # Errors
    /// There is none, or the store is unwell.
    pub async fn original(&self, asset: &Asset, head: bool) -> Result<File, Error> {
        let library = self.library(&asset.library)?;
        let key = self.file_key(asset, true)?;
        self.through(&library, key, head).await
    }

    /// An asset of one file has one path: the file's name.
    async fn file(
        &self,
        library: &Arc<Library>,
        key: &str,
        asked: Asked<'_>,
    ) -> Result<Delivery, Error> {
        if asked.path != encode_path(file_name(key)) {
            return Err(Error::Missing {
                library: library.id().to_owned(),
                key: "a path that is not its file's name".to_owned(),
            });
        }
        self.deliver(library, key, asked).await
    }

    async fn deliver(
        &self,
        library: &Arc<Library>,
        key: &str,
        asked: Asked<'_>,
    ) -> Result<Delivery, Error> {
        let is_key = key.ends_with(".key");
        if let Some(bucket) = library.bucket()
            && library.segments() != Segments::Tunnel
            && !is_key
        {
            let presign = Presign {
                key,
                head: asked.head,
                disposition: None,
                ttl: library.spec.presign_ttl,
            };
            return Ok(Delivery::Redirect(bucket.presign_steady(presign)));
        }
        let file = self.through(library, key, asked.head).await;
        file.map(Delivery::File)
    }

    async fn through(&self, library: &Arc<Library>, key: &str, head: bool) -> Result<File, Error> {
        let meta = match library.directory() {
            None if !head => self.tunnels().meta(library, key).await?,
            _ => library.head(key).await?,
        };
        Ok(File {
            meta,
            mime: mime_of(key),
            vod: self.clone(),
            library: library.clone(),
            key: key.to_owned(),
        })
    }
}

impl File {
    /// A part of it, which must lie inside.
    ///
    /// # Errors
    /// It is gone, or the store is unwell.
    pub async fn read(&self, range: ByteRange) -> Result<Object, Error> {
        match self.library.directory() {
            Some(directory) => Ok(Box::pin(directory.read(&self.key, range).await?)),
            None => {
                let tunnels = self.vod.tunnels();
                tunnels.read(&self.library, &self.key, range).await
            }
        }
    }
}

/// Signs the URLs of playlists, where the library wants that.
fn presigner(library: &Library) -> Option<impl Fn(&str) -> String + Sync + '_> {
    let bucket = library.bucket()?;
    let ttl = library.spec.presign_ttl;
    (library.segments() == Segments::Presign).then_some(move |key: &str| {
        let presign = Presign {
            key,
            head: false,
            disposition: None,
            ttl,
        };
        bucket.presign_steady(presign).into()
    })
}

/// What tells one rendering of a playlist from another: presigned URLs change with their date.
fn words(library: &Library, flavour: Flavour<'_>) -> String {
    let [token, base] = [flavour.token, flavour.media_base].map(Option::unwrap_or_default);
    match (library.segments(), library.bucket()) {
        (Segments::Presign, Some(bucket)) => {
            let dated_s = bucket.dated_s(library.spec.presign_ttl);
            format!("{dated_s} {token} {base}")
        }
        _ => format!("{token} {base}"),
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Playlist(_) => "Playlist",
            Self::Redirect(_) => "Redirect",
            Self::File(_) => "File",
        })
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}
