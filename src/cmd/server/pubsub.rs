//! Pub/sub commands. Who listens and how messages reach them is in `server::pubsub`; here are the requests and their confirmations.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Channels, Command, Flag, Group, KeyFlag, Run, key, keys};
use crate::cmd::container::{HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, error};
use crate::resp::reply::Reply;
use crate::server::pubsub::{Topic, matches};
use crate::server::session::ReplyMode;
use crate::server::{Server, SessionId};

use Flag::{Fast, Loading, MayReplicate, Noscript, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "PSUBSCRIBE",
        arity: -2,
        run: Run::Server(psubscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        channels: Channels::Patterns,
        group: Group::Pubsub,
        since: "2.0.0",
        cost: "O(N), where N is the number of patterns.",
        usage: "pattern [pattern ...]",
        summary: "Listens to all channels whose names match patterns.",
        ..COMMAND
    },
    Command {
        name: "PUBLISH",
        arity: 3,
        run: Run::Server(publish),
        flags: &[Flag::Pubsub, Loading, Stale, Fast, MayReplicate],
        channels: Channels::First,
        group: Group::Pubsub,
        since: "2.0.0",
        cost: "O(N+M), where N is the number of listeners of the channel and M is the number of patterns that anybody listens to.",
        usage: "channel message",
        summary: "Sends a message to everybody who listens to a channel.",
        ..COMMAND
    },
    Command {
        name: "PUBSUB",
        arity: -2,
        run: Run::Parent(SUBCOMMANDS),
        group: Group::Pubsub,
        since: "2.8.0",
        cost: "Depends on subcommand.",
        summary: "Tells who listens to what.",
        ..COMMAND
    },
    Command {
        name: "PUNSUBSCRIBE",
        arity: -1,
        run: Run::Server(punsubscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        group: Group::Pubsub,
        since: "2.0.0",
        cost: "O(N), where N is the number of patterns.",
        usage: "[pattern [pattern ...]]",
        summary: "Stops listening to patterns, or to all of them.",
        ..COMMAND
    },
    Command {
        name: "SPUBLISH",
        arity: 3,
        run: Run::Server(spublish),
        flags: &[Flag::Pubsub, Loading, Stale, Fast, MayReplicate],
        keys: &[key(1, Access::None, &[KeyFlag::NotKey])],
        channels: Channels::First,
        group: Group::Pubsub,
        since: "7.0.0",
        cost: "O(N), where N is the number of listeners of the shard channel.",
        usage: "shardchannel message",
        summary: "Sends a message to everybody who listens to a shard channel.",
        ..COMMAND
    },
    Command {
        name: "SSUBSCRIBE",
        arity: -2,
        run: Run::Server(ssubscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        keys: &[keys(1, -1, 1, Access::None, &[KeyFlag::NotKey])],
        channels: Channels::All,
        group: Group::Pubsub,
        since: "7.0.0",
        cost: "O(N), where N is the number of shard channels.",
        usage: "shardchannel [shardchannel ...]",
        summary: "Listens to shard channels.",
        ..COMMAND
    },
    Command {
        name: "SUBSCRIBE",
        arity: -2,
        run: Run::Server(subscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        channels: Channels::All,
        group: Group::Pubsub,
        since: "2.0.0",
        cost: "O(N), where N is the number of channels.",
        usage: "channel [channel ...]",
        summary: "Listens to channels.",
        ..COMMAND
    },
    Command {
        name: "SUNSUBSCRIBE",
        arity: -1,
        run: Run::Server(sunsubscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        keys: &[keys(1, -1, 1, Access::None, &[KeyFlag::NotKey])],
        group: Group::Pubsub,
        since: "7.0.0",
        cost: "O(N), where N is the number of shard channels.",
        usage: "[shardchannel [shardchannel ...]]",
        summary: "Stops listening to shard channels, or to all of them.",
        ..COMMAND
    },
    Command {
        name: "UNSUBSCRIBE",
        arity: -1,
        run: Run::Server(unsubscribe),
        flags: &[Flag::Pubsub, Noscript, Loading, Stale],
        group: Group::Pubsub,
        since: "2.0.0",
        cost: "O(N), where N is the number of channels.",
        usage: "[channel [channel ...]]",
        summary: "Stops listening to channels, or to all of them.",
        ..COMMAND
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CHANNELS",
        arity: -2,
        run: Run::Server(channels),
        flags: &[Flag::Pubsub, Loading, Stale],
        group: Group::Pubsub,
        since: "2.8.0",
        cost: "O(N), where N is the number of channels that anybody listens to.",
        usage: "[pattern]",
        summary: "Returns the channels that somebody listens to, all or those that match a pattern.",
        ..COMMAND
    },
    Command { group: Group::Pubsub, since: "6.2.0", ..HELP },
    Command {
        name: "NUMPAT",
        arity: 2,
        run: Run::Server(numpat),
        flags: &[Flag::Pubsub, Loading, Stale],
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "Returns how many different patterns somebody listens to.",
        ..COMMAND
    },
    Command {
        name: "NUMSUB",
        arity: -2,
        run: Run::Server(numsub),
        flags: &[Flag::Pubsub, Loading, Stale],
        group: Group::Pubsub,
        since: "2.8.0",
        cost: "O(N), where N is the number of channels asked for.",
        usage: "[channel [channel ...]]",
        summary: "Returns how many listen to each of these channels, patterns not counted.",
        ..COMMAND
    },
    Command {
        name: "SHARDCHANNELS",
        arity: -2,
        run: Run::Server(shardchannels),
        flags: &[Flag::Pubsub, Loading, Stale],
        group: Group::Pubsub,
        since: "7.0.0",
        cost: "O(N), where N is the number of shard channels that anybody listens to.",
        usage: "[pattern]",
        summary: "Returns the shard channels that somebody listens to, all or those that match a pattern.",
        ..COMMAND
    },
    Command {
        name: "SHARDNUMSUB",
        arity: -2,
        run: Run::Server(shardnumsub),
        flags: &[Flag::Pubsub, Loading, Stale],
        group: Group::Pubsub,
        since: "7.0.0",
        cost: "O(N), where N is the number of shard channels asked for.",
        usage: "[shardchannel [shardchannel ...]]",
        summary: "Returns how many listen to each of these shard channels.",
        ..COMMAND
    },
];

fn publish(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (channel, message) = (args.next()?, args.next()?);
    reply.count(server.publish(channel, message));
    tell_replicas(server, id, args);
    Ok(())
}

fn spublish(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (channel, message) = (args.next()?, args.next()?);
    reply.count(server.publish_shard(channel, message));
    tell_replicas(server, id, args);
    Ok(())
}

/// Who listens at a replica hears it too. The append-only log has no use for it.
fn tell_replicas(server: &mut Server, id: SessionId, args: &Args) {
    let db = server.sessions.get(id).db;
    server.journal.append_for_replicas(db, args.request());
}

fn subscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    begin(Topic::Channel, server, id, args, reply)
}

fn psubscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    begin(Topic::Pattern, server, id, args, reply)
}

fn ssubscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.is_inside_another() {
        return Err(error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    begin(Topic::Shard, server, id, args, reply)
}

fn begin(topic: Topic, server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    for name in args.rest() {
        server.subscribe(id, topic, name);
        confirm(topic.subscribe_word(), topic, Some(name), server, id, reply);
    }
    Ok(())
}

fn unsubscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    end(Topic::Channel, server, id, args, reply)
}

fn punsubscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    end(Topic::Pattern, server, id, args, reply)
}

fn sunsubscribe(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    end(Topic::Shard, server, id, args, reply)
}

fn end(topic: Topic, server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let word = topic.unsubscribe_word();
    if !args.is_empty() {
        for name in args.rest() {
            server.unsubscribe(id, topic, name);
            confirm(word, topic, Some(name), server, id, reply);
        }
        return Ok(());
    }
    let all: Vec<_> = server.sessions.get(id).topics(topic).iter().cloned().collect();
    for name in &all {
        server.unsubscribe(id, topic, name);
        confirm(word, topic, Some(name), server, id, reply);
    }
    if all.is_empty() {
        confirm(word, topic, None, server, id, reply);
    }
    Ok(())
}

/// One confirmation, with the number of subscriptions left: channels and patterns together, shard channels by themselves.
fn confirm(word: &str, topic: Topic, name: Option<&[u8]>, server: &mut Server, id: SessionId, reply: &mut Reply) {
    let session = server.sessions.get_mut(id);
    let count = match topic {
        Topic::Shard => session.shard_channels.len(),
        Topic::Channel | Topic::Pattern => session.subscriptions(),
    };
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.bulk(word.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.count(count);
    };
    // CLIENT REPLY OFF silences replies. This is one in form only: it goes out as a message does.
    match session.reply_mode {
        ReplyMode::On => write(reply),
        _ => write(&mut Reply::new(&mut session.output, session.protocol)),
    }
}

fn channels(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    names(Topic::Channel, server, args, reply)
}

fn shardchannels(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    names(Topic::Shard, server, args, reply)
}

fn names(topic: Topic, server: &mut Server, args: &mut Args, reply: &mut Reply) -> Done {
    let pattern = args.try_next();
    if !args.is_empty() {
        return Err(unknown_or_wrong_number(args));
    }
    let wanted = |name: &[u8]| pattern.is_none_or(|pattern| matches(pattern, name));
    let (start, mut count) = (reply.later(), 0);
    for name in server.pubsub.names(topic).filter(|name| wanted(name)) {
        reply.bulk(name);
        count += 1;
    }
    reply.finish_array(start, count);
    Ok(())
}

fn numsub(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    counts(Topic::Channel, server, args, reply)
}

fn shardnumsub(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    counts(Topic::Shard, server, args, reply)
}

fn counts(topic: Topic, server: &mut Server, args: &mut Args, reply: &mut Reply) -> Done {
    reply.array(2 * args.len());
    for name in args.rest() {
        reply.bulk(name);
        reply.count(server.pubsub.listeners(topic, name));
    }
    Ok(())
}

fn numpat(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.count(server.pubsub.patterns());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn confirmations_count() {
        check(
            r#"
            > SUBSCRIBE a b a
            1) "subscribe"
            2) "a"
            3) (integer) 1
            1) "subscribe"
            2) "b"
            3) (integer) 2
            1) "subscribe"
            2) "a"
            3) (integer) 2
            > PSUBSCRIBE p*
            1) "psubscribe"
            2) "p*"
            3) (integer) 3
            > SSUBSCRIBE s
            1) "ssubscribe"
            2) "s"
            3) (integer) 1
            > UNSUBSCRIBE
            1) "unsubscribe"
            2) "a"
            3) (integer) 2
            1) "unsubscribe"
            2) "b"
            3) (integer) 1
            > UNSUBSCRIBE
            1) "unsubscribe"
            2) (nil)
            3) (integer) 1
            > PUNSUBSCRIBE x p*
            1) "punsubscribe"
            2) "x"
            3) (integer) 1
            1) "punsubscribe"
            2) "p*"
            3) (integer) 0
            > CLIENT LIST
            (error) ERR Can't execute 'client|list': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
            > SUNSUBSCRIBE
            1) "sunsubscribe"
            2) "s"
            3) (integer) 0
            > GET a
            (nil)
            "#,
        );
    }

    #[test]
    fn messages_to_itself_come_behind_the_reply() {
        check(
            r#"
            > MULTI
            OK
            > SUBSCRIBE a
            QUEUED
            > SSUBSCRIBE a
            QUEUED
            > PSUBSCRIBE ?
            QUEUED
            > PUBLISH a x
            QUEUED
            > EXEC
            1) 1) "subscribe"
               2) "a"
               3) (integer) 1
            2) (error) ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client
            3) 1) "psubscribe"
               2) "?"
               3) (integer) 2
            4) (integer) 2
            1) "message"
            2) "a"
            3) "x"
            1) "pmessage"
            2) "?"
            3) "a"
            4) "x"
            "#,
        );
    }

    #[test]
    fn who_listens() {
        check(
            r#"
            b> SUBSCRIBE one two
            1) "subscribe"
            2) "one"
            3) (integer) 1
            1) "subscribe"
            2) "two"
            3) (integer) 2
            c> PSUBSCRIBE t*
            1) "psubscribe"
            2) "t*"
            3) (integer) 1
            d> SSUBSCRIBE shard
            1) "ssubscribe"
            2) "shard"
            3) (integer) 1
            > PUBSUB CHANNELS
            1) "one"
            2) "two"
            > PUBSUB CHANNELS t*
            1) "two"
            > PUBSUB CHANNELS a b
            (error) ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.
            > PUBSUB NUMSUB two nobody
            1) "two"
            2) (integer) 1
            3) "nobody"
            4) (integer) 0
            > PUBSUB NUMPAT
            (integer) 1
            > PUBSUB SHARDCHANNELS
            1) "shard"
            > PUBSUB SHARDNUMSUB shard one
            1) "shard"
            2) (integer) 1
            3) "one"
            4) (integer) 0
            > PUBSUB foo
            (error) ERR unknown subcommand 'foo'. Try PUBSUB HELP.
            > PUBLISH two x
            (integer) 2
            > SPUBLISH shard y
            (integer) 1
            b<
            1) "message"
            2) "two"
            3) "x"
            c<
            1) "pmessage"
            2) "t*"
            3) "two"
            4) "x"
            d<
            1) "smessage"
            2) "shard"
            3) "y"
            "#,
        );
    }
}
