//! The listed exceptions, each with its reason. A reason that is no longer needed is itself a finding.

/// Files over 500 lines.
pub const LONG: &[(&str, &str)] = &[];

const WEBSOCKET: &str = "the WebSocket handshake (axum, tungstenite) hashes with sha1 0.10, we sign with sha2 0.11";
const AVRO: &str = "apache-avro, our second opinion on the codec in tests, has not moved yet";
const REGEX: &str = "fancy-regex, which jsonschema needs, has not moved yet";

/// Crates built in more than one version.
pub const DOUBLED: &[(&str, &str)] = &[
    ("bit-set", REGEX),
    ("bit-vec", REGEX),
    ("block-buffer", WEBSOCKET),
    ("cpufeatures", WEBSOCKET),
    ("crypto-common", WEBSOCKET),
    ("digest", WEBSOCKET),
    ("getrandom", "ring keeps 0.2, ahash 0.3, uuid has 0.4: a few lines around one system call"),
    ("integer-encoding", "thrift, which Parquet files end with, has not moved yet"),
    ("miniz_oxide", AVRO),
    ("rand", AVRO),
    ("rand_core", AVRO),
    ("strum", AVRO),
    ("strum_macros", AVRO),
    ("syn", "half of the derive macros has moved to version 3; built for the compiler, not shipped"),
];
