//! Reading: the value of one feature, or of all, at an instant.

use crate::added::{Served, lifetime_counts_since_ms, lifetime_heard_ms, lifetime_since_ms};
use crate::decimal::nearest_to;
use crate::entry::{Entry, Feature, Source};
use crate::expr::{Column, Env, Type};
use crate::filter::{DERIVED, FactEnv, Of, Take, dense, revenue};
use crate::fold::{Asked, Folding, Item};
use crate::{FeatureSet, Key, Val, Value};
use midsession_event::Str;
use midsession_machine::{Fact, FactKind, Names, Session, View, since_of};

impl FeatureSet {
    /// The value of a name (the window included) for the view's shopper or session at the view's instant.
    ///
    /// A window holds the facts with event time in (now − window, now]. Where it is empty, counts are 0 and the rest
    /// is absent, unless the definition says otherwise.
    pub fn read(&self, view: &View<'_>, key: Key, name: &str) -> Option<Value> {
        self.whole(view, self.entries.get(self.entry(key, name)?.0 as usize)?)
    }

    /// The value of an entry, by its number, for expressions.
    pub fn val<'a>(&'a self, view: &View<'a>, entry: u32) -> Val<'a> {
        let Some(entry) = self.entries.get(entry as usize) else { return Val::Absent };
        match &entry.source {
            Source::BuiltIn(row) => view.session.map_or(Val::Absent, |session| (row.get)(view, session)),
            Source::Feature { .. } => match self.run(view, entry) {
                Some((running, span_ms)) => running.value(view, span_ms),
                None => Val::Absent,
            },
            Source::Lifetime(_) | Source::Since | Source::Worked(_) => match self.whole(view, entry) {
                Some(Value::Int(int)) => Val::Int(int),
                Some(Value::Float(float)) => Val::number(float),
                Some(Value::Bool(bool)) => Val::Bool(bool),
                // A lifetime's text is put together for the read; an expression has the partition's own.
                Some(Value::Text(text)) => {
                    view.names.get(&text).map_or(Val::Absent, |number| Val::text(view.names.name(number)))
                }
                _ => Val::Absent,
            },
        }
    }

    fn whole(&self, view: &View<'_>, entry: &Entry) -> Option<Value> {
        match &entry.source {
            Source::BuiltIn(row) => view.session.and_then(|session| (row.get)(view, session).to_value()),
            Source::Feature { .. } => {
                let (running, span_ms) = self.run(view, entry)?;
                running.whole(view, span_ms)
            }
            Source::Lifetime(number) => self.lifetime(view, *number),
            Source::Since => lifetime_since_ms(view).map(Value::Int),
            // Nobody is served what comes of a division by nothing.
            Source::Worked(program) => match program.eval(&Worked { set: self, view }) {
                Val::Float(float) if float.is_infinite() => None,
                value => value.to_value(),
            },
        }
    }

    /// Folds one feature; none where there is no session to fold over. And how long the window is.
    fn run(&self, view: &View<'_>, entry: &Entry) -> Option<(Running<'_>, i64)> {
        let Source::Feature { feature, window_ms, span_ms } = entry.source else { return None };
        let shape = &self.features[feature as usize];
        let (facts, number) = reach(view, entry.key, window_ms)?;
        let begins_ms = self.visit_begins_ms(view, shape.visit);
        let mut running = Running::new(shape, view);
        for (event, fact) in by_event(facts).take_while(|(_, fact)| fact.time_ms >= begins_ms) {
            let is_taken = shape.kinds >> dense(fact.kind) & 1 == 1;
            if is_taken && number.is_none_or(|number| fact.session == number) {
                running.add(fact, event, view.names);
            }
        }
        Some((running, self.span_ms(view, shape, span_ms)))
    }

