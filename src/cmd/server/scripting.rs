//! EVAL and its like, SCRIPT, FCALL, FUNCTION: what clients say about Lua. How scripts run is the business of `script`.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, Begin, COMMAND, Command, Find, Flag, Group, KeyFlag, KeySpec, Run};
use crate::cmd::container::{HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_showing_all};
use crate::resp::reply::Reply;
use crate::script::functions::Policy;
use crate::script::run::Running;
use crate::script::{self, Asked};
use crate::server::{Server, SessionId};
use crate::util::glob;

use Flag::{AllowBusy, DenyOom, NoMandatoryKeys, Noscript, Readonly, SkipMonitor, Stale, Write};

const fn script_keys(access: Access, flags: &'static [KeyFlag], notes: &'static str) -> KeySpec {
    KeySpec { begin: Begin::Index(2), find: Find::Count { count: 0, first: 1, step: 1 }, access, flags, notes }
}

const RW: &[KeyFlag] = &[KeyFlag::Access, KeyFlag::Update];
const RO: &[KeyFlag] = &[KeyFlag::Access];
const UNKNOWN_RW: &str = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
const UNKNOWN_RO: &str = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";

const RUNS: Command = Command {
    arity: -3,
    flags: &[Noscript, Stale, SkipMonitor, NoMandatoryKeys],
    group: Group::Scripting,
    since: "2.6.0",
    cost: "Depends on the script that is executed.",
    usage: "script numkeys [key [key ...]] [arg [arg ...]]",
    ..COMMAND
};
const RUNS_READING: Command =
    Command { flags: &[Readonly, Noscript, Stale, SkipMonitor, NoMandatoryKeys], since: "7.0.0", ..RUNS };

pub const COMMANDS: &[Command] = &[
    Command {
        name: "EVAL",
        run: Run::Server(eval),
        keys: &[script_keys(Access::Rw, RW, UNKNOWN_RW)],
        summary: "Runs a Lua script, and keeps it for EVALSHA.",
        ..RUNS
    },
    Command {
        name: "EVALSHA",
        run: Run::Server(evalsha),
        keys: &[script_keys(Access::Rw, RW, "")],
        usage: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script that the server knows by its SHA1.",
        ..RUNS
    },
    Command {
        name: "EVAL_RO",
        run: Run::Server(eval_ro),
        keys: &[script_keys(Access::Ro, RO, UNKNOWN_RO)],
        summary: "Runs a Lua script that may not write.",
        ..RUNS_READING
    },
    Command {
        name: "EVALSHA_RO",
        run: Run::Server(evalsha_ro),
        keys: &[script_keys(Access::Ro, RO, "")],
        usage: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script, known by its SHA1, that may not write.",
        ..RUNS_READING
    },
    Command {
        name: "FCALL",
        run: Run::Server(fcall),
        keys: &[script_keys(Access::Rw, RW, UNKNOWN_RW)],
        since: "7.0.0",
        cost: "Depends on the function that is executed.",
        usage: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Calls a function of a library.",
        ..RUNS
    },
    Command {
        name: "FCALL_RO",
        run: Run::Server(fcall_ro),
        keys: &[script_keys(Access::Ro, RO, UNKNOWN_RO)],
        cost: "Depends on the function that is executed.",
        usage: "function numkeys [key [key ...]] [arg [arg ...]]",
        summary: "Calls a function of a library that may not write.",
        ..RUNS_READING
    },
    Command {
        name: "SCRIPT",
        arity: -2,
        run: Run::Parent(SCRIPT),
        group: Group::Scripting,
        since: "2.6.0",
        cost: "Depends on subcommand.",
        summary: "Manages the scripts that the server knows.",
        ..COMMAND
    },
    Command {
        name: "FUNCTION",
        arity: -2,
        run: Run::Parent(FUNCTION),
        group: Group::Scripting,
        since: "7.0.0",
        cost: "Depends on subcommand.",
        summary: "Manages libraries of functions.",
        ..COMMAND
    },
];

