//! LATENCY: what took long, when, and what to do about it.
//!
//! Events are gathered where they happen (`stats::Latency`), the time of every command in its histogram (`stats::Histogram`).

use std::fmt::Write;

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, Stop};
use crate::cmd::table::{self, Entry};
use crate::resp::reply::Reply;
use crate::server::stats::Event;
use crate::server::{Server, SessionId};

use Flag::{Admin, Loading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "LATENCY",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "2.8.13",
    summary: "Holds the commands about latency.",
    ..COMMAND
}];

const SUBCOMMAND: Command = Command {
    flags: &[Admin, Noscript, Loading, Stale],
    group: Group::Server,
    since: "2.8.13",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    ..COMMAND
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DOCTOR",
        arity: 2,
        run: Run::Server(doctor),
        summary: "Tells in words what took long and what to do.",
        ..SUBCOMMAND
    },
    Command {
        name: "GRAPH",
        arity: 3,
        run: Run::Server(graph),
        usage: "event",
        summary: "Draws the history of an event.",
        ..SUBCOMMAND
    },
    Command { group: Group::Server, since: "2.8.13", ..HELP },
    Command {
        name: "HISTOGRAM",
        arity: -2,
        run: Run::Server(histogram),
        since: "7.0.0",
        cost: "O(N) where N is the number of commands that were called",
        usage: "[command [command ...]]",
        summary: "Shows how long commands took, as cumulative counts.",
        ..SUBCOMMAND
    },
    Command {
        name: "HISTORY",
        arity: 3,
        run: Run::Server(history),
        usage: "event",
        summary: "Shows the history of an event.",
        ..SUBCOMMAND
    },
    Command {
        name: "LATEST",
        arity: 2,
        run: Run::Server(latest),
        summary: "Shows the last and the worst time of every event.",
        ..SUBCOMMAND
    },
    Command {
        name: "RESET",
        arity: -2,
        run: Run::Server(reset),
        usage: "[event [event ...]]",
        summary: "Forgets events.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        ..SUBCOMMAND
    },
];

fn latest(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let events = &server.stats.latency.events;
    reply.array(events.len());
    for (name, event) in events {
        let (when_s, latency_ms) = event.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(when_s as i64);
        reply.int(latency_ms as i64);
        reply.int(event.max_ms as i64);
    }
    Ok(())
}

fn event<'a>(server: &'a Server, name: &[u8]) -> Option<(&'static str, &'a Event)> {
    let name = std::str::from_utf8(name).ok()?;
    server.stats.latency.events.get_key_value(name).map(|(name, event)| (*name, event))
}

fn history(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let Some((_, event)) = event(server, args.next()?) else {
        reply.array(0);
        return Ok(());
    };
    reply.array(event.samples.len());
    for (when_s, latency_ms) in &event.samples {
        reply.array(2);
        reply.int(*when_s as i64);
        reply.int(*latency_ms as i64);
    }
    Ok(())
}

fn reset(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let events = &mut server.stats.latency.events;
    let before = events.len();
    if args.is_empty() {
        events.clear();
    }
    for name in args.rest() {
        events.retain(|event, _| event.as_bytes() != name);
    }
    reply.count(before - events.len());
    Ok(())
}

fn histogram(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let named: Vec<&'static Entry> = if args.is_empty() {
        table::all().to_vec()
    } else {
        args.rest().flat_map(|name| with_subcommands(server, name)).collect()
    };
    let start = reply.later();
    let mut shown = 0;
    for entry in named {
        let histogram = &server.stats.commands[entry.id].histogram;
        let rows = histogram.cumulative_us();
        if rows.is_empty() || !server.config.latency_tracking {
            continue;
        }
        shown += 1;
        reply.bulk(entry.full_name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.int(histogram.count() as i64);
        reply.bulk(b"histogram_usec");
        reply.map(rows.len());
        for (us, count) in rows {
            reply.int(us as i64);
            reply.int(count as i64);
        }
    }
    reply.finish_map(start, shown);
    Ok(())
}

