//! What is added up beside the facts: features by a field of the event, and over a shopper's lifetime.

use crate::amount::AmountOf;
use crate::define::Parts;
use crate::definition::Definition;
use crate::expr::{EventEnv, Program, Type};
use crate::filter::{is_of_product, number_beside, text_of};
use crate::fold::{Mergeable, Merged, Options};
use crate::served::Manner;
use crate::{FeatureSet, Value};
use midsession_event::{Event, Purpose, ShopperId, Str, hash64};
use midsession_machine::partial::{FieldWindow, Heard, Life, Partial, Piece};
use midsession_machine::{Partials, View, since_of};

/// The longest text that a field's feature goes by. Bytes.
const ID_BYTES_MAX: usize = 512;

/// A definition that is added up: each event that meets it goes into partials.
#[derive(Debug)]
pub(crate) struct Accumulator {
    /// What its partials are found by; the same for the same definition.
    pub slot: u32,
    /// Another one adds them up, or another set in force.
    pub is_others: bool,
    mergeable: Mergeable,
    options: Options,
    result: Type,
    empty: Option<Value>,
    when: Option<Program>,
    second: Option<Program>,
    of: Option<Program>,
    /// The field; none is a lifetime.
    key: Option<Program>,
    windows: Vec<FieldWindow>,
    /// Each product of an event is looked at.
    per_product: bool,
    /// And each is folded: what is folded is of the product, not of the event.
    folds_each: bool,
    amount_of: Option<AmountOf>,
    /// Amounts are numbers, whatever their currency: they are added up as others are, and read otherwise.
    ignores_currency: bool,
}

/// The features by one field.
#[derive(Debug)]
pub(crate) struct FieldKey {
    pub name: Str,
    pub entries: Vec<FieldEntry>,
}

/// One name that can be read by a field.
#[derive(Debug)]
pub struct FieldEntry {
    /// Its name, the window included.
    pub name: Str,
    /// What it means.
    pub doc: Option<String>,
    /// What its values are.
    pub ty: Type,
    pub(crate) accumulator: u32,
    /// Which of the accumulator's windows.
    pub(crate) window: usize,
}

/// What one partition has of a value of a field, under one name.
#[derive(Clone, Debug)]
pub struct FieldPart {
    /// The place of the name's entry.
    number: usize,
    partial: Partial,
    /// Since when that is. Epoch ms.
    begins_ms: i64,
    /// When it last changed. Epoch ms.
    changed_ms: i64,
}

impl FieldPart {
    /// Takes it in among what other partitions have.
    pub fn join(self, others: &mut Vec<Self>) {
        match others.iter_mut().find(|known| known.number == self.number) {
            Some(known) => {
                known.partial.merge(&self.partial);
                known.begins_ms = known.begins_ms.min(self.begins_ms);
                known.changed_ms = known.changed_ms.max(self.changed_ms);
            }
            None => others.push(self),
        }
    }
}

/// A value, as it is served; or that there is none yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The feature's name.
    pub name: Str,
    /// What it is; none where it may only not be counted yet: it counts since then.
    pub value: Option<Value>,
    /// When it is gone if nothing happens until then. Epoch ms.
    pub expires_at_ms: Option<i64>,
    /// It counts since then only, which is not all of its window. Epoch ms.
    pub since_ms: Option<i64>,
}

/// The accumulator of a lifetime.
pub(crate) fn of_lifetime(parts: &Parts<'_>, manner: Manner) -> Accumulator {
    accumulator(parts, manner, "lifetime", None, Vec::new())
}

/// The accumulator of a field, and what can be read of it.
pub(crate) fn of_field(
    definition: &Definition,
    parts: &Parts<'_>,
    manner: Manner,
    key: &str,
    program: &Program,
) -> (Accumulator, Vec<FieldEntry>) {
    let of = |length_ms: Option<i64>| length_ms.map_or(FieldWindow::LIFETIME, FieldWindow::of);
    let windows = parts.windows.iter().map(|window| of(window.length_ms)).collect();
    let entries = parts
        .windows
        .iter()
        .enumerate()
        .map(|(window, written)| FieldEntry {
            name: format!("{}_{}", definition.served_name(), written.label).into(),
            doc: definition.doc.clone(),
            ty: parts.result,
            accumulator: 0,
            window,
        })
        .collect();
    (accumulator(parts, manner, key, Some(program), windows), entries)
}

