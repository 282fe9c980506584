//! The command line: what the program is asked to do, and the options that count as configuration lines.
//!
//! Options follow redis-server's own rule, `[/path/to/conf | -] [--directive word ...]`, which no general parser
//! knows: every directive is an option, takes any number of words, and the first of them may begin with `--`. Nothing
//! is read or printed here; `config::load` takes the `Source`, `main` does what the `Mode` says.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::config::{CompatVersion, Config, Source};

/// What the program is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    Serve(Source),
    /// Print `version_line`.
    Version,
    /// Print `help`.
    Help,
    /// Read a configuration file and print what differs from the defaults.
    CheckConfig(PathBuf),
    CheckSystem,
    CheckRdb(PathBuf),
    CheckAof(AofCheck),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AofCheck {
    /// An append-only file or a manifest.
    pub file: PathBuf,
    /// Cut off what is broken.
    pub fix: bool,
    /// Cut off what came after this Unix time.
    pub until_unix_seconds: Option<u64>,
}

/// A command line that cannot be; its text goes to standard error and the exit code is 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads the arguments, the program's name first: under the names redis-check-rdb and redis-check-aof it is that tool.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Mode, UsageError> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let words: Vec<Vec<u8>> = arguments.map(OsString::into_vec).collect();
    let tool = Path::new(&program).file_name().unwrap_or_default().as_bytes();
    if tool.ends_with(b"-check-rdb") {
        return check_rdb(&words);
    }
    if tool.ends_with(b"-check-aof") {
        return check_aof(&words);
    }
    if tool.ends_with(b"-sentinel") {
        return Err(no_sentinel());
    }
    let [first, rest @ ..] = words.as_slice() else { return Ok(Mode::Serve(Source::default())) };
    match first.as_slice() {
        b"-v" | b"--version" => Ok(Mode::Version),
        b"-h" | b"--help" => Ok(Mode::Help),
        b"--check-config" => match rest {
            [file] => Ok(Mode::CheckConfig(path(file))),
            _ => Err(UsageError("Usage: runnel-server --check-config /path/to/conf".into())),
        },
        b"--check-rdb" => check_rdb(rest),
        b"--check-aof" => check_aof(rest),
        b"--check-system" if rest.is_empty() => Ok(Mode::CheckSystem),
        b"--test-memory" => Err(UsageError(
            "Memory is not tested here: memtest86 or `memtester` finds broken memory more reliably than a server can."
                .into(),
        )),
        _ => serve(&words).map(Mode::Serve),
    }
}

fn serve(words: &[Vec<u8>]) -> Result<Source, UsageError> {
    let mut source = Source::default();
    let mut words = words;
    if let [first, rest @ ..] = words
        && !first.starts_with(b"-")
    {
        source.file = Some(path(first));
        words = rest;
    }
    // `-` is standard input in the first place and in the last.
    if let [b"-", ..] = words.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
        source.standard_input = true;
        words = &words[1..];
    }
    if let [rest @ .., last] = words
        && last == b"-"
    {
        source.standard_input = true;
        words = rest;
    }
    source.options = options(words)?;
    Ok(source)
}

/// Groups words into options. The word right behind an option's name is always its value, whatever it begins with,
/// except that `--save` directly before another option means `--save ""`, as it did in old versions.
fn options(words: &[Vec<u8>]) -> Result<Vec<Vec<Vec<u8>>>, UsageError> {
    let mut options: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut value_is_due = false;
    for word in words {
        let name = word.strip_prefix(b"--");
        let waiting = options.last_mut().filter(|_| value_is_due);
        match (waiting, name) {
            (Some(option), Some(_)) if option[0].eq_ignore_ascii_case(b"save") => option.push(Vec::new()),
            (Some(option), _) => {
                option.push(word.clone());
                value_is_due = false;
                continue;
            }
            (None, _) => {}
        }
        match name {
            Some(b"sentinel") => return Err(no_sentinel()),
            // A name given in one word with its values ("--port 7000" between quotes) is taken apart.
            Some(name) => {
                let words = crate::util::args::split_args(name).unwrap_or_else(|| vec![name.to_vec()]);
                value_is_due = words.len() < 2;
                options.push(if words.is_empty() { vec![Vec::new()] } else { words });
            }
            None => match options.last_mut() {
                Some(option) => option.push(word.clone()),
                None => options.push(vec![word.clone()]),
            },
        }
    }
    if let Some(option) = options.last_mut()
        && value_is_due
        && option[0].eq_ignore_ascii_case(b"save")
    {
        option.push(Vec::new());
    }
    Ok(options)
}

