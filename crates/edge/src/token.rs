//! Push tokens: signed, for half an hour, one shopper, one source and one origin.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use midsession_event::{SourceId, Str, VisitorId};
use ring::hmac;
use serde::{Deserialize, Serialize};

/// How long a token is good for. ms.
pub const TOKEN_LIFE_MS: i64 = 30 * 60_000;

/// Longest token looked at. Bytes.
const TOKEN_BYTES_MAX: usize = 2_048;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "v")]
    pub visitor_id: VisitorId,
    #[serde(rename = "s")]
    pub source: SourceId,
    /// The page's origin; empty when the request named none.
    #[serde(rename = "o")]
    pub origin: Str,
    #[serde(rename = "e")]
    pub expires_at_ms: i64,
}

/// Signs and checks tokens with one key.
pub(crate) struct Signer(hmac::Key);

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        // Serializing strings and a number does not fail.
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap_or_default());
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, body.as_bytes()));
        format!("{body}.{tag}")
    }

    /// What a token says, if we signed it and it has not expired. The signature is compared in constant time.
    pub(crate) fn check(&self, token: &str, now_ms: i64) -> Option<Claims> {
        let (body, tag) = token.split_once('.').filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
        hmac::verify(&self.0, body.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (claims.expires_at_ms > now_ms).then_some(claims)
    }
}

/// Compares secrets without telling by its time where they differ.
pub(crate) struct Secret {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Secret {
    pub(crate) fn new(secret: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, uuid::Uuid::new_v4().as_bytes());
        let tag = hmac::sign(&key, secret.as_bytes());
        Self { key, tag }
    }

    pub(crate) fn matches(&self, given: &str) -> bool {
        hmac::verify(&self.key, given.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_and_only_in_time() {
        let claims = Claims {
            visitor_id: "v1".into(),
            source: "shop".into(),
            origin: "https://shop.example".into(),
            expires_at_ms: 1_000,
        };
        let signer = Signer::new(b"secret");
        let token = signer.sign(&claims);
        assert_eq!(signer.check(&token, 999), Some(claims));
        assert_eq!(signer.check(&token, 1_000), None);
        assert_eq!(Signer::new(b"other").check(&token, 0), None);
        for index in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            // The last digit of base64 may carry unused bits; those are refused by the decoder or equal.
            assert!(signer.check(&forged, 0).is_none(), "forged at {index}");
        }
        for hostile in ["", ".", "a.b", "..", &"x".repeat(5_000)] {
            assert_eq!(signer.check(hostile, 0), None);
        }
    }

    #[test]
    fn secrets_compare() {
        let secret = Secret::new("token");
        assert!(secret.matches("token"));
        assert!(!secret.matches("tokeN") && !secret.matches("") && !secret.matches("token "));
    }
}
