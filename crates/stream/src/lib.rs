//! Sessions, identity, duplicates and timers of one partition: pure.
