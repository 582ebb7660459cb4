//! Playlists on their way out: read, expanded, rewritten, and kept for a while in each form.

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hls::playlist::{Document, Limits, Variables};
use moka::future::Cache;
use url::Url;

use crate::confine::{Prefix, encode_path};
use crate::error::Error;
use crate::library::Library;
use crate::rewrite::{Flavour, render};

/// A playlist as it is sent.
#[derive(Debug)]
pub struct Rendered {
    /// Its bytes.
    pub identity: Bytes,
    gzip: OnceLock<Bytes>,
}

/// A playlist as it lies in the library, variables expanded.
#[derive(Debug)]
struct Source {
    etag: String,
    document: Document,
    variables: Variables,
    /// Lines end in CR and LF there, and so do ours.
    crlf: bool,
}

/// Which playlist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) library: &'a Library,
    pub(crate) prefix: &'a Prefix,
    pub(crate) key: &'a str,
    /// The multivariant playlist that variables are imported from.
    pub(crate) entry: &'a str,
}

/// Both caches.
#[derive(Clone, Debug)]
pub(crate) struct Playlists {
    /// By the library's serial number and the key.
    sources: Cache<(u64, String), Arc<Source>>,
    rendered: Cache<RenderedKey, Arc<Rendered>>,
}

/// The library's serial number, key, ETag of the object, and the words that stand for the flavour.
type RenderedKey = (u64, String, String, String);

/// How long a playlist is served before the library is asked whether it changed.
const FRESH: Duration = Duration::from_secs(10);
/// Playlists in either cache are forgotten when they are not asked for.
const IDLE: Duration = Duration::from_secs(600);
const SOURCES_BYTES_MAX: u64 = 64 << 20;
const RENDERED_BYTES_MAX: u64 = 64 << 20;

impl Rendered {
    /// Packed; the first who wants it packs it.
    pub fn gzip(&self) -> Bytes {
        let packed = self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder
                .write_all(&self.identity)
                .and_then(|()| encoder.finish())
                .expect("a Vec takes every byte")
                .into()
        });
        packed.clone()
    }
}

impl Playlists {
    pub(crate) fn new() -> Self {
        let weight = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            sources: Cache::builder()
                .weigher(move |_, source: &Arc<Source>| weight(source.document.text().len()))
                .max_capacity(SOURCES_BYTES_MAX)
                .time_to_live(FRESH)
                .build(),
            rendered: Cache::builder()
                // Twice, for the packed form and the keys.
                .weigher(move |_, rendered: &Arc<Rendered>| weight(rendered.identity.len() * 2))
                .max_capacity(RENDERED_BYTES_MAX)
                .time_to_idle(IDLE)
                .build(),
        }
    }

    /// A playlist, in a flavour that `words` tell from all others.
    pub(crate) async fn playlist(
        &self,
        place: Place<'_>,
        words: String,
        flavour: Flavour<'_>,
    ) -> Result<Arc<Rendered>, Error> {
        let Place {
            library,
            prefix,
            key,
            entry,
        } = place;
        let source = self.source(library, key, entry).await?;
        let id = (library.serial(), key.to_owned(), source.etag.clone(), words);
        if let Some(rendered) = self.rendered.get(&id).await {
            return Ok(rendered);
        }
        let document = render(&source.document, library.id(), key, prefix, flavour)?;
        let mut bytes = document.render();
        if source.crlf {
            bytes = with_crlf(&bytes);
        }
        let rendered = Arc::new(Rendered {
            identity: bytes.into(),
            gzip: OnceLock::new(),
        });
        self.rendered.insert(id, rendered.clone()).await;
        Ok(rendered)
    }

    /// The playlist as it lies there; one read serves everybody who asks meanwhile.
    async fn source(
        &self,
        library: &Library,
        key: &str,
        entry: &str,
    ) -> Result<Arc<Source>, Error> {
        let id = (library.serial(), key.to_owned());
        let read = async {
            let imports = if key == entry {
                None
            } else {
                Some((library, entry))
            };
            read(library, key, imports).await.map(Arc::new)
        };
        self.sources
            .try_get_with(id, Box::pin(read))
            .await
            .map_err(|error| Error::clone(&error))
    }
}

async fn read(
    library: &Library,
    key: &str,
    imports: Option<(&Library, &str)>,
) -> Result<Source, Error> {
    let limits = Limits::default();
    let fault = |reason| Error::Playlist {
        library: library.id().to_owned(),
        key: key.to_owned(),
        reason,
    };
    let max = limits.bytes_max as u64;
    let (meta, body) = library.get(key, max).await?;
    let document = Document::parse(&body, &limits).map_err(fault)?;
    // Without a query, so that no QUERYPARAM finds anything.
    let url = format!("http://library.invalid/{}", encode_path(key));
    let url: Url = url.parse().map_err(|_| Error::NotAPlaylistPath)?;
    let wanted = document.text().contains("#EXT-X-DEFINE") && document.text().contains("IMPORT=");
    let variables = match imports.filter(|_| wanted) {
        Some((library, entry)) => Box::pin(read(library, entry, None)).await?.variables,
        None => Variables::default(),
    };
    let (document, variables) = document.expand(&url, &variables).map_err(fault)?;
    Ok(Source {
        etag: meta.etag,
        document,
        variables,
        crlf: body.windows(2).any(|pair| pair == b"\r\n"),
    })
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'\n' && (index == 0 || bytes[index - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}
