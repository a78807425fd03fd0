//! From a message of a history file to events as the log of a live server has them: collected, and joined with what was known.

use super::arrivals::Arrivals;
use super::context::PastContext;
use super::format::Unreadable;
use super::sort::Item;
use crate::cli::Failure;
use midsession_collect::Collector;
use midsession_event::Event;
use std::sync::Arc;

/// What the events of files pass on their way.
pub struct Intake {
    /// The sources with their rules.
    pub collector: Arc<Collector>,
    /// The context tables.
    pub context: PastContext,
}

impl Intake {
    /// The events of a message; what is refused or left out is counted. Messages come in the order of their arrival.
    ///
    /// # Errors
    /// What was known then can't be read.
    pub fn events(&mut self, item: &Item, arrivals: &Arrivals) -> Result<Vec<Event>, Failure> {
        let Some((source, line)) = arrivals.place(item) else { return Ok(Vec::new()) };
        let mut collected = source.format.collect(&item.bytes, item.at_us, &self.collector);
        let mut report = arrivals.report.borrow_mut();
        report.dropped += collected.dropped.len() as u64;
        report.events += collected.events.len() as u64;
        for rejected in &collected.rejects {
            let reject = &rejected.reject;
            let field = reject.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
            let hint = reject.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            let why = Unreadable { code: reject.code.to_string(), message: format!("{field}{}{hint}", reject.message) };
            report.refuse(&source.path, line, &why);
        }
        if let Some(code) = collected.unattributed {
            let why = Unreadable { code: code.to_owned(), message: "the message belongs to no source".into() };
            report.refuse(&source.path, line, &why);
        }
        drop(report);
        self.context.join(&mut collected.events, item.at_us)?;
        Ok(collected.events)
    }
}
