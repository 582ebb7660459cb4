//! JWTs: those of `/stream/hls`, and issuers' of each algorithm.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::issuer::{Algorithm, Claims, Issuer, Target};
use crate::jwt::sign_hs256;
use crate::{Actions, TokenError, hls_token, issuer};

const NOW_S: i64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret that others know, too";

fn parts(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

fn claims() -> Value {
    json!({ "sub": "hls", "pfx": "processed/a b", "exp": NOW_S + 86_400 })
}

#[track_caller]
fn check(token: &str, expected: Result<&str, TokenError>) {
    let opened = hls_token::open(SECRET, token, NOW_S).map(|token| token.prefix);
    assert_eq!(opened, expected.map(str::to_owned));
}

#[test]
fn a_token_of_another_minter_is_read() {
    check(&sign_hs256(SECRET, &claims()), Ok("processed/a b"));
    // Signed by OpenSSL.
    check(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJobHMiLCJwZngiOiJwcm9jZXNzZWQvYSBiIiwiZXhwIjoxODAwMDg2NDAwfQ.aMaj1DgpHWF9WJBvlNrtY1rEJgK5kiDrj_BzxpqCvwM",
        Ok("processed/a b"),
    );
    let token = hls_token::open(SECRET, &sign_hs256(SECRET, &claims()), NOW_S).unwrap();
    assert_eq!((token.expires_s, token.made_s), (NOW_S + 86_400, None));
    assert_eq!(token.grant, None);
    for (iat, expected) in [
        (-5, Ok(Some(NOW_S - 5))),
        (60, Ok(Some(NOW_S + 60))),
        (61, Err(TokenError::Early)),
    ] {
        let mut dated = claims();
        dated["iat"] = json!(NOW_S + iat);
        let opened = hls_token::open(SECRET, &sign_hs256(SECRET, &dated), NOW_S);
        assert_eq!(opened.map(|token| token.made_s), expected);
    }
}

#[test]
fn a_token_of_ours_says_what_others_say_and_names_its_grant() {
    let text = hls_token::mint(SECRET, "processed/x", NOW_S + 5, "the-grant");
    let token = hls_token::open(SECRET, &text, NOW_S).unwrap();
    assert_eq!(
        (token.prefix.as_str(), token.expires_s),
        ("processed/x", NOW_S + 5)
    );
    assert_eq!(token.grant.as_deref(), Some("the-grant"));
    assert_eq!(
        hls_token::open(SECRET, &text, NOW_S + 5),
        Err(TokenError::Expired)
    );
    assert!(!format!("{token:?}").contains("the-grant"));
}

#[test]
fn a_bad_token_is_told_by_its_fault() {
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        sign_hs256(SECRET, &claims)
    };
    check(&with("sub", json!("access")), Err(TokenError::Subject));
    check(&with("sub", json!(null)), Err(TokenError::Subject));
    check(&with("pfx", json!(7)), Err(TokenError::Claim("pfx")));
    check(&with("exp", json!(NOW_S)), Err(TokenError::Expired));
    check(
        &with("exp", json!(f64::from(1_800_000_000) + 0.9)),
        Err(TokenError::Expired),
    );
    check(
        &with("exp", json!("tomorrow")),
        Err(TokenError::Claim("exp")),
    );
    check(&with("exp", json!(1e300)), Err(TokenError::Claim("exp")));
    check(&with("nbf", json!(NOW_S + 1)), Err(TokenError::Early));
    check(&with("grant", json!(1)), Err(TokenError::Claim("grant")));
    check(
        &sign_hs256(b"another secret", &claims()),
        Err(TokenError::Forged),
    );

    let good = sign_hs256(SECRET, &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    check(&format!("{signed}."), Err(TokenError::Forged));
    check(
        &format!("{signed}.{}", &signature[..signature.len() - 3]),
        Err(TokenError::Forged),
    );
    check(&format!("{good}A"), Err(TokenError::Forged));
    check(&format!("{good}AA"), Err(TokenError::Malformed));
    check(signed, Err(TokenError::Malformed));
    check("", Err(TokenError::Malformed));
    check(&format!("{good}.x"), Err(TokenError::Malformed));
    check(&"a".repeat(9000), Err(TokenError::Malformed));
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "HS512"}),
        json!({}),
    ] {
        let unsigned = parts(&header, &claims());
        check(&format!("{unsigned}."), Err(TokenError::Algorithm));
        check(
            &format!("{unsigned}.{signature}"),
            Err(TokenError::Algorithm),
        );
    }
    let critical = parts(&json!({"alg": "HS256", "crit": ["b64"]}), &claims());
    check(
        &format!("{critical}.{signature}"),
        Err(TokenError::Malformed),
    );
}

fn pem(head: &[u8], key: &[u8]) -> String {
    let der = [head, key].concat();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    )
}

fn ed25519() -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let pem = pem(&head, pair.public_key().as_ref());
    (pair, pem)
}

fn issuer_claims() -> Value {
    json!({
        "aud": ["other", "perennial"], "exp": NOW_S + 60, "jti": "one", "asset": "trailer",
        "actions": ["play", "download"], "kid": "ignored here"
    })
}

fn header(algorithm: &str) -> Value {
    json!({ "alg": algorithm, "kid": "shop-2026" })
}

fn issuer_of(algorithm: Algorithm, file: &[u8]) -> Issuer {
    Issuer::new("shop-2026".into(), algorithm, file, "perennial".into()).unwrap()
}

#[track_caller]
fn check_issued(issuer: &Issuer, signed: &str, signature: &[u8], expected: Result<(), TokenError>) {
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let opened = issuer::open(std::slice::from_ref(issuer), &token, NOW_S);
    assert_eq!(opened.map(|_| ()), expected);
}

