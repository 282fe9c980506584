//! The library `redis` of scripts: commands, replies, the log, and what was once needed to replicate.

use super::convert;
use super::lua::{Call, Function, Kind, Raised, Scalar, format_g};
use super::run::Buffers;
use crate::cmd::error::shown;
use crate::resp::reply::Protocol;
use crate::resp::request::{Request, Span};
use crate::server::Audience;
use crate::util::float::write_f64;
use crate::util::number::IntegerText;

const FUNCTIONS: [(&str, Function); 9] = [
    ("call", |call| redis_call(call, true)),
    ("pcall", |call| redis_call(call, false)),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("sha1hex", sha1hex),
    ("log", log),
    ("setresp", setresp),
    ("set_repl", set_repl),
    ("acl_check_cmd", acl_check_cmd),
];

/// What only EVAL has, for the sake of old scripts and of the debugger that there once was.
const OF_EVAL: [(&str, Function); 3] = [
    ("replicate_commands", |call| {
        call.push_bool(true);
        Ok(1)
    }),
    ("breakpoint", |call| {
        call.push_bool(false);
        Ok(1)
    }),
    ("debug", |_| Ok(0)),
];

const LEVELS: [(&str, f64); 4] = [("LOG_DEBUG", 0.0), ("LOG_VERBOSE", 1.0), ("LOG_NOTICE", 2.0), ("LOG_WARNING", 3.0)];
const TARGETS: [(&str, f64); 5] =
    [("REPL_NONE", 0.0), ("REPL_AOF", 1.0), ("REPL_SLAVE", 2.0), ("REPL_REPLICA", 2.0), ("REPL_ALL", 3.0)];

/// Pushes the library as scripts and functions find it while they run.
pub fn push_library(call: &mut Call, for_functions: bool) {
    call.push_table(0, 32);
    let only: &[(&str, Function)] = if for_functions { &[] } else { &OF_EVAL };
    for (name, function) in FUNCTIONS.iter().chain(only) {
        call.push_function(*function);
        call.set_field(-2, name);
    }
    for (name, value) in LEVELS.into_iter().chain(TARGETS) {
        call.push_number(value);
        call.set_field(-2, name);
    }
    set_version(call);
}

/// Pushes the library as a library of functions finds it while it is loaded.
pub fn push_loading_library(call: &mut Call) {
    call.push_table(0, 12);
    for (name, function) in [("register_function", super::functions::register as Function), ("log", log)] {
        call.push_function(function);
        call.set_field(-2, name);
    }
    for (name, value) in LEVELS {
        call.push_number(value);
        call.set_field(-2, name);
    }
    set_version(call);
}

fn set_version(call: &mut Call) {
    let version = crate::config::Config::default().compat_version.to_string();
    let number = version.split('.').fold(0, |number, part| number << 8 | part.parse::<u32>().unwrap_or(0));
    call.push_bytes(version);
    call.set_field(-2, "REDIS_VERSION");
    call.push_number(f64::from(number));
    call.set_field(-2, "REDIS_VERSION_NUM");
}

/// Raises an error as commands give them: a table.
pub fn fail(call: &mut Call, text: &str) -> Raised {
    push_error(call, format!("ERR {text}").as_bytes());
    Raised
}

fn push_error(call: &mut Call, text: &[u8]) {
    call.push_table(0, 1);
    call.push_bytes(text);
    call.set_field(-2, "err");
}

fn redis_call(call: &mut Call, raises: bool) -> Result<usize, Raised> {
    let refusal = match gather(call) {
        Ok(()) => {
            let Some(run) = call.run() else { return Err(fail(call, "redis.call can only be called from a script")) };
            run.command().err()
        }
        Err(text) => {
            push_error(call, text);
            return if raises { Err(Raised) } else { Ok(1) };
        }
    };
    match refusal {
        Some(text) => {
            if let Some(run) = call.run() {
                run.server.stats.count_error_text(&text);
            }
            push_error(call, &text);
            mark_counted(call);
        }
        None => push_result(call)?,
    }
    if raises && is_error(call) { Err(Raised) } else { Ok(1) }
}

/// Pushes what the command answered.
fn push_result(call: &mut Call) -> Result<(), Raised> {
    let Some(run) = call.run() else {
        call.push_nil();
        return Ok(());
    };
    let output = std::mem::take(&mut run.buffers.output);
    let result = match output.plain() {
        Some(bytes) => convert::push_reply(call, bytes),
        None => convert::push_reply(call, &output.to_vec()),
    };
    let is_error = output.plain().is_some_and(|bytes| bytes.first() == Some(&b'-'));
    run.buffers.output = output;
    result?;
    if is_error {
        mark_counted(call);
    }
    Ok(())
}

/// The error was counted where it arose, and is not to be once more when it ends the script.
fn mark_counted(call: &mut Call) {
    call.push_bool(true);
    call.set_field(-2, "ignore_error_stats_update");
}

fn is_error(call: &mut Call) -> bool {
    if call.kind(-1) != Kind::Table {
        return false;
    }
    call.raw_field(-1, "err");
    let is_error = call.kind(-1) == Kind::String;
    call.pop(1);
    is_error
}

