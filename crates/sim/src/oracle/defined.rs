//! What definitions are to answer: versions and their beginnings, followed from one partition's log in the plainest way.

use super::ruled::{RULE, title_of};
use midsession_event::{DefinitionChange, EditKind};
use std::collections::{BTreeMap, BTreeSet};

/// What a definition of the storms counts: the names of events, over windows. By the number that stands in its `doc`.
pub struct Wording {
    /// As TOML, without its name.
    pub text: &'static str,
    /// Events of these names.
    pub counts: &'static [&'static str],
    /// Its windows.
    pub windows: &'static [(&'static str, i64)],
    /// Not kept of every event: it counts from when it was put.
    pub from_now: bool,
    /// Of each product, over all shoppers: it counts from the record that put it.
    pub by_product: bool,
}

const FIVE: (&str, i64) = ("5m", 300_000);
const HOUR: (&str, i64) = ("1h", 3_600_000);
const DAY: (&str, i64) = ("24h", 86_400_000);
const LIFETIME: (&str, i64) = ("lifetime", i64::MAX);

/// Every wording.
pub const WORDINGS: [Wording; 8] = [
    Wording {
        text: "key = \"user\"\nwhen = 'event.name == \"product_view\"'\nfold = \"count\"\nwindows = [\"5m\"]\n",
        counts: &["product_view"],
        windows: &[FIVE],
        from_now: false,
        by_product: false,
    },
    Wording {
        text: "key = \"user\"\nwhen = 'event.name == \"add_to_cart\"'\nfold = \"count\"\nwindows = [\"5m\", \"1h\"]\n",
        counts: &["add_to_cart"],
        windows: &[FIVE, HOUR],
        from_now: false,
        by_product: false,
    },
    Wording {
        text: "key = \"user\"\nwhen = 'event.name in [\"quiz_answered\", \"product_view\"]'\nfold = \"count\"\nwindows = [\"1h\"]\n",
        counts: &["quiz_answered", "product_view"],
        windows: &[HOUR],
        from_now: true,
        by_product: false,
    },
    // The same events as before, over another window: what is written for it goes on.
    Wording {
        text: "key = \"user\"\nwhen = 'event.name in [\"quiz_answered\", \"product_view\"]'\nfold = \"count\"\nwindows = [\"5m\", \"24h\"]\n",
        counts: &["quiz_answered", "product_view"],
        windows: &[FIVE, DAY],
        from_now: true,
        by_product: false,
    },
    Wording {
        text: "key = \"user\"\nwhen = 'event.name in [\"quiz_answered\", \"page_view\", \"add_to_cart\"]'\nfold = \"count\"\nwindows = [\"24h\"]\n",
        counts: &["quiz_answered", "page_view", "add_to_cart"],
        windows: &[DAY],
        from_now: true,
        by_product: false,
    },
    Wording {
        text: "key = \"user\"\nwhen = 'event.name == \"transaction\"'\nfold = \"count\"\nwindows = [\"24h\"]\n",
        counts: &["transaction"],
        windows: &[DAY],
        from_now: false,
        by_product: false,
    },
    Wording {
        text: "key = \"product\"\nwhen = 'event.name == \"product_view\"'\nfold = \"count\"\nwindows = [\"5m\", \"24h\"]\n",
        counts: &["product_view"],
        windows: &[FIVE, DAY],
        from_now: false,
        by_product: true,
    },
    Wording {
        text: "key = \"product\"\nwhen = 'event.name in [\"product_view\", \"add_to_cart\", \"transaction\"]'\nfold = \"count\"\nwindows = [\"1h\", \"lifetime\"]\n",
        counts: &["product_view", "add_to_cart", "transaction"],
        windows: &[HOUR, LIFETIME],
        from_now: false,
        by_product: true,
    },
];

/// A definition of the storms, as a file has it.
pub fn written(name: &str, wording: usize) -> String {
    format!("[[feature]]\nname = \"{name}\"\ndoc = \"wording {wording}\"\n{}", WORDINGS[wording].text)
}

fn wording_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("wording ")?;
    rest.split_once('"')?.0.parse().ok()
}

/// From where on a partition counts by a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByField {
    /// Records behind this offset.
    pub after: i64,
    /// The log had lost records, these by this stamp among them, when the past was counted in. Epoch ms.
    pub lost_ms: Option<i64>,
    /// Likewise, though it had a whole day: a lifetime has what is behind this stamp for certain. Epoch ms.
    pub day_ms: Option<i64>,
}

/// What a partition's log has put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The last change.
    pub revision: i64,
    /// By name and version: the wording, and whether it is the live one.
    of: BTreeMap<(String, i64), (usize, bool)>,
    /// Since when events of these names are written down apart. Epoch ms.
    since: BTreeMap<&'static [&'static str], i64>,
    /// By wording: from where on products are counted.
    by_product: BTreeMap<usize, ByField>,
    /// Versions of the rule: its title, and whether it is the live one.
    rule: BTreeMap<i64, (String, bool)>,
    /// Stamps of the changes. Epoch ms.
    pub stamps: BTreeMap<i64, i64>,
}

impl Versions {
    /// What there is before any change: names with their wording.
    pub fn begun(names: &[(String, usize)]) -> Self {
        let of = names.iter().map(|(name, wording)| ((name.clone(), 1), (*wording, true))).collect();
        let mut versions = Self { of, ..Self::default() };
        for counts in versions.apart() {
            versions.since.insert(counts, i64::MIN);
        }
        for wording in versions.products() {
            versions.by_product.insert(wording, ByField { after: -1, lost_ms: None, day_ms: None });
        }
        versions
    }

