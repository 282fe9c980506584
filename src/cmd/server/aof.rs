//! Commands about the append-only log: BGREWRITEAOF, WAITAOF.
//!
//! The log itself is the business of the process around; what is known of it here is `server::durability`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, Stop, TimeoutReply, Wait, error};
use crate::resp::reply::Reply;
use crate::server::waiting::reply_safe;
use crate::server::{HostRequest, Server, SessionId};
use crate::types::value::Kind;

use Flag::{Admin, Blocking, NoAsyncLoading, Noscript};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BGREWRITEAOF",
        arity: 1,
        run: Run::Server(bgrewriteaof),
        flags: &[Admin, Noscript, NoAsyncLoading],
        group: Group::Server,
        summary: "Writes the append-only log anew, without what has been superseded.",
        ..COMMAND
    },
    Command {
        name: "WAITAOF",
        arity: 4,
        run: Run::Server(waitaof),
        flags: &[Blocking],
        group: Group::Generic,
        since: "7.2.0",
        usage: "numlocal numreplicas timeout",
        summary: "Waits until the client's writes are safe in append-only logs, here and with replicas.",
        categories: &[Category::Connection],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        ..COMMAND
    },
];

fn bgrewriteaof(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if server.durability.rewrite.began_ms.is_some() {
        return Err(error("ERR Background append only file rewriting already in progress"));
    }

    server.durability.rewrite.is_scheduled = true;
    server.outbox.requests.push(HostRequest::RewriteLog);

    let inside = server.is_inside_a_command();
    // Until another snapshot is done, too.
    let how = if inside || !server.may_begin_snapshot() { "scheduled" } else { "started" };
    reply.simple(&format!("Background append only file rewriting {how}"));
    Ok(())
}

fn waitaof(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let local = args.int()?;
    if !(0..=1).contains(&local) {
        return Err(error("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = args.int()?;
    if replicas < 0 {
        return Err(error("ERR value is out of range, must be positive"));
    }
    let timeout_ms = args.int_or(error("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(error("ERR timeout is negative"));
    }
    if server.is_replica() {
        return Err(error(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not \
             propagated.",
        ));
    }
    if local == 1 && !server.durability.is_on {
        return Err(error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }

    let is_safe = server.is_safe(id);
    let is_satisfied = replicas == 0 && (local == 0 || is_safe);
    if is_satisfied || server.is_inside_a_command() {
        reply_safe(is_safe, reply);
        return Ok(());
    }
    server.durability.waiting.retain(|waiting| *waiting != id);
    server.durability.waiting.push(id);
    Err(Stop::Wait(Wait {
        keys: Vec::new(),
        deadline: (timeout_ms > 0).then(|| server.now_ms().saturating_add(timeout_ms as u64)),
        on_timeout: TimeoutReply::Safe,
        wants: Kind::String,
        reading: None,
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check};

    #[test]
    fn waitaof_without_a_log() {
        check(
            r#"
            > WAITAOF 2 0 0
            (error) ERR value is out of range, value must between 0 and 1
            > WAITAOF -1 0 0
            (error) ERR value is out of range, value must between 0 and 1
            > WAITAOF 1 -1 0
            (error) ERR value is out of range, must be positive
            > WAITAOF 0 0 -1
            (error) ERR timeout is negative
            > WAITAOF x 0 0
            (error) ERR value is not an integer or out of range
            > WAITAOF 1 0 0
            (error) ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
            > WAITAOF 0 0 0
            1) (integer) 0
            2) (integer) 0
            > WAITAOF 0 1 100
            ~ 200
            <
            1) (integer) 0
            2) (integer) 0
            "#,
        );
    }

    #[test]
    fn waitaof_waits_for_the_disk() {
        let mut playground = Playground::default();
        playground.server.durability.is_on = true;
        assert_eq!(playground.run("", ["WAITAOF", "1", "0", "0"].iter()), b"*2\r\n:1\r\n:0\r\n", "nothing was written");
        playground.run("", ["SET", "a", "1"].iter());
        assert_eq!(playground.run("", ["WAITAOF", "1", "0", "0"].iter()), b"");
        let offset = playground.server.journal.offset();
        playground.server.note_durable(offset, offset - 1);
        assert_eq!(playground.received(""), b"");
        playground.server.note_durable(offset, offset);
        assert_eq!(playground.received(""), b"*2\r\n:1\r\n:0\r\n");
        assert_eq!(playground.run("other", ["WAITAOF", "1", "0", "0"].iter()), b"*2\r\n:1\r\n:0\r\n");
    }
}