/// Puts the arguments into the buffers as a request.
fn gather(call: &mut Call) -> Result<(), &'static [u8]> {
    const NONE: &[u8] = b"ERR Please specify at least one argument for this redis lib call";
    const KINDS: &[u8] = b"ERR Lua redis lib command arguments must be strings or integers";
    let count = call.top();
    if count == 0 {
        return Err(NONE);
    }
    let Some(run) = call.run() else { return Err(NONE) };
    let Buffers { bytes, spans, .. } = &mut run.buffers;
    bytes.clear();
    spans.clear();
    for index in 1..=count {
        let start = bytes.len();
        match call.scalar(index) {
            Some(Scalar::Bytes(text)) => bytes.extend_from_slice(text),
            Some(Scalar::Number(number)) => write_number(bytes, number),
            None => return Err(KINDS),
        }
        let span = |at: usize| u32::try_from(at).map_err(|_| KINDS);
        spans.push(Span { start: span(start)?, len: span(bytes.len() - start)? });
        span(bytes.len())?;
    }
    Ok(())
}

/// A number as an argument: a whole one without a point, another in the fewest digits that tell it.
fn write_number(out: &mut Vec<u8>, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0 * 1000.0;
    if value.is_nan() {
        out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
    } else if value.trunc() == value && value.abs() < EXACT {
        out.extend_from_slice(IntegerText::new(value as i64).as_bytes());
    } else {
        write_f64(out, value);
    }
}

fn error_reply(call: &mut Call) -> Result<usize, Raised> {
    let Some(text) = single_string(call) else { return Ok(1) };
    push_error(call, &with_code(shown(text)));
    Ok(1)
}

/// An error's text with a code in front of it. The first word is the code where there are several; a dash before it is not needed.
fn with_code(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match memchr::memchr(b' ', text) {
        Some(space) => [&text[..=space], without_breaks(&text[space + 1..])].concat(),
        None => [b"ERR ", without_breaks(text)].concat(),
    }
}

fn without_breaks(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

fn status_reply(call: &mut Call) -> Result<usize, Raised> {
    let Some(text) = single_string(call) else { return Ok(1) };
    call.push_table(0, 1);
    call.push_bytes(text);
    call.set_field(-2, "ok");
    Ok(1)
}

/// The one argument; an error is left in place of the result where it is none or no string.
fn single_string<'a>(call: &mut Call<'a>) -> Option<&'a [u8]> {
    let text = call.bytes(1).filter(|_| call.top() == 1);
    if text.is_none() {
        push_error(call, b"ERR wrong number or type of arguments");
    }
    text
}

fn sha1hex(call: &mut Call) -> Result<usize, Raised> {
    if call.top() != 1 {
        return Err(fail(call, "wrong number of arguments"));
    }
    let text = call.string_argument(1).unwrap_or_default();
    call.push_bytes(super::sha1_hex(text));
    Ok(1)
}

fn log(call: &mut Call) -> Result<usize, Raised> {
    if call.top() < 2 {
        return Err(fail(call, "redis.log() requires two arguments or more."));
    }
    let Some(level) = call.numeric(1) else { return Err(fail(call, "First argument must be a number (log level).")) };
    let level = convert::integer(level);
    if !(0..=3).contains(&level) {
        return Err(fail(call, "Invalid log level."));
    }
    let words: Vec<String> = (2..=call.top())
        .filter_map(|index| call.string_argument(index).ok())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let text = words.join(" ");
    match level {
        0 => tracing::trace!("{text}"),
        1 => tracing::debug!("{text}"),
        2 => tracing::info!("{text}"),
        _ => tracing::warn!("{text}"),
    }
    Ok(0)
}

fn setresp(call: &mut Call) -> Result<usize, Raised> {
    if call.top() != 1 {
        return Err(fail(call, "redis.setresp() requires one argument."));
    }
    let protocol = match call.numeric(1).map(convert::integer) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return Err(fail(call, "RESP version must be 2 or 3.")),
    };
    if let Some(run) = call.run() {
        run.protocol = protocol;
    }
    Ok(0)
}

fn set_repl(call: &mut Call) -> Result<usize, Raised> {
    if call.top() != 1 {
        return Err(fail(call, "redis.set_repl() requires one argument."));
    }
    let targets = call.numeric(1).map_or(0, convert::integer);
    if !(0..=3).contains(&targets) {
        return Err(fail(call, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."));
    }
    if let Some(run) = call.run() {
        run.server.journal.speak_to(Audience { log: targets & 1 != 0, replicas: targets & 2 != 0 });
    }
    Ok(0)
}

fn acl_check_cmd(call: &mut Call) -> Result<usize, Raised> {
    if let Err(text) = gather(call) {
        push_error(call, text);
        return Err(Raised);
    }
    let Some(run) = call.run() else { return Ok(0) };
    let buffers = std::mem::take(&mut run.buffers);
    let request = Request::new(&buffers.bytes, &buffers.spans);
    let is_free = |entry| run.id.is_none_or(|id| run.server.acl_denial(id, entry, request).is_none());
    let allowed = run.named(request).ok().map(is_free);
    run.buffers = buffers;
    match allowed {
        Some(allowed) => call.push_bool(allowed),
        None => return Err(fail(call, "Invalid command passed to redis.acl_check_cmd()")),
    }
    Ok(1)
}

/// A number as Lua shows it.
pub fn number_text(value: f64) -> Vec<u8> {
    format_g(14, value)
}
