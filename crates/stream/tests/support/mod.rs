//! Definitions for tests that need none.

use midsession_machine::Definitions;

/// No rules.
pub struct Nothing;

impl Definitions for Nothing {}
