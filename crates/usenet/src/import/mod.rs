//! From a document to files that can be played.
//!
//! [`analyse`] is pure: given what is known of a post it says which files it holds, and which articles
//! would tell more. [`run`] fetches those, all at once, and asks again, until nothing is lacking: a plain
//! film and a set of volumes take one flight, packs and archives in archives one more for each layer.

mod analyse;
mod archives;
mod episode;
mod names;
mod run;
mod sample;
mod volumes;

pub(crate) use analyse::{Analysis, Found, analyse};
pub(crate) use episode::of as episode_of;
pub(crate) use names::{clean_component, media_type};
pub(crate) use run::{Engine, Fetched, Imported, import, is_there};
