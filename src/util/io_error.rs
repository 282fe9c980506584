//! Errors of the operating system as C programs print them.

use std::io;

/// What `strerror` says, without Rust's "(os error 2)" behind it.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].into(),
        None => text,
    }
}
