//! The card that a channel shows while it has no picture: an asset of a private library, a file of the
//! operator's, or the one that is built in.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hls::channel::Slate;
use vod::Vod;

/// Why a channel cannot show what it is told to.
#[derive(Debug, thiserror::Error)]
pub enum BadSlate {
    /// The asset of a private library cannot be had.
    #[error("slate asset:{asset} cannot be had: {reason}")]
    Asset {
        /// Its id or slug.
        asset: String,
        /// Why.
        reason: Box<vod::Error>,
    },
    /// It cannot be read.
    #[error("slate {path} cannot be read: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It would stay in memory.
    #[error("slate {0} is larger than {BYTES_MAX} bytes")]
    TooLarge(PathBuf),
    /// It is no clip that could be looped.
    #[error("slate {name} cannot be shown: {reason}")]
    Unusable {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

impl BadSlate {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Asset { .. } => {
                "register it: perennial asset add, or POST /api/v1/assets with this slug"
            }
            _ => {
                "ffmpeg makes one: -c:v libx264 -g 25 -c:a aac -f mpegts card.ts; a card without sound needs a silent track"
            }
        }
    }
}

/// Bytes of a clip.
const BYTES_MAX: u64 = 16 << 20;
/// Pieces of a second fit every target duration.
const PIECE: Duration = Duration::from_secs(1);

/// What stands before an asset's id or slug.
const ASSET: &str = "asset:";

/// Whether `name` is a file's, so that it can be looked at before it is needed.
pub fn is_file(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(ASSET)
}

/// Reads what a channel is told to show: an `asset:` of a private library or a file; an empty name stands
/// for the built-in card.
pub async fn load(name: &str, libraries: &Vod) -> Result<Arc<Slate>, BadSlate> {
    if name.is_empty() {
        return Ok(built_in());
    }
    let name = name.to_owned();
    let clip = match name.strip_prefix(ASSET) {
        None => None,
        Some(asset) => {
            let clip = Box::pin(libraries.clip(asset, BYTES_MAX)).await;
            Some(clip.map_err(|reason| BadSlate::Asset {
                asset: asset.to_owned(),
                reason: Box::new(reason),
            })?)
        }
    };
    let cutting = tokio::task::spawn_blocking(move || match clip {
        None => read(Path::new(&name)),
        Some(clip) => usable(&name, &clip),
    });
    // Only a runtime that stops cuts it short: then nothing is shown.
    cutting.await.unwrap_or_else(|_| Ok(built_in()))
}

/// Reads a file. Blocks.
pub fn read(path: &Path) -> Result<Arc<Slate>, BadSlate> {
    let failed = |source| BadSlate::File {
        path: path.to_owned(),
        source,
    };
    let mut clip = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut clip)
        .map_err(failed)?;
    if clip.len() as u64 > BYTES_MAX {
        return Err(BadSlate::TooLarge(path.to_owned()));
    }
    usable(&path.to_string_lossy(), &clip)
}

/// The built-in card.
pub(crate) fn built_in() -> Arc<Slate> {
    static CARD: OnceLock<Arc<Slate>> = OnceLock::new();
    let card = include_bytes!("../../../media/slate.ts");
    CARD.get_or_init(|| usable("built in", card).expect("a test cuts it"))
        .clone()
}

/// Players that have set up pictures and sound stand still when one of them ends.
fn usable(name: &str, clip: &[u8]) -> Result<Arc<Slate>, BadSlate> {
    let unusable = |reason: String| BadSlate::Unusable {
        name: name.to_owned(),
        reason,
    };
    let slate = Slate::new(clip, PIECE).map_err(|error| unusable(error.to_string()))?;
    let program = hls::ts::verify(clip).program;
    let has = program.map(|program| (program.video().is_some(), program.audio().is_some()));
    match has {
        Some((true, true)) => Ok(Arc::new(slate)),
        Some((true, false)) => Err(unusable("it has no sound".to_owned())),
        _ => Err(unusable("it has no pictures".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_card_is_small_and_loops() {
        assert_eq!(built_in().length(), Duration::from_millis(4800));
        let card = include_bytes!("../../../media/slate.ts");
        assert!(card.len() <= 120_000);
        // Sound that ends before the picture is a hole in every round.
        let sound = hls::ts::select(card, hls::ts::Keep::Audio);
        assert!(hls::ts::duration(&sound) >= Some(Duration::from_millis(4500)));
    }

    #[test]
    fn a_file_is_shown_or_named_with_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        #[track_caller]
        fn check(path: &Path, bytes: &[u8], expected: &str) {
            std::fs::write(path, bytes).unwrap();
            let name = path.to_str().unwrap();
            let said = read(path).map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(said.replace(name, "card.ts"), expected);
        }
        let path = folder.path().join("card.ts");
        let card = include_bytes!("../../../media/slate.ts");
        let silent = hls::ts::select(card, hls::ts::Keep::Video);
        let blind = hls::ts::select(card, hls::ts::Keep::Audio);
        check(&path, card, "");
        check(
            &path,
            b"<html>",
            "slate card.ts cannot be shown: it is no MPEG transport stream",
        );
        check(
            &path,
            &silent,
            "slate card.ts cannot be shown: it has no sound",
        );
        check(
            &path,
            &blind,
            "slate card.ts cannot be shown: it has no pictures",
        );
        let large = vec![0x47; (16 << 20) + 1];
        check(&path, &large, "slate card.ts is larger than 16777216 bytes");
        std::fs::remove_file(&path).unwrap();
        let missing = read(&path).unwrap_err().to_string();
        assert!(
            missing.contains("cannot be read: No such file"),
            "{missing}"
        );
    }
}
