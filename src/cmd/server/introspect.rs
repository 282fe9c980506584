//! COMMAND and its subcommands: what commands there are and what they take, told from the command table and nothing else.
//!
//! Arguments come from `cmd::usage`, keys from `cmd::keyspec`.

use crate::cmd::args::Args;
use crate::cmd::command::{Begin, COMMAND, Category, Command, Find, Flag, Group, KeySpec, Run};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, SYNTAX, error};
use crate::cmd::keyspec::{self, FoundKey};
use crate::cmd::table::Entry;
use crate::cmd::usage::{self, Argument, Kind};
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::server::{Server, SessionId};
use crate::util::glob;

use Flag::{Loading, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "COMMAND",
    arity: -1,
    run: Run::ParentAndServer(SUBCOMMANDS, all),
    flags: &[Loading, Stale],
    group: Group::Server,
    since: "2.8.13",
    cost: "O(N) where N is the number of commands",
    summary: "Tells the facts of every command.",
    categories: &[Category::Connection],
    tips: &["nondeterministic_output_order"],
    ..COMMAND
}];

const SUBCOMMAND: Command = Command {
    flags: &[Loading, Stale],
    group: Group::Server,
    since: "2.8.13",
    categories: &[Category::Connection],
    ..COMMAND
};

const SUBCOMMANDS: &[Command] = &[
    Command { name: "COUNT", arity: 2, run: Run::Server(count), summary: "Counts the commands.", ..SUBCOMMAND },
    Command {
        name: "DOCS",
        arity: -2,
        run: Run::Server(docs),
        since: "7.0.0",
        cost: "O(N) where N is the number of commands told",
        usage: "[command-name [command-name ...]]",
        summary: "Tells what commands do and which arguments they take.",
        tips: &["nondeterministic_output_order"],
        ..SUBCOMMAND
    },
    Command {
        name: "GETKEYS",
        arity: -3,
        run: Run::Server(getkeys),
        cost: "O(N) where N is the number of arguments",
        usage: "command [arg [arg ...]]",
        summary: "Finds the keys of any command.",
        ..SUBCOMMAND
    },
    Command {
        name: "GETKEYSANDFLAGS",
        arity: -3,
        run: Run::Server(getkeys_and_flags),
        since: "7.0.0",
        cost: "O(N) where N is the number of arguments",
        usage: "command [arg [arg ...]]",
        summary: "Finds the keys of any command, and what is done with each.",
        ..SUBCOMMAND
    },
    Command { group: Group::Server, since: "5.0.0", categories: &[Category::Connection], ..HELP },
    Command {
        name: "INFO",
        arity: -2,
        run: Run::Server(info),
        cost: "O(N) where N is the number of commands told",
        usage: "[command-name [command-name ...]]",
        summary: "Tells the facts of the commands named, or of all.",
        tips: &["nondeterministic_output_order"],
        ..SUBCOMMAND
    },
    Command {
        name: "LIST",
        arity: -2,
        run: Run::Server(list),
        since: "7.0.0",
        cost: "O(N) where N is the number of commands",
        usage: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        summary: "Lists the names of commands.",
        tips: &["nondeterministic_output_order"],
        ..SUBCOMMAND
    },
];

/// The commands under the names they have here, in the table's order.
fn entries(server: &Server) -> Vec<&'static Entry> {
    let mut entries: Vec<_> = server.names.iter().map(|(_, entry)| entry).collect();
    entries.sort_by_key(|entry| entry.id);
    entries
}

/// A command by its name, or a subcommand by `parent|name`.
fn find(server: &Server, name: &[u8]) -> Option<&'static Entry> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let parent = server.names.find(words.next()?)?;
    match words.next() {
        Some(name) => parent.subcommand(name),
        None => Some(parent),
    }
}

fn count(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.count(server.names.iter().count());
    Ok(())
}

fn all(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let entries = entries(server);
    reply.array(entries.len());
    entries.iter().for_each(|entry| facts(reply, entry));
    Ok(())
}

