//! The folds: what can be made of the facts that a predicate lets through. One file and one row each.

mod average;
mod count;
mod distinct;
mod last;
mod max;
mod min;
mod repeat;
mod sum;
mod time_since;
mod top;

use crate::Val;
use crate::expr::Type;
use midsession_machine::Names;

/// What of a fact is folded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// A number; NaN when it is a text.
    pub number: f64,
    /// The number of a text in the partition's names; 0 when it is a number.
    pub text: u32,
}

impl Item {
    /// What tells it from others.
    fn key(&self) -> u64 {
        // One feature folds either texts or numbers; adding zero gives zero one sign.
        if self.text != 0 { u64::from(self.text) } else { (self.number + 0.0).to_bits() }
    }
}

/// What is known when the value is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The partition's names.
    pub names: &'a Names,
    /// The instant. Epoch ms.
    pub now_ms: i64,
}

/// A fold at work. Items come newest first, so that one pass over the longest window passes all shorter ones.
pub trait Fold: Default {
    /// Takes the next older item.
    fn add(&mut self, item: &Item);

    /// The value so far.
    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a>;
}

/// What a fold folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Events as such: an event with twelve products is one.
    Nothing,
    /// Numbers.
    Number,
    /// Texts.
    Text,
    /// Numbers or texts.
    Either,
}

/// A fold's row: all that others know of it.
#[derive(Debug)]
pub struct Row {
    /// Its name in definitions.
    pub name: &'static str,
    /// What it folds.
    pub needs: Needs,
    /// What it yields, by what it folds.
    pub result: fn(Type) -> Type,
    /// A fresh one.
    pub start: fn() -> Folding,
}

macro_rules! folds {
    ($($name:literal $module:ident::$fold:ident, $needs:ident => $result:expr;)*) => {
        /// Any fold at work.
        #[derive(Clone, Debug)]
        pub enum Folding { $(#[doc = concat!("`", $name, "`")] $fold($module::$fold),)* }

        impl Folding {
            /// Takes the next older item.
            pub fn add(&mut self, item: &Item) {
                match self { $(Self::$fold(fold) => fold.add(item),)* }
            }

            /// The value so far.
            pub fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
                match self { $(Self::$fold(fold) => fold.value(asked),)* }
            }
        }

        /// Every fold.
        pub static FOLDS: &[Row] = &[$(Row {
            name: $name,
            needs: Needs::$needs,
            result: $result,
            start: || Folding::$fold($module::$fold::default()),
        },)*];
    };
}

folds! {
    "count" count::Count, Nothing => |_| Type::Int;
    "sum" sum::Sum, Number => |of| of;
    "average" average::Average, Number => |_| Type::Float;
    "min" min::Min, Number => |of| of;
    "max" max::Max, Number => |of| of;
    "last" last::Last, Either => |of| of;
    "distinct" distinct::Distinct, Either => |_| Type::Int;
    "time_since" time_since::TimeSince, Nothing => |_| Type::Int;
    "top" top::Top, Text => |of| of;
    "repeat" repeat::Repeat, Either => |_| Type::Int;
}

/// The fold of this name.
pub fn fold(name: &str) -> Option<&'static Row> {
    FOLDS.iter().find(|row| row.name == name)
}

#[cfg(test)]
pub(crate) mod testing {
    //! One helper for the folds' example rows.

    use super::{Asked, Item, fold};
    use crate::Value;
    use midsession_machine::Names;

    /// An item of an example, with its event time in ms.
    #[derive(Clone, Copy)]
    pub enum Of {
        Number(i64, f64),
        Text(i64, &'static str),
        Event(i64),
    }

    /// Folds the items, given oldest first, as of 1000 ms.
    pub fn folded(name: &str, items: &[Of]) -> Option<Value> {
        let mut names = Names::default();
        // Numbers given in another order than the alphabet's.
        names.number("zebra");
        let mut folding = (fold(name).expect("a row").start)();
        let items: Vec<_> = items
            .iter()
            .map(|item| match *item {
                Of::Number(time_ms, number) => Item { time_ms, number, text: 0 },
                Of::Text(time_ms, text) => Item { time_ms, number: f64::NAN, text: names.number(text) },
                Of::Event(time_ms) => Item { time_ms, number: f64::NAN, text: 0 },
            })
            .collect();
        for item in items.iter().rev() {
            folding.add(item);
        }
        folding.value(Asked { names: &names, now_ms: 1_000 }).to_value()
    }
}