fn check_rdb(words: &[Vec<u8>]) -> Result<Mode, UsageError> {
    match words {
        [flag] if flag == b"--version" || flag == b"-v" => Ok(Mode::Version),
        [file] => Ok(Mode::CheckRdb(path(file))),
        _ => Err(UsageError("Usage: redis-check-rdb <rdb-file-name>".into())),
    }
}

fn check_aof(words: &[Vec<u8>]) -> Result<Mode, UsageError> {
    let usage =
        || UsageError("Usage: redis-check-aof [--fix|--truncate-to-timestamp $timestamp] <AOF/manifest>".into());
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let (file, fix, until_unix_seconds) = match words[..] {
        [b"--version" | b"-v"] => return Ok(Mode::Version),
        [b"--truncate-to-timestamp", seconds, file] => {
            (file, false, Some(crate::util::number::parse_u64(seconds).ok_or_else(usage)?))
        }
        [b"--fix", file] | [file, b"--fix"] => (file, true, None),
        [file] => (file, false, None),
        _ => return Err(usage()),
    };
    Ok(Mode::CheckAof(AofCheck { file: path(file), fix, until_unix_seconds }))
}

fn path(word: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(word))
}

fn no_sentinel() -> UsageError {
    UsageError("Sentinel mode is not supported; this is a data server.".into())
}

