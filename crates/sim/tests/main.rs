//! The machines against the oracle.

mod identity;
mod seeds;
mod serenade;
