//! The log: `tracing`'s events as lines in Redis's form, or as JSON, to standard output, a file and syslog.
//!
//! Redis's four levels are `tracing`'s: debug is TRACE, verbose DEBUG, notice INFO, warning WARN and ERROR. An event below the level
//! costs one comparison. The file is opened for each line, so that it can be renamed or removed at any time.

use std::ffi::{CStr, CString};
use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::config::{Config, LogFormat, LogLevel, LogTimestamp, SyslogFacility};

/// Sends the log where the configuration says, from now on and for the whole process.
pub fn start(config: &Config) -> io::Result<()> {
    let file = config.logfile.path_if_set().map(PathBuf::from);
    if let Some(path) = &file {
        append_to(path)?;
    }
    set_level(config.loglevel);
    let syslog = config.syslog_enabled.then(|| open_syslog(&config.syslog_ident.display(), config.syslog_facility));
    let log = Log { file, syslog, format: config.log_format, timestamp: config.log_timestamp_format };
    // A second start in one process (tests) keeps the first log.
    let _ = tracing::subscriber::set_global_default(log);
    Ok(())
}

/// `loglevel`, also while running.
pub fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

/// The letter behind the process id: `M` for a primary, `S` for a replica.
pub fn set_role(letter: u8) {
    ROLE.store(letter, Relaxed);
}

/// Has a broken assertion say so in the log, before it ends the process.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("no text");
        let trace = std::backtrace::Backtrace::force_capture();
        tracing::error!("A broken assertion ends the server{place}: {text}\n{trace}");
        // A log that only goes to a file should not hide it from whoever watches standard error.
        eprintln!("A broken assertion ends the server{place}: {text}");
    }));
}

static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'M');

struct Log {
    file: Option<PathBuf>,
    syslog: Option<Syslog>,
    format: LogFormat,
    timestamp: LogTimestamp,
}

/// Proof that `openlog` was called.
struct Syslog;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.is_event() && *metadata.level() <= self.max_level_hint().unwrap_or(LevelFilter::OFF)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Relaxed) {
            level if level == LogLevel::Debug as u8 => LevelFilter::TRACE,
            level if level == LogLevel::Verbose as u8 => LevelFilter::DEBUG,
            level if level == LogLevel::Notice as u8 => LevelFilter::INFO,
            level if level == LogLevel::Warning as u8 => LevelFilter::WARN,
            _ => LevelFilter::OFF,
        })
    }

    fn event(&self, event: &Event) {
        let level = *event.metadata().level();
        let mut message = Message::default();
        event.record(&mut message);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = match self.format {
            LogFormat::Text => {
                let time = time_text(now.as_millis() as u64, self.timestamp);
                let role = char::from(ROLE.load(Relaxed));
                format!("{}:{role} {time} {} {message}\n", std::process::id(), mark(level))
            }
            LogFormat::Json => json_line(now.as_millis() as u64, level, &message),
        };
        self.write(&line);
        if self.syslog.is_some() {
            to_syslog(level, &message.to_string());
        }
    }

    // There are no spans here: a turn of the loop is too short to be worth one.
    fn new_span(&self, _: &span::Attributes) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Log {
    /// One call for one line, so that lines of several processes in one file stay whole.
    fn write(&self, line: &str) {
        let written = match &self.file {
            Some(path) => append_to(path).and_then(|mut file| file.write_all(line.as_bytes())),
            None => io::stdout().lock().write_all(line.as_bytes()),
        };
        // There is nowhere to say that the log cannot be written.
        let _ = written;
    }
}

