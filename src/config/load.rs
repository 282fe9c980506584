//! The configuration at the start: lines of a file, of standard input and of the command line, in this order.
//!
//! Reading files is behind `Files`, so that the rest is pure. Errors are Redis's, with the file's name added. What a
//! line's value may be is the business of `table`; the command line itself is taken apart in `crate::command_line`.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Bind, BindAddress, Config, Directive, Text, directive};
use crate::util::args::split_args;
use crate::util::io_error;

/// What the start needs of the file system.
pub trait Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn read_standard_input(&self) -> io::Result<Vec<u8>>;
    /// The paths that fit a pattern, sorted; the pattern itself where it has no glob characters.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
    /// The absolute path of a folder, or the reason why it cannot be one.
    fn folder(&self, path: &Path) -> io::Result<PathBuf>;
}

/// Where lines come from, in the order in which they count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    pub file: Option<PathBuf>,
    pub standard_input: bool,
    /// `--name word word` as name and words.
    pub options: Vec<Vec<Vec<u8>>>,
}

/// A start's configuration and what the log should say of it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub notices: Vec<Notice>,
    /// Where each of `config.users` stands.
    pub user_lines: Vec<UserLine>,
}

/// A `user` line of which only the server can tell whether its rules are any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserLine {
    origin: String,
    number: usize,
    line: String,
}

impl Loaded {
    /// The error of the `user` line with this index in `config.users`.
    pub fn refuse_user(&self, index: usize, rule: &[u8], reason: &str) -> StartError {
        let UserLine { origin, number, line } = self.user_lines[index].clone();
        let version = self.config.compat_version.to_string();
        let reason = format!("Error in user declaration '{}': {reason}", String::from_utf8_lossy(rule));
        StartError::Line { version, origin, number, line, reason }
    }
}

/// A directive that was set although it has no effect here, once for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    pub name: String,
    pub reason: &'static str,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The directive '{}' has no effect: {}", self.name, self.reason)
    }
}

