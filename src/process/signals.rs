//! Signals: which are ignored, and a handler that lets a second SIGINT end a process that does not come to its end.
//!
//! The loop hears of SIGTERM and SIGINT through the runtime, which calls the handler installed here first.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// To be called before the runtime starts.
pub fn install() {
    // SAFETY: ignoring a signal has no handler; the handler does only what may be done in one.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGINT, interrupted as *const () as libc::sighandler_t);
    }
}

/// The last SIGINT led to no shutdown (it was refused): the next one is a first one again.
pub fn forgive() {
    INTERRUPTS.store(0, Relaxed);
}

extern "C" fn interrupted(_: libc::c_int) {
    if INTERRUPTS.fetch_add(1, Relaxed) == 0 {
        return;
    }
    const LAST_WORDS: &[u8] = b"You insist... exiting now.\n";
    // SAFETY: write and _exit are allowed in a handler; the text is static.
    unsafe {
        libc::write(libc::STDOUT_FILENO, LAST_WORDS.as_ptr().cast(), LAST_WORDS.len());
        libc::_exit(1);
    }
}