    fn products(&self) -> BTreeSet<usize> {
        self.of.values().map(|(wording, _)| *wording).filter(|wording| WORDINGS[*wording].by_product).collect()
    }

    fn apart(&self) -> BTreeSet<&'static [&'static str]> {
        let wordings = self.of.values().map(|(wording, _)| &WORDINGS[*wording]);
        wordings.filter(|wording| wording.from_now).map(|wording| wording.counts).collect()
    }

    /// A change is read.
    pub fn read(&mut self, change: &DefinitionChange, offset: i64, stamp_ms: i64) {
        if change.revision <= self.revision {
            return;
        }
        self.revision = change.revision;
        self.stamps.insert(change.revision, stamp_ms);
        let mut filled = Vec::new();
        for edit in change.edits.iter().filter(|edit| edit.kind == "intervention" && edit.name == RULE) {
            match edit.what {
                EditKind::Put => self.rule.extend(title_of(&edit.text).map(|title| (edit.version, (title, false)))),
                EditKind::Promote => {
                    self.rule.retain(|version, (_, is_live)| *version == edit.version || !*is_live);
                    self.rule.entry(edit.version).and_modify(|(_, is_live)| *is_live = true);
                }
                EditKind::Remove => self.rule.retain(|version, _| edit.version != 0 && *version != edit.version),
                EditKind::Filed | EditKind::Filled => {}
            }
        }
        for edit in change.edits.iter().filter(|edit| edit.kind == "feature") {
            let (name, version) = (edit.name.to_string(), edit.version);
            match edit.what {
                EditKind::Put => {
                    // Those of the profile are nobody's business here.
                    self.of.extend(wording_of(&edit.text).map(|wording| ((name, version), (wording, false))));
                }
                EditKind::Promote => {
                    self.of.retain(|(of, number), (_, is_live)| of != &name || *number == version || !*is_live);
                    self.of.entry((name, version)).and_modify(|(_, is_live)| *is_live = true);
                }
                EditKind::Remove => self.of.retain(|(of, number), _| of != &name || version != 0 && *number != version),
                EditKind::Filed => {}
                EditKind::Filled => filled.push((name, version, edit.since_ms)),
            }
        }
        let apart = self.apart();
        self.since.retain(|counts, _| apart.contains(counts));
        for counts in apart {
            self.since.entry(counts).or_insert(stamp_ms);
        }
        let products = self.products();
        self.by_product.retain(|wording, _| products.contains(wording));
        for wording in products {
            self.by_product.entry(wording).or_insert(ByField { after: offset, lost_ms: None, day_ms: None });
        }
        for (name, version, since_ms) in filled {
            let Some((wording, _)) = self.of.get(&(name, version)) else { continue };
            if let Some(begun) = self.by_product.get_mut(wording) {
                *begun = ByField { after: -1, lost_ms: (since_ms != 0).then_some(since_ms), day_ms: None };
            }
            if let Some(since) = self.since.get_mut(WORDINGS[*wording].counts) {
                *since = (*since).min(if since_ms == 0 { i64::MIN } else { since_ms });
            }
        }
    }

    /// The past of these was counted in from a log that had lost its beginning: a withdrawal of consent, or an event that is
    /// repeated later, may be gone from it, so that more is counted.
    pub fn was_cut(&mut self, change: &DefinitionChange) {
        for edit in change.edits.iter().filter(|edit| edit.what == EditKind::Filled) {
            let wording = self.of.get(&(edit.name.to_string(), edit.version)).map(|(wording, _)| *wording);
            let filled_ms = self.stamps.get(&change.revision).copied();
            if let Some(begun) = wording.and_then(|wording| self.by_product.get_mut(&wording)) {
                begun.lost_ms.get_or_insert(i64::MIN);
                begun.day_ms = filled_ms.map(|filled_ms| filled_ms - DAY.1);
            }
        }
    }

    /// Every name that answers, with the names of the events that it counts, after when and at most how far back. ms.
    pub fn answers(&self) -> BTreeMap<String, (&'static [&'static str], i64, i64)> {
        let mut answers = BTreeMap::new();
        for ((name, version), (wording, is_live)) in &self.of {
            let Wording { counts, windows, from_now, by_product, .. } = &WORDINGS[*wording];
            if *by_product {
                continue;
            }
            let since_ms = if *from_now { self.since.get(counts).copied().unwrap_or(i64::MIN) } else { i64::MIN };
            for (label, window_ms) in *windows {
                let stem = if *is_live { name.clone() } else { format!("{name}@{version}") };
                answers.insert(format!("{stem}_{label}"), (*counts, since_ms, *window_ms));
            }
        }
        answers
    }

    /// The title of the rule in force.
    pub fn title(&self) -> Option<&str> {
        self.rule.values().find(|(_, is_live)| *is_live).map(|(title, _)| title.as_str())
    }

    /// Every name that answers by product: with its wording, its window, and from where on it counts.
    pub fn of_products(&self) -> BTreeMap<String, (&'static Wording, i64, ByField)> {
        let mut answers = BTreeMap::new();
        for ((name, version), (wording, is_live)) in &self.of {
            let Some(begun) = self.by_product.get(wording) else { continue };
            for (label, window_ms) in WORDINGS[*wording].windows {
                let stem = if *is_live { name.clone() } else { format!("{name}@{version}") };
                answers.insert(format!("{stem}_{label}"), (&WORDINGS[*wording], *window_ms, *begun));
            }
        }
        answers
    }
}