fn info(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.is_empty() {
        return all(server, id, args, reply);
    }
    reply.array(args.len());
    for name in args.rest() {
        match find(server, name) {
            Some(entry) => facts(reply, entry),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn facts(reply: &mut Reply, entry: &Entry) {
    let command = entry.command;
    let (first, last, step) = keyspec::legacy_range(command);
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.int(i64::from(command.arity));
    simple_set(reply, Flag::NAMES.iter().filter(|(flag, _)| entry.has(*flag)).map(|(_, name)| (*name).to_owned()));
    reply.int(first);
    reply.int(last);
    reply.int(step);
    simple_set(reply, command.all_categories().map(|category| format!("@{}", category.name())));
    reply.array(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.array(command.keys.len());
    command.keys.iter().for_each(|spec| key_spec(reply, spec));
    reply.array(entry.subcommands.len());
    entry.subcommands.iter().for_each(|subcommand| facts(reply, subcommand));
}

fn simple_set(reply: &mut Reply, texts: impl Iterator<Item = String>) {
    let texts: Vec<_> = texts.collect();
    reply.set(texts.len());
    texts.iter().for_each(|text| reply.simple(text));
}

fn key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3 + usize::from(!spec.notes.is_empty()));
    if !spec.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    key_flags(reply, spec.access, spec.flags);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => {
            spec_part(reply, "index", &[("index", index as i64)], None);
        }
        Begin::Keyword { word, from } => {
            spec_part(reply, "keyword", &[("startfrom", i64::from(from))], Some(("keyword", word)));
        }
        Begin::Unknown => spec_part(reply, "unknown", &[], None),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => spec_part(
            reply,
            "range",
            &[("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)],
            None,
        ),
        Find::Count { count, first, step } => spec_part(
            reply,
            "keynum",
            &[("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)],
            None,
        ),
        Find::Unknown => spec_part(reply, "unknown", &[], None),
    }
}

fn spec_part(reply: &mut Reply, kind: &str, numbers: &[(&str, i64)], word: Option<(&str, &str)>) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len() + usize::from(word.is_some()));
    if let Some((name, word)) = word {
        reply.bulk(name.as_bytes());
        reply.bulk(word.as_bytes());
    }
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.int(*number);
    }
}

fn key_flags(reply: &mut Reply, access: crate::cmd::command::Access, flags: &[crate::cmd::command::KeyFlag]) {
    let all = access.name().map(str::to_owned).into_iter().chain(flags.iter().map(|flag| flag.name().to_owned()));
    simple_set(reply, all);
}

fn list(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let filter = match (args.len(), args.option("FILTERBY")) {
        (0, _) => Filter::None,
        (3, true) => match (args.next()?, args.next()?) {
            (word, _) if word.eq_ignore_ascii_case(b"module") => Filter::Module,
            (word, name) if word.eq_ignore_ascii_case(b"aclcat") => Filter::Category(
                Category::ALL.into_iter().find(|category| category.name().as_bytes().eq_ignore_ascii_case(name)),
            ),
            (word, pattern) if word.eq_ignore_ascii_case(b"pattern") => Filter::Pattern(pattern),
            _ => return Err(SYNTAX),
        },
        _ => return Err(SYNTAX),
    };
    let entries = entries(server);
    let subcommands = entries.iter().flat_map(|entry| entry.subcommands.iter().copied());
    let chosen: Vec<_> = entries.iter().copied().chain(subcommands).filter(|entry| filter.takes(entry)).collect();
    reply.set(chosen.len());
    chosen.iter().for_each(|entry| reply.bulk(entry.full_name.as_bytes()));
    Ok(())
}

enum Filter<'a> {
    None,
    /// There are no modules.
    Module,
    Category(Option<Category>),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn takes(&self, entry: &Entry) -> bool {
        match self {
            Filter::None => true,
            Filter::Module => false,
            Filter::Category(wanted) => entry.command.all_categories().any(|category| Some(category) == *wanted),
            Filter::Pattern(pattern) => glob::matches_ignoring_case(pattern, entry.full_name.as_bytes()),
        }
    }
}

fn docs(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let chosen: Vec<_> =
        if args.is_empty() { entries(server) } else { args.rest().filter_map(|name| find(server, name)).collect() };
    reply.map(chosen.len());
    for entry in chosen {
        reply.bulk(entry.full_name.as_bytes());
        documentation(reply, entry);
    }
    Ok(())
}

fn documentation(reply: &mut Reply, entry: &Entry) {
    let command = entry.command;
    let start = reply.later();
    let mut pairs = 4;
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", if entry.subcommands.is_empty() { command.cost } else { "Depends on subcommand." }),
    ] {
        pair(reply, name, text);
    }
    let flags = [(command.deprecated.is_some(), "deprecated"), (command.is_internal, "syscmd")];
    if flags.iter().any(|(set, _)| *set) {
        reply.bulk(b"doc_flags");
        simple_set(reply, flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()));
        pairs += 1;
    }
    if let Some(deprecated) = command.deprecated {
        pair(reply, "deprecated_since", deprecated.since);
        pair(reply, "replaced_by", deprecated.instead);
        pairs += 2;
    }
    // A usage text that cannot be read is found by a test over the whole table.
    let arguments = usage::arguments(command).unwrap_or_default();
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        argument_list(reply, &arguments);
        pairs += 1;
    }
    if !entry.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(entry.subcommands.len());
        for subcommand in &entry.subcommands {
            reply.bulk(subcommand.full_name.as_bytes());
            documentation(reply, subcommand);
        }
        pairs += 1;
    }
    reply.finish_map(start, pairs);
}

