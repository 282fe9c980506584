//! `--check-config`, `--check-rdb` and `--check-system`: looks that change nothing, and the lines they print.

use std::fs;
use std::path::Path;

use super::limits;
use crate::config::{self, AclPubsubDefault, Loaded, Source, StartError};
use crate::ds::keytable::Seed;
use crate::persist::rdb;
use crate::server::acl;

/// What a check found, as text to print; `Err` where the exit code is to be 1.
pub type Found = Result<String, String>;

/// The configuration of a start, its `user` lines checked too.
pub fn load(source: &Source) -> Result<Loaded, StartError> {
    let loaded = config::load(source, &config::Disk)?;
    let all_channels = loaded.config.acl_pubsub_default == AclPubsubDefault::AllChannels;
    for (index, words) in loaded.config.users.iter().enumerate() {
        acl::user_of_line(words, all_channels).map_err(|(rule, reason)| loaded.refuse_user(index, &rule, &reason))?;
    }
    Ok(loaded)
}

/// Reads a configuration as a start would. The directives that differ from the defaults, and those that mean nothing here.
pub fn configuration(file: &Path) -> Found {
    let source = Source { file: Some(file.into()), ..Source::default() };
    let loaded = load(&source).map_err(|error| error.to_string())?;
    let mut text = format!("{} is valid.\n", file.display());
    for notice in &loaded.notices {
        text.push_str(&format!("# {notice}\n"));
    }
    for line in config::differences(&loaded.config) {
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Reads a snapshot as a start would, and says what is in it or where it breaks off.
pub fn snapshot(file: &Path) -> Found {
    static SEED: Seed = Seed::new([1, 2]);
    let limits = crate::db::load::limits(&config::Config::default(), &SEED);
    rdb::check::check(file, rdb::Options { limits, checksums: true, any_version: false })
}

/// Looks at what of this machine matters to a server.
pub fn system() -> Found {
    let looks = [("clocksource", clock_source()), ("somaxconn", backlog()), ("open-files", files())];
    let mut text = String::new();
    let mut is_fine = true;
    for (name, found) in looks {
        match found {
            Ok(()) => text.push_str(&format!("[{name}]...OK\n")),
            Err(warning) => {
                is_fine = false;
                text.push_str(&format!("[{name}]...WARNING:\n{warning}\n\n"));
            }
        }
    }
    if is_fine { Ok(text) } else { Err(text) }
}

fn clock_source() -> Result<(), String> {
    let Ok(name) = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource") else {
        return Ok(());
    };
    match name.trim() {
        slow @ ("acpi_pm" | "hpet" | "jiffies" | "xen") => Err(format!(
            "The kernel's clock source is '{slow}', which takes a system call or worse to read. Where the processor has a stable \
             counter, `echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource` makes clocks cheap."
        )),
        _ => Ok(()),
    }
}

fn backlog() -> Result<(), String> {
    let wanted = config::Config::default().tcp_backlog;
    backlog_warning(wanted).map_or(Ok(()), Err)
}

/// Why the kernel will not keep `tcp-backlog` connections waiting.
pub fn backlog_warning(wanted: i32) -> Option<String> {
    let granted: i32 = fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()?;
    (granted < wanted).then(|| {
        format!(
            "The TCP backlog setting of {wanted} cannot be enforced because /proc/sys/net/core/somaxconn is set to the lower value of \
             {granted}."
        )
    })
}

fn files() -> Result<(), String> {
    let wanted = u64::from(config::Config::default().maxclients);
    match limits::open_files() {
        Some((_, hard)) if hard < wanted => Err(format!(
            "The process may open {hard} files at most, so that fewer than the default of {wanted} clients can connect. Raise \
             'ulimit -Hn', or LimitNOFILE in a systemd unit."
        )),
        _ => Ok(()),
    }
}