const OF_SCRIPT: Command = Command { arity: 2, flags: &[Noscript], group: Group::Scripting, since: "2.6.0", ..COMMAND };
const ON_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ON_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const ON_ONE_SHARD: &[&str] = &["request_policy:all_shards", "response_policy:one_succeeded"];

const SCRIPT: &[Command] = &[
    Command {
        name: "DEBUG",
        arity: 3,
        run: Run::Server(script_debug),
        since: "3.2.0",
        usage: "<YES | SYNC | NO>",
        summary: "Asks for a debugger, which there is none of.",
        ..OF_SCRIPT
    },
    Command {
        name: "EXISTS",
        arity: -3,
        run: Run::Server(script_exists),
        cost: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
        usage: "sha1 [sha1 ...]",
        summary: "Tells which scripts the server knows.",
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        ..OF_SCRIPT
    },
    Command {
        name: "FLUSH",
        arity: -2,
        run: Run::Server(script_flush),
        cost: "O(N) with N being the number of scripts in cache",
        usage: "[ASYNC | SYNC]",
        summary: "Forgets all scripts.",
        tips: ON_ALL_NODES,
        ..OF_SCRIPT
    },
    Command { group: Group::Scripting, since: "5.0.0", ..HELP },
    Command {
        name: "KILL",
        run: Run::Server(script_kill),
        flags: &[Noscript, AllowBusy],
        summary: "Ends the script that runs, if it has not written yet.",
        tips: ON_ONE_SHARD,
        ..OF_SCRIPT
    },
    Command {
        name: "LOAD",
        arity: 3,
        run: Run::Server(script_load),
        flags: &[Noscript, Stale],
        cost: "O(N) with N being the length in bytes of the script body.",
        usage: "script",
        summary: "Keeps a script for EVALSHA.",
        tips: ON_ALL_NODES,
        ..OF_SCRIPT
    },
    Command {
        name: "SHOW",
        arity: 3,
        run: Run::Server(script_show),
        since: "8.0.0",
        usage: "sha1",
        summary: "Returns the text of a script, as Valkey does.",
        ..OF_SCRIPT
    },
];

const OF_FUNCTION: Command = Command { since: "7.0.0", ..OF_SCRIPT };

const FUNCTION: &[Command] = &[
    Command {
        name: "DELETE",
        arity: 3,
        run: Run::Server(function_delete),
        flags: &[Write, Noscript],
        usage: "library-name",
        summary: "Removes a library and its functions.",
        tips: ON_ALL_SHARDS,
        ..OF_FUNCTION
    },
    Command {
        name: "DUMP",
        run: Run::Server(function_dump),
        cost: "O(N) where N is the number of functions",
        summary: "Returns all libraries in one payload.",
        ..OF_FUNCTION
    },
    Command {
        name: "FLUSH",
        arity: -2,
        run: Run::Server(function_flush),
        flags: &[Write, Noscript],
        cost: "O(N) where N is the number of functions deleted",
        usage: "[ASYNC | SYNC]",
        summary: "Removes all libraries.",
        tips: ON_ALL_SHARDS,
        ..OF_FUNCTION
    },
    Command { group: Group::Scripting, since: "7.0.0", ..HELP },
    Command {
        name: "KILL",
        run: Run::Server(function_kill),
        flags: &[Noscript, AllowBusy],
        summary: "Ends the function that runs, if it has not written yet.",
        tips: ON_ONE_SHARD,
        ..OF_FUNCTION
    },
    Command {
        name: "LIST",
        arity: -2,
        run: Run::Server(function_list),
        cost: "O(N) where N is the number of functions",
        usage: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        summary: "Tells about the libraries.",
        tips: &["nondeterministic_output_order"],
        ..OF_FUNCTION
    },
    Command {
        name: "LOAD",
        arity: -3,
        run: Run::Server(function_load),
        flags: &[Write, DenyOom, Noscript],
        cost: "O(1) (considering compilation time is redundant)",
        usage: "[REPLACE] function-code",
        summary: "Adds a library.",
        tips: ON_ALL_SHARDS,
        ..OF_FUNCTION
    },
    Command {
        name: "RESTORE",
        arity: -3,
        run: Run::Server(function_restore),
        flags: &[Write, DenyOom, Noscript],
        cost: "O(N) where N is the number of functions on the payload",
        usage: "serialized-value [FLUSH | APPEND | REPLACE]",
        summary: "Adds the libraries of a payload.",
        tips: ON_ALL_SHARDS,
        ..OF_FUNCTION
    },
    Command {
        name: "STATS",
        run: Run::Server(function_stats),
        flags: &[Noscript, AllowBusy],
        summary: "Tells what runs, and how many functions there are.",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..OF_FUNCTION
    },
];

