//! What holds for whatever is shown in place of a permission: nothing panics, and nothing that we did not
//! sign opens anything.

use grant::issuer::{self, Algorithm, Issuer};
use grant::{Key, KeyRing, hls_token, open, seal};

const NOW_S: i64 = 1_800_000_000;
const SECRET: &[u8; 32] = b"what the fuzzer does not know ..";

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\n');
    let keys = KeyRing::new(vec![Key::new(1, SECRET)]);
    if let Ok(grant) = open(text, &keys) {
        // One of the corpus, which this key signed: it has one text only.
        let again = seal(&grant, keys.newest().expect("there is a key"));
        assert_eq!(again.as_deref(), Some(text));
    }
    if let Ok(token) = hls_token::open(SECRET, text, NOW_S) {
        assert!(token.expires_s > NOW_S);
    }
    let algorithm = Algorithm::Hs256;
    let issuer = Issuer::new("k".to_owned(), algorithm, SECRET, "a".to_owned());
    let issuer = [issuer.expect("the secret is long enough")];
    if let Ok(claims) = issuer::open(&issuer, text, NOW_S) {
        assert!(claims.expires_s > NOW_S && claims.once.starts_with("k\n"));
    }
}
