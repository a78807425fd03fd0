//! The embedded log: one shared journal of Kafka record batches.
