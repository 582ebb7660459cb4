//! Private libraries: video, audio and images in a bucket or a directory that nobody but the gateway
//! reads, and what a viewer gets of them.
//!
//! It owns the libraries ([`library`]), what is registered of them ([`Asset`]), the playlists as viewers
//! see them ([`render`]), and the ways their bytes travel: by a short presign, or through here
//! (a tunnel). It does not know who is asking: grants are checked before anything here is called. It
//! knows no routes and no status codes.

mod asset;
mod clip;
mod confine;
mod dir;
mod error;
mod known;
pub mod library;
mod mime;
mod playlists;
mod probe;
mod rewrite;
mod s3;
mod scan;
mod serve;
mod spec;
mod token;
mod traffic;
mod tunnel;
mod vod;

pub use asset::{Asset, Facts, Kind, NewAsset, Patch, Probe, Size};
pub use confine::{Confined, Prefix, UriError, encode_path, file_name};
pub use error::Error;
pub use known::Page;
pub use library::{Library, Listed, Meta, Object};
pub use mime::{disposition, mime_of};
pub use playlists::Rendered;
pub use rewrite::{Flavour, render};
pub use s3::{Bucket, Presign};
pub use scan::ScanStatus;
pub use serve::{Asked, Delivery, FILE_TTL, File};
pub use spec::{LibrarySpec, S3Spec, Segments, Where};
pub use traffic::Traffic;
pub use vod::Vod;
