//! The Redis serialization protocol, bytes in and bytes out.
//!
//! `request` finds commands in a connection's input without copying them; `reply` writes RESP2 or RESP3 into a session's
//! output. Neither knows a socket or a command. Source: the protocol specification of Redis (RESP2, RESP3).

pub mod reply;
pub mod request;