fn eval(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let body = args.next()?;
    server.eval(id, Asked::Body(body), false, args, reply)
}

fn eval_ro(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let body = args.next()?;
    server.eval(id, Asked::Body(body), true, args, reply)
}

fn evalsha(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    server.eval(id, Asked::Name(name), false, args, reply)
}

fn evalsha_ro(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    server.eval(id, Asked::Name(name), true, args, reply)
}

fn fcall(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.call_function(id, false, args, reply)
}

fn fcall_ro(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.call_function(id, true, args, reply)
}

fn script_debug(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.option("NO") {
        reply.ok();
        return Ok(());
    }
    if args.option("YES") || args.option("SYNC") {
        return Err(error("ERR SCRIPT DEBUG is not available: this server has no Lua debugger"));
    }
    Err(error("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn script_exists(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    reply.array(args.len());
    for name in args.rest() {
        reply.int(i64::from(server.scripts.body(name).is_some()));
    }
    Ok(())
}

/// ASYNC or SYNC, which make no difference: an interpreter is freed at one go.
fn read_mode(args: &mut Args) -> bool {
    let known = args.is_empty() || args.option("SYNC") || args.option("ASYNC");
    known && args.is_empty()
}

fn script_flush(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if !read_mode(args) {
        return Err(error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    server.scripts.flush();
    reply.ok();
    Ok(())
}

fn script_kill(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    kill(server, false)?;
    reply.ok();
    Ok(())
}

fn function_kill(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    kill(server, true)?;
    reply.ok();
    Ok(())
}

fn kill(server: &mut Server, is_function: bool) -> Result<(), Stop> {
    let Some(running) = &mut server.scripts.running else {
        return Err(error("NOTBUSY No scripts in execution right now."));
    };
    if running.is_function != is_function {
        return Err(script::busy(running));
    }
    if running.wrote {
        return Err(error(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
             termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    running.killed = true;
    Ok(())
}

fn script_load(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let sha = server.scripts.load(args.next()?, false)?;
    reply.bulk(&sha);
    Ok(())
}

fn script_show(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let Some(body) = server.scripts.body(args.next()?) else {
        return Err(error("NOSCRIPT No matching script. Please use EVAL."));
    };
    reply.bulk(body);
    Ok(())
}

fn function_delete(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if !server.scripts.functions.delete(args.next()?) {
        return Err(error("ERR Library not found"));
    }
    server.effects.journal_verbatim();
    reply.ok();
    Ok(())
}

fn function_dump(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(&server.scripts.functions.dump());
    Ok(())
}

fn function_flush(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    if !read_mode(args) {
        return Err(error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    server.flush_libraries();
    server.effects.journal_verbatim();
    reply.ok();
    Ok(())
}

fn function_load(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let mut replace = false;
    while args.len() > 1 {
        if !args.option("REPLACE") {
            return Err(error_showing_all("ERR Unknown option given: ", args.next()?));
        }
        replace = true;
    }
    let name = server.load_library(args.next()?, replace).map_err(Stop::Bytes)?;
    server.effects.journal_verbatim();
    reply.bulk(&name);
    Ok(())
}

fn function_restore(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 2 {
        return Err(unknown_or_wrong_number(args));
    }
    let payload = args.next()?;
    let policy = match () {
        () if args.is_empty() || args.option("APPEND") => Policy::Append,
        () if args.option("FLUSH") => Policy::Flush,
        () if args.option("REPLACE") => Policy::Replace,
        () => {
            return Err(error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."));
        }
    };
    server.restore_libraries(payload, policy).map_err(Stop::Bytes)?;
    server.effects.journal_verbatim();
    reply.ok();
    Ok(())
}

fn function_list(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (mut with_code, mut pattern) = (false, None);
    while !args.is_empty() {
        if !with_code && args.option("WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args.option("LIBRARYNAME") {
            pattern = Some(args.next().map_err(|_| error("ERR library name argument was not given"))?);
        } else {
            return Err(error_showing_all("ERR Unknown argument ", args.next().map_err(|_| SYNTAX)?));
        }
    }
    let functions = &server.scripts.functions;
    let wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches_ignoring_case(pattern, name));

    let start = reply.later();
    let mut count = 0;
    for (name, library) in functions.libraries().filter(|(name, _)| wanted(name)) {
        count += 1;
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for name in &library.functions {
            let Some(function) = functions.get(name) else { continue };
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(name);
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.set(function.flags.names().count());
            for flag in function.flags.names() {
                reply.simple(flag);
            }
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    reply.finish_array(start, count);
    Ok(())
}

fn function_stats(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let functions = &server.scripts.functions;
    match &server.scripts.running {
        Some(running) if !running.is_function => return Err(script::busy(running)),
        Some(running @ Running { slow: Some(slow), .. }) => {
            reply.map(2);
            reply.bulk(b"running_script");
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&slow.name);
            reply.bulk(b"command");
            let command = slow.command.borrow();
            reply.array(command.len());
            command.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            reply.int(running.elapsed_ms() as i64);
        }
        _ => {
            reply.map(2);
            reply.bulk(b"running_script");
            reply.null();
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(functions.libraries_len());
    reply.bulk(b"functions_count");
    reply.count(functions.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check};

    #[test]
    fn values_there_and_back() {
        check(
            r##"
            > EVAL "return {KEYS[1],ARGV[1],#KEYS,#ARGV,3.99,true,false,'x',nil,'y'}" 1 k v w
            1) "k"
            2) "v"
            3) (integer) 1
            4) (integer) 2
            5) (integer) 3
            6) (integer) 1
            7) (nil)
            8) "x"
            > EVAL "return redis.call('set','a',1.5)" 0
            OK
            > EVAL "return {redis.call('get','a'), type(redis.call('get','none')), redis.call('ping').ok}" 0
            1) "1.5"
            2) "boolean"
            3) "PONG"
            > EVAL "return {1e30, -1e30, 0/0}" 0
            1) (integer) -9223372036854775808
            2) (integer) -9223372036854775808
            3) (integer) -9223372036854775808
            > EVAL "return {err='MY error'}" 0
            (error) MY error
            > EVAL "return {ok='fine'}" 0
            fine
            > EVAL "redis.setresp(3); redis.call('hset','h','f','v'); return redis.call('hgetall','h')" 0
            1) "f"
            2) "v"
            > EVAL "redis.setresp(3); return type(redis.call('hgetall','h').map)" 0
            "table"
            > EVAL "return cjson.encode({1,2,{a=cjson.null}}) .. cmsgpack.pack({1}) .. struct.pack('>I2',258) .. bit.tohex(255)" 0
            "[1,2,{\"a\":null}]\x91\x01\x01\x02000000ff"
            > EVAL "return struct.unpack('>l', struct.pack('>T', 0/0)) == -2^63" 0
            (integer) 1
            "##,
        );
    }

    #[test]
    fn errors_say_where() {
        check(
            r##"
            > RPUSH l 1
            (integer) 1
            > EVAL "redis.call('get','l')" 0
            (error) WRONGTYPE Operation against a key holding the wrong kind of value script: 37612a7b6fe0afc5b7d31bd8cd17dfa0e3e7a3f2, on @user_script:1.
            "##
            .replace("37612a7b6fe0afc5b7d31bd8cd17dfa0e3e7a3f2", &name_of("redis.call('get','l')"))
            .as_str(),
        );
        check(
            r##"
            > EVAL "return pcall(redis.call,'nosuch')" 0
            (nil)
            > EVAL "return select(2,pcall(redis.call,'nosuch'))" 0
            "ERR Unknown Redis command called from script"
            > EVAL "return )" 0
            (error) ERR Error compiling script (new function): user_script:1: unexpected symbol near ')'
            > EVAL "return 1" x
            (error) ERR value is not an integer or out of range
            > EVAL "return 1" 2 a
            (error) ERR Number of keys can't be greater than number of args
            > EVALSHA abc 0
            (error) NOSCRIPT No matching script. Please use EVAL.
            > SCRIPT KILL
            (error) NOTBUSY No scripts in execution right now.
            > EVAL_RO "return redis.pcall('set','a',1)" 0
            (error) ERR Write commands are not allowed from read-only scripts.
            > EVAL "return redis.pcall('multi')" 0
            (error) ERR This Redis command is not allowed from script
            "##,
        );
    }

    #[test]
    fn corners_that_random_programs_found() {
        check(
            r##"
            > EVAL "return {server.call('ping').ok, server == redis, pcall(function() server.call = 1 end)}" 0
            1) "PONG"
            2) (integer) 1
            3) (nil)
            4) "user_script:1: Attempt to modify a readonly table"
            > FUNCTION LOAD "#!lua name=s\nserver.register_function('s', function() return server.call('ping') end)"
            "s"
            > FCALL s 0
            PONG
            > EVALSHA abc x
            (error) NOSCRIPT No matching script. Please use EVAL.
            > EVAL_RO "#!lua\nreturn 1" 0
            (error) ERR Can not execute a script with write flag using *_ro command.
            > EVAL "return redis.error_reply('MINE text')" 0
            (error) MINE text
            > EVAL "return redis.error_reply('-mine')" 0
            (error) ERR mine
            > EVAL "return {ok='a\\0b'}" 0
            a
            > EVAL "return {select('#', pcall(error, {})), select('#', pcall(error, {err='x'}))}" 0
            1) (integer) 3
            2) (integer) 2
            > EVAL "return {map={a=1}, big_number='12'}" 0
            "12"
            > EVAL "return {redis.acl_check_cmd('get'), redis.acl_check_cmd('config')}" 0
            1) (integer) 1
            2) (integer) 1
            > EVAL_RO "return redis.pcall('pfcount', 'h')" 0
            (error) ERR Write commands are not allowed from read-only scripts.
            > EVAL "return struct.size('n') .. struct.size('!4i3')" 0
            "05"
            > EVAL "return {struct.unpack('', 'abc', -1)}" 0
            1) (integer) -1
            > EVAL "return select(2, pcall(bit.band, 1, 'x', {}))" 0
            "bad argument #3 to '?' (number expected, got table)"
            > EVAL "return {('abc'):find('\\0%d') or 'none', cjson.encode({[2^53]=1})}" 0
            1) "none"
            2) "{\"9.007199254741e+15\":1}"
            > FUNCTION LOAD "#!lua name=l\nredis.register_function('Upper', function() return redis.call('nosuch') end)"
            "l"
            > FCALL upper 0
            (error) ERR Unknown Redis command called from script script: Upper, on @user_function:2.
            > FUNCTION LOAD "#! lua name=m\n"
            (error) ERR Invalid metadata value given: lua
            "##,
        );
    }

    fn name_of(body: &str) -> String {
        String::from_utf8(crate::script::sha1_hex(body.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn nothing_that_all_scripts_share_can_be_changed() {
        let mut playground = Playground::default();
        for script in [
            "x=1",
            "_G.x=1",
            "rawset(_G,'x',1)",
            "setmetatable(_G,{})",
            "string.rep=nil",
            "rawset(redis,'call',1)",
            "table.insert(redis,1)",
            "getmetatable('').__index=1",
            "getmetatable('').__index.rep=1",
            "getmetatable(_G).__index=nil",
            "for name, value in pairs(_G) do if name == 'math' then value.pi = 3 end end",
        ] {
            let reply = playground.run("", ["EVAL", script, "0"].iter());
            let text = String::from_utf8_lossy(&reply);
            assert!(text.contains("Attempt to modify a readonly table"), "{script}: {text}");
        }
        assert_eq!(playground.run("", ["EVAL", "return ('x'):rep(2) .. #redis", "0"].iter()), b"$3\r\nxx0\r\n");
    }

    #[test]
    fn functions_live_in_libraries() {
        check(
            r##"
            > FUNCTION LOAD "#!lua name=lib\nlocal n=0 redis.register_function('count',function(keys,args) n=n+1 return {n,#keys,args[1]} end)"
            "lib"
            > FCALL count 1 k v
            1) (integer) 1
            2) (integer) 1
            3) "v"
            > FCALL COUNT 0 v
            1) (integer) 2
            2) (integer) 0
            3) "v"
            > FUNCTION LOAD "#!lua name=lib\nreturn 1"
            (error) ERR Library 'lib' already exists
            > FUNCTION LOAD REPLACE "#!lua name=lib\nreturn 1"
            (error) ERR No functions registered
            > FUNCTION LOAD "#!lua name=other\nredis.register_function('count',function() end)"
            (error) ERR Function count already exists
            > FUNCTION LIST
            1) 1) "library_name"
               2) "lib"
               3) "engine"
               4) "LUA"
               5) "functions"
               6) 1) 1) "name"
                     2) "count"
                     3) "description"
                     4) (nil)
                     5) "flags"
                     6) (empty array)
            > FCALL_RO count 0
            (error) ERR Can not execute a script with write flag using *_ro command.
            > FUNCTION DELETE lib
            OK
            > FCALL count 0
            (error) ERR Function not found
            "##,
        );
    }

    #[test]
    fn a_dump_brings_libraries_back() {
        let mut playground = Playground::default();
        let code = "#!lua name=lib\nredis.register_function('f',function() return 7 end)";
        playground.run("", ["FUNCTION", "LOAD", code].iter());
        let dump = playground.server.scripts.functions.dump();
        playground.run("", ["FUNCTION", "FLUSH"].iter());
        let restore: [&[u8]; 3] = [b"FUNCTION", b"RESTORE", &dump];
        assert_eq!(playground.run("", restore.iter()), b"+OK\r\n");
        assert_eq!(playground.run("", ["FCALL", "f", "0"].iter()), b":7\r\n");
        assert_eq!(playground.run("", restore.iter()), b"-ERR Library lib already exists\r\n");
        let mut damaged = dump.clone();
        damaged[3] ^= 1;
        let restore: [&[u8]; 3] = [b"FUNCTION", b"RESTORE", &damaged];
        assert_eq!(playground.run("", restore.iter()), b"-ERR DUMP payload version or checksum are wrong\r\n");
    }

    #[test]
    fn writes_are_one_transaction_in_the_journal() {
        let mut playground = Playground::default();
        playground.server.journal.take();
        playground.run("", ["EVAL", "redis.call('set','a',1) redis.call('set','b',2) return 1", "0"].iter());
        let journal = String::from_utf8(playground.server.journal.take()).unwrap();
        let words: Vec<_> = journal.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        assert_eq!(words, ["SELECT", "0", "MULTI", "set", "a", "1", "set", "b", "2", "EXEC"]);
    }

    #[test]
    fn scripts_of_eval_go_when_there_are_too_many() {
        let mut playground = Playground::default();
        playground.run("", ["SCRIPT", "LOAD", "return 'kept'"].iter());
        for number in 0..600 {
            playground.run("", ["EVAL", &format!("return {number}"), "0"].iter());
        }
        assert_eq!(playground.server.scripts.len(), 501);
        assert_eq!(playground.server.scripts.evicted, 100);
    }
}
