//! Reading: the value of one feature, or of all, at an instant.

use crate::expr::{Column, Type};
use crate::filter::{FactEnv, Of, Take, dense, revenue};
use crate::fold::{Asked, Folding, Item, Needs, Row};
use crate::set::Source;
use crate::{FeatureSet, Key, Val, Value};
use midsession_machine::{Fact, Names, View};

impl FeatureSet {
    /// The value of a name (the window included) for the view's shopper or session at the view's instant.
    ///
    /// A window holds the facts with event time in (now − window, now]. Where it is empty, counts are 0 and the rest
    /// is absent.
    pub fn read(&self, view: &View<'_>, key: Key, name: &str) -> Option<Value> {
        self.val(view, self.entry(key, name)?.0).to_value()
    }

    /// The value of an entry, by its number.
    pub fn val<'a>(&self, view: &View<'a>, entry: u32) -> Val<'a> {
        let Some(entry) = self.entries.get(entry as usize) else { return Val::Absent };
        let (feature, window_ms) = match entry.source {
            Source::BuiltIn(row) => return view.session.map_or(Val::Absent, |session| (row.get)(view, session)),
            Source::Feature { feature, window_ms } => (&self.features[feature as usize], window_ms),
        };
        let Some((facts, number)) = reach(view, entry.key, window_ms) else { return Val::Absent };
        let mut running = Running::new(feature.row);
        for fact in facts.iter().rev() {
            if let Some(take) = &feature.takes[dense(fact.kind)]
                && number.is_none_or(|number| fact.session == number)
            {
                running.add(take, fact, view.names);
            }
        }
        running.value(view, feature.result)
    }

    /// Every present value of a key, in the order of definition, in one pass over the facts.
    pub fn read_all(&self, view: &View<'_>, key: Key) -> Vec<(&str, Value)> {
        let mut out = Vec::new();
        self.for_each(view, key, |name, val| out.extend(val.to_value().map(|value| (name, value))));
        out
    }

    /// Every name of a key with its value, absent ones too, in the order of definition.
    pub fn for_each<'s, 'a>(&'s self, view: &View<'a>, key: Key, mut each: impl FnMut(&'s str, Val<'a>)) {
        let layout = &self.layouts[key as usize];
        let longest_ms = layout.windows.last().map_or(0, |(window_ms, _)| *window_ms);
        let reach = reach(view, key, longest_ms);
        let mut running: Vec<Option<Running>> = Vec::new();
        running.resize_with(self.features.len(), || None);
        let mut vals = vec![Val::Absent; self.entries.len()];
        let mut close = |running: &[Option<Running>], ends: &[(u32, u32)]| {
            for (feature, entry) in ends {
                let shape = &self.features[*feature as usize];
                vals[*entry as usize] = match &running[*feature as usize] {
                    Some(running) => running.value(view, shape.result),
                    None => Running::new(shape.row).value(view, shape.result),
                };
            }
        };
        if let Some((facts, number)) = reach {
            let mut open = layout.windows.as_slice();
            for fact in facts.iter().rev() {
                // Newest first: a window is complete when the first fact before it comes.
                while let [(window_ms, ends), rest @ ..] = open
                    && fact.time_ms <= view.now_ms.saturating_sub(*window_ms)
                {
                    close(&running, ends);
                    open = rest;
                }
                if number.is_some_and(|number| fact.session != number) {
                    continue;
                }
                let kind = dense(fact.kind);
                for feature in &layout.by_kind[kind] {
                    let shape = &self.features[*feature as usize];
                    if let Some(take) = &shape.takes[kind] {
                        let running = running[*feature as usize].get_or_insert_with(|| Running::new(shape.row));
                        running.add(take, fact, view.names);
                    }
                }
            }
            for (_, ends) in open {
                close(&running, ends);
            }
        }
        for entry in &layout.entries {
            let Some(shape) = self.entries.get(*entry as usize) else { continue };
            let val = match shape.source {
                Source::BuiltIn(row) => view.session.map_or(Val::Absent, |session| (row.get)(view, session)),
                Source::Feature { .. } => vals[*entry as usize],
            };
            each(&shape.name, val);
        }
    }
}

/// The facts that can be in a window, and the number of the session if only its facts count.
fn reach<'a>(view: &View<'a>, key: Key, window_ms: i64) -> Option<(&'a [Fact], Option<u32>)> {
    match key {
        Key::User => Some((view.facts.between(view.now_ms.saturating_sub(window_ms), view.now_ms), None)),
        Key::Session => {
            let session = view.session?;
            let facts = view.facts.between(session.started_at_ms.saturating_sub(1), view.now_ms);
            Some((facts, Some(session.number)))
        }
    }
}

/// A feature on its way through the facts.
struct Running {
    row: &'static Row,
    folding: Folding,
    currency: u8,
    mixed: bool,
}

impl Running {
    fn new(row: &'static Row) -> Self {
        Self { row, folding: (row.start)(), currency: 0, mixed: false }
    }

    fn add(&mut self, take: &Take, fact: &Fact, names: &Names) {
        // A further product of an event is no further event.
        if fact.kind.is_continued() && self.row.needs == Needs::Nothing {
            return;
        }
        if take.slot != 0 && fact.category != take.slot {
            return;
        }
        let env = FactEnv { fact, names };
        if take.test.as_ref().is_some_and(|test| !test.eval(&env, 0).is_true()) {
            return;
        }
        let mut item = Item { time_ms: fact.time_ms, number: f64::NAN, text: 0 };
        match &take.of {
            Of::Nothing => return self.folding.add(&item),
            Of::Column(Column::Product) => item.text = fact.product,
            Of::Column(Column::Category) => item.text = fact.category,
            Of::Column(Column::Value) => item.number = fact.value,
            Of::Column(Column::Revenue) => item.number = revenue(fact),
            Of::Column(Column::Quantity) if fact.product == 0 => return,
            Of::Column(Column::Quantity) => item.number = f64::from(fact.quantity),
            Of::Number(node) => item.number = node.eval(&env, 0).as_f64().unwrap_or(f64::NAN),
        }
        if item.text == 0 && item.number.is_nan() {
            return;
        }
        if take.money && fact.currency != 0 {
            self.mixed |= self.currency != 0 && self.currency != fact.currency;
            self.currency = fact.currency;
        }
        self.folding.add(&item);
    }

    fn value<'a>(&self, view: &View<'a>, result: Type) -> Val<'a> {
        // Amounts in two currencies have no sum, mean or order.
        if self.mixed && self.row.needs == Needs::Number {
            return Val::Absent;
        }
        let val = self.folding.value(Asked { names: view.names, now_ms: view.now_ms });
        match (val, result) {
            (Val::Float(float), Type::Int) => Val::Int(float as i64),
            (val, _) => val,
        }
    }
}