    /// How long a window is, or a session has lasted.
    fn span_ms(&self, view: &View<'_>, shape: &Feature, span_ms: Option<i64>) -> i64 {
        let lasted_ms = |session: &Session| {
            let begins_ms = session.started_at_ms.max(self.visit_begins_ms(view, shape.visit));
            let ends_ms = if session.is_live() { view.now_ms } else { session.ended_at_ms };
            ends_ms.saturating_sub(begins_ms)
        };
        span_ms.or_else(|| view.session.map(lasted_ms)).unwrap_or(0)
    }

    /// Where the last visit within the session begins. Epoch ms.
    fn visit_begins_ms(&self, view: &View<'_>, visit: Option<u32>) -> i64 {
        let (Some(visit), Some(session)) = (visit.and_then(|visit| self.visits.get(visit as usize)), view.session)
        else {
            return i64::MIN;
        };
        let Some((facts, number)) = reach(view, Key::Session, 0) else { return i64::MIN };
        let mut begins_ms = session.started_at_ms;
        let mut later_ms: Option<i64> = None;
        for fact in facts.iter().rev().filter(|fact| number.is_none_or(|number| fact.session == number)) {
            let Some(take) = &visit.takes[dense(fact.kind)] else { continue };
            if !meets(take, fact, view.names) {
                continue;
            }
            if later_ms.is_some_and(|later_ms| later_ms - fact.time_ms > visit.gap_ms) {
                return begins_ms;
            }
            begins_ms = fact.time_ms;
            later_ms = Some(fact.time_ms);
        }
        i64::MIN
    }

    /// Every present value of a key, in the order of definition, in one pass over the facts.
    pub fn read_all(&self, view: &View<'_>, key: Key) -> Vec<(&str, Value)> {
        let mut out = Vec::new();
        self.for_each(view, key, |entry, value| out.extend(value.map(|value| (entry.name.as_str(), value))));
        out
    }

    /// The values of a key as they are served: of these names, or of all that are not hidden. What is gone is left out; what may
    /// only not be counted yet is there without a value.
    pub fn serve(&self, view: &View<'_>, key: Key, names: &[Str]) -> Vec<Served> {
        let mut served = Vec::new();
        let mut add = |entry: &Entry, name: &Str, value: Option<Value>| {
            let changed_ms = || self.changed_ms(view, entry);
            let since_ms = self.counts_since_ms(view, entry);
            served.extend(self.told(name.clone(), value, changed_ms, since_ms, view.now_ms));
        };
        if names.is_empty() {
            self.for_each(view, key, |entry, value| add(entry, &entry.name, value));
            return served;
        }
        for name in names {
            let entry = self.entry(key, &self.unaliased(name)).and_then(|(entry, _)| self.entries.get(entry as usize));
            if let Some(entry) = entry.filter(|entry| !entry.is_hidden) {
                add(entry, name, self.whole(view, entry));
            }
        }
        served
    }

    /// Since when an entry counts, where that is not all that it is over. Epoch ms.
    fn counts_since_ms(&self, view: &View<'_>, entry: &Entry) -> Option<i64> {
        if let Source::Lifetime(_) = &entry.source {
            return lifetime_counts_since_ms(view, self.since_ms(view.since, entry));
        }
        if let Source::Worked(program) = &entry.source {
            let of = program.features().filter_map(|(key, name)| self.entries.get(self.entry(key, name)?.0 as usize));
            return of.filter_map(|entry| self.counts_since_ms(view, entry)).max();
        }
        if view.since.is_empty() && view.whole_after_ms == i64::MIN {
            return None;
        }
        let is_of_facts = matches!(entry.source, Source::Feature { .. });
        let whole_after_ms = Some(view.whole_after_ms).filter(|after_ms| is_of_facts && *after_ms > i64::MIN);
        let since_ms = self.since_ms(view.since, entry).max(whole_after_ms)?;
        let over_ms = match &entry.source {
            Source::Feature { span_ms: Some(span_ms), .. } => view.now_ms.saturating_sub(*span_ms),
            _ => view.session?.started_at_ms,
        };
        (since_ms > over_ms).then_some(since_ms)
    }

