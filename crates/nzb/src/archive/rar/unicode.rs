//! Names in RAR4: eight-bit, UTF-8, or eight-bit with a packed UTF-16 name behind a zero byte.

/// The name with `/` between its components.
pub(super) fn decode_name(bytes: &[u8], is_unicode: bool) -> String {
    let text = match bytes.iter().position(|&b| b == 0) {
        Some(zero) if is_unicode => unpack(&bytes[..zero], &bytes[zero + 1..]),
        Some(zero) => plain(&bytes[..zero]),
        None => plain(bytes),
    };
    text.replace('\\', "/")
}

fn plain(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().map(|&b| char::from(b)).collect(),
        str::to_owned,
    )
}

/// Two bits tell of each unit: a low byte alone, one with the common high byte, both bytes, or a run
/// taken from the eight-bit name. A packed name that ends early is as long as it is.
fn unpack(narrow: &[u8], packed: &[u8]) -> String {
    let mut units = Vec::new();
    let mut bytes = packed.iter().copied();
    if let Some(high) = bytes.next() {
        // The unit at the end of the bytes stops it.
        let _ = unpack_units(narrow, high, &mut bytes, &mut units);
    }
    String::from_utf16_lossy(&units)
}

fn unpack_units(
    narrow: &[u8],
    high: u8,
    bytes: &mut impl Iterator<Item = u8>,
    units: &mut Vec<u16>,
) -> Option<()> {
    loop {
        let flags = bytes.next()?;
        for shift in [6, 4, 2, 0] {
            match flags >> shift & 3 {
                0 => units.push(bytes.next()?.into()),
                1 => units.push(u16::from_le_bytes([bytes.next()?, high])),
                2 => units.push(u16::from_le_bytes([bytes.next()?, bytes.next()?])),
                _ => {
                    let run = bytes.next()?;
                    let correction = if run & 0x80 == 0 {
                        None
                    } else {
                        Some(bytes.next()?)
                    };
                    for _ in 0..usize::from(run & 0x7f) + 2 {
                        let byte = *narrow.get(units.len())?;
                        units.push(correction.map_or(byte.into(), |correction| {
                            u16::from_le_bytes([byte.wrapping_add(correction), high])
                        }));
                    }
                }
            }
        }
    }
}
