//! Discount codes: signed, for one decision, with an end; whether one was used is the shop's to remember.
//!
//! A code is Crockford base32 in groups of five: 8 bytes of the decision id, 1 byte percent, 4 bytes expiry (epoch
//! minutes), 7 bytes of HMAC-SHA256 over these and the visitor. Nobody can make or change one without the key.

use hmac::{Hmac, KeyInit, Mac};
use midsession_event::{DecisionId, VisitorId};
use sha2::Sha256;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BODY: usize = 13;
const SEAL: usize = 7;
/// Letters of a code without its dashes: 20 bytes in base32.
const LETTERS: usize = (BODY + SEAL) * 8 / 5;

/// A code that was issued here and still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The first half of its decision's id: what the shop remembers once it is used.
    pub decision: u64,
    /// Discount. Percent.
    pub percent: u8,
    /// Its end. Epoch ms.
    pub expires_at_ms: i64,
}

/// Why a code is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not one of ours, or mistyped, or somebody else's.
    #[error("this code is not valid here; check for typing mistakes")]
    Unknown,
    /// Past its end.
    #[error("this code has expired")]
    Expired,
}

/// Issues the code of a decision. The expiry is rounded up to the minute.
pub fn issue(key: &[u8], decision: DecisionId, visitor: Option<&VisitorId>, percent: u8, expires_at_ms: i64) -> String {
    let mut bytes = [0; BODY + SEAL];
    bytes[..8].copy_from_slice(&((decision.0 >> 64) as u64).to_be_bytes());
    bytes[8] = percent.min(100);
    let minutes = u32::try_from(expires_at_ms.max(0).div_euclid(60_000) + 1).unwrap_or(u32::MAX);
    bytes[9..BODY].copy_from_slice(&minutes.to_be_bytes());
    let seal = seal(key, &bytes[..BODY], visitor.map(VisitorId::as_str));
    bytes[BODY..].copy_from_slice(&seal);
    let mut text = String::with_capacity(LETTERS + LETTERS / 5);
    let (mut bits, mut count) = (0u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            if text.len() % 6 == 5 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
    }
    text
}

/// Checks a code as a person typed it: case, dashes and spaces do not matter, I and L are 1, O is 0.
pub fn verify(key: &[u8], text: &str, visitor: Option<&str>, now_ms: i64) -> Result<Code, CodeError> {
    let mut bytes = [0u8; BODY + SEAL];
    let (mut bits, mut count, mut at, mut letters) = (0u32, 0, 0, 0);
    for letter in text.bytes().filter(|letter| !matches!(letter, b'-' | b' ')) {
        let letter = match letter.to_ascii_uppercase() {
            b'I' | b'L' => b'1',
            b'O' => b'0',
            other => other,
        };
        let value = ALPHABET.iter().position(|known| *known == letter).ok_or(CodeError::Unknown)?;
        letters += 1;
        if letters > LETTERS {
            return Err(CodeError::Unknown);
        }
        bits = bits << 5 | value as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes[at] = (bits >> count & 255) as u8;
            at += 1;
        }
    }
    if letters != LETTERS {
        return Err(CodeError::Unknown);
    }
    // Compares in constant time.
    let mac = mac(key, &bytes[..BODY], visitor);
    mac.verify_truncated_left(&bytes[BODY..]).map_err(|_| CodeError::Unknown)?;
    let mut decision = [0; 8];
    decision.copy_from_slice(&bytes[..8]);
    let mut minutes = [0; 4];
    minutes.copy_from_slice(&bytes[9..BODY]);
    let expires_at_ms = i64::from(u32::from_be_bytes(minutes)) * 60_000;
    if expires_at_ms <= now_ms {
        return Err(CodeError::Expired);
    }
    Ok(Code { decision: u64::from_be_bytes(decision), percent: bytes[8], expires_at_ms })
}

fn mac(key: &[u8], body: &[u8], visitor: Option<&str>) -> Hmac<Sha256> {
    // Invariant: HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("invariant: a key of any length");
    mac.update(body);
    mac.update(visitor.unwrap_or_default().as_bytes());
    mac
}

fn seal(key: &[u8], body: &[u8], visitor: Option<&str>) -> [u8; SEAL] {
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&mac(key, body, visitor).finalize().into_bytes()[..SEAL]);
    seal
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"a signing key";

    #[test]
    fn a_code_is_good_for_its_visitor_until_its_end() {
        let decision = DecisionId(0x0123_4567_89ab_cdef << 64);
        let code = issue(KEY, decision, Some(&"v1".into()), 10, 600_000);
        let check = |text: &str, visitor, now| verify(KEY, text, Some(visitor), now);
        let good = Code { decision: 0x0123_4567_89ab_cdef, percent: 10, expires_at_ms: 660_000 };
        assert_eq!(check(&code, "v1", 0), Ok(good));
        assert_eq!(check(&code.to_lowercase().replace('-', " "), "v1", 659_999), Ok(good));
        assert_eq!(check(&code, "v1", 660_000), Err(CodeError::Expired));
        assert_eq!(check(&code, "v2", 0), Err(CodeError::Unknown));
        assert_eq!(verify(b"another key", &code, Some("v1"), 0), Err(CodeError::Unknown));
    }

    #[test]
    fn no_changed_letter_passes() {
        let code = issue(KEY, DecisionId(7 << 64), None, 10, 600_000);
        for at in 0..code.len() {
            for letter in ALPHABET {
                let mut forged = code.clone().into_bytes();
                if forged[at] == b'-' || forged[at] == *letter {
                    continue;
                }
                forged[at] = *letter;
                let forged = String::from_utf8(forged).expect("ASCII");
                assert!(verify(KEY, &forged, None, 0).is_err(), "{forged}");
            }
        }
        for text in ["", "-", "ABC", "ÄÖÜ", &"0".repeat(1000)] {
            assert_eq!(verify(KEY, text, None, 0), Err(CodeError::Unknown));
        }
    }
}
