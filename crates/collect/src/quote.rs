//! What a reject quotes of the input: names that a programmer chose, and nothing that could be a shopper's.

use crate::number::find_ip;
use crate::{field, personal};
use compact_str::format_compact;
use midsession_event::Str;

/// Most of a name that is quoted.
const BYTES_MAX: usize = 64;
/// Names have few digits; telephone numbers and cards have more.
const DIGITS_MAX: usize = 6;

/// A name that the sender chose; of anything else, its length.
pub(crate) fn name(text: &str) -> Str {
    if is_name(text) {
        return field::cut(text, BYTES_MAX);
    }
    format_compact!("(a name of {} characters)", text.chars().count())
}

/// A value that should have been something else: never what it says.
pub(crate) fn text(text: &str) -> Str {
    format_compact!("a text of {} characters", text.chars().count())
}

/// Letters, few digits and what stands between the words of a name. No e-mail address is one, nor is a telephone number.
fn is_name(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '$' | ':' | '/' | '[' | ']'))
        && text.chars().filter(|letter| letter.is_numeric()).count() <= DIGITS_MAX
        && !personal::is_hidden_email(text)
        && find_ip(text, 0).is_none()
        && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_other_text() {
        let long = "k".repeat(70);
        for shown in
            ["price", "$set", "item_id2", "größe", "products[0].price", "iglu:com.acme/order/jsonschema/1-0-0", "x-1"]
        {
            assert_eq!(name(shown), shown);
        }
        assert_eq!(name(&long), long[..64]);
        for hidden in [
            "",
            "jane@example.com",
            "jane%40example.com",
            "ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "amFuZUBleGFtcGxlLmNvbQ==",
            "amFuZUBleGFtcGxlLmNvbQ",
            "+31612345678",
            "0612345678",
            "４１１１１１１１１１１１１１１１",
            "card4111-1111-1111-1111",
            "1.1.1.1",
            "2001:db8::1",
            "Jane Doe",
        ] {
            assert_eq!(name(hidden), format!("(a name of {} characters)", hidden.chars().count()));
        }
        assert_eq!(text("12,50"), "a text of 5 characters");
    }
}
