//! RAR 5 archives in store mode, cut into volumes: as many as a test wants, without `rar`.

/// The volumes of an archive that holds `files`, each volume with about `volume_bytes` of their data.
pub fn volumes(files: &[(&str, &[u8])], volume_bytes: usize) -> Vec<Vec<u8>> {
    uneven_volumes(files, &[volume_bytes])
}

/// The same with volumes of these lengths, over and over.
pub fn uneven_volumes(files: &[(&str, &[u8])], lens: &[usize]) -> Vec<Vec<u8>> {
    let mut volumes: Vec<Vec<u8>> = Vec::new();
    let mut volume = begin(0);
    let mut room = lens[0];
    for (name, data) in files {
        let mut at = 0;
        let mut continues_from = false;
        loop {
            let len = room.min(data.len() - at);
            let goes_on = at + len < data.len();
            let piece = &data[at..at + len];
            volume.extend(file_header(name, data, piece, continues_from, goes_on));
            volume.extend(piece);
            at += len;
            room -= len;
            if !goes_on {
                break;
            }
            volume.extend(block(5, 0, None, &vint(1)));
            volumes.push(std::mem::replace(&mut volume, begin(volumes.len() + 1)));
            room = lens[volumes.len() % lens.len()];
            continues_from = true;
        }
    }
    volume.extend(block(5, 0, None, &vint(0)));
    volumes.push(volume);
    volumes
}

fn begin(number: usize) -> Vec<u8> {
    let mut out = b"Rar!\x1a\x07\x01\x00".to_vec();
    let fields = if number == 0 {
        vint(1)
    } else {
        [vint(3), vint(number as u64)].concat()
    };
    out.extend(block(1, 0, None, &fields));
    out
}

fn file_header(name: &str, data: &[u8], piece: &[u8], from: bool, goes_on: bool) -> Vec<u8> {
    let flags = u64::from(from) << 3 | u64::from(goes_on) << 4;
    let crc = crc32fast::hash(if goes_on { piece } else { data });
    let fields = [
        vint(4),
        vint(data.len() as u64),
        vint(0x20),
        crc.to_le_bytes().to_vec(),
        vint(0),
        vint(1),
        vint(name.len() as u64),
        name.as_bytes().to_vec(),
    ]
    .concat();
    block(2, flags, Some(piece.len() as u64), &fields)
}

fn block(kind: u64, flags: u64, data_len: Option<u64>, fields: &[u8]) -> Vec<u8> {
    let mut body = vint(kind);
    body.extend(vint(flags | if data_len.is_some() { 2 } else { 0 }));
    body.extend(data_len.map(vint).unwrap_or_default());
    body.extend(fields);
    let sized = [vint(body.len() as u64), body].concat();
    [crc32fast::hash(&sized).to_le_bytes().to_vec(), sized].concat()
}

fn vint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}