fn pair(reply: &mut Reply, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn argument_list(reply: &mut Reply, arguments: &[Argument]) {
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| argument_facts(reply, argument));
}

fn argument_facts(reply: &mut Reply, argument: &Argument) {
    let start = reply.later();
    let mut pairs = 2;
    pair(reply, "name", &argument.name);
    pair(reply, "type", argument.kind.name());
    if !matches!(argument.kind, Kind::OneOf | Kind::Block) {
        pair(reply, "display_text", &argument.name);
        pairs += 1;
    }
    if let Some(index) = argument.key_spec {
        reply.bulk(b"key_spec_index");
        reply.count(index);
        pairs += 1;
    }
    if let Some(token) = argument.token {
        pair(reply, "token", token);
        pairs += 1;
    }
    let flags =
        [(argument.optional, "optional"), (argument.multiple, "multiple"), (argument.multiple_token, "multiple_token")];
    if flags.iter().any(|(set, _)| *set) {
        reply.bulk(b"flags");
        simple_set(reply, flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()));
        pairs += 1;
    }
    if !argument.children.is_empty() {
        reply.bulk(b"arguments");
        argument_list(reply, &argument.children);
        pairs += 1;
    }
    reply.finish_map(start, pairs);
}

fn getkeys(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let request = args.request().skip(args.position());
    let found = keys_in(server, request)?;
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(request.arg(key.index)));
    Ok(())
}

fn getkeys_and_flags(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let request = args.request().skip(args.position());
    let found = keys_in(server, request)?;
    reply.array(found.len());
    for key in found {
        reply.array(2);
        reply.bulk(request.arg(key.index));
        key_flags(reply, key.access, key.flags);
    }
    Ok(())
}