/// A command and its subcommands, or the one subcommand that `parent|name` says.
fn with_subcommands(server: &Server, name: &[u8]) -> Vec<&'static Entry> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let Some(parent) = words.next().and_then(|name| server.names.find(name)) else { return Vec::new() };
    match words.next() {
        Some(name) => parent.subcommand(name).into_iter().collect(),
        None => std::iter::once(parent).chain(parent.subcommands.iter().copied()).collect(),
    }
}

fn graph(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    let Some((name, event)) = event(server, name) else {
        let text = [b"ERR No samples available for event '", name, b"'"].concat();
        return Err(Stop::Bytes(text));
    };
    reply.verbatim("txt", drawing(name, event, server.now_ms() / 1000).as_bytes());
    Ok(())
}

/// Columns of a drawing, one for each of the last samples.
const COLUMNS_MAX: usize = 80;

/// Each sample is a column of four rows with three steps each; below it stands, from top to bottom, how long ago it was.
fn drawing(name: &str, event: &Event, now_s: u64) -> String {
    const ROWS: u64 = 4;
    const STEPS: [char; 3] = ['_', 'o', '#'];
    let levels = ROWS * STEPS.len() as u64;
    let skipped = event.samples.len().saturating_sub(COLUMNS_MAX);
    let samples: Vec<_> = event.samples.iter().skip(skipped).copied().collect();
    let high = samples.iter().map(|(_, ms)| *ms).max().unwrap_or(0);
    let low = samples.iter().map(|(_, ms)| *ms).min().unwrap_or(0);

    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.max_ms);
    text.extend(std::iter::repeat_n('-', COLUMNS_MAX));
    text.push('\n');
    let level = |ms: u64| (ms - low) * (levels - 1) / (high - low).max(1);
    for row in (0..ROWS).rev() {
        let mark = |ms: u64| match level(ms).checked_sub(row * STEPS.len() as u64) {
            None => ' ',
            Some(step) => STEPS.get(step as usize).copied().unwrap_or('|'),
        };
        text.extend(samples.iter().map(|(_, ms)| mark(*ms)));
        text.push('\n');
    }
    text.extend(std::iter::repeat_n(' ', samples.len()));
    text.push('\n');
    let ages: Vec<Vec<char>> =
        samples.iter().map(|(when_s, _)| age(now_s.saturating_sub(*when_s)).chars().collect()).collect();
    for line in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|age| age.get(line).copied().unwrap_or(' ')));
        text.push('\n');
    }
    text
}

/// 90 seconds are "1m".
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn doctor(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.verbatim("txt", report(server).as_bytes());
    Ok(())
}

fn report(server: &Server) -> String {
    let events = &server.stats.latency.events;
    let threshold_ms = server.config.latency_monitor_threshold;
    if threshold_ms <= 0 {
        return "Latency monitoring is off, so there is nothing to tell. Switch it on with \
                \"CONFIG SET latency-monitor-threshold <milliseconds>\".\n"
            .into();
    }
    if events.is_empty() {
        return format!("Nothing took {threshold_ms} milliseconds or more since monitoring began or was reset.\n");
    }
    let mut text = String::from("These took longer than they should:\n\n");
    for (index, (name, event)) in events.iter().enumerate() {
        let spread = Spread::of(event, server.now_ms() / 1000);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}. {name}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event {}ms.",
            index + 1,
            event.samples.len(),
            spread.average_ms,
            spread.deviation_ms,
            spread.period_s,
            event.max_ms
        );
    }
    text.push_str("\nWhat may help:\n\n");
    for advice in advices(server) {
        let _ = writeln!(text, "- {advice}");
    }
    text
}

/// What DOCTOR tells of an event's samples.
struct Spread {
    average_ms: u64,
    deviation_ms: u64,
    period_s: f64,
}

impl Spread {
    fn of(event: &Event, now_s: u64) -> Self {
        let count = event.samples.len().max(1) as u64;
        let average_ms = event.samples.iter().map(|(_, ms)| ms).sum::<u64>() / count;
        let deviation_ms = event.samples.iter().map(|(_, ms)| ms.abs_diff(average_ms)).sum::<u64>() / count;
        let first_s = event.samples.front().map_or(now_s, |(when_s, _)| *when_s);
        Self { average_ms, deviation_ms, period_s: now_s.saturating_sub(first_s).max(1) as f64 / count as f64 }
    }
}

