//! SLOWLOG: the last commands that took long; and Valkey's COMMANDLOG, which also has those with large requests and replies.
//!
//! They are gathered in `server::dispatch`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::{HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, Stop, error};
use crate::resp::reply::Reply;
use crate::server::stats::CommandLog;
use crate::server::{Server, SessionId};

use Flag::{Admin, Loading, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "SLOWLOG",
        arity: -2,
        run: Run::Parent(SUBCOMMANDS),
        group: Group::Server,
        since: "2.2.12",
        summary: "Holds the commands about the log of slow commands.",
        ..COMMAND
    },
    Command {
        name: "COMMANDLOG",
        arity: -2,
        run: Run::Parent(OF_ALL_KINDS),
        group: Group::Server,
        since: "8.1.0",
        cost: "Depends on subcommand.",
        summary: "Holds the commands about the logs of slow and of large commands.",
        ..COMMAND
    },
];

const SUBCOMMAND: Command =
    Command { flags: &[Admin, Loading, Stale], group: Group::Server, since: "2.2.12", ..COMMAND };

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GET",
        arity: -2,
        run: Run::Server(get),
        cost: "O(N) where N is the number of entries shown",
        usage: "[count]",
        summary: "Shows the last slow commands.",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..SUBCOMMAND
    },
    Command { group: Group::Server, since: "6.2.0", ..HELP },
    Command {
        name: "LEN",
        arity: 2,
        run: Run::Server(len),
        summary: "Counts the entries of the log.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        ..SUBCOMMAND
    },
    Command {
        name: "RESET",
        arity: 2,
        run: Run::Server(reset),
        cost: "O(N) where N is the number of entries",
        summary: "Empties the log.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..SUBCOMMAND
    },
];

const OF_ONE_KIND: Command = Command { since: "8.1.0", ..SUBCOMMAND };

const OF_ALL_KINDS: &[Command] = &[
    Command {
        name: "GET",
        arity: 4,
        run: Run::Server(get_kind),
        cost: "O(N) where N is the number of entries shown",
        usage: "count <SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Shows the last commands of a kind.",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..OF_ONE_KIND
    },
    Command { group: Group::Server, since: "8.1.0", ..HELP },
    Command {
        name: "LEN",
        arity: 3,
        run: Run::Server(len_of_kind),
        usage: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Counts the entries of a kind.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        ..OF_ONE_KIND
    },
    Command {
        name: "RESET",
        arity: 3,
        run: Run::Server(reset_kind),
        cost: "O(N) where N is the number of entries",
        usage: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Empties the log of a kind.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..OF_ONE_KIND
    },
];

const BAD_COUNT: &str = "ERR count should be greater than or equal to -1";

fn get(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const DEFAULT: usize = 10;
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    let count = if args.is_empty() { DEFAULT } else { count(args)? };
    show(&server.stats.slowlog, count, reply)
}

fn get_kind(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let count = count(args)?;
    show(log_of(server, args)?, count, reply)
}

/// -1 is everything.
fn count(args: &mut Args) -> Result<usize, Stop> {
    Ok(usize::try_from(args.int_in(-1..=i64::MAX, BAD_COUNT)?).unwrap_or(usize::MAX))
}

fn show(log: &CommandLog, count: usize, reply: &mut Reply) -> Done {
    let shown = count.min(log.entries.len());
    reply.array(shown);
    for entry in log.entries.iter().take(shown) {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.when_s as i64);
        reply.int(entry.value as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(())
}

/// The log that the next argument names.
fn log_of<'a>(server: &'a mut Server, args: &mut Args) -> Result<&'a mut CommandLog, Stop> {
    let stats = &mut server.stats;
    match () {
        () if args.option("SLOW") => Ok(&mut stats.slowlog),
        () if args.option("LARGE-REQUEST") => Ok(&mut stats.large_requests),
        () if args.option("LARGE-REPLY") => Ok(&mut stats.large_replies),
        () => Err(error("ERR type should be one of the following: slow, large-request, large-reply")),
    }
}

fn len(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.count(server.stats.slowlog.entries.len());
    Ok(())
}

fn len_of_kind(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    reply.count(log_of(server, args)?.entries.len());
    Ok(())
}

fn reset(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.stats.slowlog.entries.clear();
    reply.ok();
    Ok(())
}

