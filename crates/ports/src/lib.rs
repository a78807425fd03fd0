//! What the product asks of its engines.

mod log;

pub use log::{Append, Done, Entry, Extent, Log, LogError, Position, Receipt, Unit, Wake};
