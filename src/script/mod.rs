//! Lua: scripts and functions, which see nothing of the server but `dispatch`.
//!
//! `lua` is the interpreter behind a safe face; `sandbox` is what a script finds around it, made of `api` (the library `redis`), `base`, `strings`,
//! `bits`, `cjson`, `cmsgpack` and `structs`; `convert` turns replies into values and back; `run` is one run and how its commands get to dispatch;
//! `functions` keeps libraries. The commands that clients send are in `cmd/server/scripting`.

mod api;
mod base;
mod bits;
mod cjson;
mod cmsgpack;
mod convert;
pub mod functions;
mod lua;
mod pattern;
pub mod run;
mod sandbox;
mod strings;
mod structs;

use std::collections::HashMap;

use sha1::{Digest, Sha1};

use crate::cmd::args::Args;
use crate::cmd::command::Flag;
use crate::cmd::error::{Done, Stop, error, error_showing_all, error_with, shown};
use crate::cmd::table::Entry;
use crate::resp::reply::{Protocol, Reply};
use crate::resp::request::Request;
use crate::server::admit::STALE;
use crate::server::cluster::slots_of;
use crate::server::{Audience, Server, SessionId};
use crate::util::args::split_args;
use base::Random48;
use convert::Returned;
use functions::Functions;
use lua::{Call, Ended, Kept, Kind, Raised, Vm};
use run::{Buffers, Failure, Flags, Run, Running};
use sandbox::Globals;

/// What the values of all scripts, or of all functions, may take: enough for the longest string that there can be, and its copy.
const MEMORY_MAX: usize = 1 << 30;
/// Scripts that came with EVAL are kept up to this number; those that were not used for longest go first.
const EVAL_SCRIPTS_MAX: usize = 500;

/// Names of scripts: SHA1 in 40 hexadecimal digits.
pub type Sha = [u8; 40];

#[derive(Default)]
pub struct Scripts {
    /// Made with the first script; away while one runs.
    interpreter: Option<(Vm, Globals)>,
    cache: HashMap<Sha, Script, foldhash::fast::RandomState>,
    from_eval: usize,
    uses: u64,
    pub evicted: u64,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: even what is not for scripts may run in one.
    pub may_run_all: bool,
    pub functions: Functions,
    /// What runs now.
    pub running: Option<Running>,
    random: Random48,
    buffers: Buffers,
}

struct Script {
    chunk: Kept,
    body: Vec<u8>,
    flags: Flags,
    /// When it was used last, where it came with EVAL and may go again.
    used: Option<u64>,
}

/// A script or function that is to be run, and what is known of it before it runs.
struct Wanted<'a> {
    /// The script's SHA1, or the function's name.
    name: &'a [u8],
    request: Request<'a>,
    is_function: bool,
    flags: Flags,
    read_only: bool,
}

