//! Commands about the running server as such: TIME, ROLE, MONITOR, SHUTDOWN, LOLWUT.
//!
//! What MONITOR shows is decided in `server::monitor`; how the process ends is in `server::ending`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, error};
use crate::resp::reply::Reply;
use crate::script;
use crate::server::ending::Manner;
use crate::server::{Server, SessionId};
use crate::util::random::Random;

use Flag::{Admin, AllowBusy, Fast, Loading, NoMulti, Noscript, Readonly, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "LOLWUT",
        arity: -1,
        run: Run::Server(lolwut),
        flags: &[Readonly, Fast],
        group: Group::Server,
        since: "5.0.0",
        usage: "[VERSION version]",
        summary: "Draws a runnel, and tells the version.",
        ..COMMAND
    },
    Command {
        name: "MONITOR",
        arity: 1,
        run: Run::Server(monitor),
        flags: &[Admin, Noscript, Loading, Stale],
        group: Group::Server,
        summary: "Shows every command that any client runs.",
        ..COMMAND
    },
    Command {
        name: "ROLE",
        arity: 1,
        run: Run::Server(role),
        flags: &[Noscript, Loading, Stale, Fast],
        group: Group::Server,
        since: "2.8.12",
        categories: &[Category::Admin, Category::Dangerous],
        summary: "Tells the server's part in replication.",
        ..COMMAND
    },
    Command {
        name: "SHUTDOWN",
        arity: -1,
        run: Run::Server(shutdown),
        flags: &[Admin, Noscript, Loading, Stale, NoMulti, AllowBusy],
        group: Group::Server,
        cost: "O(N) where N is the number of keys when a snapshot is made, otherwise O(1)",
        usage: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        summary: "Ends the server, after saving where it is configured to.",
        ..COMMAND
    },
    Command {
        name: "TIME",
        arity: 1,
        run: Run::Server(time),
        flags: &[Loading, Stale, Fast],
        group: Group::Server,
        since: "2.6.0",
        summary: "Tells the server's time.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
];

fn time(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let now_us = server.unix_us_now();
    reply.array(2);
    reply.bulk_int((now_us / 1_000_000) as i64);
    reply.bulk_int((now_us % 1_000_000) as i64);
    Ok(())
}

fn role(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if let Some(primary) = &server.primary {
        let heard = if primary.is_online() { server.replication_offset() as i64 } else { -1 };
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(primary.host.as_bytes());
        reply.int(i64::from(primary.port));
        reply.bulk(primary.word().as_bytes());
        reply.int(heard);
        return Ok(());
    }
    let online: Vec<_> = server.replicas_told().filter(|replica| replica.state == "online").collect();
    reply.array(3);
    reply.bulk(b"master");
    reply.int(server.replication_offset() as i64);
    reply.array(online.len());
    for replica in online {
        reply.array(3);
        reply.bulk(replica.address.as_bytes());
        reply.bulk(replica.port.to_string().as_bytes());
        reply.bulk(replica.acknowledged.to_string().as_bytes());
    }
    Ok(())
}

