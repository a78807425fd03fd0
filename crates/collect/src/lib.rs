//! Tracker protocols in, canonical events out: pure.
