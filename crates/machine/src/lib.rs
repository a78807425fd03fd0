//! The kit of the partition machine: facts, sessions, timers, effects and the read-only view of a shopper.
