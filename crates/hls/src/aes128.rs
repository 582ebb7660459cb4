//! Whole-segment encryption, `METHOD=AES-128` (RFC 8216 §4.3.2.4): AES-128 in CBC mode with PKCS#7
//! padding, each segment on its own.
//!
//! Owns no keys: it neither fetches nor keeps them.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

/// Bytes of a key, an initialization vector and a block.
pub const BLOCK_LEN: usize = 16;

/// A body is not what that key and vector encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecryptable {
    /// CBC works on whole blocks, and padding makes at least one.
    #[error("encrypted segment of {0} bytes, not a multiple of 16")]
    Length(usize),
    /// The wrong key, or a body cut off or damaged at its end. A wrong vector does not show here:
    /// it spoils the first 16 bytes only.
    #[error("bad padding: wrong key or damaged segment")]
    Padding,
}

impl Undecryptable {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Corrupt
    }
}

/// The clear bytes of an encrypted `body`.
pub fn decrypt(
    body: &[u8],
    key: &[u8; BLOCK_LEN],
    iv: &[u8; BLOCK_LEN],
) -> Result<Vec<u8>, Undecryptable> {
    if body.is_empty() || !body.len().is_multiple_of(BLOCK_LEN) {
        return Err(Undecryptable::Length(body.len()));
    }
    let mut buffer = body.to_vec();
    let len = cbc::Decryptor::<Aes128>::new(key.into(), iv.into())
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| Undecryptable::Padding)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

/// Encrypts a clear `body`; what comes out is 1 to 16 bytes longer.
pub fn encrypt(body: &[u8], key: &[u8; BLOCK_LEN], iv: &[u8; BLOCK_LEN]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(body.len() + BLOCK_LEN);
    buffer.extend_from_slice(body);
    buffer.resize(body.len() / BLOCK_LEN * BLOCK_LEN + BLOCK_LEN, 0);
    cbc::Encryptor::<Aes128>::new(key.into(), iv.into())
        .encrypt_padded::<Pkcs7>(&mut buffer, body.len())
        .expect("the buffer has room for the padding");
    buffer
}

/// The vector of a segment whose `KEY` has no `IV`: its media sequence number, big-endian
/// (RFC 8216 §5.2).
pub fn iv_from_sequence(media_sequence: u64) -> [u8; BLOCK_LEN] {
    u128::from(media_sequence).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// NIST SP 800-38A F.2.1, two blocks; the third is the padding's.
    const KEY: [u8; 16] = 0x2b7e1516_28aed2a6_abf71588_09cf4f3c_u128.to_be_bytes();
    const IV: [u8; 16] = 0x00010203_04050607_08090a0b_0c0d0e0f_u128.to_be_bytes();
    const CLEAR: [u128; 2] = [
        0x6bc1bee2_2e409f96_e93d7e11_7393172a,
        0xae2d8a57_1e03ac9c_9eb76fac_45af8e51,
    ];
    const ENCRYPTED: [u128; 2] = [
        0x7649abac_8119b246_cee98e9b_12e9197d,
        0x5086cb9b_507219ee_95db113a_917678b2,
    ];

    fn bytes(blocks: [u128; 2]) -> Vec<u8> {
        blocks
            .iter()
            .flat_map(|block| block.to_be_bytes())
            .collect()
    }

    #[test]
    fn is_the_cipher_of_the_standard() {
        let encrypted = encrypt(&bytes(CLEAR), &KEY, &IV);
        assert_eq!(encrypted[..32], bytes(ENCRYPTED));
        assert_eq!(encrypted.len(), 48);
        assert_eq!(decrypt(&encrypted, &KEY, &IV), Ok(bytes(CLEAR)));
    }

    #[test]
    fn names_why_a_body_cannot_be_decrypted() {
        let encrypted = encrypt(b"segment", &KEY, &IV);
        for (body, error) in [
            (&encrypted[..15], Undecryptable::Length(15)),
            (&[], Undecryptable::Length(0)),
            (&bytes(ENCRYPTED), Undecryptable::Padding),
        ] {
            assert_eq!(decrypt(body, &KEY, &IV), Err(error));
        }
    }

    #[test]
    fn the_implicit_vector_is_the_sequence_number() {
        let mut expected = [0; 16];
        expected[14..].copy_from_slice(&[0x01, 0x02]);
        assert_eq!(iv_from_sequence(258), expected);
        assert_eq!(iv_from_sequence(u64::MAX)[7..9], [0, 0xff]);
    }

    proptest! {
        #[test]
        fn round_trips(body in prop::collection::vec(any::<u8>(), 0..100), key: [u8; 16], iv: [u8; 16]) {
            prop_assert_eq!(decrypt(&encrypt(&body, &key, &iv), &key, &iv), Ok(body));
        }

        #[test]
        fn any_body_is_decrypted_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(clear) = decrypt(&body, &KEY, &IV) {
                prop_assert!(clear.len() < body.len());
            }
        }
    }
}
