//! CONFIG: shows, changes and writes the configuration, and forgets the statistics.
//!
//! What a directive is stands in `crate::config`. Most changes need no act: the field is read where it matters. What the process around
//! must do it is asked first, so that a port that cannot be opened is an error and not a surprise.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_with, shown};
use crate::config::{self, Changed, MaxmemoryPolicy, SetError};
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::server::admit::LOADING;
use crate::server::{Server, SessionId};

use Flag::{Admin, Loading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "CONFIG",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "2.0.0",
    summary: "Holds the commands about the configuration.",
    ..COMMAND
}];

const SUBCOMMAND: Command = Command {
    flags: &[Admin, Noscript, Loading, Stale],
    group: Group::Server,
    since: "2.0.0",
    cost: "O(N) where N is the number of directives",
    ..COMMAND
};
use crate::util::io_error;

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GET",
        arity: -3,
        run: Run::Server(get),
        usage: "parameter [parameter ...]",
        summary: "Shows the directives that any of the patterns names.",
        ..SUBCOMMAND
    },
    Command { group: Group::Server, since: "5.0.0", ..HELP },
    Command {
        name: "RESETSTAT",
        arity: 2,
        run: Run::Server(resetstat),
        cost: "O(1)",
        summary: "Starts the statistics anew.",
        tips: EVERYWHERE,
        ..SUBCOMMAND
    },
    Command {
        name: "REWRITE",
        arity: 2,
        run: Run::Server(rewrite),
        since: "2.8.0",
        summary: "Writes the configuration in force into its file.",
        tips: EVERYWHERE,
        ..SUBCOMMAND
    },
    Command {
        name: "SET",
        arity: -4,
        run: Run::Server(set),
        usage: "parameter value [parameter value ...]",
        summary: "Changes directives, all of them or none.",
        tips: EVERYWHERE,
        secret: Some(is_secret),
        ..SUBCOMMAND
    },
];

fn get(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let patterns: Vec<_> = args.rest().collect();

    let found = server.config.get(&patterns);

    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

fn set(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let pairs: Vec<_> = args.rest().pairs().collect();
    let waits = |name: &[u8]| config::directive(name).is_some_and(|directive| directive.facts.waits_for_data);
    if server.durability.is_loading() && pairs.iter().any(|(name, _)| waits(name)) {
        return Err(LOADING);
    }
    let local = server.sessions.get(id).peer.is_local();
    let may_set_protected = server.config.enable_protected_configs.allows(local);

    let (mut config, changed) = server.config.changed(&pairs, may_set_protected).map_err(refused)?;
    server.host.reconfigure(&mut config, &changed).map_err(refused)?;

    server.config = config;
    server.follow(&changed);
    reply.ok();
    Ok(())
}

fn refused(error: SetError) -> Stop {
    match &error {
        SetError::Unknown(name) => {
            Stop::Bytes([b"ERR Unknown option or number of arguments for CONFIG SET - '", shown(name), b"'"].concat())
        }
        _ => error_with(format!("ERR {error}")),
    }
}

/// The value behind the name of a secret directive.
fn is_secret(request: Request, index: usize) -> bool {
    let is_value = index >= 3 && !index.is_multiple_of(2);
    is_value && config::directive(request.arg(index - 1)).is_some_and(|directive| directive.facts.secret)
}

impl Server {
    /// Does what changed directives ask for beyond being read.
    fn follow(&mut self, changed: &[Changed]) {
        let is_changed = |name| changed.iter().any(|change| change.name == name);
        // The next upkeep makes room, at once.
        self.cron.more_to_evict |= is_changed("maxmemory");
        let is_short = self.config.maxmemory > 0 && crate::util::memory::used() > self.config.maxmemory;
        if is_changed("maxmemory") && is_short && self.config.maxmemory_policy == MaxmemoryPolicy::NoEviction {
            tracing::warn!("maxmemory is now below the memory in use, and the policy noeviction frees nothing");
        }
        if is_changed("maxmemory-clients") {
            self.weigh_all();
        }
        if is_changed("requirepass") {
            self.follow_requirepass();
        }
        if is_changed("slowlog-max-len") {
            self.stats.slowlog.entries.truncate(usize::try_from(self.config.slowlog_max_len).unwrap_or(0));
        }
        if is_changed("commandlog-large-request-max-len") {
            let limit = usize::try_from(self.config.commandlog_large_request_max_len).unwrap_or(0);
            self.stats.large_requests.entries.truncate(limit);
        }
        if is_changed("commandlog-large-reply-max-len") {
            let limit = usize::try_from(self.config.commandlog_large_reply_max_len).unwrap_or(0);
            self.stats.large_replies.entries.truncate(limit);
        }
    }
}

fn resetstat(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.stats.reset();
    server.keyspace.stats = Default::default();
    if let Some(cluster) = &mut server.cluster {
        cluster.forget_usage();
    }
    reply.ok();
    Ok(())
}

fn rewrite(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    write_file(server, false)?;
    reply.ok();
    Ok(())
}

/// Writes the configuration file anew, `all` of it or what differs from the defaults.
pub(super) fn write_file(server: &mut Server, all: bool) -> Done {
    let file = server.config.file.as_ref().ok_or(error("ERR The server is running without a config file"))?;
    // A file that is gone is written anew.
    let old = match server.host.read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        old => old.map_err(|error| not_written(&error))?,
    };
    let text = server.config.rewrite(&old, &user_lines(server), all);
    server.host.replace(file, &text).map_err(|error| not_written(&error))?;
    tracing::info!("CONFIG REWRITE executed with success.");
    Ok(())
}

