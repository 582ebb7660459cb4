//! Keys out of passwords, and AES in CBC mode that can be entered anywhere.
//!
//! Key derivation costs 5 to 50 ms a salt: call parsers that have [`Keys`] off the tasks that must
//! not wait.

use std::fmt;

use aes::{Aes128, Aes256};
use base::Redacted;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Error;

/// Bytes of an AES block.
pub const BLOCK_BYTES: u64 = 16;

/// Rounds of RAR5's key derivation as a power of two. `rar` writes 15; 24 is the format's limit, and
/// a second of work for a header that anybody may have written.
const RAR5_ROUNDS_LOG2_MAX: u8 = 20;
/// The same of 7z, which writes 19.
const SEVEN_ROUNDS_LOG2_MAX: u8 = 22;
const RAR4_ROUNDS: u32 = 0x40000;
/// Characters of a RAR4 password. With more, `rar` hashes a buffer that it has damaged before.
const RAR4_PASSWORD_CHARS_MAX: usize = 28;
/// Keys kept: one or two for each volume of a set at worst.
const CACHE_MAX: usize = 256;

/// How a file's bytes are encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Cipher {
    key: Key,
    iv: [u8; 16],
}

#[derive(Clone, PartialEq, Eq)]
enum Key {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

impl Cipher {
    pub(crate) fn aes128(key: [u8; 16], iv: [u8; 16]) -> Self {
        Self {
            key: Key::Aes128(key),
            iv,
        }
    }

    pub(crate) fn aes256(key: [u8; 32], iv: [u8; 16]) -> Self {
        Self {
            key: Key::Aes256(key),
            iv,
        }
    }

    /// Decrypts whole blocks in place. `before` is the ciphertext block that precedes `data`, `None`
    /// at the start of the file.
    ///
    /// # Panics
    /// If `data` is not whole blocks.
    pub fn decrypt(&self, before: Option<&[u8; 16]>, data: &mut [u8]) {
        let iv = before.unwrap_or(&self.iv);
        let done = match &self.key {
            Key::Aes128(key) => cbc::Decryptor::<Aes128>::new(key.into(), iv.into())
                .decrypt_padded::<NoPadding>(data)
                .map(<[u8]>::len),
            Key::Aes256(key) => cbc::Decryptor::<Aes256>::new(key.into(), iv.into())
                .decrypt_padded::<NoPadding>(data)
                .map(<[u8]>::len),
        };
        done.expect("the data is whole blocks");
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.key {
            Key::Aes128(_) => "Cipher(AES-128)",
            Key::Aes256(_) => "Cipher(AES-256)",
        })
    }
}