/// Which script EVAL and its like mean.
pub enum Asked<'a> {
    Body(&'a [u8]),
    Name(&'a [u8]),
}

impl Scripts {
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    pub fn interpreter_memory(&self) -> usize {
        self.interpreter.as_ref().map_or(0, |(vm, _)| vm.memory())
    }

    /// Bytes kept beside the interpreter.
    pub fn memory(&self) -> usize {
        self.cache.values().map(|script| script.body.len() + size_of::<(Sha, Script)>()).sum()
    }

    pub fn body(&self, sha: &[u8]) -> Option<&[u8]> {
        self.cache.get(&sha_named(sha)?).map(|script| script.body.as_slice())
    }

    /// Whether a request runs a script or function that does not say of itself that it will not write.
    pub fn may_write(&self, command: &str, request: Request) -> bool {
        matches!(command, "EVAL" | "EVALSHA" | "FCALL")
            && self.flags_of(command, request).is_none_or(|flags| !flags.no_writes)
    }

    /// What is known of the script or function that a command runs.
    fn flags_of(&self, command: &str, request: Request) -> Option<Flags> {
        match command {
            "EVAL" | "EVAL_RO" => parse_shebang(request.arg(1)).ok().map(|(flags, _)| flags),
            "EVALSHA" | "EVALSHA_RO" => {
                sha_named(request.arg(1)).and_then(|sha| self.cache.get(&sha)).map(|script| script.flags)
            }
            "FCALL" | "FCALL_RO" => self.functions.get(request.arg(1)).map(|function| function.flags),
            _ => None,
        }
    }

    /// The flags of a command; where it runs a script that says of itself what it needs, they are that one's.
    pub fn command_flags(&self, entry: &Entry, request: Request) -> u32 {
        let Some(flags) = self.flags_of(entry.command.name, request).filter(|flags| !flags.silent) else {
            return entry.flags;
        };
        let own = [
            (Flag::Write, !flags.no_writes),
            (Flag::DenyOom, !flags.no_writes && !flags.allow_oom),
            (Flag::Stale, flags.allow_stale),
        ];
        own.into_iter().fold(
            entry.flags,
            |all, (flag, is_set)| {
                if is_set { all | flag.mask() } else { all & !flag.mask() }
            },
        )
    }

    /// True once a run has taken so long that others are told.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.slow.is_some())
    }

    /// SCRIPT FLUSH.
    pub fn flush(&mut self) {
        self.cache.clear();
        self.from_eval = 0;
        self.interpreter = None;
    }

    fn take_interpreter(&mut self) -> (Vm, Globals) {
        self.interpreter.take().unwrap_or_else(|| {
            let mut vm = Vm::new(MEMORY_MAX);
            let globals = sandbox::build(&mut vm, false);
            (vm, globals)
        })
    }

    /// Compiles a script, or finds it compiled. SCRIPT LOAD keeps it for good.
    pub fn load(&mut self, body: &[u8], from_eval: bool) -> Result<Sha, Stop> {
        let sha = sha1_hex(body);
        if let Some(script) = self.cache.get_mut(&sha) {
            if !from_eval && script.used.take().is_some() {
                self.from_eval -= 1;
            }
            return Ok(sha);
        }
        let (flags, code) = parse_shebang(body)?;
        let (mut vm, globals) = self.take_interpreter();
        let compiled = vm.compile(code, c"@user_script");
        self.interpreter = Some((vm, globals));
        let chunk = compiled
            .map_err(|message| Stop::Bytes([b"ERR Error compiling script (new function): ", &message[..]].concat()))?;
        if from_eval && self.from_eval >= EVAL_SCRIPTS_MAX {
            self.evict();
        }
        self.uses += 1;
        let used = from_eval.then_some(self.uses);
        self.from_eval += usize::from(from_eval);
        self.cache.insert(sha, Script { chunk, body: body.to_vec(), flags, used });
        Ok(sha)
    }

    /// Forgets the script of EVAL that was not used for longest. O(their number), which is bounded.
    fn evict(&mut self) {
        let oldest = self.cache.iter().filter_map(|(sha, script)| Some((script.used?, *sha))).min();
        if let Some((_, sha)) = oldest
            && let Some(script) = self.cache.remove(&sha)
        {
            self.from_eval -= 1;
            self.evicted += 1;
            if let Some((vm, _)) = &mut self.interpreter {
                vm.forget(script.chunk);
            }
        }
    }

    fn find(&mut self, sha: &Sha) -> Option<(Kept, Flags)> {
        let script = self.cache.get_mut(sha)?;
        if let Some(used) = &mut script.used {
            self.uses += 1;
            *used = self.uses;
        }
        Some((script.chunk, script.flags))
    }
}

impl Server {
    /// EVAL and its like. `args` stands at the number of keys.
    pub fn eval(&mut self, id: SessionId, asked: Asked, read_only: bool, args: &mut Args, reply: &mut Reply) -> Done {
        let (keys, sha) = match asked {
            Asked::Body(body) => (number_of_keys(args)?, self.scripts.load(body, true)?),
            Asked::Name(name) => {
                // What cannot be a name is refused before anything else is looked at.
                let sha = sha_named(name).ok_or(NO_SCRIPT)?;
                (number_of_keys(args)?, sha)
            }
        };
        let (chunk, flags) = self.scripts.find(&sha).ok_or(NO_SCRIPT)?;
        self.check_flags(flags, read_only)?;
        let (vm, globals) = self.scripts.take_interpreter();
        let mut interpreter = (vm, globals);
        let wanted = Wanted { name: &sha, request: args.request(), is_function: false, flags, read_only };
        let prepare = |call: &mut Call| {
            push_arguments(call, args, keys);
            globals.set(call, "ARGV");
            globals.set(call, "KEYS");
            0
        };
        let result = self.run_script(id, &mut interpreter.0, chunk, wanted, prepare, reply);
        self.scripts.interpreter = Some(interpreter);
        result
    }

