//! The process as the heart may ask for it: figures for INFO, a file to be replaced, a pause.
//!
//! What it means for sockets when a directive changes is `net`'s business, which puts its own `Host` around this one.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::persist::disk::{Disk, RealDisk};
use crate::server::host::{Cpu, Facts, Host};
use crate::server::lines::Line;

/// The real process, for the heart to ask.
pub struct Process;

impl Host for Process {
    fn facts(&self) -> Facts {
        Facts {
            process_id: std::process::id(),
            executable: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
            system: system_name(),
            total_memory_bytes: pages(libc::_SC_PHYS_PAGES),
            resident_bytes: resident_bytes(),
            cpu: cpu_of(libc::RUSAGE_SELF),
            cpu_main_thread: cpu_of(libc::RUSAGE_THREAD),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    /// The new text goes into a file beside the old one, which is then renamed: a crash leaves one or the other.
    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = Path::new(&name);
        let written = write_durably(temporary, path, text);
        if written.is_err() {
            let _ = std::fs::remove_file(temporary);
        }
        written
    }

    fn disk(&self) -> Option<Arc<dyn Disk>> {
        Some(Arc::new(RealDisk))
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        // So few bytes come at once or not at all.
        bytes.chunks_mut(256).all(|part| {
            // SAFETY: the pointer and the length are those of a slice that is ours to write.
            let got = unsafe { libc::getrandom(part.as_mut_ptr().cast(), part.len(), 0) };
            usize::try_from(got) == Ok(part.len())
        })
    }

    fn dial(&self, host: &str, port: u16, limit_ms: u64) -> io::Result<Box<dyn Line>> {
        super::line::dial(host, port, limit_ms)
    }

    fn sleep(&self, time_us: u64) {
        std::thread::sleep(Duration::from_micros(time_us));
    }
}

fn write_durably(temporary: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(temporary)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn system_name() -> String {
    // SAFETY: `utsname` is plain bytes, for which zeroes are valid; uname fills it with terminated texts.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `utsname` that lives through the call.
    if unsafe { libc::uname(&mut names) } != 0 {
        return String::new();
    }
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().map(|&c| c as u8).take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    format!("{} {} {}", text(&names.sysname), text(&names.release), text(&names.machine))
}

/// Bytes of so many pages as a `sysconf` variable says.
fn pages(variable: libc::c_int) -> u64 {
    // SAFETY: pure queries.
    let (count, size) = unsafe { (libc::sysconf(variable), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(count).unwrap_or(0) * u64::try_from(size).unwrap_or(0)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    // SAFETY: a pure query.
    resident * u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn cpu_of(who: libc::c_int) -> Cpu {
    // SAFETY: `rusage` is plain numbers, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` that lives through the call.
    if unsafe { libc::getrusage(who, &mut usage) } != 0 {
        return Cpu::default();
    }
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Cpu { user_us: us(usage.ru_utime), system_us: us(usage.ru_stime) }
}