/// A password, and the keys already derived from it: volumes of a set mostly share their salts.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    password: Option<Redacted<String>>,
    cache: Vec<(Salt, Redacted<[u8; 40]>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Salt {
    Rar4([u8; 8]),
    Rar5([u8; 16], u8),
    Seven(Vec<u8>, u8),
}

impl Keys {
    /// Keys for one password, or for none.
    pub fn new(password: Option<Redacted<String>>) -> Self {
        Self {
            password,
            cache: Vec::new(),
        }
    }

    /// Whether there is a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// RAR5: the key, and the value that tells a wrong password.
    pub(super) fn rar5(
        &mut self,
        salt: [u8; 16],
        rounds_log2: u8,
    ) -> Result<([u8; 32], [u8; 8]), Error> {
        if rounds_log2 > RAR5_ROUNDS_LOG2_MAX {
            return Err(Error::Unsupported {
                format: "rar5",
                what: "a key of so many rounds",
            });
        }
        let out = self.derive("rar5", Salt::Rar5(salt, rounds_log2), |password| {
            Ok(rar5_key(password, &salt, rounds_log2))
        })?;
        Ok((part(&out, 0), part(&out, 32)))
    }

    /// RAR4: the cipher of its headers and files.
    pub(super) fn rar4(&mut self, salt: [u8; 8]) -> Result<Cipher, Error> {
        let out = self.derive("rar4", Salt::Rar4(salt), |password| {
            if password.encode_utf16().count() > RAR4_PASSWORD_CHARS_MAX {
                return Err(Error::Unsupported {
                    format: "rar4",
                    what: "a password of more than 28 characters",
                });
            }
            Ok(rar4_key(password, &salt))
        })?;
        Ok(Cipher::aes128(part(&out, 0), part(&out, 16)))
    }

    /// 7z: the key.
    pub(super) fn seven(&mut self, salt: &[u8], rounds_log2: u8) -> Result<[u8; 32], Error> {
        if rounds_log2 > SEVEN_ROUNDS_LOG2_MAX {
            return Err(Error::Unsupported {
                format: "7z",
                what: "a key of so many rounds",
            });
        }
        let out = self.derive("7z", Salt::Seven(salt.to_vec(), rounds_log2), |password| {
            Ok(seven_key(password, salt, rounds_log2))
        })?;
        Ok(part(&out, 0))
    }

    fn derive(
        &mut self,
        format: &'static str,
        salt: Salt,
        compute: impl FnOnce(&str) -> Result<[u8; 40], Error>,
    ) -> Result<[u8; 40], Error> {
        if let Some((_, key)) = self.cache.iter().find(|(known, _)| *known == salt) {
            return Ok(*key.expose());
        }
        let password = self.password.as_ref().ok_or(Error::Encrypted(format))?;
        let key = compute(password.expose())?;
        if self.cache.len() == CACHE_MAX {
            self.cache.remove(0);
        }
        self.cache.push((salt, Redacted::new(key)));
        Ok(key)
    }
}

fn part<const N: usize>(bytes: &[u8; 40], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// PBKDF2-HMAC-SHA256 of one block: the key after the rounds named, and after 32 more what the
/// check value is folded from (16 more make a key for checksums, which we do not use).
fn rar5_key(password: &str, salt: &[u8; 16], rounds_log2: u8) -> [u8; 40] {
    let mac =
        Hmac::<Sha256>::new_from_slice(password.as_bytes()).expect("any length of key will do");
    let hash = |data: &[&[u8]]| -> [u8; 32] {
        let mut mac = mac.clone();
        data.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = hash(&[salt, &[0, 0, 0, 1]]);
    let mut sum = last;
    let mut more = |sum: &mut [u8; 32], rounds: u32| {
        for _ in 0..rounds {
            last = hash(&[&last]);
            sum.iter_mut()
                .zip(last)
                .for_each(|(sum, byte)| *sum ^= byte);
        }
    };
    more(&mut sum, (1 << rounds_log2) - 1);
    let mut out = [0; 40];
    out[..32].copy_from_slice(&sum);
    more(&mut sum, 32);
    for (at, byte) in sum.into_iter().enumerate() {
        out[32 + at % 8] ^= byte;
    }
    out
}

/// SHA-1 over 2^18 times password, salt and a counter. Sixteen of the hashes on the way give the
/// vector, the last one the key, its words turned round.
fn rar4_key(password: &str, salt: &[u8; 8]) -> [u8; 40] {
    let mut seed: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    seed.extend_from_slice(salt);
    let mut hash = Sha1::new();
    let mut out = [0; 40];
    for round in 0..RAR4_ROUNDS {
        hash.update(&seed);
        hash.update(&round.to_le_bytes()[..3]);
        if round % (RAR4_ROUNDS / 16) == 0 {
            let at = (round / (RAR4_ROUNDS / 16)) as usize;
            out[16 + at] = hash.clone().finalize()[19];
        }
    }
    let last = hash.finalize();
    for (at, byte) in out[..16].iter_mut().enumerate() {
        *byte = last[at / 4 * 4 + 3 - at % 4];
    }
    out
}

/// SHA-256 over 2^rounds times salt, password and a counter.
fn seven_key(password: &str, salt: &[u8], rounds_log2: u8) -> [u8; 40] {
    let mut seed = salt.to_vec();
    seed.extend(password.encode_utf16().flat_map(u16::to_le_bytes));
    let mut hash = Sha256::new();
    for round in 0..1_u64 << rounds_log2 {
        hash.update(&seed);
        hash.update(round.to_le_bytes());
    }
    let mut out = [0; 40];
    out[..32].copy_from_slice(&hash.finalize());
    out
}