fn keys_in(server: &Server, request: Request) -> Result<Vec<FoundKey>, crate::cmd::error::Stop> {
    let named = server.names.find(request.arg(0)).ok_or(error("ERR Invalid command specified"))?;
    let entry = match (named.subcommands.is_empty(), request.len() > 1) {
        (false, true) => named.subcommand(request.arg(1)).ok_or(error("ERR Invalid command specified"))?,
        _ => named,
    };
    if !keyspec::has_keys(entry.command) {
        return Err(error("ERR The command has no key arguments"));
    }
    if !entry.command.takes(request.len()) {
        return Err(error("ERR Invalid number of arguments specified for command"));
    }
    match keyspec::keys_of(entry.command, request) {
        Some(found) if !found.is_empty() => Ok(found),
        _ if entry.has(Flag::NoMandatoryKeys) => Ok(Vec::new()),
        _ => Err(error("ERR Invalid arguments specified for command")),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check, show};

    #[test]
    fn facts_of_commands() {
        check(
            r#"
            > COMMAND INFO nosuch get
            1) (nil)
            2)  1) "get"
                2) (integer) 2
                3) 1) readonly
                   2) fast
                4) (integer) 1
                5) (integer) 1
                6) (integer) 1
                7) 1) @read
                   2) @string
                   3) @fast
                8) (empty array)
                9) 1) 1) "flags"
                      2) 1) RO
                         2) access
                      3) "begin_search"
                      4) 1) "type"
                         2) "index"
                         3) "spec"
                         4) 1) "index"
                            2) (integer) 1
                      5) "find_keys"
                      6) 1) "type"
                         2) "range"
                         3) "spec"
                         4) 1) "lastkey"
                            2) (integer) 0
                            3) "keystep"
                            4) (integer) 1
                            5) "limit"
                            6) (integer) 0
               10) (empty array)
            > COMMAND INFO get|x
            1) (nil)
            > COMMAND COUNT 1
            (error) ERR wrong number of arguments for 'command|count' command
            > COMMAND FOO
            (error) ERR unknown subcommand 'FOO'. Try COMMAND HELP.
            "#,
        );
    }

    #[test]
    fn lists() {
        check(
            r#"
            > COMMAND LIST FILTERBY MODULE foo
            (empty array)
            > COMMAND LIST FILTERBY ACLCAT nosuch
            (empty array)
            > COMMAND LIST FILTERBY PATTERN slowlog|*e*t
            1) "slowlog|get"
            2) "slowlog|reset"
            > COMMAND LIST FILTERBY PATTERN
            (error) ERR syntax error
            > COMMAND LIST FILTERBY FOO x
            (error) ERR syntax error
            > COMMAND LIST FOO
            (error) ERR syntax error
            > COMMAND DOCS nosuch
            (empty array)
            "#,
        );
    }

    #[test]
    fn keys_of_a_command() {
        check(
            r#"
            > COMMAND GETKEYS get a
            1) "a"
            > COMMAND GETKEYS MEMORY USAGE a
            1) "a"
            > COMMAND GETKEYSANDFLAGS del a b
            1) 1) "a"
               2) 1) RM
                  2) delete
            2) 1) "b"
               2) 1) RM
                  2) delete
            > COMMAND GETKEYS get
            (error) ERR Invalid number of arguments specified for command
            > COMMAND GETKEYS nosuch a
            (error) ERR Invalid command specified
            > COMMAND GETKEYS memory nosuch a
            (error) ERR Invalid command specified
            > COMMAND GETKEYS memory
            (error) ERR The command has no key arguments
            > COMMAND GETKEYS ping
            (error) ERR The command has no key arguments
            > COMMAND GETKEYS
            (error) ERR wrong number of arguments for 'command|getkeys' command
            "#,
        );
    }

    #[test]
    fn documentation_is_told_of_every_command() {
        let mut playground = Playground::default();
        let mut text = String::new();
        show(&playground.run("", ["COMMAND", "DOCS"].iter()), &mut text);
        let commands = crate::cmd::table::top().len();
        assert!(text.lines().filter(|line| !line.starts_with(' ')).count() >= commands);
        let mut one = String::new();
        show(&playground.run("", ["COMMAND", "DOCS", "slowlog|get"].iter()), &mut one);
        for part in ["\"since\"\n", "\"2.2.12\"\n", "\"arguments\"\n", "\"optional\"", "\"integer\"\n"] {
            assert!(one.contains(&part.replace("\"optional\"", "optional")), "no {part} in {one}");
        }
    }
}
