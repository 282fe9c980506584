//! The thread that frees what takes long, and gives memory back to the system.
//!
//! The allocator would give back whatever has been free for a while whenever any thread happens to ask it for memory: for half a gigabyte
//! that is a system call of twenty milliseconds, in the middle of a command. So it gives back nothing by itself; once the heap has shrunk,
//! this thread is told to see to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::thread;

use crossbeam::channel::{Sender, unbounded};

use crate::config::Config;
use crate::db::Garbage;
use crate::process::affinity;
use crate::util::memory;

/// The heap has to shrink by this much, and by that share of the most it was, before memory is given back.
const SHRUNK_MIN: u64 = 4 << 20;
const SHRUNK_SHARE: u64 = 32;

/// The loop's end of the thread.
pub struct LazyFree {
    sender: Sender<Task>,
    /// The most that was in use since memory was last given back.
    most: u64,
    /// The thread has been told to, and has not begun.
    gives_back: Arc<AtomicBool>,
}

enum Task {
    Free(Garbage),
    GiveBack,
}

impl LazyFree {
    pub fn start(config: &Config) -> io::Result<Self> {
        let (sender, receiver) = unbounded();
        let processors = config.bio_cpulist.display().into_owned();
        let gives_back = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&gives_back);
        memory::keep_until_purged();
        thread::Builder::new().name("lazy-free".into()).spawn(move || {
            affinity::bind_to(&processors);
            for task in receiver {
                match task {
                    Task::Free(garbage) => drop(garbage),
                    Task::GiveBack => {
                        asked.store(false, Release);
                        memory::purge();
                    }
                }
            }
        })?;
        Ok(Self { sender, most: 0, gives_back })
    }

    /// O(1). A thread that is gone only means that the values are freed here.
    pub fn free(&self, garbage: Garbage) {
        let _ = self.sender.send(Task::Free(garbage));
    }

    /// Has memory given back where the heap has shrunk. O(1), and never waits. To be called some times a second.
    pub fn follow_heap(&mut self) {
        let used = memory::used();
        if has_shrunk(self.most, used) && !self.gives_back.swap(true, AcqRel) {
            self.most = used;
            let _ = self.sender.send(Task::GiveBack);
        }
        self.most = self.most.max(used);
    }
}

fn has_shrunk(most: u64, used: u64) -> bool {
    most.saturating_sub(used) > SHRUNK_MIN.max(most / SHRUNK_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_when_much_of_it_is_free() {
        assert!(!has_shrunk(0, 1 << 30) && !has_shrunk(1 << 30, 1 << 30));
        assert!(!has_shrunk(SHRUNK_MIN, 0) && has_shrunk(SHRUNK_MIN + 1, 0));
        assert!(!has_shrunk(64 << 30, 62 << 30) && has_shrunk(64 << 30, (62 << 30) - 1));
    }
}
