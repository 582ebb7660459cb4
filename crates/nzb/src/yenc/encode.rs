//! The encoder: for tests, fakes and the demo. It writes what the common posters write.

use super::Part;

/// Bytes of a line before it is wrapped, as nearly all posters have it.
const LINE_BYTES: usize = 128;

/// The dot-stuffed body of the article that holds `data` as `part`, terminating line included.
pub fn encode(part: &Part, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len() / 32 * 33 + 512);
    body.extend_from_slice(&headers(part));
    for line in data.chunks(LINE_BYTES) {
        let last = line.len() - 1;
        for (at, &byte) in line.iter().enumerate() {
            let value = byte.wrapping_add(42);
            let is_edge = at == 0 || at == last;
            match value {
                0 | b'\n' | b'\r' | b'=' => body.extend([b'=', value.wrapping_add(64)]),
                // Some servers strip blanks from the ends of lines.
                b'\t' | b' ' if is_edge => body.extend([b'=', value.wrapping_add(64)]),
                b'.' if at == 0 => body.extend(b".."),
                _ => body.push(value),
            }
        }
        body.extend(b"\r\n");
    }
    let crc = crc32fast::hash(data);
    let end = match part.number {
        Some(number) => format!(
            "=yend size={} part={number} pcrc32={crc:08x}\r\n",
            data.len()
        ),
        None => format!("=yend size={} crc32={crc:08x}\r\n", data.len()),
    };
    body.extend(end.as_bytes());
    body.extend(b".\r\n");
    body
}

fn headers(part: &Part) -> Vec<u8> {
    let Part {
        name,
        file_size,
        begin,
        end,
        ..
    } = part;
    let total = part
        .total
        .map(|total| format!(" total={total}"))
        .unwrap_or_default();
    match part.number {
        Some(number) => format!(
            "=ybegin part={number}{total} line={LINE_BYTES} size={file_size} name={name}\r\n=ypart begin={} end={end}\r\n",
            begin + 1
        ),
        None => format!("=ybegin line={LINE_BYTES} size={file_size} name={name}\r\n"),
    }
    .into_bytes()
}
