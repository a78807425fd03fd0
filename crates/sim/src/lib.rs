//! Simulation of the real assembly, with independent oracles.
