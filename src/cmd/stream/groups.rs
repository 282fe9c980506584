//! XGROUP: making, moving and removing consumer groups and their consumers.

use super::super::args::Args;
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::super::container::HELP;
use super::super::error::{Done, Stop, error};
use super::{id, shown, wrong_options};
use crate::db::Edit;
use crate::db::effect::{Class, Stir};
use crate::resp::reply::Reply;
use crate::types::stream::{Stream, StreamBox, StreamId};

use Flag::DenyOom;

const INSERTS: &[KeySpec] = &[key(2, Access::Rw, &[KeyFlag::Insert])];
const DELETES: &[KeySpec] = &[key(2, Access::Rw, &[KeyFlag::Delete])];

pub const COMMANDS: &[Command] = &[Command {
    name: "XGROUP",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Stream,
    since: "5.0.0",
    cost: "Depends on subcommand.",
    summary: "A container for commands on consumer groups.",
    ..COMMAND
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CREATE",
        arity: -5,
        run: Run::Write(create),
        flags: &[DenyOom],
        keys: INSERTS,
        group: Group::Stream,
        since: "5.0.0",
        usage: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
        summary: "Makes a consumer group.",
        ..COMMAND
    },
    Command {
        name: "SETID",
        arity: -5,
        run: Run::Write(set_id),
        keys: &[key(2, Access::Rw, &[KeyFlag::Update])],
        group: Group::Stream,
        since: "5.0.0",
        usage: "key group <id | $> [ENTRIESREAD entries-read]",
        summary: "Puts a consumer group elsewhere in its stream.",
        ..COMMAND
    },
    Command {
        name: "DESTROY",
        arity: 4,
        run: Run::Write(destroy),
        keys: DELETES,
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(N) with N the entries the group has pending",
        usage: "key group",
        summary: "Removes a consumer group with all it has pending.",
        ..COMMAND
    },
    Command {
        name: "CREATECONSUMER",
        arity: 5,
        run: Run::Write(create_consumer),
        flags: &[DenyOom],
        keys: INSERTS,
        group: Group::Stream,
        since: "6.2.0",
        usage: "key group consumer",
        summary: "Adds a consumer to a group.",
        ..COMMAND
    },
    Command {
        name: "DELCONSUMER",
        arity: 5,
        run: Run::Write(delete_consumer),
        keys: DELETES,
        group: Group::Stream,
        since: "5.0.0",
        usage: "key group consumer",
        summary: "Removes a consumer from a group, with all it has pending.",
        ..COMMAND
    },
    Command { group: Group::Stream, since: "5.0.0", ..HELP },
];

/// What CREATE and SETID have behind the id.
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
    /// As in Redis each option may come again, as long as there are no more words than if all came once.
    are_too_many: bool,
}

impl Options {
    /// To be asked once the key, and for SETID the group, are known to be right: Redis complains of those first.
    fn check_number(&self, args: &Args) -> Result<(), Stop> {
        if self.are_too_many { Err(wrong_options(args, "XGROUP")) } else { Ok(()) }
    }
}

fn read_options(args: &mut Args, creates: bool) -> Result<Options, Stop> {
    let are_too_many = args.len() > if creates { 3 } else { 2 };
    let mut options = Options { make_stream: false, entries_read: None, are_too_many };
    while !args.is_empty() {
        if creates && args.option("MKSTREAM") {
            options.make_stream = true;
        } else if args.option_with_value("ENTRIESREAD") {
            options.entries_read = match args.int()? {
                -1 => None,
                read => {
                    Some(u64::try_from(read).map_err(|_| error("ERR value for ENTRIESREAD must be positive or -1"))?)
                }
            };
        } else {
            return Err(wrong_options(args, "XGROUP"));
        }
    }
    Ok(options)
}

/// The stream under a key, which must exist.
fn stream<'e>(edit: &'e mut Edit, key: &[u8]) -> Result<&'e mut StreamBox, Stop> {
    edit.stream_mut(key)?.ok_or(error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
         to create an empty stream automatically.",
    ))
}

pub(super) fn no_group_in(key: &[u8], group: &[u8]) -> Stop {
    let (key, group) = (shown(key), shown(group));
    Stop::Bytes([b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"].concat())
}

/// An id of a stream, or `$` for its last one.
fn id_or_last(text: &[u8], stream: &Stream) -> Result<StreamId, Stop> {
    if shown(text) == b"$" { Ok(stream.log().last_id()) } else { id(text) }
}

fn create(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group, id_text) = (args.next()?, args.next()?, args.next()?);
    let options = read_options(args, true)?;

    if options.make_stream && edit.stream_mut(key)?.is_none() {
        options.check_number(args)?;
        let mut made = Stream::new();
        let id = id_or_last(id_text, &made)?;
        made.create_group(group, id, options.entries_read);
        edit.set(key, StreamBox::from(made), None);
    } else {
        let stream = stream(edit, key)?;
        options.check_number(args)?;
        let id = id_or_last(id_text, stream)?;
        if stream.create_group(group, id, options.entries_read).is_none() {
            return Err(error("BUSYGROUP Consumer Group name already exists"));
        }
    }
    edit.changed_unwatched(1);
    edit.notice(key, Class::Stream, "xgroup-create");

    reply.ok();
    Ok(())
}

fn set_id(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group, id_text) = (args.next()?, args.next()?, args.next()?);
    let options = read_options(args, false)?;

    let stream = stream(edit, key)?;
    if stream.group(group).is_none() {
        return Err(no_group_in(key, group));
    }
    options.check_number(args)?;
    let id = match shown(id_text) {
        // Redis takes the ends of a range here, and only here.
        b"-" => StreamId::MIN,
        b"+" => StreamId::MAX,
        _ => id_or_last(id_text, stream)?,
    };
    stream.set_group_id(group, id, options.entries_read);
    edit.changed_unwatched(1);
    edit.notice(key, Class::Stream, "xgroup-setid");

    reply.ok();
    Ok(())
}

fn destroy(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group) = (args.next()?, args.next()?);

    let existed = stream(edit, key)?.destroy_group(group);
    if existed {
        edit.changed_unwatched(1);
        edit.notice(key, Class::Stream, "xgroup-destroy");
        // Whoever waits for the group is told that it is no more.
        edit.stir(key, Stir::All);
    }

    reply.int(i64::from(existed));
    Ok(())
}

fn create_consumer(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, name, consumer) = (args.next()?, args.next()?, args.next()?);

    let now = edit.now;
    let group = stream(edit, key)?.group_mut(name).ok_or_else(|| no_group_in(key, name))?;
    let (_, created) = group.consumer_or_new(consumer, now);
    if created {
        edit.changed_unwatched(1);
        edit.notice(key, Class::Stream, "xgroup-createconsumer");
    }

    reply.int(i64::from(created));
    Ok(())
}

fn delete_consumer(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, name, consumer) = (args.next()?, args.next()?, args.next()?);

    let group = stream(edit, key)?.group_mut(name).ok_or_else(|| no_group_in(key, name))?;
    let removed = group.remove_consumer(consumer);
    if removed.is_some() {
        edit.changed_unwatched(1);
        edit.notice(key, Class::Stream, "xgroup-delconsumer");
    }

    super::reply_count(reply, removed.unwrap_or(0));
    Ok(())
}