    /// FCALL and FCALL_RO. `args` stands at the function's name.
    pub fn call_function(&mut self, id: SessionId, read_only: bool, args: &mut Args, reply: &mut Reply) -> Done {
        let name = args.next()?;
        let Some(function) = self.scripts.functions.get(name) else { return Err(error("ERR Function not found")) };
        let (name, callback, flags) = (function.name.clone(), function.callback, function.flags);
        let keys = function_keys(args)?;
        self.check_flags(flags, read_only)?;
        let mut interpreter = self.take_functions_interpreter();
        let wanted = Wanted { name: &name, request: args.request(), is_function: true, flags, read_only };
        let prepare = |call: &mut Call| {
            push_arguments(call, args, keys);
            2
        };
        let result = self.run_script(id, &mut interpreter.0, callback, wanted, prepare, reply);
        self.scripts.functions.interpreter = Some(interpreter);
        result
    }

    /// What a script that says of itself what it needs may not run without.
    fn check_flags(&mut self, flags: Flags, read_only: bool) -> Result<(), Stop> {
        if flags.no_cluster && self.cluster.is_some() {
            return Err(error("ERR Can not run script on cluster, 'no-cluster' flag is set."));
        }
        if self.is_stale() && (flags.silent || !flags.allow_stale) {
            return Err(STALE);
        }
        if flags.silent || flags.no_writes {
            return Ok(());
        }
        if read_only {
            return Err(error("ERR Can not execute a script with write flag using *_ro command."));
        }
        if let Some(stop) = self.refusal_for_writes() {
            return Err(stop);
        }
        if !flags.allow_oom && self.is_short_of_memory() {
            return Err(error(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
        Ok(())
    }

    /// The slot of the keys that a script was given, where this is a cluster.
    fn slot_of_script(&self, request: Request) -> Option<u16> {
        self.cluster.as_ref()?;
        let entry = self.names.find(request.arg(0))?;
        slots_of(entry, request).one()
    }

    fn is_short_of_memory(&mut self) -> bool {
        self.config.maxmemory > 0 && !self.make_room()
    }

    fn run_script(
        &mut self,
        id: SessionId,
        vm: &mut Vm,
        function: Kept,
        wanted: Wanted,
        prepare: impl FnOnce(&mut Call) -> usize,
        reply: &mut Reply,
    ) -> Done {
        let Wanted { name, request, is_function, flags, read_only } = wanted;
        let memory_is_short = self.is_short_of_memory();
        let outermost = !self.is_inside_another();
        let db = self.sessions.get(id).db;
        if outermost {
            self.journal.begin_transaction();
        }
        let slot = self.slot_of_script(request);
        self.scripts.running = Some(Running::new(is_function, false));
        let (random, buffers) = (self.scripts.random, std::mem::take(&mut self.scripts.buffers));
        let mut run = Run {
            server: self,
            name,
            request,
            id: Some(id),
            read_only: read_only || flags.no_writes,
            flags,
            slot,
            memory_is_short,
            protocol: Protocol::Resp2,
            random,
            failure: None,
            buffers,
            pattern_steps: 0,
            library: None,
        };
        let result = vm.run(&mut run, function, on_error, prepare, |call, ended, run| match ended {
            Ended::Well => match convert::write_value(call, run.protocol, reply) {
                Returned::Value => Ok(()),
                Returned::Error(text, counted) => Err(Failure { text, place: None, counted }),
            },
            Ended::Raised => Err(run.failure.take().unwrap_or_else(|| message(call))),
            Ended::OutOfMemory => Err(Failure { text: b"ERR not enough memory".to_vec(), ..Failure::default() }),
        });
        let (random, buffers) = (run.random, std::mem::take(&mut run.buffers));
        (self.scripts.random, self.scripts.buffers) = (random, buffers);
        self.scripts.buffers.output.clear();
        let abandoned = self.scripts.running.take().is_some_and(|running| running.is_abandoned);
        self.journal.speak_to(Audience::default());
        self.sessions.get_mut(id).db = db;
        if abandoned {
            self.journal.abandon_transaction();
        } else if outermost {
            self.journal.end_transaction();
        }
        result.map_err(|failure| self.failed(failure, name, reply))
    }

    /// The reply to a script that failed.
    fn failed(&mut self, failure: Failure, name: &[u8], reply: &mut Reply) -> Stop {
        let Failure { mut text, place, counted } = failure;
        if let Some(place) = place {
            text.extend_from_slice(b" script: ");
            text.extend_from_slice(name);
            text.extend_from_slice(b", on ");
            text.extend_from_slice(&place.source);
            text.extend_from_slice(format!(":{}.", place.line).as_bytes());
        }
        if !counted {
            return Stop::Bytes(text);
        }
        reply.error(text);
        Stop::Replied
    }
}

const NO_SCRIPT: Stop = error("NOSCRIPT No matching script. Please use EVAL.");

/// Reads the number of keys of EVAL.
fn number_of_keys(args: &mut Args) -> Result<usize, Stop> {
    check_keys(args.int()?, args.len())
}

fn function_keys(args: &mut Args) -> Result<usize, Stop> {
    let keys = args.int().map_err(|_| error("ERR Bad number of keys provided"))?;
    check_keys(keys, args.len())
}

fn check_keys(keys: i64, left: usize) -> Result<usize, Stop> {
    match usize::try_from(keys) {
        Err(_) => Err(error("ERR Number of keys can't be negative")),
        Ok(keys) if keys > left => Err(error("ERR Number of keys can't be greater than number of args")),
        Ok(keys) => Ok(keys),
    }
}

/// Pushes the table of keys and that of the other arguments.
fn push_arguments(call: &mut Call, args: &mut Args, keys: usize) {
    let others = args.len() - keys;
    for count in [keys, others] {
        call.push_table(count, 0);
        for index in 1..=count {
            call.push_bytes(args.try_next().unwrap_or_default());
            call.raw_set_at(-2, index);
        }
    }
}

/// Notes an error with its place, while the stack still tells it.
fn on_error(call: &mut Call) -> Result<usize, Raised> {
    let mut failure = message(call);
    failure.place = match call.place(1) {
        Some((_, true)) => call.place(2).map(|(place, _)| place),
        Some((place, false)) => Some(place),
        None => None,
    };
    if let Some(run) = call.run() {
        run.failure = Some(failure);
    }
    Ok(1)
}

/// The text of the error on top of the stack, as C reads it: up to a NUL.
fn message(call: &mut Call) -> Failure {
    let with_code = |text: &[u8]| [b"ERR ", text].concat();
    let mut counted = false;
    let text = match call.kind(-1) {
        Kind::Table => {
            let text = field_of_error(call);
            call.raw_field(-1, "ignore_error_stats_update");
            counted = call.truth(-1);
            call.pop(1);
            text.unwrap_or_else(|| with_code(b"unknown error"))
        }
        Kind::None | Kind::Nil => with_code(b"nil"),
        Kind::Bool => with_code(if call.truth(-1) { b"true" } else { b"false" }),
        Kind::Number => with_code(&api::number_text(call.number(-1).unwrap_or(0.0))),
        Kind::String => with_code(shown(call.bytes(-1).unwrap_or_default())),
        Kind::Light | Kind::Userdata if lua::is_null(call, -1) => with_code(b"userdata: (nil)"),
        _ => with_code(format!("{}: {:#x}", call.type_name(-1), call.address(-1)).as_bytes()),
    };
    Failure { text, place: None, counted }
}

/// The text in the table on top that was raised, which may be a metamethod's.
fn field_of_error(call: &mut Call) -> Option<Vec<u8>> {
    call.push_bytes("err");
    let found = call.get(-2);
    let text = match call.kind(-1) {
        _ if found.is_err() => None,
        Kind::String => call.bytes(-1).map(|text| shown(text).to_vec()),
        Kind::Number => call.number(-1).map(api::number_text),
        _ => None,
    };
    call.pop(1);
    text
}

/// What a script's first line says, and the code behind it, which keeps the line's end so that lines are counted right.
fn parse_shebang(body: &[u8]) -> Result<(Flags, &[u8]), Stop> {
    if !body.starts_with(b"#!") {
        return Ok((Flags { silent: true, ..Flags::default() }, body));
    }
    let Some(end) = memchr::memchr(b'\n', body) else { return Err(error("ERR Invalid script shebang")) };
    let Some(words) = split_args(&body[..end]).filter(|words| !words.is_empty()) else {
        return Err(error("ERR Invalid engine in script shebang"));
    };
    if words[0] != b"#!lua" {
        return Err(error_showing_all("ERR Unexpected engine in script shebang: ", &words[0]));
    }
    let mut flags = Flags::default();
    for word in &words[1..] {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(error_showing_all("ERR Unknown lua shebang option: ", word));
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|byte| *byte == b',') {
            if !flags.set(name) {
                return Err(error_showing_all("ERR Unexpected flag in script shebang: ", name));
            }
        }
    }
    Ok((flags, &body[end..]))
}

/// A script's name as clients write it, in small letters.
fn sha_named(name: &[u8]) -> Option<Sha> {
    let mut sha: Sha = name.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

pub fn sha1_hex(text: &[u8]) -> Sha {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha1::digest(text)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    hex
}

/// The refusal while a script runs for long.
pub fn busy(running: &Running) -> Stop {
    let how = if running.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
    error_with(format!("BUSY Redis is busy running a script. You can only call {how} or SHUTDOWN NOSAVE."))
}
