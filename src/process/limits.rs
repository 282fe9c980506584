//! What the kernel grants the process: open files, huge pages, its place in an out-of-memory emergency.

use std::fs;
use std::io;

use crate::config::{Config, OomScoreAdjust};
use crate::util::io_error;

/// Descriptors that clients cannot have: listeners, files, the runtime.
const RESERVED_FILES: u64 = 32;
/// A limit that cannot be had is tried again lower by this much.
const STEP_FILES: u64 = 16;

/// A process that may not even open its own files.
#[derive(Debug, PartialEq, Eq)]
pub struct TooFewFiles(pub String);

/// Asks for as many open files as `maxclients` needs. The clients that there is room for: `maxclients`, or fewer.
pub fn make_room_for_clients(maxclients: u32) -> Result<u32, TooFewFiles> {
    let needed = u64::from(maxclients) + RESERVED_FILES;
    let Some((soft, _)) = open_files() else {
        let room = 1024 - RESERVED_FILES as u32;
        tracing::warn!(
            "Unable to obtain the current NOFILE limit, assuming 1024 and setting the max clients configuration accordingly."
        );
        return Ok(maxclients.min(room));
    };
    if soft >= needed {
        return Ok(maxclients);
    }
    let (granted, refusal) = raise_open_files(soft, needed);
    if granted >= needed {
        tracing::info!("Increased maximum number of open files to {needed} (it was originally set to {soft}).");
        return Ok(maxclients);
    }
    if granted <= RESERVED_FILES {
        return Err(TooFewFiles(format!(
            "Your current 'ulimit -n' of {soft} is not enough for the server to start. Please increase your open file limit to at \
             least {needed}. Exiting."
        )));
    }
    let room = u32::try_from(granted - RESERVED_FILES).unwrap_or(maxclients);
    tracing::warn!("You requested maxclients of {maxclients} requiring at least {needed} max file descriptors.");
    if let Some(error) = refusal {
        let error = io_error::reason(&error);
        tracing::warn!("Server can't set maximum open files to {needed} because of OS error: {error}.");
    }
    tracing::warn!(
        "Current maximum open files is {granted}. maxclients has been reduced to {room} to compensate for low ulimit. If you need \
         higher maxclients increase 'ulimit -n'."
    );
    Ok(room)
}

/// The soft and the hard limit.
pub fn open_files() -> Option<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    (result == 0).then_some((limit.rlim_cur, limit.rlim_max))
}

/// The best limit that could be had, and why it is not the wanted one.
fn raise_open_files(soft: u64, wanted: u64) -> (u64, Option<io::Error>) {
    let mut refusal = None;
    let mut limit = wanted;
    while limit > soft {
        let both = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the pointer is to a live rlimit.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &both) } == 0 {
            return (limit, refusal);
        }
        refusal.get_or_insert_with(io::Error::last_os_error);
        // Below the hard limit every step is granted, so there is no need to go down to it in steps.
        let hard = open_files().map_or(u64::MAX, |(_, hard)| hard);
        limit = limit.saturating_sub(STEP_FILES).min(hard.max(soft));
        if limit == hard {
            let both = libc::rlimit { rlim_cur: hard, rlim_max: hard };
            // SAFETY: as above.
            let granted = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &both) } == 0;
            return (if granted { hard } else { soft }, refusal);
        }
    }
    (soft.max(limit), refusal)
}

/// Switches transparent huge pages off, for a machine whose kernel has trouble finding them.
pub fn disable_huge_pages() {
    // SAFETY: this prctl takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } != 0 {
        let error = io_error::reason(&io::Error::last_os_error());
        tracing::warn!("Could not switch transparent huge pages off: {error}");
    }
}

const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// The kernel's out-of-memory score of this process as it was before anything was adjusted.
pub struct OomScore {
    original: Option<i32>,
}

impl OomScore {
    pub fn read() -> Self {
        Self { original: fs::read_to_string(OOM_FILE).ok().and_then(|text| text.trim().parse().ok()) }
    }

    /// Adjusts the score for a primary or a replica, or puts it back where nothing is to be adjusted. `active` says that it was adjusted before.
    pub fn adjust(&mut self, config: &Config, active: bool) -> io::Result<()> {
        if !active {
            // Somebody may have changed it since the start.
            *self = Self::read();
        }
        let base = self.original.unwrap_or(0);
        let wanted = config.oom_score_adj_values.0[usize::from(config.replicaof.0.is_some())];
        let score = match config.oom_score_adj {
            OomScoreAdjust::No if !active => return Ok(()),
            OomScoreAdjust::No => base,
            OomScoreAdjust::Absolute => wanted,
            OomScoreAdjust::Yes | OomScoreAdjust::Relative => base.saturating_add(wanted),
        };
        let score = score.clamp(-1000, 1000);
        fs::write(OOM_FILE, score.to_string()).inspect_err(|error| {
            tracing::warn!("Unable to write oom_score_adj: {}", io_error::reason(error));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_fit_below_the_limit_change_nothing() {
        let before = open_files().expect("a limit");
        assert_eq!(make_room_for_clients(1), Ok(1));
        assert_eq!(open_files(), Some(before));
    }
}
