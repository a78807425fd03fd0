//! Personal text in another spelling: full-width letters, and base64 of an e-mail address as a whole value.

use crate::decode;
use midsession_event::Str;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// Base64 is looked into within these lengths: `a@b.cd`, and the longest address with something around it. Bytes.
const BASE64_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// The text as it reads with every letter in its plain form (`ａ＠ｂ．ｃｏｍ` is `a@b.com`); none where it is so already.
pub(crate) fn plain(text: &str) -> Option<Str> {
    if text.is_ascii() || is_nfkc_quick(text.chars()) == IsNormalized::Yes && !text.contains(STOP) {
        return None;
    }
    Some(text.nfkc().map(|letter| if letter == STOP { '.' } else { letter }).collect())
}

/// The full stop of Chinese and Japanese: a domain's dots may be written so.
const STOP: char = '。';

/// What a text says in base64 as a whole, where an e-mail address is in it. Most words and ids are told apart by what their
/// first eight letters would say.
pub(crate) fn from_base64(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    if !BASE64_BYTES.contains(&text.len()) || !text.as_bytes().chunks_exact(4).take(2).all(says_ascii) {
        return None;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if !text.trim_end_matches('=').bytes().all(is_base64) {
        return None;
    }
    let text = String::from_utf8(decode::base64(text.as_bytes())?).ok()?;
    text.contains('@').then_some(text)
}

/// Whether four letters of base64 are three that can be printed.
fn says_ascii(letters: &[u8]) -> bool {
    let mut bits = 0u32;
    for letter in letters {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            // It may end here.
            b'=' => return true,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
    }
    let [_, letters @ ..] = bits.to_be_bytes();
    letters.iter().all(|letter| matches!(letter, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_text_is_plain() {
        for text in ["", "Trail boots", "Föhn", "€ 4", "日本語", "🙂", "naïve – “quoted”"] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(plain("ａ＠ｂ．ｃｏｍ").as_deref(), Some("a@b.com"));
        assert_eq!(plain("ａ﹫ｂ。ｃｏｍ").as_deref(), Some("a@b.com"));
        assert_eq!(plain("𝐚@𝐛.𝐜𝐨𝐦").as_deref(), Some("a@b.com"));
        assert_eq!(plain("＋３１").as_deref(), Some("+31"));
    }

    #[test]
    fn base64_is_looked_into_where_it_may_be_an_address() {
        for (text, expected) in [
            ("amFuZUBleGFtcGxlLmNvbQ==", Some("jane@example.com")),
            ("amFuZUBleGFtcGxlLmNvbQ", Some("jane@example.com")),
            (" amFuZUBleGFtcGxlLmNvbQ== ", Some("jane@example.com")),
            ("PGphbmVAZXhhbXBsZS5jb20-", Some("<jane@example.com>")),
            ("IkphbmUiIGpAeC5ubA", Some("\"Jane\" j@x.nl")),
            ("eyJlIjoiakB4Lm5sIn0", Some("{\"e\":\"j@x.nl\"}")),
            ("add_to_cart", None),
            ("checkout", None),
            ("KGpAeC5ubCk", Some("(j@x.nl)")),
            ("YUBiLmM=", Some("a@b.c")),
            ("e5f4f2dc-49e9-4d0b-88ee-8d4a55ab8a2d", None),
            ("f59777c7-c2ac-4286-bc07-000000000001", None),
            ("bm8gYWRkcmVzcw", None),
            ("b", None),
        ] {
            assert_eq!(from_base64(text).as_deref(), expected, "{text}");
        }
        assert_eq!(from_base64(&"a".repeat(513)), None);
    }
}
