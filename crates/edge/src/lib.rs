//! HTTP, Server-Sent Events, WebSocket and the Redis protocol.
