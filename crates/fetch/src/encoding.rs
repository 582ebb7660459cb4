//! Content codings (RFC 9110 §8.4): gzip is unpacked within a limit, all others are refused.
//!
//! reqwest could unpack by itself, but would not tell a bomb from a long body, nor broken gzip from a
//! broken connection.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};

use crate::error::Fault;

/// Whether the body is packed with gzip; an error if it is packed in any other way.
pub(crate) fn is_gzip(headers: &HeaderMap) -> Result<bool, Fault> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let coding = value.as_bytes().trim_ascii();
        if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        let is_gzip =
            coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip");
        if !is_gzip || gzip {
            return Err(Fault::Encoding("not one that was asked for"));
        }
        gzip = true;
    }
    Ok(gzip)
}

/// Unpacks `packed` to at most `limit` bytes.
pub(crate) fn gunzip(packed: &[u8], limit: u64) -> Result<Bytes, Fault> {
    let mut body = Vec::new();
    MultiGzDecoder::new(packed)
        .take(limit.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|_| Fault::Encoding("broken gzip"))?;
    if body.len() as u64 > limit {
        Err(Fault::GzipBomb { limit })
    } else {
        Ok(body.into())
    }
}