#[test]
fn each_algorithm_is_verified_with_its_own_key_only() {
    let (pair, pem) = ed25519();
    let issuer = issuer_of(Algorithm::EdDsa, pem.as_bytes());
    let signed = parts(&header("EdDSA"), &issuer_claims());
    let signature = pair.sign(signed.as_bytes());
    check_issued(&issuer, &signed, signature.as_ref(), Ok(()));
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
    let expected = Claims {
        once: "shop-2026\none".into(),
        expires_s: NOW_S + 60,
        target: Target::Asset("trailer".into()),
        actions: Actions::PLAY.and(Actions::DOWNLOAD),
    };
    assert_eq!(
        issuer::open(std::slice::from_ref(&issuer), &token, NOW_S),
        Ok(expected)
    );

    // The public key, taken for a shared secret: the classic confusion.
    let confused = sign_with_header(pem.as_bytes(), &header("HS256"));
    assert_eq!(
        issuer::open(std::slice::from_ref(&issuer), &confused, NOW_S),
        Err(TokenError::Algorithm)
    );
    let unsigned = parts(&header("none"), &issuer_claims());
    check_issued(&issuer, &unsigned, b"", Err(TokenError::Algorithm));
    check_issued(&issuer, &signed, &[0; 64], Err(TokenError::Forged));
    for other in [
        json!({"alg": "EdDSA"}),
        json!({"alg": "EdDSA", "kid": "else"}),
    ] {
        let signed = parts(&other, &issuer_claims());
        let signature = pair.sign(signed.as_bytes());
        check_issued(
            &issuer,
            &signed,
            signature.as_ref(),
            Err(TokenError::UnknownKey),
        );
    }

    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .unwrap();
    let head = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 3, 1, 7, 3, 0x42, 0,
    ];
    let es256 = issuer_of(
        Algorithm::Es256,
        self::pem(&head, pair.public_key().as_ref()).as_bytes(),
    );
    let signed = parts(&header("ES256"), &issuer_claims());
    let signature = pair.sign(&random, signed.as_bytes()).unwrap();
    check_issued(&es256, &signed, signature.as_ref(), Ok(()));
    check_issued(
        &issuer,
        &signed,
        signature.as_ref(),
        Err(TokenError::Algorithm),
    );
}

fn sign_with_header(secret: &[u8], header: &Value) -> String {
    let signed = parts(header, &issuer_claims());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[test]
fn hs256_is_verified_and_its_claims_must_be_there() {
    let issuer = [issuer_of(Algorithm::Hs256, SECRET)];
    let token = sign_with_header(SECRET, &header("HS256"));
    issuer::open(&issuer, &token, NOW_S).unwrap();
    assert_eq!(
        issuer::open(&issuer, &token, NOW_S + 60),
        Err(TokenError::Expired)
    );

    for (claim, value, expected) in [
        ("aud", json!(null), TokenError::Claim("aud")),
        ("aud", json!("else"), TokenError::Audience),
        ("jti", json!(""), TokenError::Claim("jti")),
        ("jti", json!("x".repeat(300)), TokenError::Claim("jti")),
        ("channel", json!("both"), TokenError::Claim("asset")),
        ("asset", json!(1), TokenError::Claim("asset")),
        ("actions", json!([]), TokenError::Claim("actions")),
        ("actions", json!(["delete"]), TokenError::Claim("actions")),
    ] {
        let mut claims = issuer_claims();
        claims[claim] = value;
        let signed = parts(&header("HS256"), &claims);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        check_issued(&issuer[0], &signed, signature.as_ref(), Err(expected));
    }
}

/// `openssl genrsa 2048`, its public key, and `openssl dgst -sha256 -sign` of [`RSA_SIGNED`].
const RSA_PEM: &str = include_str!("rsa.pem");
const RSA_TOKEN: &str = include_str!("rsa.jwt");

#[test]
fn rs256_verifies_what_openssl_signed() {
    let issuer = issuer_of(Algorithm::Rs256, RSA_PEM.as_bytes());
    let claims = issuer::open(std::slice::from_ref(&issuer), RSA_TOKEN.trim(), NOW_S).unwrap();
    assert_eq!(claims.target, Target::Channel("news".into()));
    assert_eq!(claims.actions, Actions::PLAY);
    let forged = RSA_TOKEN.trim().replacen("eyJ", "eyK", 1);
    assert!(issuer::open(&[issuer], &forged, NOW_S).is_err());
}

#[test]
fn files_that_are_no_key_are_refused_by_name() {
    let (_, pem) = ed25519();
    for (algorithm, file, expected) in [
        (Algorithm::EdDsa, "", "is no Ed25519 public key in PEM"),
        (Algorithm::EdDsa, RSA_PEM, "is no Ed25519 public key in PEM"),
        (
            Algorithm::Es256,
            pem.as_str(),
            "is no P-256 public key in PEM",
        ),
        (
            Algorithm::Rs256,
            pem.as_str(),
            "is no RSA public key in PEM",
        ),
        (
            Algorithm::Hs256,
            "too short\n",
            "is no secret of 32 bytes or more",
        ),
        (
            Algorithm::Hs256,
            pem.as_str(),
            "is no secret but a PEM, and whoever has a public key could sign with it",
        ),
    ] {
        let error = Issuer::new("k".into(), algorithm, file.as_bytes(), "a".into()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let issuer = issuer_of(Algorithm::Hs256, SECRET);
    assert!(!format!("{issuer:?}").contains("115"), "{issuer:?}");
}
