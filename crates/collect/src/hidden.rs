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

/// What a text says in base64 as a whole, where it may be an e-mail address: these begin with a letter, a digit, a quote or
/// a bracket, so most words and ids are told apart by their first letter.
pub(crate) fn from_base64(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    if !BASE64_BYTES.contains(&text.len()) || !matches!(text.as_bytes()[0], b'I' | b'J' | b'M'..=b'Z' | b'a'..=b'f') {
        return None;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if !text.trim_end_matches('=').bytes().all(is_base64) {
        return None;
    }
    let text = String::from_utf8(decode::base64(text.as_bytes())?).ok()?;
    text.contains('@').then_some(text)
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
            ("KGpAeC5ubCk", None),
            ("f59777c7-c2ac-4286-bc07-000000000001", None),
            ("bm8gYWRkcmVzcw", None),
            ("b", None),
        ] {
            assert_eq!(from_base64(text).as_deref(), expected, "{text}");
        }
        assert_eq!(from_base64(&"a".repeat(513)), None);
    }
}