fn reset_kind(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    log_of(server, args)?.entries.clear();
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check};

    #[test]
    fn errors() {
        check(
            r#"
            > SLOWLOG GET -2
            (error) ERR count should be greater than or equal to -1
            > SLOWLOG GET abc
            (error) ERR count should be greater than or equal to -1
            > SLOWLOG GET 1 2
            (error) ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.
            > SLOWLOG FOO
            (error) ERR unknown subcommand 'FOO'. Try SLOWLOG HELP.
            > SLOWLOG LEN
            (integer) 0
            "#,
        );
    }

    #[test]
    fn scripts_commands_and_waits_that_ended_are_kept_too() {
        check(
            r#"
            > CONFIG SET slowlog-log-slower-than 0
            OK
            > SLOWLOG RESET
            OK
            > EVAL "return redis.call('SET', KEYS[1], 'v')" 1 k
            OK
            b> BLPOP nolist 0.01
            ~ 20
            b<
            (nil)
            > SLOWLOG LEN
            (integer) 4
            "#,
        );
    }

    #[test]
    fn large_requests_and_replies_are_kept() {
        let sixty = "x".repeat(60);
        check(&format!(
            r#"
            > COMMANDLOG GET 10
            (error) ERR wrong number of arguments for 'commandlog|get' command
            > COMMANDLOG GET -2 slow
            (error) ERR count should be greater than or equal to -1
            > COMMANDLOG LEN foo
            (error) ERR type should be one of the following: slow, large-request, large-reply
            > CONFIG SET commandlog-request-larger-than 60 commandlog-reply-larger-than 60
            OK
            > SET a {sixty}
            OK
            > GET a
            "{sixty}"
            > COMMANDLOG LEN large-request
            (integer) 2
            > COMMANDLOG GET 1 large-reply
            1) 1) (integer) 0
               2) (integer) 1767225600
               3) (integer) 67
               4) 1) "GET"
                  2) "a"
               5) "127.0.0.1:50000"
               6) ""
            > COMMANDLOG RESET LARGE-REQUEST
            OK
            > COMMANDLOG LEN large-request
            (integer) 0
            > MULTI
            OK
            > GET a
            QUEUED
            > EXEC
            1) "{sixty}"
            > COMMANDLOG LEN large-reply
            (integer) 3
            > CONFIG SET commandlog-large-reply-max-len 1
            OK
            > COMMANDLOG LEN large-reply
            (integer) 1
            "#,
        ));
    }

    #[test]
    fn passwords_are_not_kept() {
        let mut playground = Playground::default();
        for line in [
            "CONFIG SET slowlog-log-slower-than 0",
            "SLOWLOG RESET",
            "AUTH someone hunter2",
            "HELLO 3 AUTH someone hunter2 SETNAME name",
        ] {
            let words: Vec<_> = line.split(' ').collect();
            playground.run("", words.iter());
        }
        let kept = &playground.server.stats.slowlog.entries;
        let shown: Vec<_> = kept.iter().map(|entry| String::from_utf8(entry.args.join(&b' ')).unwrap()).collect();
        assert_eq!(shown[..2], ["HELLO 3 AUTH (redacted) (redacted) SETNAME name", "AUTH (redacted) (redacted)"]);
    }

    #[test]
    fn entries_hide_secrets_and_cut_long_arguments() {
        let mut playground = Playground::default();
        let mut run = |words: &[&str]| {
            let bytes = playground.run("", words.iter());
            let mut text = String::new();
            crate::testing::show(&bytes, &mut text);
            text
        };
        run(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        run(&["SLOWLOG", "RESET"]);
        run(&["CONFIG", "SET", "requirepass", ""]);
        run(&["MULTI"]);
        run(&["GET", &"x".repeat(130)]);
        run(&["EXEC"]);
        let shown = run(&["SLOWLOG", "GET", "-1"]);
        let words = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let args: Vec<_> = shown.lines().filter_map(words).filter(|word| !word.is_empty()).collect();
        let long = format!("{}... (2 more bytes)", "x".repeat(128));
        let address = "127.0.0.1:50000";
        assert_eq!(
            args,
            [
                "GET",
                &long,
                address,
                "MULTI",
                address,
                "CONFIG",
                "SET",
                "requirepass",
                "(redacted)",
                address,
                "SLOWLOG",
                "RESET",
                address
            ],
            "{shown}"
        );
        assert_eq!(run(&["SLOWLOG", "LEN"]), "(integer) 5\n");
        assert_eq!(run(&["SLOWLOG", "GET", "0"]), "(empty array)\n");
    }
}
