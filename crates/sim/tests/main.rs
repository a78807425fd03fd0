//! The machines against the oracle, in the simulation and as the real binary.

mod http;
mod identity;
mod kill;
mod load;
mod seeds;
mod serenade;
mod server;
mod storm;
mod verify;
