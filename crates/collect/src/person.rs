//! Which fields hold the name of a person: a product has a name too, and so has a list.

use crate::field_name::{Words, is_in};
use crate::{PersonalKind, personal};

/// Whose name it is. Sorted.
const PEOPLE: [&str; 15] = [
    "buyer",
    "client",
    "contact",
    "customer",
    "driver",
    "guest",
    "klant",
    "kunde",
    "member",
    "payer",
    "receiver",
    "recipient",
    "sender",
    "shopper",
    "user",
];

/// Words beside them that leave it a person's. Sorted.
const AROUND: [&str; 11] =
    ["billing", "data", "details", "first", "full", "info", "last", "my", "person", "shipping", "the"];

/// Somebody in one word. Sorted.
const SOMEBODY: [&str; 8] =
    ["ansprechpartner", "buyer", "contactperson", "contactpersoon", "kontaktperson", "payer", "receiver", "sender"];

/// Members of a person that are their name or a part of it, and of anything else hardly ever.
const OF_NAME: [&str; 4] = ["family", "full", "given", "initials"];

/// Whether text under this name is somebody's name: `customer_first`, `sender.name`, `user.given`, `buyer`; not
/// `contact_form_name`.
pub(crate) fn is_name_of_person(path: &str) -> bool {
    let (rest, last) = path.rsplit_once('.').unwrap_or(("", path));
    // Most names end otherwise, and are done.
    let ends = |end: &&str| {
        last.len().checked_sub(end.len()).is_some_and(|at| last.as_bytes()[at..].eq_ignore_ascii_case(end.as_bytes()))
    };
    if OF_NAME.iter().any(|part| part.eq_ignore_ascii_case(last)) {
        // `user.name.given`
        let around = rest.rsplit('.').find(|segment| !segment.eq_ignore_ascii_case("name")).unwrap_or_default();
        let is_person = |word: &str| ["person", "profile", "traits"].contains(&word);
        return Words::of(around)
            .is_some_and(|around| are_people(&around, around.count) || is_person(around.joined(0..around.count)));
    }
    if !["name", "first", "last", "er", "person", "persoon"].iter().any(ends) {
        return false;
    }
    let Some(words) = Words::of(last) else { return false };
    let Some(end) = words.count.checked_sub(1) else { return false };
    if is_in(&SOMEBODY, words.joined(0..words.count)) {
        return true;
    }
    if !matches!(words.joined(end..end + 1), "name" | "first" | "last") {
        return false;
    }
    // A name of one word is what the object around it is of.
    if end > 0 {
        return are_people(&words, end);
    }
    Words::of(rest.rsplit('.').next().unwrap_or(rest)).is_some_and(|around| are_people(&around, around.count))
}

fn are_people(words: &Words, count: usize) -> bool {
    let (mut people, mut others) = (0, 0);
    for at in 0..count {
        let word = words.joined(at..at + 1);
        if is_in(&PEOPLE, word) || word.strip_suffix('s').is_some_and(|word| is_in(&PEOPLE, word)) {
            people += 1;
        } else if !is_in(&AROUND, word) {
            others += 1;
        }
    }
    people > 0 && others == 0
}

/// Whether the name alone does not tell: it is a person's where something else of theirs stands beside it.
pub(crate) fn may_be_name(last: &str) -> bool {
    ["name", "first", "last", "fn", "ln"].iter().any(|name| name.eq_ignore_ascii_case(last))
}

/// Whether such a name is a person's, of the fields that stand beside one another.
pub(crate) fn is_of_person(any: impl Fn(&dyn Fn(&str) -> bool) -> bool) -> bool {
    let has = |name: &str| any(&|other| other.eq_ignore_ascii_case(name));
    any(&may_be_name) && (any(&is_contact) || has("fn") && has("ln"))
}

/// Likewise of a path.
pub(crate) fn may_be_name_at(path: &str) -> bool {
    may_be_name(path.rsplit('.').next().unwrap_or(path))
}

/// Whether a field of this name tells who somebody is, or how to reach them.
fn is_contact(name: &str) -> bool {
    personal::is_personal_name(name)
        && matches!(
            PersonalKind::of_name(name),
            Some(PersonalKind::Email | PersonalKind::Phone | PersonalKind::Address | PersonalKind::Name)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&PEOPLE[..], &AROUND, &SOMEBODY] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    fn names_of_people() {
        let hits = "sender.name buyer Buyer payer buyer_name customer_first customerFirst customer_last customer.first \
            recipient_first customers.last order.receiver.name receiverName buyer_info.name contact.first kontaktperson \
            user.given user.Full customer.initials billing_user.family traits.given user.name.given person.full \
            contact_person Ansprechpartner contactNames.last_name_of.sender";
        for name in hits.split_whitespace() {
            assert!(is_name_of_person(name), "{name}");
        }
        let misses = "name first last product.name list_name listName event_name page_name page.name contact_form_name \
            customer_segment_name customer_group.name customer.plan.name customer buyer.id buyer_type sender_id user_list.name \
            full given product.full product.family product.name.full cart.full user.is_full user.full_refund customer_family \
            first_seen last_seen customer_first_order buyers_guide sender.campaign.name category.name store_name firstname_length";
        for name in misses.split_whitespace() {
            assert!(!is_name_of_person(name), "{name}");
        }
    }
}
