//! One visit as a plain list of what happened in it; every number is computed from the list when asked.

use crate::oracle::{Act, Basket};
use std::collections::BTreeSet;
use std::rc::Rc;

/// An act that took effect, at its time and in its order of arrival.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Event time, not past the stamp. Epoch ms.
    pub time_ms: i64,
    /// Order of arrival among all.
    pub order: u64,
    /// What.
    pub act: Rc<Act>,
}

/// How a visit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Open or idle.
    Live,
    /// Closed by time.
    Closed,
    /// Closed by logout.
    LoggedOut,
    /// Part of another.
    Into(u128),
}

/// A visit.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Session id.
    pub id: u128,
    /// Device.
    pub device: Option<String>,
    /// Person.
    pub user: Option<String>,
    /// Where the act that opened it came from.
    pub source: String,
    /// The tracker's own session, as its last act says; of two visits that become one, that of the one that goes on longer.
    pub tracker: Option<String>,
    /// What happened.
    pub taken: Vec<Taken>,
    /// How it stands.
    pub stand: Stand,
    /// Changes of the cart.
    pub cart_version: u64,
    /// Purposes allowed as of the last word, as bits.
    pub consent: i32,
    /// Stamp of the last own act. Epoch ms.
    pub heard_ms: Option<i64>,
}

impl Visit {
    /// Every id of the tracker that its acts came under.
    pub fn trackers(&self) -> BTreeSet<&str> {
        self.taken.iter().filter_map(|taken| taken.act.tracker.as_deref()).collect()
    }

    /// Times of the first and the last act.
    pub fn span_ms(&self) -> (i64, i64) {
        let times = || self.taken.iter().map(|taken| taken.time_ms);
        (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN))
    }

    /// Some act lies within `gap_ms` of this time.
    pub fn is_near(&self, time_ms: i64, gap_ms: i64) -> bool {
        self.taken.iter().any(|taken| (taken.time_ms - time_ms).abs() <= gap_ms)
    }

    /// Acts of this name.
    pub fn count(&self, name: &str) -> i64 {
        self.taken.iter().filter(|taken| taken.act.name == name).count() as i64
    }

    /// Sum of what was paid; none of it in several currencies.
    pub fn revenue(&self) -> f64 {
        let paid = || self.taken.iter().filter(|taken| taken.act.name == "transaction");
        let currencies: BTreeSet<&String> = paid().filter_map(|taken| taken.act.paid_in.as_ref()).collect();
        if currencies.len() > 1 {
            return f64::NAN;
        }
        in_full(paid().filter_map(|taken| taken.act.revenue).map(mills).sum())
    }

    /// What the earliest act that says it says; of several at that time, all.
    pub fn earliest<'a>(&'a self, of: impl Fn(&'a Act) -> Option<&'a String>) -> BTreeSet<&'a str> {
        let said = || self.taken.iter().filter_map(|taken| Some((taken.time_ms, of(&taken.act)?.as_str())));
        let first_ms = said().map(|(time_ms, _)| time_ms).min();
        said().filter(|(time_ms, _)| Some(*time_ms) == first_ms).map(|(_, text)| text).collect()
    }

    /// Highest checkout step.
    pub fn step(&self) -> i32 {
        let steps = self.taken.iter().filter(|taken| taken.act.name == "checkout_step");
        steps.map(|taken| taken.act.step.unwrap_or(1)).max().unwrap_or(0).max(0)
    }

    /// A robot was seen.
    pub fn is_bot(&self) -> bool {
        self.taken.iter().any(|taken| taken.act.bot)
    }

    /// The cart after all of it, in the order of event time.
    pub fn basket(&self) -> Basket {
        let mut list: Vec<&Taken> = self.taken.iter().collect();
        list.sort_by_key(|taken| (taken.time_ms, taken.order));
        super::basket::of(list.iter().map(|taken| &*taken.act))
    }
}

/// An amount in thousandths: none here has more than three decimals.
pub fn mills(amount: f64) -> i64 {
    (amount * 1000.0).round() as i64
}

/// Thousandths as an amount.
pub fn in_full(mills: i64) -> f64 {
    mills as f64 / 1000.0
}