fn monitor(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if server.is_inside_a_command() {
        return Err(error("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    let session = server.sessions.get_mut(id);
    // Redis does not answer a second MONITOR at all.
    if !session.monitor {
        session.monitor = true;
        server.monitors.push(id);
        reply.ok();
    }
    Ok(())
}

fn shutdown(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (mut nosave, mut save, mut now, mut force, mut abort) = (false, false, false, false, false);
    let mut others = 0;
    while !args.is_empty() {
        match () {
            () if args.option("NOSAVE") => nosave = true,
            () if args.option("SAVE") => save = true,
            () if args.option("NOW") => now = true,
            () if args.option("FORCE") => force = true,
            () if args.option("ABORT") => {
                abort = true;
                continue;
            }
            () => return Err(SYNTAX),
        }
        others += 1;
    }
    if nosave && save || abort && others > 0 {
        return Err(SYNTAX);
    }
    if abort {
        if !server.call_end_off() {
            return Err(error("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(());
    }

    if let Some(running) = &mut server.scripts.running {
        // A script is in the middle of something: it ends here, and what it did is not written down.
        if !nosave {
            return Err(script::busy(running));
        }
        running.killed = true;
        running.is_abandoned = true;
    }
    let save = save || !nosave && !server.config.save.0.is_empty();
    tracing::info!("User requested shutdown...");
    // The closed connection is the answer; what the client has sent behind it is not run any more.
    server.end(Manner { save, now, force }, Some(id));
    Ok(())
}

fn lolwut(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.option_with_value("VERSION") {
        // There is one picture for all versions.
        args.int()?;
    }
    let mut text = picture(server.random.get_mut());
    text.push_str(&format!("\nrunnel {} (Redis {})\n", env!("CARGO_PKG_VERSION"), server.config.compat_version));
    reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A runnel that winds its way down, between its banks.
fn picture(random: &mut Random) -> String {
    const COLUMNS: usize = 60;
    const ROWS: usize = 14;
    const WATER: [char; 4] = ['~', '~', '-', ' '];
    const MEADOW: [char; 12] = [' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ',', '\'', '.'];
    let (mut left, mut width) = (20 + random.index(20), 3);
    let mut text = String::new();
    for row in 0..ROWS {
        let bend = random.index(5);
        left = (left + bend).saturating_sub(2).clamp(1, COLUMNS - width - 3);
        width = 3 + row / 4;
        let bank = match bend {
            0 | 1 => '/',
            2 => '|',
            _ => '\\',
        };
        let line: String = (0..COLUMNS)
            .map(|column| match column {
                _ if column == left || column == left + width + 1 => bank,
                _ if column > left && column <= left + width => WATER[random.index(WATER.len())],
                _ => MEADOW[random.index(MEADOW.len())],
            })
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::server::HostRequest;
    use crate::testing::{Playground, check};

    #[test]
    fn time_and_role() {
        check(
            r#"
            > TIME
            1) "1767225600"
            2) "0"
            ~ 1500
            > TIME
            1) "1767225601"
            2) "500000"
            > TIME now
            (error) ERR wrong number of arguments for 'time' command
            > ROLE
            1) "master"
            2) (integer) 0
            3) (empty array)
            > LOLWUT VERSION abc
            (error) ERR value is not an integer or out of range
            "#,
        );
        let mut playground = Playground::default();
        let picture = String::from_utf8(playground.run("", ["LOLWUT", "VERSION", "5"].iter())).unwrap();
        assert!(picture.ends_with("(Redis 8.2.0)\n\r\n"), "{picture}");
    }

    #[test]
    fn shutdown_is_a_request_to_the_process() {
        check(
            r#"
            > SHUTDOWN foo
            (error) ERR syntax error
            > SHUTDOWN NOSAVE SAVE
            (error) ERR syntax error
            > SHUTDOWN ABORT NOW
            (error) ERR syntax error
            > SHUTDOWN ABORT
            (error) ERR No shutdown in progress.
            > MULTI
            OK
            > SHUTDOWN
            (error) ERR Command not allowed inside a transaction
            "#,
        );
        let mut playground = Playground::default();
        assert_eq!(playground.run("", ["SHUTDOWN", "NOSAVE", "FORCE"].iter()), b"");
        let id = playground.client("");
        assert_eq!(playground.server.outbox.requests, [HostRequest::Shutdown { force: true }]);
        assert!(playground.server.sessions.get(id).waits_for_host);
    }

    #[test]
    fn a_monitor_sees_what_is_run_with_secrets_left_out() {
        check(
            r#"
            m> MONITOR
            OK
            > CONFIG SET maxmemory 0
            OK
            > SET a "x y"
            OK
            > NOSUCH
            (error) ERR unknown command 'NOSUCH', with args beginning with: 
            > MULTI
            OK
            > INCR n
            QUEUED
            > EXEC
            1) (integer) 1
            > SELECT 3
            OK
            b> BLPOP l 1
            > SELECT 0
            OK
            m<
            1767225600.000000 [0 127.0.0.1:50001] "SET" "a" "x y"
            1767225600.000000 [0 127.0.0.1:50001] "MULTI"
            1767225600.000000 [0 127.0.0.1:50001] "INCR" "n"
            1767225600.000000 [0 127.0.0.1:50001] "EXEC"
            1767225600.000000 [3 127.0.0.1:50001] "SELECT" "3"
            1767225600.000000 [0 127.0.0.1:50002] "BLPOP" "l" "1"
            1767225600.000000 [0 127.0.0.1:50001] "SELECT" "0"
            m> GET a
            (error) ERR Replica can't interact with the keyspace
            m> PING
            PONG
            1767225600.000000 [0 127.0.0.1:50000] "PING"
            m> MULTI
            OK
            1767225600.000000 [0 127.0.0.1:50000] "MULTI"
            m> MONITOR
            QUEUED
            m> EXEC
            1) (error) ERR MONITOR isn't allowed for DENY BLOCKING client
            1767225600.000000 [0 127.0.0.1:50000] "EXEC"
            "#,
        );
    }
}
