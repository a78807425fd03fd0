//! The product assembled.