    /// Every entry of a key that is not hidden with its value, absent ones too, in the order of definition.
    pub fn for_each<'s>(&'s self, view: &View<'_>, key: Key, mut each: impl FnMut(&'s Entry, Option<Value>)) {
        let layout = &self.layouts[key as usize];
        let longest_ms = layout.windows.last().map_or(0, |(window_ms, _)| *window_ms);
        let reach = reach(view, key, longest_ms);
        let mut running: Vec<Option<Running<'_>>> = Vec::new();
        running.resize_with(self.features.len(), || None);
        let mut values: Vec<Option<Value>> = vec![None; self.entries.len()];
        let visits: Vec<i64> = match key {
            Key::User => Vec::new(),
            Key::Session => {
                (0..self.visits.len()).map(|visit| self.visit_begins_ms(view, Some(visit as u32))).collect()
            }
        };
        let mut close = |running: &[Option<Running<'_>>], ends: &[(u32, u32)]| {
            for (feature, entry) in ends {
                let (shape, Some(ending)) = (&self.features[*feature as usize], self.entries.get(*entry as usize))
                else {
                    continue;
                };
                let Source::Feature { span_ms, .. } = ending.source else { continue };
                let span_ms = self.span_ms(view, shape, span_ms);
                values[*entry as usize] = match &running[*feature as usize] {
                    Some(running) => running.whole(view, span_ms),
                    None => Running::new(shape, view).whole(view, span_ms),
                };
            }
        };
        if let Some((facts, number)) = reach {
            let mut open = layout.windows.as_slice();
            for (event, fact) in by_event(facts) {
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
                    let is_before =
                        |visit: u32| visits.get(visit as usize).is_some_and(|begins_ms| fact.time_ms < *begins_ms);
                    if !shape.visit.is_some_and(is_before) {
                        let running = running[*feature as usize].get_or_insert_with(|| Running::new(shape, view));
                        running.add(fact, event, view.names);
                    }
                }
            }
            for (_, ends) in open {
                close(&running, ends);
            }
        }
        for number in &layout.entries {
            let Some(entry) = self.entries.get(*number as usize).filter(|entry| !entry.is_hidden) else { continue };
            let value = match entry.source {
                Source::Feature { .. } => values[*number as usize].take(),
                _ => self.whole(view, entry),
            };
            each(entry, value);
        }
    }

    /// When an event last came into or left what an entry is over, or it last changed by itself. Epoch ms.
    fn changed_ms(&self, view: &View<'_>, entry: &Entry) -> Option<i64> {
        let (feature, window_ms) = match &entry.source {
            Source::BuiltIn(_) => return view.session.map(|session| session.ended_at_ms),
            Source::Lifetime(_) | Source::Since => return lifetime_heard_ms(view),
            Source::Worked(program) => {
                let of = program.features().filter_map(|(key, name)| Some(self.entry(key, name)?.0));
                let of = of.filter_map(|entry| self.changed_ms(view, self.entries.get(entry as usize)?));
                return of.max();
            }
            Source::Feature { feature, window_ms, .. } => (&self.features[*feature as usize], *window_ms),
        };
        let (running, span_ms) = self.run(view, entry)?;
        if let Some(moved_ms) = running.folding.moved_ms(asked(view, span_ms)) {
            return Some(moved_ms);
        }
        let kept_ms = self.serving.expires_ms.unwrap_or(0);
        let (facts, number) = reach(view, entry.key, window_ms.saturating_add(kept_ms))?;
        let begins_ms = self.visit_begins_ms(view, feature.visit);
        let edge_ms = view.now_ms.saturating_sub(window_ms);
        let visit = feature.visit.and_then(|visit| self.visits.get(visit as usize));
        let alive = feature.alive.as_ref().or(visit.map(|visit| &visit.takes));
        let mut came_ms: Option<i64> = None;
        for fact in facts.iter().rev().take_while(|fact| fact.time_ms >= begins_ms) {
            let kind = dense(fact.kind);
            let seconds = feature.seconds.as_ref().and_then(|seconds| seconds[kind].as_ref());
            let mut takes = match &alive {
                Some(alive) => alive[kind].iter().chain(None),
                None => feature.takes[kind].iter().chain(seconds),
            };
            let is_of = number.is_none_or(|number| fact.session == number);
            if !is_of || !takes.any(|take| meets(take, fact, view.names)) {
                continue;
            }
            let came = *came_ms.get_or_insert(fact.time_ms);
            if fact.time_ms <= edge_ms {
                // The last one that left; those before it left before.
                return Some(came.max(fact.time_ms.saturating_add(window_ms)));
            }
        }
        came_ms
    }
}

