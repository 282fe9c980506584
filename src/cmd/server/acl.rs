//! ACL: users, their rules and their file, what was refused to whom, and passwords out of chance.
//!
//! What a user is and how it is checked is in `server::acl`.

use super::client_line::client_line;
use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::container::{HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, Stop, error, error_showing, error_with, shown};
use crate::cmd::table;
use crate::resp::reply::Reply;
use crate::server::acl::log::{Context, Incident, Record};
use crate::server::acl::permissions::Permissions;
use crate::server::acl::rules::{category, has_space_or_nul, join_selectors};
use crate::server::acl::{DEFAULT, Reason, User, file};
use crate::server::{Server, SessionId};

use Flag::{Admin, Loading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "ACL",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "6.0.0",
    cost: "Depends on subcommand.",
    summary: "Says who may do what.",
    ..COMMAND
}];

/// What anybody may ask who may ask anything.
const OPEN: Command = Command { flags: &[Noscript, Loading, Stale], group: Group::Server, since: "6.0.0", ..COMMAND };
/// The administrator's.
const GUARDED: Command =
    Command { flags: &[Admin, Noscript, Loading, Stale], cost: "O(N), where N is the number of users.", ..OPEN };
const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CAT",
        arity: -2,
        run: Run::Server(cat),
        cost: "O(1), since commands and categories are always the same.",
        usage: "[category]",
        summary: "Lists the categories of commands, or the commands of one.",
        ..OPEN
    },
    Command {
        name: "DELUSER",
        arity: -3,
        run: Run::Server(deluser),
        cost: "O(N), where N is the number of connections.",
        usage: "username [username ...]",
        summary: "Removes users, and closes their connections.",
        tips: EVERYWHERE,
        secret: Some(|_, index| index >= 2),
        ..GUARDED
    },
    Command {
        name: "DRYRUN",
        arity: -4,
        run: Run::Server(dryrun),
        since: "7.0.0",
        cost: "O(1).",
        usage: "username command [arg [arg ...]]",
        summary: "Tells whether a user may run a command, without running it.",
        ..GUARDED
    },
    Command {
        name: "GENPASS",
        arity: -2,
        run: Run::Server(genpass),
        usage: "[bits]",
        summary: "Makes a password that nobody can guess.",
        ..OPEN
    },
    Command {
        name: "GETUSER",
        arity: 3,
        run: Run::Server(getuser),
        cost: "O(N), where N is the number of the user's passwords and rules.",
        usage: "username",
        summary: "Shows the rules of a user.",
        secret: Some(|_, index| index >= 2),
        ..GUARDED
    },
    Command { group: Group::Server, since: "6.0.0", ..HELP },
    Command {
        name: "LIST",
        arity: 2,
        run: Run::Server(list),
        summary: "Shows all users as the lines of an ACL file.",
        ..GUARDED
    },
    Command {
        name: "LOAD",
        arity: 2,
        run: Run::Server(load),
        summary: "Reads the ACL file again, all of it or nothing.",
        ..GUARDED
    },
    Command {
        name: "LOG",
        arity: -2,
        run: Run::Server(show_log),
        cost: "O(N), where N is the number of entries shown.",
        usage: "[count | RESET]",
        summary: "Shows what was refused of late, or forgets it.",
        ..GUARDED
    },
    Command {
        name: "SAVE",
        arity: 2,
        run: Run::Server(save),
        summary: "Writes all users into the ACL file.",
        tips: EVERYWHERE,
        ..GUARDED
    },
    Command {
        name: "SETUSER",
        arity: -3,
        run: Run::Server(setuser),
        cost: "O(N), where N is the number of rules.",
        usage: "username [rule [rule ...]]",
        summary: "Makes a user, or changes one, by rules.",
        tips: EVERYWHERE,
        secret: Some(|_, index| index >= 2),
        ..GUARDED
    },
    Command { name: "USERS", arity: 2, run: Run::Server(users), summary: "Lists the names of all users.", ..GUARDED },
    Command {
        name: "WHOAMI",
        arity: 2,
        run: Run::Server(whoami),
        summary: "Returns the name of the connection's user.",
        ..OPEN
    },
];

fn cat(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    let Some(name) = args.try_next() else {
        reply.array(Category::ALL.len());
        Category::ALL.iter().for_each(|category| reply.bulk(category.name().as_bytes()));
        return Ok(());
    };
    let wanted = category(name).ok_or_else(|| error_showing("ERR Unknown category '", name, "'"))?;
    let is_in = |entry: &&&table::Entry| entry.command.all_categories().any(|category| category == wanted);
    let found: Vec<_> = table::all().iter().filter(is_in).collect();
    reply.array(found.len());
    found.iter().for_each(|entry| reply.bulk(entry.full_name.as_bytes()));
    Ok(())
}

fn setuser(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    if has_space_or_nul(name) {
        return Err(error("ERR Usernames can't contain spaces or null characters"));
    }
    let rules = join_selectors(args.rest()).map_err(|open| {
        let text: [&[u8]; 3] = [b"ERR Unmatched parenthesis in acl selector starting at '", shown(open.0), b"'."];
        Stop::Bytes(text.concat())
    })?;
    let all_channels = server.new_users_may_use_all_channels();
    let known = server.acl.user(name).map(|user| User::clone(user));
    let mut user = known.unwrap_or_else(|| User::new(name, all_channels));
    for rule in rules {
        user.apply(&rule, all_channels).map_err(|error| {
            let after = format!("': {error}");
            Stop::Bytes([b"ERR Error in ACL SETUSER modifier '", shown(&rule), after.as_bytes()].concat())
        })?;
    }

    server.put_user(Some(id), user);

    reply.ok();
    Ok(())
}