fn accumulator(
    parts: &Parts<'_>,
    manner: Manner,
    whose: &str,
    key: Option<&Program>,
    windows: Vec<FieldWindow>,
) -> Accumulator {
    let source = |program: &Option<Program>| program.as_ref().map_or("", Program::source).to_owned();
    let lengths: Vec<String> = windows.iter().map(|window| window.length_ms.to_string()).collect();
    let (when, of, second) = (source(&parts.when), source(&parts.of), source(&parts.second));
    let slot = hash64(&["added", whose, parts.row.name, &when, &of, &second, &lengths.join(" ")]) as u32;
    // Invariant: a definition whose fold has no partial is refused before.
    let mergeable = parts.row.mergeable.unwrap_or(Mergeable { start: || Partial::Count(0), value: |_, _| None });
    let of_program = parts.of.as_ref();
    let folds_each = of_program.is_some_and(is_of_product);
    let asked = [parts.when.as_ref(), parts.second.as_ref(), key];
    let per_product = folds_each || asked.into_iter().flatten().any(is_of_product);
    Accumulator {
        slot,
        is_others: false,
        mergeable,
        options: parts.options,
        result: parts.result,
        empty: parts.empty.clone(),
        when: parts.when.clone(),
        second: parts.second.clone(),
        of: parts.of.clone(),
        key: key.cloned(),
        windows,
        per_product,
        folds_each,
        amount_of: of_program.and_then(AmountOf::of).filter(|_| parts.row.needs.is_number()),
        ignores_currency: manner.ignores_currency,
    }
}

impl Accumulator {
    /// Whether it says the same as another one, of the same partials.
    pub(crate) fn is_read_as(&self, other: &Self) -> bool {
        self.slot == other.slot
            && (self.options, self.result) == (other.options, other.result)
            && (&self.empty, self.ignores_currency) == (&other.empty, other.ignores_currency)
    }

    /// The length of one of its windows; none of a lifetime. ms.
    pub(crate) fn window_ms(&self, window: usize) -> Option<i64> {
        self.windows.get(window).filter(|window| !window.is_lifetime()).map(|window| window.length_ms)
    }

    pub(crate) fn is_lifetime(&self) -> bool {
        self.key.is_none()
    }

    /// The pieces of an event, each with the value of the field.
    fn pieces(&self, event: &Event, time_ms: i64, mut each: impl FnMut(&str, &Piece<'_>)) {
        let products = if self.per_product { event.products.len().max(1) } else { 1 };
        // An event counts once for each value of the field, however many products have it, and so does what it says itself.
        let mut counted: [Vec<Str>; 2] = [Vec::new(), Vec::new()];
        for product in 0..products {
            let env = EventEnv { event, product };
            let id = match &self.key {
                None => Str::default(),
                Some(key) => match text_of(key.eval(&env)) {
                    Some(id) if !id.is_empty() && id.len() <= ID_BYTES_MAX => id,
                    _ => continue,
                },
            };
            for (second, condition) in [(false, self.when.as_ref()), (true, self.second.as_ref())] {
                if (second && condition.is_none()) || condition.is_some_and(|condition| !condition.holds(&env)) {
                    continue;
                }
                let of = self.of.as_ref().filter(|_| !second);
                if !(self.folds_each && of.is_some()) && products > 1 {
                    let counted = &mut counted[usize::from(second)];
                    if counted.contains(&id) {
                        continue;
                    }
                    counted.push(id.clone());
                }
                let mut piece = Piece { time_ms, number: f64::NAN, text: None, currency: None, second };
                let mut text = None;
                if let Some(of) = of {
                    let val = of.eval(&env);
                    piece.number = number_beside(val).unwrap_or(f64::NAN);
                    if !matches!(of.ty(), Type::Int | Type::Float) {
                        text = text_of(val);
                    }
                    if piece.number.is_nan() && text.is_none() {
                        continue;
                    }
                    piece.currency = self.amount_of.and_then(|of| of.currency(event, product)).map(Str::as_str);
                }
                piece.text = text.as_deref();
                each(&id, &piece);
            }
        }
    }

    fn value(&self, partial: Option<&Partial>, now_ms: i64, span_ms: i64) -> Option<Value> {
        let start = (self.mergeable.start)();
        let numbers = partial.filter(|partial| self.ignores_currency && partial.is_mixed());
        let numbers = numbers.map(|partial| partial.clone().of_any_currency());
        let partial = numbers.as_ref().or(partial).unwrap_or(&start);
        let value = (self.mergeable.value)(partial, Merged { options: &self.options, now_ms, span_ms });
        match (value, self.result) {
            (Some(Value::Float(float)), Type::Int) => Some(Value::Int(float as i64)),
            (None, _) if !partial.is_mixed() => self.empty.clone(),
            (value, _) => value,
        }
    }
}

impl FeatureSet {
    /// Adds an event of a shopper at home to the partials of definitions by a field and over a lifetime.
    pub fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        self.accumulate_where(&|_| true, event, shopper, heard, now_ms, partials);
    }