/// The facts that can be in a window, and the number of the session if only its facts count.
pub(crate) fn reach<'v>(view: &'v View<'_>, key: Key, window_ms: i64) -> Option<(&'v [Fact], Option<u32>)> {
    match key {
        Key::User => Some((view.facts.between(view.now_ms.saturating_sub(window_ms), view.now_ms), None)),
        Key::Session => {
            let session = view.session?;
            let facts = view.facts.between(session.started_at_ms.saturating_sub(1), view.now_ms);
            Some((facts, Some(session.number)))
        }
    }
}

/// Facts from the newest to the oldest, each with a number that those of one event share.
fn by_event(facts: &[Fact]) -> impl Iterator<Item = (u32, &Fact)> {
    let mut begun: u32 = 0;
    facts.iter().rev().map(move |fact| {
        let event = begun;
        begun = begun.wrapping_add(u32::from(fact.kind.begins_event()));
        (event, fact)
    })
}

fn asked<'a>(view: &View<'a>, span_ms: i64) -> Asked<'a> {
    Asked { names: view.names, now_ms: view.now_ms, span_ms }
}

/// What a worked-out value looks at.
struct Worked<'a> {
    set: &'a FeatureSet,
    view: &'a View<'a>,
}

impl<'a> Env<'a> for Worked<'a> {
    fn feature(&self, entry: u32) -> Val<'a> {
        self.set.val(self.view, entry)
    }

    fn now_ms(&self) -> Val<'a> {
        Val::Int(self.view.now_ms)
    }
}

/// A feature on its way through the facts.
pub(crate) struct Running<'s> {
    shape: &'s Feature,
    folding: Folding,
    currency: u8,
    is_mixed: bool,
    /// What was derived by then does not count, by the first and the second condition. Epoch ms.
    since_ms: [i64; 2],
    /// The event that counted last, likewise: it counts once, by whichever of its products.
    counted: [Option<u32>; 2],
}

impl<'s> Running<'s> {
    pub(crate) fn new(shape: &'s Feature, view: &View<'_>) -> Self {
        let since_ms = if view.since.is_empty() {
            [i64::MIN; 2]
        } else {
            shape.derived_slots().map(|slot| slot.and_then(|slot| since_of(view.since, slot)).unwrap_or(i64::MIN))
        };
        Self {
            shape,
            folding: (shape.row.start)(&shape.options),
            currency: 0,
            is_mixed: false,
            since_ms,
            counted: [None; 2],
        }
    }

    fn add(&mut self, fact: &Fact, event: u32, names: &Names) {
        let kind = dense(fact.kind);
        let counts = |since_ms: i64| kind != DERIVED || fact.time_ms > since_ms;
        if let Some(take) = self.shape.takes[kind].as_ref().filter(|_| counts(self.since_ms[0])) {
            let is_event = matches!(take.of, Of::Nothing) && kind != DERIVED;
            let is_further = is_event && self.counted[0] == Some(event);
            if let Some(item) = item_of(take, fact, names, false).filter(|_| !is_further) {
                if is_event {
                    self.counted[0] = Some(event);
                }
                self.folding.add(&Item { event, ..item });
                if take.money && fact.currency != 0 && !item.number.is_nan() && self.folding.has_taken() {
                    self.is_mixed |= self.currency != 0 && self.currency != fact.currency;
                    self.currency = fact.currency;
                }
            }
        }
        let second = self.shape.seconds.as_ref().and_then(|seconds| seconds[kind].as_ref());
        if let Some(item) = second
            .filter(|_| (kind == DERIVED || self.counted[1] != Some(event)) && counts(self.since_ms[1]))
            .and_then(|take| item_of(take, fact, names, true))
        {
            self.counted[1] = Some(event);
            self.folding.add(&Item { event, ..item });
        }
    }

