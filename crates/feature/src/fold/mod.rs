//! The folds: what can be made of the facts that a predicate lets through. One file and one row each.

mod average;
mod changes;
mod count;
mod count_per_value;
mod distinct;
mod duration;
mod first;
mod last;
mod latest;
mod max;
mod min;
mod min_max;
mod quantile;
mod range;
mod rate;
mod ratio;
mod repeat;
mod sequence;
mod sequence_average;
mod sequence_sum;
mod sum;
mod time_since;
mod top;
mod top_k;
mod values;

use crate::expr::Type;
use crate::{Val, Value};
use midsession_machine::Names;
use midsession_machine::partial::{Dated, Partial};

/// What of a fact is folded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// The same for items of one event, another one than that of the items next to it where they are another's.
    pub event: u32,
    /// Tells derived facts of several events apart that are told as of one; 0 of other facts.
    pub mark: u16,
    /// A number; NaN when there is none.
    pub number: f64,
    /// How many decimals the number has, where it was worked out in decimals: 11.00 has two.
    pub decimals: u32,
    /// The number of a text in the partition's names; 0 when there is none.
    pub text: u32,
    /// It matched the second condition: `over` of a ratio, `then` of a sequence.
    pub second: bool,
}

impl Item {
    /// What tells it from others.
    fn key(&self) -> u64 {
        // One feature folds either texts or numbers; adding zero gives zero one sign.
        if self.text != 0 { u64::from(self.text) } else { (self.number + 0.0).to_bits() }
    }

    fn val<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        match asked.names.name(self.text) {
            Some(text) => typed(text, self.number),
            None => Val::number(self.number),
        }
    }
}

/// A value by its text, and the number that is kept beside it where it is none; NaN where it is.
fn typed(text: &str, number: f64) -> Val<'_> {
    match text {
        _ if number.is_nan() => Val::Text(text),
        "true" => Val::Bool(true),
        "false" => Val::Bool(false),
        // The text has every digit of a whole number.
        _ => text.parse().map_or(Val::Float(number), Val::Int),
    }
}

/// What is known when the value is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The partition's names.
    pub names: &'a Names,
    /// The instant. Epoch ms.
    pub now_ms: i64,
    /// How long the window is, or how long the session has lasted. ms.
    pub span_ms: i64,
}

/// What a definition says of its fold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// How many values.
    pub limit: usize,
    /// Which quantile, from 0 to 1.
    pub quantile: f64,
    /// Per how long. ms.
    pub per_ms: i64,
    /// How soon the second event must follow. ms.
    pub within_ms: i64,
    /// How long after the last event it still grows. ms.
    pub idle_ms: i64,
    /// Of each value of `by` the earliest event counts.
    pub by: bool,
}

/// A setting of a fold, beside what it folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `limit = 3`
    Limit,
    /// `quantile = 0.95`
    Quantile,
    /// `per = "1m"`
    Per,
    /// `over = '…'`
    Over,
    /// `then = '…'`
    Then,
    /// `within = "5m"`
    Within,
    /// `idle = "30m"`
    Idle,
    /// `by = "product.id"`
    By,
}

impl Setting {
    /// Every one with how it is written.
    pub const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Limit, "limit", "limit = 3"),
        (Self::Quantile, "quantile", "quantile = 0.95"),
        (Self::Per, "per", "per = \"1m\""),
        (Self::Over, "over", "over = 'event.name == \"product_view\"'"),
        (Self::Then, "then", "then = 'event.name == \"transaction\"'"),
        (Self::Within, "within", "within = \"10m\""),
        (Self::Idle, "idle", "idle = \"30m\""),
        (Self::By, "by", "by = \"product.id\""),
    ];
}

/// A fold at work. Items come newest first, so that one pass over the longest window passes all shorter ones.
pub trait Fold: Default {
    /// Takes what the definition says of it.
    fn set(&mut self, _options: &Options) {}

    /// Takes the next older item.
    fn add(&mut self, item: &Item);

    /// Whether the item added last counts; there are folds that find out by those around it.
    fn has_taken(&self) -> bool {
        true
    }

    /// The value so far, for expressions; absent where it is not a single one.
    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a>;

    /// The value so far, as it is served.
    fn whole(&self, asked: Asked<'_>) -> Option<Value> {
        self.value(asked).to_value()
    }

    /// When it last changed though nothing happened; none where it does not change by itself. Epoch ms.
    fn moved_ms(&self, _asked: Asked<'_>) -> Option<i64> {
        None
    }
}