fn append_to(path: &std::path::Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// An event's text, and its fields behind it.
#[derive(Default)]
struct Message {
    text: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.text.push_str(value),
            name => self.fields.push((name, value.to_owned())),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

fn mark(level: Level) -> char {
    match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        _ => '#',
    }
}

fn json_line(unix_ms: u64, level: Level, message: &Message) -> String {
    let name = match mark(level) {
        '.' => "debug",
        '-' => "verbose",
        '*' => "notice",
        _ => "warning",
    };
    let mut line = format!(
        "{{\"time\":\"{}\",\"pid\":{},\"role\":\"{}\",\"level\":\"{name}\",\"message\":",
        time_text(unix_ms, LogTimestamp::Iso8601),
        std::process::id(),
        char::from(ROLE.load(Relaxed)),
    );
    push_json(&mut line, &message.text);
    for (name, value) in &message.fields {
        line.push(',');
        push_json(&mut line, name);
        line.push(':');
        push_json(&mut line, value);
    }
    line.push_str("}\n");
    line
}

fn push_json(line: &mut String, text: &str) {
    line.push('"');
    for letter in text.chars() {
        match letter {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            // Writing to a String cannot fail.
            letter if letter < ' ' => drop(write!(line, "\\u{:04x}", letter as u32)),
            letter => line.push(letter),
        }
    }
    line.push('"');
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn time_text(unix_ms: u64, form: LogTimestamp) -> String {
    if form == LogTimestamp::Milliseconds {
        return unix_ms.to_string();
    }
    let time = local_time((unix_ms / 1000) as libc::time_t);
    let (year, ms) = (time.tm_year + 1900, unix_ms % 1000);
    let (day, hour, minute, second) = (time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
    match form {
        LogTimestamp::Iso8601 => {
            let offset = time.tm_gmtoff / 60;
            let sign = if offset < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
            let month = time.tm_mon + 1;
            format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}{sign}{hours:02}:{minutes:02}")
        }
        _ => {
            let month = usize::try_from(time.tm_mon).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"???");
            format!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{ms:03}")
        }
    }
}

fn local_time(unix_s: libc::time_t) -> libc::tm {
    unsafe extern "C" {
        // localtime_r alone need not look at TZ.
        fn tzset();
    }
    static ZONE: OnceLock<()> = OnceLock::new();
    // SAFETY: no other thread changes the environment; see `title`, which moves it before threads start.
    ZONE.get_or_init(|| unsafe { tzset() });
    // SAFETY: all zeros are a valid `tm`, and both pointers are to live values.
    unsafe {
        let mut time = std::mem::zeroed();
        libc::localtime_r(&unix_s, &mut time);
        time
    }
}

fn open_syslog(ident: &str, facility: SyslogFacility) -> Syslog {
    let facility = match facility {
        SyslogFacility::User => libc::LOG_USER,
        SyslogFacility::Local0 => libc::LOG_LOCAL0,
        SyslogFacility::Local1 => libc::LOG_LOCAL1,
        SyslogFacility::Local2 => libc::LOG_LOCAL2,
        SyslogFacility::Local3 => libc::LOG_LOCAL3,
        SyslogFacility::Local4 => libc::LOG_LOCAL4,
        SyslogFacility::Local5 => libc::LOG_LOCAL5,
        SyslogFacility::Local6 => libc::LOG_LOCAL6,
        SyslogFacility::Local7 => libc::LOG_LOCAL7,
    };
    // openlog keeps the pointer for as long as the process lives.
    let ident: &'static CStr = Box::leak(c_text(ident).into_boxed_c_str());
    // SAFETY: the name is never freed.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, facility) };
    Syslog
}

fn to_syslog(level: Level, text: &str) {
    let priority = match mark(level) {
        '.' => libc::LOG_DEBUG,
        '-' => libc::LOG_INFO,
        '*' => libc::LOG_NOTICE,
        _ => libc::LOG_WARNING,
    };
    let text = c_text(text);
    // SAFETY: the format takes exactly one text that ends in NUL.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) };
}

/// The text up to its first NUL.
fn c_text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_json_whatever_the_text_is() {
        let message =
            Message { text: "a \"quoted\\\" line\nand\u{1}more".into(), fields: vec![("path", "/tmp/é".into())] };
        let line = json_line(0, Level::WARN, &message);
        assert!(line.contains(r#""level":"warning","message":"a \"quoted\\\" line\nand\u0001more","path":"/tmp/é"}"#));
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(message.to_string(), "a \"quoted\\\" line\nand\u{1}more path=/tmp/é");
    }

    #[test]
    fn times_have_the_form_that_log_readers_know() {
        let text = time_text(1_795_261_242_579, LogTimestamp::Legacy);
        // The hour depends on the machine's zone.
        assert!(text.contains(" Nov 2026 ") && text.ends_with(".579"), "{text}");
        assert_eq!(text.len(), "21 Nov 2026 11:40:42.579".len());
        assert_eq!(time_text(1_795_261_242_579, LogTimestamp::Milliseconds), "1795261242579");
        let iso = time_text(1_795_261_242_579, LogTimestamp::Iso8601);
        assert_eq!(iso.len(), "2026-11-21T11:40:42.579+00:00".len(), "{iso}");
    }
}
