//! Context: tables of what is known beside the events, held in memory and joined on an event's way to the log.

mod columns;
mod csv_rows;
mod join;
mod misses;
mod rows;
mod tables;

pub use columns::{Columns, LeftOut};
pub use csv_rows::{CSV_ROW_BYTES_MAX, CsvRow, CsvRows};
pub use join::{Miss, Tally, enrich};
pub use misses::MissBook;
pub use rows::{Bulk, LineFault, PastRow, RowFormat, RowLimits, read_past_rows, read_row, read_rows};
pub use tables::{Put, Row, Tables};

use midsession_event::ContextKind;
use std::ops::{Index, IndexMut};

/// One of something for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T>([T; ContextKind::ALL.len()]);

impl<T> PerKind<T> {
    /// What this gives for each kind.
    pub fn of(each: impl FnMut(ContextKind) -> T) -> Self {
        Self(ContextKind::ALL.map(each))
    }

    /// All of them with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (ContextKind, &T)> {
        ContextKind::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<ContextKind> for PerKind<T> {
    type Output = T;
    fn index(&self, kind: ContextKind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> IndexMut<ContextKind> for PerKind<T> {
    fn index_mut(&mut self, kind: ContextKind) -> &mut T {
        &mut self.0[kind as usize]
    }
}
