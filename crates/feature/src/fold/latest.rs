//! `latest`: the text that arrived last, whatever its event time; absent when there is none.

use super::{Asked, Fold, Item, Mergeable};
use crate::Val;

/// `latest`: the text that arrived last, whatever its event time; absent when there is none. The number of an item is
/// when it was received.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    latest: Option<Item>,
}

impl Fold for Latest {
    fn add(&mut self, item: &Item) {
        // Of those received together the one with the latest event time, which comes first.
        if self.latest.is_none_or(|latest| item.number > latest.number) {
            self.latest = Some(*item);
        }
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        self.latest.map_or(Val::Absent, |latest| Val::text(asked.names.name(latest.text)))
    }
}

/// Not as a partial: `last` is by event time there.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("latest", &[]), None);
        let arrived = [Of::Both(1, 7.0, "web"), Of::Both(2, 9.0, "mob"), Of::Both(3, 8.0, "web")];
        assert_eq!(folded("latest", &arrived), Some(Value::Text("mob".into())));
        let together = [Of::Both(1, 7.0, "web"), Of::Both(2, 7.0, "mob")];
        assert_eq!(folded("latest", &together), Some(Value::Text("mob".into())));
    }
}
