//! The latency budget and the counters of the product.
