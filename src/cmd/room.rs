//! How large a reply may become that a client can ask for without bound: members drawn with repetition.
//!
//! Redis writes on until the client is over its output limit, which by default is none, or until memory ends.

use super::error::{Done, error};
use crate::config::Config;
use crate::resp::reply::{Mark, Reply};

/// The bound where the directive `client-output-buffer-limit` has none for normal clients.
const REPLY_BYTES_MAX: usize = 1 << 30;

#[derive(Clone, Copy)]
pub struct Room {
    start: Mark,
    end: usize,
}

impl Room {
    /// The room for a reply that begins here.
    pub fn of(reply: &mut Reply, config: &Config) -> Self {
        let hard = usize::try_from(config.client_output_buffer_limit.normal.hard_bytes).unwrap_or(usize::MAX);
        let max = if hard == 0 { REPLY_BYTES_MAX } else { hard };
        Self { start: reply.mark(), end: reply.output().len().saturating_add(max) }
    }

    #[inline]
    pub fn is_left(&self, reply: &mut Reply) -> bool {
        reply.output().len() < self.end
    }

    /// Takes back what was written and fails where the room has not sufficed.
    pub fn end(&self, reply: &mut Reply) -> Done {
        if self.is_left(reply) {
            return Ok(());
        }
        reply.truncate(self.start);
        Err(error("ERR the reply would be larger than a client's output may be"))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn a_reply_without_end_is_refused() {
        check(
            r#"
            > CONFIG SET client-output-buffer-limit "normal 10000 0 0"
            OK
            > SADD s a
            (integer) 1
            > HSET h f v
            (integer) 1
            > ZADD z 1 a
            (integer) 1
            > SRANDMEMBER s -9223372036854775807
            (error) ERR the reply would be larger than a client's output may be
            > HRANDFIELD h -9223372036854775807
            (error) ERR the reply would be larger than a client's output may be
            > HRANDFIELD h -1000000 WITHVALUES
            (error) ERR the reply would be larger than a client's output may be
            > ZRANDMEMBER z -4611686018427387903 WITHSCORES
            (error) ERR the reply would be larger than a client's output may be
            > SRANDMEMBER s -2
            1) "a"
            2) "a"
            "#,
        );
    }
}
