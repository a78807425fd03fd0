//! Whether a value can be what another key says that it is: `phone`, `address` and `birthday` are a shop's words too.

use crate::PersonalKind;
use crate::field_name::{Words, is_in, kind_of};

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