/// What a fold folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Events as such: an event with twelve products is one.
    Nothing,
    /// Numbers.
    Number,
    /// Numbers, worked out and folded in decimals; an event without one counts all the same.
    Decimal,
    /// Numbers, or events as such.
    NumberOrNothing,
    /// Texts.
    Text,
    /// Texts, by the order of their arrival.
    Arrival,
    /// Numbers or texts.
    Either,
}

impl Needs {
    /// Whether it is folded from numbers, so that amounts must be of one currency.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Decimal | Self::NumberOrNothing)
    }
}

/// How a fold is kept where facts are not: as a partial that is merged when it is read.
#[derive(Clone, Copy, Debug)]
pub struct Mergeable {
    /// An empty one.
    pub start: fn() -> Partial,
    /// Its value.
    pub value: fn(&Partial, Merged<'_>) -> Option<Value>,
}

/// What is known when the value of a partial is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    /// What the definition says.
    pub options: &'a Options,
    /// The instant. Epoch ms.
    pub now_ms: i64,
    /// How long it has been added up. ms.
    pub span_ms: i64,
}

/// A fold's row: all that others know of it.
#[derive(Debug)]
pub struct Row {
    /// Its name in definitions.
    pub name: &'static str,
    /// What it folds.
    pub needs: Needs,
    /// Settings that it can't do without.
    pub wants: &'static [Setting],
    /// Settings that it takes.
    pub takes: &'static [Setting],
    /// What it yields, by what it folds.
    pub result: fn(Type) -> Type,
    /// A fresh one.
    pub start: fn(&Options) -> Folding,
    /// How it is kept by a field or over a lifetime; none where it is about the order of one shopper's events.
    pub mergeable: Option<Mergeable>,
}

macro_rules! folds {
    ($($name:literal $module:ident::$fold:ident, $needs:ident, [$($wants:ident)*] [$($takes:ident)*] => $result:expr;)*) => {
        /// Any fold at work.
        #[derive(Clone, Debug)]
        pub enum Folding { $(#[doc = concat!("`", $name, "`")] $fold($module::$fold),)* }

        impl Folding {
            /// Takes the next older item.
            pub fn add(&mut self, item: &Item) {
                match self { $(Self::$fold(fold) => fold.add(item),)* }
            }

            /// Whether the item added last counts.
            pub fn has_taken(&self) -> bool {
                match self { $(Self::$fold(fold) => fold.has_taken(),)* }
            }

            /// The value so far, for expressions.
            pub fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
                match self { $(Self::$fold(fold) => fold.value(asked),)* }
            }

            /// The value so far, as it is served.
            pub fn whole(&self, asked: Asked<'_>) -> Option<Value> {
                match self { $(Self::$fold(fold) => fold.whole(asked),)* }
            }

            /// When it last changed though nothing happened. Epoch ms.
            pub fn moved_ms(&self, asked: Asked<'_>) -> Option<i64> {
                match self { $(Self::$fold(fold) => fold.moved_ms(asked),)* }
            }
        }

        /// Every fold.
        pub static FOLDS: &[Row] = &[$(Row {
            name: $name,
            needs: Needs::$needs,
            wants: &[$(Setting::$wants),*],
            takes: &[$(Setting::$wants,)* $(Setting::$takes),*],
            result: $result,
            start: |options| {
                let mut fold = $module::$fold::default();
                fold.set(options);
                Folding::$fold(fold)
            },
            mergeable: $module::MERGEABLE,
        },)*];
    };
}

folds! {
    "count" count::Count, Nothing, [] [] => |_| Type::Int;
    "sum" sum::Sum, Number, [] [] => |of| of;
    "average" average::Average, Number, [] [By] => |_| Type::Float;
    "min" min::Min, Number, [] [] => |of| of;
    "max" max::Max, Number, [] [] => |of| of;
    "range" range::Range, Number, [] [] => |of| of;
    "min_max" min_max::MinMax, Number, [] [] => |_| Type::Many;
    "quantile" quantile::Quantile, Number, [Quantile] [] => |_| Type::Float;
    "first" first::First, Either, [] [] => |of| of;
    "last" last::Last, Either, [] [] => |of| of;
    "latest" latest::Latest, Arrival, [] [] => |of| of;
    "distinct" distinct::Distinct, Either, [] [] => |_| Type::Int;
    "repeat" repeat::Repeat, Either, [] [] => |_| Type::Int;
    "changes" changes::Changes, Either, [] [] => |_| Type::Int;
    "top" top::Top, Text, [] [] => |of| of;
    "top_k" top_k::TopK, Text, [Limit] [] => |_| Type::Many;
    "count_per_value" count_per_value::CountPerValue, Text, [] [Limit] => |_| Type::Many;
    "time_since" time_since::TimeSince, Nothing, [] [] => |_| Type::Int;
    "duration" duration::Duration, Nothing, [] [Idle] => |_| Type::Int;
    "rate" rate::Rate, Nothing, [Per] [] => |_| Type::Float;
    "ratio" ratio::Ratio, NumberOrNothing, [Over] [] => |_| Type::Float;
    "sequence" sequence::Sequence, Nothing, [Then Within] [] => |_| Type::Int;
    "sequence_sum" sequence_sum::SequenceSum, Decimal, [Then Within] [] => |_| Type::Float;
    "sequence_average" sequence_average::SequenceAverage, Decimal, [Then Within] [] => |_| Type::Float;
}

/// The fold of this name.
pub fn fold(name: &str) -> Option<&'static Row> {
    FOLDS.iter().find(|row| row.name == name)
}