/// Why the server does not start. `Display` is what goes to standard error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartError {
    /// A line that cannot be.
    Line { version: String, origin: String, number: usize, line: String, reason: String },
    /// A file that cannot be read.
    File { path: PathBuf, reason: String },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { version, origin, number, line, reason } => {
                writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {version}) ***")?;
                writeln!(f, "Reading the configuration file, at line {number} ({origin})")?;
                writeln!(f, ">>> '{line}'")?;
                write!(f, "{reason}")
            }
            Self::File { path, reason } => {
                write!(f, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Reads all of `source` over the defaults.
pub fn load(source: &Source, files: &dyn Files) -> Result<Loaded, StartError> {
    let mut loader = Loader::new(files);
    let mut number = 0;
    if let Some(path) = &source.file {
        let path = absolute(files, path);
        number = loader.file(&path, 0)?;
        loader.config.file = Some(path);
    }
    if source.standard_input {
        let text = files.read_standard_input().map_err(|error| unreadable(Path::new("-"), &error))?;
        number = loader.text(&text, &Origin::StandardInput, number, 0)?;
    }
    // Redis appends the options to the text behind an empty line, and counts on.
    number += 2;
    for words in &source.options {
        let line = option_line(words);
        loader.line(&line, words, &Origin::CommandLine, number, 0)?;
        number += 1;
    }
    loader.finish()
}

/// Included files may include files so deep.
const INCLUDE_DEPTH_MAX: usize = 16;

#[derive(Clone)]
enum Origin {
    File(PathBuf),
    StandardInput,
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::StandardInput => f.write_str("standard input"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

struct Loader<'a> {
    files: &'a dyn Files,
    config: Config,
    notices: Vec<Notice>,
    user_lines: Vec<UserLine>,
    /// Directives already given.
    given: HashSet<&'static str>,
    /// Where `replicaof` was given, to refuse it there if the server is to be a cluster.
    replicaof: Option<(String, String, usize)>,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            config: Config::default(),
            notices: Vec::new(),
            user_lines: Vec::new(),
            given: HashSet::new(),
            replicaof: None,
        }
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<usize, StartError> {
        let text = self.files.read(path).map_err(|error| unreadable(path, &error))?;
        self.text(&text, &Origin::File(path.into()), 0, depth)
    }

    /// Reads lines and returns the number of the last one, counted on from `before`.
    fn text(&mut self, text: &[u8], origin: &Origin, before: usize, depth: usize) -> Result<usize, StartError> {
        if text.is_empty() {
            return Ok(before);
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let mut number = before;
        for line in text.split(|byte| *byte == b'\n') {
            number += 1;
            let line = trim(line);
            if matches!(line, [] | [b'#', ..]) {
                continue;
            }
            let Some(words) = split_args(line) else {
                return Err(self.refusal(line, origin, number, "Unbalanced quotes in configuration line"));
            };
            if !words.is_empty() {
                self.line(line, &words, origin, number, depth)?;
            }
        }
        Ok(number)
    }

    fn line(
        &mut self,
        line: &[u8],
        words: &[Vec<u8>],
        origin: &Origin,
        number: usize,
        depth: usize,
    ) -> Result<(), StartError> {
        let [name, values @ ..] = words else { return Ok(()) };
        let result = match directive(name) {
            Some(directive) => {
                if directive.name == "replicaof" {
                    self.replicaof = Some((String::from_utf8_lossy(line).into(), origin.to_string(), number));
                }
                self.directive(directive, name, values)
            }
            None if name.eq_ignore_ascii_case(b"include") && values.len() == 1 => {
                return self.include(&values[0], (line, origin, number), depth);
            }
            None => {
                let users = self.config.users.len();
                let result = self.not_a_value(name, values);
                if self.config.users.len() > users {
                    let line = String::from_utf8_lossy(line).into_owned();
                    self.user_lines.push(UserLine { origin: origin.to_string(), number, line });
                }
                result
            }
        };
        result.map_err(|reason| self.refusal(line, origin, number, &reason))
    }

    fn directive(&mut self, directive: &'static Directive, name: &[u8], values: &[Vec<u8>]) -> Result<(), String> {
        let repeated = !self.given.insert(directive.name);
        match values {
            // `save "60 1 70 2"` is the same as without quotes.
            [value] => directive.read(&mut self.config, &directive.words.split(value), repeated)?,
            values => directive.read(&mut self.config, values, repeated)?,
        }
        if directive.name == "dir" {
            let folder = self.files.folder(self.config.dir.path()).map_err(|error| io_error::reason(&error))?;
            self.config.dir = text(&folder);
        }
        if let Some(reason) = directive.facts.ignored {
            self.notice(name, reason);
        }
        Ok(())
    }

    /// Lines that set no value: what CONFIG GET does not know.
    fn not_a_value(&mut self, name: &[u8], values: &[Vec<u8>]) -> Result<(), String> {
        const UNKNOWN: &str = "Bad directive or wrong number of arguments";
        let texts = || values.iter().map(|word| Text::from(word.as_slice())).collect::<Vec<_>>();
        match (name.to_ascii_lowercase().as_slice(), values) {
            (b"rename-command", [old, new]) => {
                self.config.renames.push((old.as_slice().into(), new.as_slice().into()));
                Ok(())
            }
            (b"user", [user, ..]) => {
                if self.config.users.iter().any(|known| known[0][..] == user[..]) {
                    return Err(format!(
                        "Error in user declaration '{}': Duplicate user found. A user can only be defined once in config files",
                        String::from_utf8_lossy(user)
                    ));
                }
                self.config.users.push(texts());
                Ok(())
            }
            (b"loadmodule", [_, ..]) => Err("Modules are not supported: remove this line".into()),
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            (b"list-max-ziplist-entries" | b"list-max-ziplist-value" | b"lua-replicate-commands", [_]) => {
                self.notice(name, "Redis itself has given it up");
                Ok(())
            }
            (name, [_, ..]) if is_module_option(name) => {
                self.notice(name, "the module that it belongs to is not there");
                Ok(())
            }
            _ => Err(UNKNOWN.into()),
        }
    }

    fn include(
        &mut self,
        pattern: &[u8],
        (line, origin, number): (&[u8], &Origin, usize),
        depth: usize,
    ) -> Result<(), StartError> {
        if depth == INCLUDE_DEPTH_MAX {
            return Err(self.refusal(line, origin, number, "Files include each other too deeply"));
        }
        let pattern = Text::from(pattern);
        let paths = self.files.matching(pattern.path()).map_err(|error| unreadable(pattern.path(), &error))?;
        for path in paths {
            self.file(&path, depth + 1)?;
        }
        Ok(())
    }

    fn notice(&mut self, name: &[u8], reason: &'static str) {
        let notice = Notice { name: String::from_utf8_lossy(name).to_ascii_lowercase(), reason };
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// What can only be said when every line is read.
    fn finish(mut self) -> Result<Loaded, StartError> {
        let version = self.config.compat_version.to_string();
        if self.config.cluster_enabled
            && self.config.replicaof.0.is_some()
            && let Some((line, origin, number)) = self.replicaof
        {
            let reason = "replicaof directive not allowed in cluster mode".into();
            return Err(StartError::Line { version, origin, number, line, reason });
        }
        if self.config.file.is_none() && !self.given.contains("bind") && !self.lets_strangers_in() {
            self.config.bind = own_machine();
        }
        if self.config.daemonize && self.config.pidfile.is_empty() {
            self.config.pidfile = "/var/run/redis.pid".into();
        }
        self.config.dir = text(&absolute(self.files, self.config.dir.path()));
        Ok(Loaded { config: self.config, notices: self.notices, user_lines: self.user_lines })
    }

    /// Somebody has thought of clients on other machines, as Redis's container image does with `--protected-mode no`.
    fn lets_strangers_in(&self) -> bool {
        let config = &self.config;
        let has_users = !config.users.is_empty() || config.aclfile.path_if_set().is_some();
        !config.protected_mode || !config.requirepass.is_empty() || has_users
    }

    fn refusal(&self, line: &[u8], origin: &Origin, number: usize, reason: &str) -> StartError {
        StartError::Line {
            version: self.config.compat_version.to_string(),
            origin: origin.to_string(),
            number,
            line: String::from_utf8_lossy(line).into_owned(),
            reason: reason.into(),
        }
    }
}

/// Where a server listens that was started without a configuration file: whoever just tries it opens nothing to a network.
fn own_machine() -> Bind {
    let address = |host: &str, optional| BindAddress { host: host.into(), optional };
    Bind(vec![address("127.0.0.1", false), address("::1", true)])
}

/// Options of the modules that Redis 8 ships. They stand in its stock files only as comments, but people set them.
fn is_module_option(name: &[u8]) -> bool {
    [&b"search-"[..], b"ts-", b"bf-", b"cf-"].iter().any(|prefix| name.starts_with(prefix))
}

/// An option of the command line as the line that Redis makes of it.
fn option_line(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = words.first().cloned().unwrap_or_default();
    for word in words.iter().skip(1) {
        line.push(b' ');
        crate::util::args::quote(word, &mut line);
    }
    line
}

fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

fn text(path: &Path) -> Text {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().into()
}

fn absolute(files: &dyn Files, path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.into();
    }
    match files.folder(Path::new(".")) {
        Ok(folder) => folder.join(path).components().collect(),
        Err(_) => path.into(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> StartError {
    StartError::File { path: path.into(), reason: io_error::reason(error) }
}

/// The real file system.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_standard_input(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut text)?;
        Ok(text)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        glob_paths(pattern)
    }

    fn folder(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = std::fs::canonicalize(path)?;
        if !folder.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        Ok(folder)
    }
}

/// The paths that fit, part by part. A pattern without glob characters is itself, existing or not.
fn glob_paths(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    use crate::util::glob::Glob;
    use std::os::unix::ffi::OsStrExt;

    let has_glob = |bytes: &[u8]| bytes.iter().any(|byte| b"*?[".contains(byte));
    let mut paths = vec![PathBuf::new()];
    if !has_glob(pattern.as_os_str().as_bytes()) {
        return Ok(vec![pattern.into()]);
    }
    for part in pattern.components() {
        let bytes = part.as_os_str().as_bytes();
        if !has_glob(bytes) {
            paths.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let glob = Glob::new(bytes);
        let mut found = Vec::new();
        for folder in &paths {
            let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let Ok(entries) = std::fs::read_dir(place) else { continue };
            for entry in entries {
                let name = entry?.file_name();
                let hidden = name.as_bytes().starts_with(b".") && !bytes.starts_with(b".");
                if !hidden && glob.matches(name.as_bytes()) {
                    found.push(folder.join(name));
                }
            }
        }
        found.sort();
        paths = found;
    }
    Ok(paths.into_iter().filter(|path| path.exists()).collect())
}

/// A source of options, each given as a line.
#[cfg(test)]
pub(super) fn option_source(lines: &[&str]) -> Source {
    let options = lines.iter().filter_map(|line| split_args(line.as_bytes())).collect();
    Source { options, ..Source::default() }
}
