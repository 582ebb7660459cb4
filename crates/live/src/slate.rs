//! The card that a channel shows while it has no picture: a file of the operator's, or the one that
//! is built in.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hls::channel::Slate;

/// Why a channel cannot show what it is told to.
#[derive(Debug, thiserror::Error)]
pub enum BadSlate {
    /// Only files can be shown.
    #[error("slate {0:?} is an asset of a private library, and this version has none")]
    Asset(String),
    /// It cannot be read.
    #[error("slate {path} cannot be read: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It would stay in memory.
    #[error("slate {0} is larger than {FILE_MAX} bytes")]
    TooLarge(PathBuf),
    /// It is no clip that could be looped.
    #[error("slate {path} cannot be shown: {reason}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What makes a file that can be shown.
pub const HINT: &str = "ffmpeg makes one: -c:v libx264 -g 25 -c:a aac -f mpegts card.ts; a card without sound needs a silent track";

/// Bytes of a file.
const FILE_MAX: u64 = 16 << 20;
/// Pieces of a second fit every target duration.
const PIECE: Duration = Duration::from_secs(1);

/// Reads what a channel is told to show; an empty name stands for the built-in card. Blocks.
pub fn read(name: &str) -> Result<Arc<Slate>, BadSlate> {
    if name.is_empty() {
        return Ok(built_in());
    }
    if let Some(asset) = name.strip_prefix("asset:") {
        return Err(BadSlate::Asset(asset.to_owned()));
    }
    let path = Path::new(name);
    let failed = |source| BadSlate::File {
        path: path.to_owned(),
        source,
    };
    let mut clip = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1)
        .read_to_end(&mut clip)
        .map_err(failed)?;
    if clip.len() as u64 > FILE_MAX {
        return Err(BadSlate::TooLarge(path.to_owned()));
    }
    usable(&clip)
        .map(Arc::new)
        .map_err(|reason| BadSlate::Unusable {
            path: path.to_owned(),
            reason,
        })
}

/// The built-in card.
pub(crate) fn built_in() -> Arc<Slate> {
    static CARD: OnceLock<Arc<Slate>> = OnceLock::new();
    let make = || usable(include_bytes!("../../../media/slate.ts")).expect("a test cuts it");
    CARD.get_or_init(|| Arc::new(make())).clone()
}

/// Players that have set up pictures and sound stand still when one of them ends.
fn usable(clip: &[u8]) -> Result<Slate, String> {
    let slate = Slate::new(clip, PIECE).map_err(|error| error.to_string())?;
    let program = hls::ts::verify(clip).program;
    let has = program.map(|program| (program.video().is_some(), program.audio().is_some()));
    match has {
        Some((true, true)) => Ok(slate),
        Some((true, false)) => Err("it has no sound".to_owned()),
        _ => Err("it has no pictures".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_card_is_small_and_loops() {
        assert_eq!(built_in().length(), Duration::from_millis(4800));
        assert!(include_bytes!("../../../media/slate.ts").len() <= 120_000);
    }

    #[test]
    fn a_file_is_shown_or_named_with_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        #[track_caller]
        fn check(path: &Path, bytes: &[u8], expected: &str) {
            std::fs::write(path, bytes).unwrap();
            let name = path.to_str().unwrap();
            let said = read(name).map_or_else(|error| error.to_string(), |_| String::new());
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
        let missing = read(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(
            missing.contains("cannot be read: No such file"),
            "{missing}"
        );
        let asset = read("asset:holding").unwrap_err().to_string();
        assert_eq!(
            asset,
            "slate \"holding\" is an asset of a private library, and this version has none"
        );
    }
}
