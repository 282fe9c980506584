//! SLOWLOG: the last commands that took long. They are gathered in `server::dispatch`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::error::Done;
use crate::cmd::help::{help, unknown_subcommand};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

use Flag::{Admin, Loading, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "SLOWLOG",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "2.2.12",
    summary: "Holds the commands about the log of slow commands.",
    ..COMMAND
}];

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
    Command {
        name: "HELP",
        arity: 2,
        run: Run::Server(help_text),
        flags: &[Loading, Stale],
        since: "6.2.0",
        summary: "Lists the subcommands.",
        ..SUBCOMMAND
    },
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

fn help_text(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    help(
        reply,
        "SLOWLOG",
        &[
            (
                "GET [<count>]",
                &[
                    "Show the newest <count> entries of the log (10 where not given, all for -1).",
                    "An entry is an id, a Unix time, microseconds, the command's arguments,",
                    "the client's address and its name.",
                ],
            ),
            ("LEN", &["Count the entries of the log."]),
            ("RESET", &["Empty the log."]),
        ],
    )
}

fn get(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const DEFAULT: usize = 10;
    const BAD_COUNT: &str = "ERR count should be greater than or equal to -1";
    if args.len() > 1 {
        return Err(unknown_subcommand("SLOWLOG", args.request().arg(1)));
    }
    let count = match args.is_empty() {
        true => DEFAULT,
        // -1 is everything.
        false => usize::try_from(args.int_in(-1..=i64::MAX, BAD_COUNT)?).unwrap_or(usize::MAX),
    };

    let entries = &server.stats.slowlog.entries;
    let shown = count.min(entries.len());
    reply.array(shown);
    for entry in entries.iter().take(shown) {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.when_s as i64);
        reply.int(entry.duration_us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(())
}

fn len(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.count(server.stats.slowlog.entries.len());
    Ok(())
}

fn reset(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.stats.slowlog.entries.clear();
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