    /// Likewise under some slots alone.
    pub fn accumulate_where(
        &self,
        is_meant: &dyn Fn(u32) -> bool,
        event: &Event,
        shopper: &ShopperId,
        heard: Heard,
        now_ms: i64,
        partials: &mut Partials,
    ) {
        if self.accumulators.is_empty() {
            return;
        }
        let time_ms = event.occurred_at_ms.min(now_ms);
        for accumulator in self.accumulators.iter().filter(|known| !known.is_others && is_meant(known.slot)) {
            let (slot, start) = (accumulator.slot, accumulator.mergeable.start);
            if accumulator.is_lifetime() {
                let life = partials.lifetimes.heard(shopper, event.visitor_id.as_ref(), heard, now_ms);
                life.did(time_ms);
                accumulator.pieces(event, time_ms, |_, piece| life.add(slot, start, piece));
            } else if event.consent.allows(Purpose::Analytics) {
                // Counted over everybody: that is what this purpose is for.
                let fields = &mut partials.fields;
                accumulator.pieces(event, time_ms, |id, piece| {
                    fields.add(slot, id, &accumulator.windows, start, piece, now_ms);
                });
            }
        }
    }

    /// A lifetime's value.
    pub(crate) fn lifetime(&self, view: &View<'_>, number: u32) -> Option<Value> {
        let accumulator = self.accumulators.get(number as usize)?;
        let lives = view.partials.lifetimes.of(view.shopper);
        let mut whole: Option<Partial> = None;
        let partials = lives.iter().flat_map(|life| &life.partials).filter(|(slot, _)| *slot == accumulator.slot);
        for (_, partial) in partials {
            match &mut whole {
                Some(whole) => whole.merge(partial),
                None => whole = Some(partial.clone()),
            }
        }
        let begins_ms = lives.iter().map(Life::begins_ms).min().unwrap_or(view.now_ms);
        accumulator.value(whole.as_ref(), view.now_ms, view.now_ms.saturating_sub(begins_ms))
    }

    /// The fields that features go by.
    pub fn field_keys(&self) -> impl Iterator<Item = &Str> {
        self.fields.iter().map(|field| &field.name)
    }

    /// What can be read by a field, in the order of definition.
    pub fn field_entries(&self, key: &str) -> impl Iterator<Item = &FieldEntry> {
        self.fields.iter().filter(move |field| field.name == key).flat_map(|field| &field.entries)
    }

    /// What one partition has of a value of a field, for [`FeatureSet::join`]; the numbers are those of the entries.
    pub fn field_partials(&self, partials: &Partials, key: &str, id: &str, now_ms: i64) -> Vec<FieldPart> {
        let mut found = Vec::new();
        for (number, entry) in self.field_entries(key).enumerate() {
            let Some(accumulator) = self.accumulators.get(entry.accumulator as usize) else { continue };
            let Some(window) = accumulator.windows.get(entry.window) else { continue };
            let read = partials.fields.read(accumulator.slot, id, entry.window, *window, now_ms);
            let Some((partial, begins_ms)) = read else { continue };
            let changed_ms = partials.fields.changed_ms(accumulator.slot, id, entry.window, *window, now_ms);
            found.push(FieldPart { number, partial, begins_ms, changed_ms: changed_ms.unwrap_or(begins_ms) });
        }
        found
    }

