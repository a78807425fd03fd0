//! The binary: config, engines, assembly, run, drain.
fn main() {}
