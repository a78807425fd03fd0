//! The machines against the oracle.

mod seeds;