    /// The values of what all partitions have together, in the order of definition; none where nobody has anything.
    pub fn join(
        &self,
        key: &str,
        parts: impl IntoIterator<Item = FieldPart>,
        names: &[Str],
        now_ms: i64,
        since: &[(u32, i64)],
    ) -> Option<Vec<Served>> {
        let mut whole = Vec::new();
        parts.into_iter().for_each(|part| part.join(&mut whole));
        if whole.is_empty() {
            return None;
        }
        let mut values = Vec::new();
        for (number, entry) in self.field_entries(key).enumerate() {
            // By the name that was asked for, which may have another suffix for its window.
            let asked = names.iter().filter(|name| self.unaliased(name) == entry.name);
            let asked: Vec<&Str> = asked.chain(names.is_empty().then_some(&entry.name)).collect();
            let Some(accumulator) = self.accumulators.get(entry.accumulator as usize).filter(|_| !asked.is_empty())
            else {
                continue;
            };
            let part = whole.iter().find(|part| part.number == number);
            let put_ms = since_of(since, accumulator.slot);
            let (span_ms, since_ms) = match accumulator.window_ms(entry.window) {
                Some(length_ms) => (length_ms, put_ms.filter(|put_ms| *put_ms > now_ms - length_ms)),
                None => {
                    let begins_ms = part.map(|part| part.begins_ms);
                    (begins_ms.map_or(0, |begins_ms| now_ms.saturating_sub(begins_ms)), put_ms.or(begins_ms))
                }
            };
            let value = accumulator.value(part.map(|part| &part.partial), now_ms, span_ms);
            let changed_ms = || part.map(|part| part.changed_ms);
            let told = |name: &Str| self.told(name.clone(), value.clone(), changed_ms, since_ms, now_ms);
            // Of what is not there, that a lifetime has begun says nothing.
            let is_told = |served: &Served| served.value.is_some() || put_ms.is_some();
            values.extend(asked.into_iter().filter_map(told).filter(is_told));
        }
        Some(values)
    }

    /// What is told of a value: where they expire, one that has not changed for so long is none. Nothing of one that is not there and
    /// has all that is known of.
    pub(crate) fn told(
        &self,
        name: Str,
        value: Option<Value>,
        changed_ms: impl FnOnce() -> Option<i64>,
        since_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<Served> {
        let kept_ms = self.serving.expires_ms.filter(|_| value.is_some());
        let expires_at_ms = kept_ms.map(|kept_ms| changed_ms().unwrap_or(i64::MIN).saturating_add(kept_ms));
        let value = value.filter(|_| expires_at_ms.is_none_or(|at_ms| at_ms > now_ms));
        (value.is_some() || since_ms.is_some()).then_some(Served { name, value, expires_at_ms, since_ms })
    }

    /// Every value of a field that one partition has something of.
    pub fn field_ids<'a>(&'a self, partials: &'a Partials, now_ms: i64) -> Vec<(Str, Str)> {
        let mut found = Vec::new();
        for field in &self.fields {
            let slots: Vec<u32> = field
                .entries
                .iter()
                .filter_map(|entry| self.accumulators.get(entry.accumulator as usize))
                .map(|accumulator| accumulator.slot)
                .collect();
            found.extend(partials.fields.ids(&slots, now_ms).map(|id| (field.name.clone(), id.clone())));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A name with the window's own suffix for another one that stands for it.
    pub fn unaliased<'n>(&self, name: &'n str) -> std::borrow::Cow<'n, str> {
        for (also, label) in &self.serving.also {
            if let Some(stem) = name.strip_suffix(also.as_str()).filter(|stem| stem.ends_with('_')) {
                return format!("{stem}{label}").into();
            }
        }
        name.into()
    }
}

/// When a shopper was last heard, for what is over their lifetime. Epoch ms.
pub(crate) fn lifetime_heard_ms(view: &View<'_>) -> Option<i64> {
    view.partials.lifetimes.of(view.shopper).iter().map(|life| life.last_ms).max()
}

/// Since when a shopper's lifetime counts. Epoch ms.
pub(crate) fn lifetime_since_ms(view: &View<'_>) -> Option<i64> {
    view.partials.lifetimes.of(view.shopper).iter().map(|life| life.since_ms).min()
}

/// Since when a definition counts that was put then, where the shopper did something that it has not counted; none where it has
/// all that is known of. Epoch ms.
pub(crate) fn lifetime_counts_since_ms(view: &View<'_>, put_ms: Option<i64>) -> Option<i64> {
    let lives = view.partials.lifetimes.of(view.shopper);
    let uncounted_ms = match lives {
        [] => view.acted_ms(),
        lives => lives.iter().filter_map(|life| life.uncounted_ms).max(),
    };
    let is_before = |put_ms: i64| lives.iter().any(|life| life.since_ms <= put_ms);
    put_ms.filter(|put_ms| uncounted_ms.is_some() || is_before(*put_ms)).max(uncounted_ms)
}