/// The line that `--version` prints, in the form that tools which parse redis-server's expect, with our own version behind.
pub fn version_line() -> String {
    let CompatVersion(major, minor, patch) = Config::default().compat_version;
    format!(
        "Redis server v={major}.{minor}.{patch} sha=00000000:0 malloc=mimalloc-2 bits={} build={} runnel={}",
        usize::BITS,
        build_id(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Sixteen digits that change with the version, where Redis has a hash of its build.
pub fn build_id() -> String {
    let hash = crate::util::crc64::crc64(env!("CARGO_PKG_VERSION").as_bytes());
    format!("{hash:016x}")
}

/// What `--help` prints: how to start, then every directive.
pub fn help() -> String {
    let mut text = String::from(USAGE);
    let mut section = "";
    for directive in crate::config::DIRECTIVES {
        if directive.facts.hidden || directive.facts.ignored.is_some() {
            continue;
        }
        if directive.section != section {
            section = directive.section;
            text.push_str(&format!("\n{section}:\n"));
        }
        let default = if directive.default.is_empty() { "\"\"" } else { directive.default };
        text.push_str(&format!("  --{} ({}; default {default})\n", directive.name, directive.takes()));
        text.push_str(&format!("      {}\n", directive.summary()));
    }
    text
}

const USAGE: &str = "\
Usage: runnel-server [/path/to/conf] [-] [--directive value ...]
       runnel-server - (the configuration comes from standard input)
       runnel-server -v or --version
       runnel-server -h or --help
       runnel-server --check-config /path/to/conf (validates, prints what differs from the defaults)
       runnel-server --check-rdb /path/to/dump.rdb
       runnel-server --check-aof [--fix] /path/to/manifest
       runnel-server --check-system
Examples:
       runnel-server (with the defaults)
       echo 'maxmemory 128mb' | runnel-server -
       runnel-server /etc/redis/6379.conf
       runnel-server --port 7777 --save 60 1000 --appendonly yes
       runnel-server /etc/redis/6379.conf --loglevel verbose -

Every directive of the configuration file is an option:
";

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(line: &str) -> Result<Mode, UsageError> {
        let words = crate::util::args::split_args(line.as_bytes()).expect("a line of the test");
        parse(words.into_iter().map(OsString::from_vec))
    }

    fn source(line: &str) -> Source {
        match mode(&format!("runnel-server {line}")) {
            Ok(Mode::Serve(source)) => source,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Options as `name=word,word`.
    fn options_of(line: &str) -> Vec<String> {
        let text = |words: &[Vec<u8>]| words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>();
        source(line)
            .options
            .iter()
            .map(|option| format!("{}={}", text(option)[0], text(&option[1..]).join(",")))
            .collect()
    }

    #[test]
    fn a_file_and_standard_input_come_before_options() {
        assert_eq!(source(""), Source::default());
        assert_eq!(source("a.conf").file, Some("a.conf".into()));
        let both = source("a.conf --port 1 -");
        assert_eq!((both.file, both.standard_input, both.options.len()), (Some("a.conf".into()), true, 1));
        assert!(source("-").standard_input);
        assert!(source("- --port 1").standard_input);
        assert_eq!(options_of("--port 0 - --foo"), ["port=0,-", "foo="]);
    }

    #[test]
    fn the_word_behind_a_name_is_a_value_whatever_it_begins_with() {
        assert_eq!(options_of("--bind a b --port 7"), ["bind=a,b", "port=7"]);
        assert_eq!(options_of("--logfile --port 7x"), ["logfile=--port,7x"]);
        assert_eq!(options_of("--port"), ["port="]);
        assert_eq!(options_of("-port 7000"), ["-port=7000"]);
        assert_eq!(options_of("'--port 7x' --bind a"), ["port=7x", "bind=a"]);
    }

    #[test]
    fn save_before_another_option_saves_never() {
        assert_eq!(options_of("--save --port 7"), ["save=", "port=7"]);
        assert_eq!(options_of("--save '' --save 60 1000 --maxmemory 1gb"), ["save=", "save=60,1000", "maxmemory=1gb"]);
        assert_eq!(options_of("--port 7 --save"), ["port=7", "save="]);
    }

    #[test]
    fn the_program_s_name_and_first_word_choose_the_mode() {
        let rdb = Ok(Mode::CheckRdb("x.rdb".into()));
        let aof = |fix| Ok(Mode::CheckAof(AofCheck { file: "m".into(), fix, until_unix_seconds: None }));
        for (line, expected) in [
            ("redis-server --version", Ok(Mode::Version)),
            ("redis-server -v --port 1", Ok(Mode::Version)),
            ("redis-server -h", Ok(Mode::Help)),
            ("redis-server --check-system", Ok(Mode::CheckSystem)),
            ("redis-server --check-config c", Ok(Mode::CheckConfig("c".into()))),
            ("redis-server --check-rdb x.rdb", rdb.clone()),
            ("/usr/bin/redis-check-rdb x.rdb", rdb),
            ("redis-check-aof --fix m", aof(true)),
            ("redis-server --check-aof m", aof(false)),
        ] {
            assert_eq!(mode(line), expected, "{line}");
        }
        for line in [
            "x --test-memory 1",
            "x a.conf --sentinel",
            "redis-sentinel a",
            "redis-check-rdb",
            "redis-check-aof",
            "x --check-config",
        ] {
            assert!(mode(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_version_line_is_parsed_by_what_parses_redis_s() {
        assert!(version_line().starts_with("Redis server v=8.2.0 sha=00000000:0 malloc=mimalloc-"));
    }

    #[test]
    fn help_names_every_honoured_directive() {
        let help = help();
        assert!(help.contains("--maxmemory-policy (volatile-lru | "));
        assert!(help.contains("--port-file "));
    }
}