/// The value of a dated partial.
fn dated(dated: Option<&Dated>) -> Option<Value> {
    let dated = dated?;
    match &dated.text {
        Some(text) => typed(text, dated.number.unwrap_or(f64::NAN)).to_value(),
        None => dated.number.map(Value::Float),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Two helpers for the folds' example rows.

    use super::{Asked, Item, Merged, Options, fold};
    use crate::Value;
    use midsession_machine::Names;
    use midsession_machine::partial::Piece;

    /// An item of an example, with its event time in ms.
    #[derive(Clone, Copy)]
    pub enum Of {
        Number(i64, f64),
        Text(i64, &'static str),
        Both(i64, f64, &'static str),
        Event(i64),
        Second(i64),
        /// It is of the event of the one before.
        AlsoSecond(i64),
        AlsoNumber(i64, f64),
        Also(i64),
    }

    impl Of {
        fn parts(self) -> (i64, f64, Option<&'static str>, bool) {
            match self {
                Self::Number(time_ms, number) | Self::AlsoNumber(time_ms, number) => (time_ms, number, None, false),
                Self::Text(time_ms, text) => (time_ms, f64::NAN, Some(text), false),
                Self::Both(time_ms, number, text) => (time_ms, number, Some(text), false),
                Self::Event(time_ms) | Self::Also(time_ms) => (time_ms, f64::NAN, None, false),
                Self::Second(time_ms) | Self::AlsoSecond(time_ms) => (time_ms, f64::NAN, None, true),
            }
        }
    }

    /// Folds the items, given oldest first, as of 1000 ms.
    pub fn folded(name: &str, items: &[Of]) -> Option<Value> {
        folded_with(name, Options::default(), items)
    }

    /// Likewise with settings, over a window of 500 ms. Where the fold can be merged, the partial says the same.
    pub fn folded_with(name: &str, options: Options, items: &[Of]) -> Option<Value> {
        let row = fold(name).expect("a row");
        let mut names = Names::default();
        // Numbers given in another order than the alphabet's.
        names.number("zebra");
        let mut folding = (row.start)(&options);
        let mut halves = row.mergeable.map(|mergeable| [(mergeable.start)(), (mergeable.start)()]);
        let (mut all, mut event) = (Vec::new(), 0);
        for (index, item) in items.iter().enumerate() {
            let (time_ms, number, text, second) = item.parts();
            if let Some(halves) = &mut halves {
                halves[index % 2].add(&Piece { time_ms, number, text, currency: None, second });
            }
            event += u32::from(!matches!(item, Of::Also(_) | Of::AlsoSecond(_) | Of::AlsoNumber(..)));
            let text = text.map_or(0, |text| names.number(text));
            all.push(Item { time_ms, event, mark: 0, number, decimals: 0, text, second });
        }
        for item in all.iter().rev() {
            folding.add(item);
        }
        let value = folding.whole(Asked { names: &names, now_ms: 1_000, span_ms: 500 });
        if let (Some(mergeable), Some([mut whole, half])) = (row.mergeable, halves)
            && !options.by
        {
            whole.merge(&half);
            let merged = (mergeable.value)(&whole, Merged { options: &options, now_ms: 1_000, span_ms: 500 });
            assert_eq!(merged, value, "the partial of {name}");
        }
        value
    }
}
