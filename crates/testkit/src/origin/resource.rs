//! The origin's URLs: `[/edge-E][/vV]/{index.m3u8, seg/N.ts, range/F.ts, key.bin}`.

use super::fault::Target;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// The edge that a redirect led to.
    pub(super) edge: Option<u64>,
    /// The variant; `None` at the top.
    pub(super) variant: Option<u8>,
    pub(super) item: Item,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Playlist,
    Segment(u64),
    File(u64),
    Key,
    Unknown,
}

impl Resource {
    pub(super) fn parse(path: &str) -> Self {
        let mut rest = path.trim_start_matches('/');
        let edge = take(&mut rest, "edge-");
        let variant = take(&mut rest, "v");
        let numbered = |folder| rest.strip_prefix(folder)?.strip_suffix(".ts")?.parse().ok();
        let item = match rest {
            "index.m3u8" => Item::Playlist,
            "key.bin" => Item::Key,
            _ => numbered("seg/")
                .map(Item::Segment)
                .or(numbered("range/").map(Item::File))
                .unwrap_or(Item::Unknown),
        };
        Self {
            edge,
            variant,
            item,
        }
    }

    pub(super) fn is_hit_by(self, target: Target) -> bool {
        match target {
            Target::All => true,
            Target::Playlists => self.item == Item::Playlist,
            Target::Segments => matches!(self.item, Item::Segment(_) | Item::File(_)),
        }
    }
}

/// Takes a first path segment of `prefix` and a number off `rest`.
fn take<N: std::str::FromStr>(rest: &mut &str, prefix: &str) -> Option<N> {
    let (first, after) = rest.split_once('/')?;
    let number = first.strip_prefix(prefix)?.parse().ok()?;
    *rest = after;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, edge: Option<u64>, variant: Option<u8>, item: Item) {
        assert_eq!(
            Resource::parse(path),
            Resource {
                edge,
                variant,
                item
            }
        );
    }

    #[test]
    fn paths_name_resources() {
        check("/index.m3u8", None, None, Item::Playlist);
        check("/edge-3/v1/seg/12.ts", Some(3), Some(1), Item::Segment(12));
        check("/range/0.ts", None, None, Item::File(0));
        check("/edge-0/key.bin", Some(0), None, Item::Key);
        check("/seg/x.ts", None, None, Item::Unknown);
        check("/v1/", None, Some(1), Item::Unknown);
    }
}