fn deluser(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let mut names = args.rest();
    if names.clone().any(|name| name == DEFAULT) {
        return Err(error("ERR The 'default' user cannot be removed"));
    }
    reply.count(server.remove_users(id, &mut names));
    Ok(())
}

fn getuser(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let Some(user) = server.acl.user(args.next()?) else {
        reply.null();
        return Ok(());
    };
    let flags = user.flags();
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().for_each(|hash| reply.bulk(hash));
    describe(user.root(), reply);
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        describe(selector, reply);
    }
    Ok(())
}

/// Three pairs of a map.
fn describe(permissions: &Permissions, reply: &mut Reply) {
    reply.bulk(b"commands");
    reply.bulk(permissions.describe_commands().as_bytes());
    reply.bulk(b"keys");
    reply.bulk(&permissions.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&permissions.describe_channels());
}

fn list(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.array(server.acl.users().len());
    server.acl.users().for_each(|user| reply.bulk(&user.line()));
    Ok(())
}

fn users(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.array(server.acl.users().len());
    server.acl.users().for_each(|user| reply.bulk(user.name()));
    Ok(())
}

fn whoami(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(server.sessions.get(id).user.name());
    Ok(())
}

fn dryrun(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    let user = server.acl.user(name).ok_or_else(|| not_found("User", name))?;
    let request = args.request().skip(args.position());
    let unknown = || not_found("Command", request.arg(0));
    let named = server.names.find(request.arg(0)).ok_or_else(unknown)?;
    let entry = match table::is_parent(named, request.len()) && request.len() > 1 {
        true => named.subcommand(request.arg(1)).ok_or_else(unknown)?,
        false => named,
    };
    if !entry.command.takes(request.len()) {
        return Err(error_with(format!("ERR wrong number of arguments for '{}' command", entry.full_name)));
    }
    match user.check(entry, request) {
        Ok(()) => reply.ok(),
        Err(denied) => reply.bulk(&denied.text(user, entry, request, true)),
    }
    Ok(())
}

fn not_found(what: &str, name: &[u8]) -> Stop {
    Stop::Bytes([b"ERR ", what.as_bytes(), b" '", shown(name), b"' not found"].concat())
}

fn genpass(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const BITS_MAX: i64 = 4096;
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    let bits = if args.is_empty() {
        256
    } else {
        let refusal =
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096";
        Some(args.int()?).filter(|bits| (1..=BITS_MAX).contains(bits)).ok_or(error(refusal))?
    };
    let digits = bits.unsigned_abs().div_ceil(4) as usize;
    let mut bytes = vec![0; digits.div_ceil(2)];
    server.fill_random(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    reply.bulk(&text.as_bytes()[..digits]);
    Ok(())
}

const NO_FILE: Stop = error(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then \
     issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
);

fn load(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let path = server.config.aclfile.path_if_set().ok_or(NO_FILE)?;
    let users = file::read(path, &*server.host, server.new_users_may_use_all_channels())
        .map_err(|error| error_with(format!("ERR {error}")))?;

    server.replace_users(users);

    reply.ok();
    Ok(())
}

fn save(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let path = server.config.aclfile.path_if_set().ok_or(NO_FILE)?;
    server.host.replace(path, &file::text(&server.acl)).map_err(|problem| {
        tracing::warn!("Saving the users to '{}' failed: {problem}", path.display());
        error("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
    })?;
    reply.ok();
    Ok(())
}

fn show_log(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const SHOWN: i64 = 10;
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    if args.option("reset") {
        server.acl.log.clear();
        reply.ok();
        return Ok(());
    }
    let count = if args.is_empty() { SHOWN } else { args.int()? };
    let count = usize::try_from(count).unwrap_or(0).min(server.acl.log.iter().len());
    let now_ms = server.now_ms();
    reply.array(count);
    server.acl.log.iter().take(count).for_each(|record| show_record(record, now_ms, reply));
    Ok(())
}

fn show_record(record: &Record, now_ms: u64, reply: &mut Reply) {
    let incident = &record.incident;
    reply.map(10);
    reply.bulk(b"count");
    reply.count(record.count as usize);
    for (name, text) in [
        ("reason", incident.reason.name().as_bytes()),
        ("context", incident.context.name().as_bytes()),
        ("object", &incident.object),
        ("username", &incident.user),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(record.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&incident.client);
    for (name, number) in [
        ("entry-id", record.id),
        ("timestamp-created", record.created_ms),
        ("timestamp-last-updated", record.updated_ms),
    ] {
        reply.bulk(name.as_bytes());
        reply.int(number as i64);
    }
}

impl Server {
    /// Counts a refusal, and notes it in ACL LOG.
    pub fn log_denial(&mut self, id: SessionId, reason: Reason, context: Context, user: &[u8], object: &[u8]) {
        let denials = &mut self.acl.denials;
        *match reason {
            Reason::Auth => &mut denials.auth,
            Reason::Command => &mut denials.command,
            Reason::Key => &mut denials.key,
            Reason::Channel => &mut denials.channel,
        } += 1;
        let client = client_line(self, id, None).trim_ascii_end().to_vec();
        let incident = Incident { reason, context, object: object.to_vec(), user: user.to_vec(), client };
        let records_max = usize::try_from(self.config.acllog_max_len).unwrap_or(0);
        self.acl.log.add(incident, self.clock.unix_ms(), records_max);
    }

    /// Random bytes: the system's where there is one, else those that the seed decides.
    fn fill_random(&mut self, bytes: &mut [u8]) {
        if self.host.fill_random(bytes) {
            return;
        }
        let random = self.random.get_mut();
        bytes.iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
    }
}
