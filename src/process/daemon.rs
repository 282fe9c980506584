//! Running in the background: two forks, a session of its own, no terminal, and a file with the process id.
//!
//! `to_background` must come before any thread, since a fork takes only the calling one along.

use crate::util::io_error;
use std::io;
use std::path::Path;

/// Goes on in the background; the process that was started ends here. Standard input, output and error are nowhere from now on.
pub fn to_background() -> io::Result<()> {
    fork_and_leave()?;
    // SAFETY: no arguments; the first child leads no process group, so it may begin a session.
    check(unsafe { libc::setsid() })?;
    // Only a session's leader can get a terminal by opening one, and the second child does not lead.
    fork_and_leave()?;
    let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for descriptor in 0..=2 {
        // SAFETY: `nowhere` is open, and nothing owns the three standard descriptors.
        check(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&nowhere), descriptor) })?;
    }
    Ok(())
}

/// Forks; only the child comes back.
fn fork_and_leave() -> io::Result<()> {
    // SAFETY: there is one thread, so the child has everything the parent had.
    let child = unsafe { libc::fork() };
    if check(child)? > 0 {
        // SAFETY: ends at once, without running what the child is still to run at its own end.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}

/// Writes the process id. A server without its file still serves.
pub fn write_pid_file(path: &Path) {
    if let Err(error) = std::fs::write(path, format!("{}\n", std::process::id())) {
        tracing::warn!("Failed to write PID file: {}", io_error::reason(&error));
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
