//! The process title, which `ps` shows in place of the command line.
//!
//! The kernel shows the memory that the arguments were given in; behind it lies the environment. To have room for a title the
//! environment is copied elsewhere first, as nginx and PostgreSQL do it:
//!
//! ```text
//! arg_start             arg_end = env_start                     env_end
//! | argv[0] 0 argv[1] 0 | PATH=… 0 HOME=… 0 …                  0 |
//! | title ............. 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0  |
//! ```

use std::ffi::{CStr, CString};

use crate::config::Config;

/// The memory that the kernel shows as the command line.
pub struct Title {
    start: *mut u8,
    size: usize,
    /// How the program was called: `{title}`.
    program: String,
}

// SAFETY: nothing else refers to the memory, which lives as long as the process.
unsafe impl Send for Title {}

impl Title {
    /// Takes the arguments' memory over. To be called while there is one thread, and after the arguments were read for the last time.
    pub fn take(program: &str) -> Option<Self> {
        let program = program.to_owned();
        let [arg_start, arg_end, env_start, env_end] = argument_memory()?;
        let end = if arg_end == env_start && move_environment().is_some() { env_end } else { arg_end };
        let size = end.checked_sub(arg_start).filter(|size| *size > 1)?;
        Some(Self { start: arg_start as *mut u8, size, program })
    }

    pub fn set(&mut self, config: &Config, port: u16) {
        let title = text(config, &self.program, port);
        let bytes = title.replace('\0', " ");
        let length = bytes.len().min(self.size - 1);
        // SAFETY: the memory is `size` bytes of the stack that the kernel filled at the start, and no longer anybody's arguments.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, length);
            std::ptr::write_bytes(self.start.add(length), 0, self.size - length);
        }
    }
}

/// The template with its variables filled in.
fn text(config: &Config, program: &str, port: u16) -> String {
    let template = config.proc_title_template.display().into_owned();
    let mut title = String::new();
    let mut pieces = template.split('{');
    title.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once('}').unwrap_or((piece, ""));
        title.push_str(&variable(config, program, port, name));
        title.push_str(rest);
    }
    title.trim_end().to_owned()
}

fn variable(config: &Config, program: &str, port: u16, name: &str) -> String {
    match name {
        "title" => program.to_owned(),
        "listen-addr" => match config.bind.0.first() {
            Some(first) if port != 0 => format!("{}:{port}", first.host),
            Some(first) if config.tls_port != 0 => format!("{}:{}", first.host, config.tls_port),
            _ => config.unixsocket.display().into_owned(),
        },
        "server-mode" if config.cluster_enabled => "[cluster]".into(),
        "port" => port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => config.unixsocket.display().into_owned(),
        "config-file" => config.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
        _ => String::new(),
    }
}

/// arg_start, arg_end, env_start and env_end: fields 48 to 51 of /proc/self/stat.
fn argument_memory() -> Option<[usize; 4]> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok().filter(|address| *address > 0);
    Some([field(48)?, field(49)?, field(50)?, field(51)?])
}

unsafe extern "C" {
    static mut environ: *mut *mut libc::c_char;
}

/// Gives the environment other memory.
fn move_environment() -> Option<()> {
    // SAFETY: there is one thread, so nobody reads or writes the environment meanwhile; it is a list of texts that ends in null. The
    // copies are never freed, since anybody may have asked for one.
    unsafe {
        let mut place = environ;
        if place.is_null() {
            return None;
        }
        while !(*place).is_null() {
            let copy: CString = CStr::from_ptr(*place).to_owned();
            *place = copy.into_raw();
            place = place.add(1);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let mut config = Config::default();
        assert_eq!(text(&config, "redis-server", 6379), "redis-server *:6379");
        config.unixsocket = "/tmp/s".into();
        config.proc_title_template = "{title}|{listen-addr}|{port}|{tls-port}|{unixsocket}|{config-file}|x".into();
        assert_eq!(text(&config, "r", 7), "r|*:7|7|0|/tmp/s||x");
        assert_eq!(text(&config, "r", 0), "r|/tmp/s|0|0|/tmp/s||x");
    }

    #[test]
    fn the_kernel_says_where_the_arguments_are() {
        let [arg_start, arg_end, env_start, env_end] = argument_memory().expect("a /proc file system");
        assert!(arg_start < arg_end && arg_end <= env_start && env_start <= env_end);
    }
}
