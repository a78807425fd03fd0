//! The listed exceptions, each with its reason. A reason that is no longer needed is itself a finding.

/// Files over 500 lines.
pub const LONG: &[(&str, &str)] = &[];

/// Crates built in more than one version.
pub const DOUBLED: &[(&str, &str)] = &[];
