//! Whether a value can be what another key says that it is: `phone`, `address` and `birthday` are a shop's words too.

use crate::PersonalKind;
use crate::field_name::{Words, is_in, kind_of};
use crate::hidden;
use crate::personal::is_hidden_email;

/// Words that end the name of an address as a whole. Sorted.
const ADDRESS: [&str; 8] = ["addr", "address", "addresses", "adres", "adress", "adresse", "adressen", "adresses"];

/// Birthdays. Sorted.
#[rustfmt::skip]
const BIRTHDAY: [&str; 6] = ["birthdate", "birthday", "dob", "geboortedag", "geburtstag", "verjaardag"];

/// What a name may be of besides a personal field.
enum Field {
    /// A telephone number or an e-mail address.
    Contact,
    Address,
    Birthday,
    Name,
}

impl Field {
    /// None where whatever stands under the name is personal: passwords, codes, post codes, cards.
    fn of(name: &str) -> Option<Self> {
        let words = Words::of(name)?;
        let last = words.joined(words.count.checked_sub(1)?..words.count);
        match kind_of(name) {
            Some(Some(PersonalKind::Phone | PersonalKind::Email)) => Some(Self::Contact),
            Some(Some(PersonalKind::Name)) if last != "username" => Some(Self::Name),
            Some(Some(PersonalKind::Address)) if is_in(&ADDRESS, last) => Some(Self::Address),
            Some(None) if is_in(&BIRTHDAY, last) => Some(Self::Birthday),
            _ => None,
        }
    }
}

/// Whether a text can be what a field of this name holds. Where it is in doubt that a value is told at all, the text of a
/// button, say, it is to look like one.
pub(crate) fn can_be_text(name: &str, text: &str, is_doubtful: bool) -> bool {
    let has_digit = || text.contains(char::is_numeric);
    let is_written = |letter: char| letter.is_whitespace() || matches!(letter, '-' | '/' | '.');
    match Field::of(name) {
        Some(Field::Contact) => may_reach(text),
        Some(Field::Address) => !is_doubtful || has_digit(),
        Some(Field::Birthday) => !is_doubtful || has_digit() && (text.contains(is_written) || digits_of(text) >= 4),
        Some(Field::Name) | None => true,
    }
}

/// Whether a text may be a telephone number or an e-mail address, be it half of one. `yes`, `iPhone 15` and `Call us` are none.
fn may_reach(text: &str) -> bool {
    let plain = hidden::plain(text);
    let text = plain.as_deref().unwrap_or(text);
    let digits = digits_of(text);
    let has_domain = || text.split('.').skip(1).any(|label| label.starts_with(char::is_alphabetic));
    text.contains(['@', '%'])
        || has_domain()
        || is_hidden_email(text)
        || digits >= 6
        || digits > 0 && !text.contains(char::is_alphabetic)
}

fn digits_of(text: &str) -> usize {
    text.chars().filter(|letter| letter.is_numeric()).count()
}

/// Whether a number can be what a field of this name holds: no amount is a telephone number.
pub(crate) fn can_be_number(name: &str, number: f64) -> bool {
    let is_amount = number.abs() < 1e6 || number.fract() != 0.0;
    match Field::of(name) {
        // The year, or the day and the month.
        Some(Field::Birthday) => number.abs() >= 100.0 && number.fract() == 0.0,
        Some(_) => !is_amount,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&ADDRESS[..], &BIRTHDAY] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    fn texts() {
        for text in ["yes", "true", "no", "iPhone 15", "iPhone 15 128GB", "Call us.", "newsletter1", "menu", ""] {
            for name in ["phone", "Mobile", "mobile_number", "email", "E-mail"] {
                assert!(!can_be_text(name, text, false), "{name} {text}");
            }
            // Of these nothing is to be seen.
            for name in
                ["zip", "city", "lastname", "password", "cvc", "iban", "email or phone", "name and phone number"]
            {
                assert!(can_be_text(name, text, true), "{name} {text}");
            }
        }
        for text in [
            "0612345678",
            "061 234",
            "0612",
            "06 1",
            "+31",
            "iPhone of 0612345678",
            "jan@",
            "jan%40x",
            "jan.jansen",
            "jan (at) x.nl",
            "ｊａｎ＠ｘ",
            "０６１２３４５６７８",
            "amFuZUBleGFtcGxlLmNvbQ==",
        ] {
            for name in ["phone", "email"] {
                assert!(can_be_text(name, text, true), "{name} {text}");
            }
        }
        for (name, text, expected) in [
            ("address", "Change", false),
            ("address", "Damrak 1", true),
            ("birthday", "sale20", false),
            ("birthday", "12 maart", true),
            ("birthday", "12-03", true),
            ("dob", "19850312", true),
        ] {
            assert_eq!(
                (can_be_text(name, text, true), can_be_text(name, text, false)),
                (expected, true),
                "{name} {text}"
            );
        }
    }

    #[test]
    fn amounts() {
        for name in
            ["phone", "Mobile", "email", "address", "delivery_address", "birthday", "lastname", "your phone number"]
        {
            for number in [0.0, 10.0, 12.5, -3.0] {
                assert!(!can_be_number(name, number), "{name} {number}");
            }
            assert!(can_be_number(name, 612345678.0), "{name}");
        }
        for name in ["birthday", "dob"] {
            assert!(can_be_number(name, 1203.0) && can_be_number(name, 1985.0), "{name}");
        }
        for name in [
            "zip",
            "postcode",
            "pin",
            "pincode",
            "cvc",
            "card_cvv",
            "password",
            "house_number",
            "birthyear",
            "username",
            "size",
        ] {
            assert!(can_be_number(name, 12.0) && can_be_number(name, 1234.0), "{name}");
        }
    }
}