    /// Amounts in two currencies have no sum, mean or order.
    fn has_no_value(&self) -> bool {
        self.is_mixed && self.shape.row.needs.is_number()
    }

    pub(crate) fn value<'a>(&self, view: &View<'a>, span_ms: i64) -> Val<'a>
    where
        's: 'a,
    {
        if self.has_no_value() {
            return Val::Absent;
        }
        match (self.folding.value(asked(view, span_ms)), self.shape.result) {
            (Val::Float(float), Type::Int) => Val::Int(float as i64),
            (Val::Absent, _) => self.shape.empty.as_ref().map_or(Val::Absent, Value::as_val),
            (val, _) => val,
        }
    }

    fn whole(&self, view: &View<'_>, span_ms: i64) -> Option<Value> {
        if self.has_no_value() {
            return None;
        }
        match (self.folding.whole(asked(view, span_ms)), self.shape.result) {
            (Some(Value::Float(float)), Type::Int) => Some(Value::Int(float as i64)),
            (None, _) => self.shape.empty.clone(),
            (value, _) => value,
        }
    }
}

/// Whether a fact meets the condition.
fn meets(take: &Take, fact: &Fact, names: &Names) -> bool {
    if take.slot != 0 && fact.category != take.slot || take.first_only && fact.kind.is_continued() {
        return false;
    }
    take.test.as_ref().is_none_or(|test| test.holds(fact, names))
}

/// What of a fact is folded; none where it does not meet the condition, or has nothing of it.
pub(crate) fn item_of(take: &Take, fact: &Fact, names: &Names, second: bool) -> Option<Item> {
    if !meets(take, fact, names) {
        return None;
    }
    let mark = if fact.kind == FactKind::DERIVED { fact.quantity } else { 0 };
    let mut item = Item { time_ms: fact.time_ms, event: 0, mark, number: f64::NAN, decimals: 0, text: 0, second };
    match &take.of {
        Of::Nothing => return Some(item),
        Of::Column(Column::Product) => item.text = fact.product,
        Of::Column(Column::Category) => item.text = fact.category,
        Of::Column(Column::Value) => item.number = fact.value,
        Of::Column(Column::Revenue) => item.number = revenue(fact),
        Of::Column(Column::Quantity) if fact.product == 0 => {}
        Of::Column(Column::Quantity) => item.number = f64::from(fact.quantity),
        Of::Decimal(Some(node)) => {
            let env = FactEnv { fact, names };
            // What is too large for decimals is a number all the same: the fold says what comes of it.
            match node.decimal(&env, 0).and_then(|decimal| Some((nearest_to(decimal)?, decimal.scale()))) {
                Some(decimal) => (item.number, item.decimals) = decimal,
                None => item.number = node.eval(&env, 0).as_f64().unwrap_or(f64::NAN),
            }
        }
        Of::Decimal(None) => {
            let decimals = names.name(fact.product).and_then(|decimals| decimals.parse().ok());
            (item.number, item.decimals) = (fact.value, decimals.unwrap_or(0));
        }
        Of::Typed | Of::Arrival => (item.number, item.text) = (fact.value, fact.product),
        Of::Number(node) => item.number = node.eval(&FactEnv { fact, names }, 0).as_f64().unwrap_or(f64::NAN),
    }
    if item.text == 0 && item.number.is_nan() && !take.valueless {
        return None;
    }
    if take.by {
        item.text = fact.product;
    }
    Some(item)
}
