//! What of a row goes onto events: not the columns that are personal, by their name or by what they hold.

use super::PerKind;
use crate::kind::PersonalKind;
use crate::personal::{self, Treatment};
use crate::{digits_name, field_name, person, scrub_id, web};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use midsession_event::{Context, ContextKind, PropertyValue, Str, Values};
use std::collections::BTreeMap;

/// Names that are remembered of each table: rows are many, their names are few.
const NAMES_MAX: usize = 1_024;

/// What is known of the columns so far.
#[derive(Debug, Default)]
pub struct Columns(PerKind<HashMap<Str, Column, FixedState>>);

#[derive(Clone, Copy, Debug)]
struct Column {
    /// Its name is enough.
    is_named: bool,
    /// What takes out of its texts what is personal.
    scrub: fn(&mut Str, &Treatment),
    /// That it is left out was said.
    is_told: bool,
}

/// A column that was left out of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: Str,
    /// It is the first time.
    pub is_new: bool,
}

impl Columns {
    /// Takes out of a row what is personal.
    pub fn leave_out(&mut self, row: &mut Context) -> Vec<LeftOut> {
        let known = &mut self.0[row.kind];
        let mut left = Vec::new();
        for (name, value) in row.values.iter() {
            let column = match known.get_mut(name.as_str()) {
                Some(column) => column,
                None => {
                    if known.len() >= NAMES_MAX {
                        known.clear();
                    }
                    let column = Column { is_named: is_named(row.kind, name), scrub: scrub_of(name), is_told: false };
                    known.entry(name.clone()).or_insert(column)
                }
            };
            if is_personal(*column, name, value) {
                left.push(LeftOut { name: name.clone(), is_new: !column.is_told });
                column.is_told = true;
            }
        }
        if !left.is_empty() {
            let stays = row.values.iter().filter(|(name, _)| left.iter().all(|left| left.name != **name));
            let stays: BTreeMap<Str, PropertyValue> =
                stays.map(|(name, value)| (name.clone(), value.clone())).collect();
            row.values = Values::from(stays);
        }
        left
    }
}

fn is_named(kind: ContextKind, name: &str) -> bool {
    // Of a person `name` is theirs, elsewhere it is a thing's; a place has a city and a post code.
    let of_place = || kind == ContextKind::Location && PersonalKind::of_name(name) == Some(PersonalKind::Address);
    kind.is_of_person() && name == "name"
        || person::is_name_of_person(name)
        || personal::is_personal_name(name) && !of_place()
}

fn scrub_of(name: &str) -> fn(&mut Str, &Treatment) {
    if digits_name::is_article(name) {
        scrub_id::scrub_article
    } else if digits_name::is_version(name) || name == "name" {
        personal::scrub_contacts
    } else {
        personal::scrub
    }
}

fn scrubbed(column: Column, text: &Str) -> Str {
    let mut scrubbed = text.clone();
    if text.contains('/') && !text.contains(char::is_whitespace) {
        // A link: the digits of an image's file and of its version are no telephone number.
        web::scrub_links(&mut scrubbed, &Treatment::Drop, 1);
        scrub_id::scrub_path(&mut scrubbed, &Treatment::Drop);
    } else {
        (column.scrub)(&mut scrubbed, &Treatment::Drop);
    }
    scrubbed
}

fn is_personal(column: Column, name: &str, value: &PropertyValue) -> bool {
    match value {
        PropertyValue::Text(text) => {
            column.is_named
                || field_name::is_called(name, text.trim())
                || digits_name::is_card(name, text)
                || scrubbed(column, text) != *text
        }
        PropertyValue::Int(number) => {
            column.is_named
                || field_name::is_called_number(name, *number)
                || digits_name::is_card(name, &number.to_string())
        }
        PropertyValue::Float(_) => column.is_named,
        // A flag is just a flag.
        PropertyValue::Bool(_) | PropertyValue::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(columns: &mut Columns, kind: ContextKind, values: &[(&str, PropertyValue)]) -> (Vec<LeftOut>, Vec<Str>) {
        let values: BTreeMap<Str, PropertyValue> =
            values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        let mut row = Context { kind, id: "p1".into(), values: values.into() };
        let left = columns.leave_out(&mut row);
        (left, row.values.iter().map(|(name, _)| name.clone()).collect())
    }

    #[test]
    fn what_is_personal_is_left_out_and_the_rest_stays() {
        let text = |text: &str| PropertyValue::Text(text.into());
        for (kind, name, value, goes) in [
            (ContextKind::Product, "seller_email", text("h_1"), true),
            (ContextKind::Product, "contact", text("+31612345678"), true),
            (ContextKind::Product, "note", text("ask ada@example.org"), true),
            (ContextKind::Product, "phone", PropertyValue::Int(491_701_234_567), true),
            (ContextKind::Product, "callback_number", PropertyValue::Int(491_701_234_567), true),
            (ContextKind::Inventory, "updated_from", text("10.1.2.3"), true),
            (ContextKind::Inventory, "warehouse_address", text("Kade 1"), true),
            (ContextKind::Delivery, "driver_name", text("Jane Doe"), true),
            (ContextKind::Promotion, "name", text("by ada@example.org"), true),
            (ContextKind::Location, "manager_email", text("h_2"), true),
            (ContextKind::Profile, "name", text("Ada"), true),
            (ContextKind::Product, "name", text("Lamp"), false),
            (ContextKind::Product, "seller_name", text("Lamps and more"), false),
            (ContextKind::Product, "firmware_version", text("1.2.3.4"), false),
            (ContextKind::Product, "phone", PropertyValue::Bool(true), false),
            (ContextKind::Product, "ean", text("4006381333931"), false),
            (ContextKind::Product, "size", text("120 x 80 x 75 cm"), false),
            (ContextKind::Product, "image", text("https://cdn.shop.example/i/0612345678.jpg?v=2"), false),
            (ContextKind::Product, "isbn", text("0316-148-4100"), false),
            (ContextKind::Product, "page", text("https://shop.example/p?phone=0612345678"), true),
            (ContextKind::Inventory, "expected", text("2026-12-04"), false),
            (ContextKind::Inventory, "changed", text("2026-12-04T10:11:12.345Z"), false),
            (ContextKind::Delivery, "days", PropertyValue::Int(3), false),
            (ContextKind::Location, "city", text("Utrecht"), false),
            (ContextKind::Segment, "tier", text("gold"), false),
        ] {
            let (left, stays) = left(&mut Columns::default(), kind, &[(name, value.clone())]);
            assert_eq!((left.len() == 1, stays.is_empty()), (goes, goes), "{kind:?} {name} {value:?}");
        }
        // Said once of each table and column, whichever of its values are.
        let mut columns = Columns::default();
        let mut new = |kind, value: &str| {
            let (left, stays) = left(&mut columns, kind, &[("note", text(value)), ("stock", PropertyValue::Int(1))]);
            assert!(stays.contains(&"stock".into()));
            left.first().map(|left| left.is_new)
        };
        assert_eq!(new(ContextKind::Product, "plain"), None);
        assert_eq!(new(ContextKind::Product, "ada@example.org"), Some(true));
        assert_eq!(new(ContextKind::Product, "bob@example.org"), Some(false));
        assert_eq!(new(ContextKind::Delivery, "bob@example.org"), Some(true));
    }
}