fn advices(server: &Server) -> Vec<String> {
    let threshold_us = server.config.latency_monitor_threshold.saturating_mul(1000);
    let slower_than_us = server.config.slowlog_log_slower_than;
    let mut advices = Vec::new();
    if !(0..=threshold_us).contains(&slower_than_us) {
        advices.push(format!(
            "SLOWLOG leaves out what latency monitoring sees: \"CONFIG SET slowlog-log-slower-than {threshold_us}\" makes it show these too."
        ));
    }
    advices.push("SLOWLOG GET shows which commands, with which arguments, took long.".into());
    advices.push("Commands over all of a large collection take time with its size: SCAN and its kin, ranges or smaller keys do it in parts.".into());
    advices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Playground, check};

    #[test]
    fn without_events() {
        check(
            r#"
            > LATENCY LATEST
            (empty array)
            > LATENCY HISTORY command
            (empty array)
            > LATENCY RESET
            (integer) 0
            > LATENCY GRAPH foo
            (error) ERR No samples available for event 'foo'
            > LATENCY HISTOGRAM nosuch
            (empty array)
            > LATENCY FOO
            (error) ERR unknown subcommand 'FOO'. Try LATENCY HELP.
            "#,
        );
    }

    #[test]
    fn events_are_shown_and_forgotten() {
        let mut playground = Playground::default();
        let now_s = playground.server.now_ms() / 1000;
        for (ago_s, ms) in [(7_200, 5), (90, 50), (3, 20)] {
            playground.server.stats.latency.add("command", now_s - ago_s, ms);
        }
        playground.server.stats.latency.add("fast-command", now_s, 1);
        let mut run = |words: &[&str]| {
            let bytes = playground.run("", words.iter());
            let mut text = String::new();
            crate::testing::show(&bytes, &mut text);
            text
        };
        let latest = run(&["LATENCY", "LATEST"]);
        let wanted =
            format!("1) 1) \"command\"\n   2) (integer) {}\n   3) (integer) 20\n   4) (integer) 50\n", now_s - 3);
        assert!(latest.starts_with(&wanted), "{latest}");
        assert_eq!(
            run(&["LATENCY", "HISTORY", "fast-command"]),
            format!("1) 1) (integer) {now_s}\n   2) (integer) 1\n")
        );
        run(&["CONFIG", "SET", "latency-monitor-threshold", "1"]);
        let report = run(&["LATENCY", "DOCTOR"]);
        assert!(
            report.contains("1. command: 3 latency spikes (average 25ms, mean deviation 16ms, period 2400.00 sec)."),
            "{report}"
        );
        assert_eq!(run(&["LATENCY", "RESET", "command", "nosuch"]), "(integer) 1\n");
        assert_eq!(run(&["LATENCY", "RESET"]), "(integer) 1\n");
    }

    #[test]
    fn a_drawing() {
        let mut event = Event { max_ms: 99, ..Event::default() };
        event.samples.extend([(1_000, 1), (4_540, 12), (4_600, 7)]);
        let text = drawing("command", &event, 4_603);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "command - high 12 ms, low 1 ms (all time high 99 ms)");
        assert_eq!(lines[2..], [" # ", " |_", " ||", "_||", "   ", "113", "hms"]);
    }

    #[test]
    fn histograms_by_command() {
        let mut playground = Playground::default();
        playground.run("", ["SET", "a", "1"].iter());
        playground.run("", ["CONFIG", "GET", "hz"].iter());
        let shown = playground.run("", ["LATENCY", "HISTOGRAM", "config", "set", "get", "config|set"].iter());
        let mut text = String::new();
        crate::testing::show(&shown, &mut text);
        assert!(text.starts_with("1) \"config|get\"\n2) 1) \"calls\"\n   2) (integer) 1\n"), "{text}");
        assert!(text.contains("\n3) \"set\"\n") && !text.contains("\n5) "), "{text}");
    }
}
