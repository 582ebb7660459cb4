//! The document's bytes as UTF-8, whatever they were.

use std::io::{self, BufRead, Read};

/// Bytes converted at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Two bytes of UTF-16 as a unit, in one order or the other.
type Unit = fn([u8; 2]) -> u16;

/// Turns a byte stream into UTF-8 and refuses one that is too long.
///
/// The declared encoding is not asked: documents that declare Latin-1 and hold UTF-8, or the other
/// way round, are common. UTF-16 is told by its mark; else what is valid UTF-8 is taken as such and
/// each other byte as Latin-1.
pub(super) struct Utf8<R> {
    inner: R,
    bytes_left: u64,
    started: bool,
    wide: Option<Unit>,
    raw: Vec<u8>,
    text: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Utf8<R> {
    pub(super) fn new(inner: R, bytes_max: u64) -> Self {
        Self {
            inner,
            bytes_left: bytes_max,
            started: false,
            wide: None,
            raw: Vec::new(),
            text: Vec::new(),
            at: 0,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.at = 0;
        // More than one round only where what came makes no whole character.
        while self.text.is_empty() {
            let wanted = (CHUNK_BYTES - self.raw.len()) as u64;
            let got = self
                .inner
                .by_ref()
                .take(wanted)
                .read_to_end(&mut self.raw)?;
            self.bytes_left = self
                .bytes_left
                .checked_sub(got as u64)
                .ok_or(io::ErrorKind::FileTooLarge)?;
            let is_end = got == 0;
            if !std::mem::replace(&mut self.started, true) {
                self.skip_mark();
            }
            let used = match self.wide {
                Some(unit) => from_utf16(&self.raw, unit, is_end, &mut self.text),
                None => from_bytes(&self.raw, is_end, &mut self.text),
            };
            self.raw.drain(..used);
            if is_end {
                break;
            }
        }
        Ok(())
    }

    fn skip_mark(&mut self) {
        let (wide, len): (Option<Unit>, _) = match &*self.raw {
            [0xff, 0xfe, ..] => (Some(u16::from_le_bytes), 2),
            [0xfe, 0xff, ..] => (Some(u16::from_be_bytes), 2),
            [0xef, 0xbb, 0xbf, ..] => (None, 3),
            _ => (None, 0),
        };
        self.wide = wide;
        self.raw.drain(..len);
    }
}

impl<R: BufRead> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Utf8<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.text.len() {
            self.refill()?;
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.text.len());
    }
}

/// Appends `raw` as UTF-8 and returns how many bytes it used: all but a character cut off at the end.
fn from_bytes(raw: &[u8], is_end: bool, text: &mut Vec<u8>) -> usize {
    let mut used = 0;
    loop {
        match str::from_utf8(&raw[used..]) {
            Ok(valid) => {
                text.extend_from_slice(valid.as_bytes());
                return raw.len();
            }
            Err(error) => {
                let valid = used + error.valid_up_to();
                text.extend_from_slice(&raw[used..valid]);
                if error.error_len().is_none() && !is_end {
                    return valid;
                }
                let mut buffer = [0; 4];
                let latin = char::from(raw[valid]).encode_utf8(&mut buffer);
                text.extend_from_slice(latin.as_bytes());
                used = valid + 1;
            }
        }
    }
}

fn from_utf16(raw: &[u8], unit: Unit, is_end: bool, text: &mut Vec<u8>) -> usize {
    let (pairs, _) = raw.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
    let is_cut = units
        .last()
        .is_some_and(|unit| (0xd800..0xdc00).contains(unit));
    if is_cut && !is_end {
        units.pop();
    }
    for character in char::decode_utf16(units.iter().copied()) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if is_end { raw.len() } else { units.len() * 2 }
}

/// Undoes the five entities of XML and numeric references. Anything else stays as it is written: no
/// document defines entities for us, and stray ampersands are common in subjects.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match after
            .split_once(';')
            .and_then(|(name, tail)| Some((entity(name)?, tail)))
        {
            Some((character, tail)) => {
                out.push(character);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#').filter(|digits| digits.len() <= 8)?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}