/// The users belong into the ACL file where there is one.
fn user_lines(server: &Server) -> Vec<Vec<u8>> {
    match server.config.aclfile.path_if_set() {
        Some(_) => Vec::new(),
        None => server.acl.users().map(|user| user.line()).collect(),
    }
}

fn not_written(error: &std::io::Error) -> Stop {
    let text = io_error::reason(error);
    tracing::warn!("CONFIG REWRITE failed: {text}");
    error_with(format!("ERR Rewriting config file: {text}"))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use crate::config::{Changed, Config, Permit, SetError};
    use crate::server::host::{Facts, Host};
    use crate::testing::{Playground, check};

    #[test]
    fn get_and_set() {
        check(
            r##"
            > CONFIG GET maxmemory
            1) "maxmemory"
            2) "0"
            > CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru
            OK
            > CONFIG GET maxmemory maxmemory-polic? nosuch
            1) "maxmemory"
            2) "104857600"
            3) "maxmemory-policy"
            4) "allkeys-lru"
            > CONFIG GET nosuch
            (empty array)
            > CONFIG SET maxmemory 1gb maxmemory 5
            (error) ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter
            > CONFIG SET maxmemory 1gb hz abc
            (error) ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer
            > CONFIG GET maxmemory
            1) "maxmemory"
            2) "104857600"
            > CONFIG SET maxmemory
            (error) ERR wrong number of arguments for 'config|set' command
            > CONFIG SET maxmemory 1 hz
            (error) ERR syntax error
            > CONFIG SET nosuch 1
            (error) ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
            > CONFIG SET databases 4
            (error) ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
            > CONFIG SET dir /tmp
            (error) ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config
            > CONFIG NOSUCH
            (error) ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.
            "##,
        );
    }

    #[test]
    fn protected_directives_where_they_are_allowed() {
        let mut config = Config::default();
        config.values.enable_protected_configs = Permit::Local;
        let mut playground = Playground::new(config, 1);
        assert_eq!(run(&mut playground, &["CONFIG", "SET", "dbfilename", "other.rdb"]), "+OK\r\n");
        assert_eq!(&playground.server.config.dbfilename[..], b"other.rdb");
    }

    #[test]
    fn statistics_start_anew() {
        check(
            r##"
            > GET a
            (nil)
            > NOSUCH
            (error) ERR unknown command 'NOSUCH', with args beginning with: 
            > INFO errorstats
            "# Errorstats\r\nerrorstat_ERR:count=1\r\n"
            > CONFIG RESETSTAT
            OK
            > INFO errorstats
            "# Errorstats\r\n"
            "##,
        );
    }

    /// One file and one port that is taken.
    #[derive(Clone, Default)]
    struct OneFile(Arc<Mutex<Option<Vec<u8>>>>);

    impl Host for OneFile {
        fn facts(&self) -> Facts {
            Facts::default()
        }
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            self.0.lock().unwrap().clone().ok_or(io::ErrorKind::NotFound.into())
        }
        fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
            if path == Path::new("/refused.conf") {
                return Err(io::Error::from_raw_os_error(13));
            }
            *self.0.lock().unwrap() = Some(text.to_vec());
            Ok(())
        }
        fn sleep(&self, _: u64) {}
        fn reconfigure(&mut self, config: &mut Config, changed: &[Changed]) -> Result<(), SetError> {
            match changed.iter().any(|change| change.name == "port") && config.port == 7 {
                true => Err(SetError::refused(b"port", "Unable to listen on this port. Check server logs.")),
                false => Ok(()),
            }
        }
    }

    fn run(playground: &mut Playground, words: &[&str]) -> String {
        String::from_utf8(playground.run("", words.iter())).unwrap()
    }

    #[test]
    fn rewrite_goes_to_the_file() {
        let mut playground = Playground::default();
        assert_eq!(
            run(&mut playground, &["CONFIG", "REWRITE"]),
            "-ERR The server is running without a config file\r\n"
        );
        let host = OneFile::default();
        *host.0.lock().unwrap() = Some(b"# mine\nmaxmemory 5mb\n".to_vec());
        playground.server.host = Box::new(host.clone());
        playground.server.config.file = Some("/a.conf".into());
        run(&mut playground, &["CONFIG", "SET", "maxmemory", "1mb"]);
        assert_eq!(run(&mut playground, &["CONFIG", "REWRITE"]), "+OK\r\n");
        let text = String::from_utf8(host.0.lock().unwrap().clone().unwrap()).unwrap();
        assert!(text.starts_with("# mine\nmaxmemory 1mb\n"), "{text}");

        playground.server.config.file = Some("/refused.conf".into());
        let reply = run(&mut playground, &["CONFIG", "REWRITE"]);
        assert_eq!(reply, "-ERR Rewriting config file: Permission denied\r\n");
    }

    #[test]
    fn what_the_process_cannot_do_is_not_set() {
        let mut playground = Playground::default();
        playground.server.host = Box::new(OneFile::default());
        assert_eq!(
            run(&mut playground, &["CONFIG", "SET", "hz", "20", "port", "7"]),
            "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.\r\n"
        );
        assert_eq!(playground.server.config.hz, 10);
        assert_eq!(run(&mut playground, &["CONFIG", "SET", "port", "8"]), "+OK\r\n");
        assert_eq!(playground.server.config.port, 8);
    }
}
