//! Puts huge pages under the heap: most of a lookup among millions of keys is the walk of the page tables.
//!
//! Whoever asks the kernel for huge pages beforehand waits for them when it first touches new memory, some tens of milliseconds where free
//! memory is scattered. So memory is used in small pages first, and once the heap grows no more a thread has what is filled collapsed into
//! huge ones. The allocator's regions are found in `/proc/self/maps`; it may give back any part of them later, as ever.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::util::memory;

/// The unit: a huge page, and the small ones that it replaces.
const HUGE: usize = 2 << 20;
const SMALL: usize = 4096;
const SMALL_IN_HUGE: usize = HUGE / SMALL;
/// A huge page replaces at least this many small ones that are in use: what was given back is not to be taken again.
const FILLED_MIN: usize = SMALL_IN_HUGE - SMALL_IN_HUGE / 16;
/// Smaller mappings are stacks and the like.
const REGION_MIN: usize = 64 << 20;
/// The heap has to change by this much, and by that share of itself, before it is looked at again.
const CHANGE_MIN: u64 = 4 << 20;
const CHANGE_SHARE: u64 = 32;

/// A heap that changes by no more than this between two looks is calm. While it grows it needs the page tables itself, and would have
/// to wait for them as long as a page is being made: half a millisecond, and ten times that where a virtual machine gets its memory late.
const CALM_MAX: u64 = 256 << 10;
/// How long the thread rests for each page: so much, and so many times what the page took. A command that needs the page meanwhile waits,
/// and that is to be a matter of few in a thousand.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_TIMES: u32 = 100;
/// And how long while the heap is not calm.
const CALM_REST: Duration = Duration::from_millis(100);

/// The server's end of the thread that follows its heap.
pub struct HugePages {
    /// The size at the last look that was asked for, and at the last call.
    seen: u64,
    before: u64,
    is_calm: Arc<AtomicBool>,
    /// Away where huge pages are not wanted, or cannot be had.
    thread: Option<Sender<()>>,
}

impl HugePages {
    /// Starts the thread. It ends with this value, or when the kernel says that it knows no such thing.
    pub fn start() -> Self {
        let (sender, receiver) = bounded(1);
        let is_calm = Arc::new(AtomicBool::new(true));
        let calm = Arc::clone(&is_calm);
        let started = thread::Builder::new().name("huge-pages".into()).spawn(move || follow(&receiver, &calm));
        Self { seen: 0, before: 0, is_calm, thread: started.is_ok().then_some(sender) }
    }

    /// For a process that does without.
    pub fn off() -> Self {
        Self { seen: 0, before: 0, is_calm: Arc::default(), thread: None }
    }

    /// Has the thread look, if the heap has changed and is calm. O(1), and never waits. To be called some times a second.
    pub fn follow_heap(&mut self) {
        let Some(thread) = &self.thread else { return };
        let used = memory::used();
        let is_calm = used.abs_diff(self.before) <= CALM_MAX;
        self.before = used;
        self.is_calm.store(is_calm, Relaxed);
        // One that is still at it will find the rest next time.
        if is_calm && has_changed(self.seen, used) && thread.try_send(()).is_ok() {
            self.seen = used;
        }
    }
}

fn has_changed(seen: u64, used: u64) -> bool {
    used.abs_diff(seen) > CHANGE_MIN.max(used / CHANGE_SHARE)
}

/// One page at a time, with rests, and only when nobody else wants the processor: there may be just one.
fn follow(asked: &Receiver<()>, is_calm: &AtomicBool) {
    // SAFETY: on Linux a thread's priority is its own; where it cannot be lowered it stays as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    // Those that need not be made again, as far as anybody knows.
    let mut made = HashSet::new();
    while asked.recv().is_ok() {
        let Ok(regions) = regions() else { return };
        for page in regions.iter().flat_map(whole_pages) {
            if filled(page) < FILLED_MIN {
                made.remove(&page);
            } else if !made.contains(&page) {
                while !is_calm.load(Relaxed) {
                    thread::sleep(CALM_REST);
                }
                let began = Instant::now();
                match collapse(page) {
                    Collapse::Done => _ = made.insert(page),
                    Collapse::NotNow => {}
                    Collapse::Unknown => return,
                }
                thread::sleep(REST_MIN.max(began.elapsed() * REST_TIMES));
            }
        }
    }
}

/// The heap's regions. What the server says it uses includes this thread's memory: line by line it is little.
fn regions() -> io::Result<Vec<Range<usize>>> {
    let maps = BufReader::with_capacity(512, File::open("/proc/self/maps")?);
    Ok(maps.lines().map_while(Result::ok).filter_map(|line| region(&line)).collect())
}

/// The huge pages that a region has room for, by their addresses.
fn whole_pages(region: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
    (region.start.next_multiple_of(HUGE)..region.end / HUGE * HUGE).step_by(HUGE)
}

/// How many of the small pages in a huge one's place are in use.
fn filled(page: usize) -> usize {
    let mut resident = [0u8; SMALL_IN_HUGE];
    // SAFETY: the kernel writes a byte for each of the pages, and an error where they are not there any more.
    let result = unsafe { libc::mincore(page as *mut libc::c_void, HUGE, resident.as_mut_ptr()) };
    if result == 0 { resident.iter().filter(|flags| **flags & 1 == 1).count() } else { 0 }
}

enum Collapse {
    Done,
    /// Memory is short or scattered: it may do later.
    NotNow,
    /// The kernel is older than 6.1, or has no huge pages.
    Unknown,
}

/// Makes one page of many.
fn collapse(page: usize) -> Collapse {
    // SAFETY: what the pages hold stays, and whoever touches them meanwhile waits.
    let result = unsafe { libc::madvise(page as *mut libc::c_void, HUGE, libc::MADV_COLLAPSE) };
    match io::Error::last_os_error().raw_os_error() {
        _ if result == 0 => Collapse::Done,
        Some(libc::ENOMEM | libc::EAGAIN | libc::EBUSY) => Collapse::NotNow,
        _ => Collapse::Unknown,
    }
}

/// A mapping, if it is one of the heap's: large, private, writable, without a file or a name.
fn region(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, inode) = (words.next()?, words.nth(2)?);
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let is_heap = rights == "rw-p" && inode == "0" && words.next().is_none();
    (is_heap && end.checked_sub(start)? >= REGION_MIN).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_nameless_memory_is_the_heaps() {
        assert_eq!(region("20000000000-20040000000 rw-p 00000000 00:00 0 "), Some(0x200_0000_0000..0x200_4000_0000));
        for other in [
            "20000000000-20000200000 rw-p 00000000 00:00 0 ",
            "20000000000-20040000000 r--p 00000000 00:00 0 ",
            "20000000000-20040000000 rw-s 00000000 00:00 0 ",
            "20000000000-20040000000 rw-p 00000000 fe:00 1234 /usr/lib/x",
            "20000000000-20040000000 rw-p 00000000 00:00 0 [heap]",
            "20040000000-20000000000 rw-p 00000000 00:00 0 ",
            "zz-20000000000 rw-p",
            "",
        ] {
            assert_eq!(region(other), None, "{other}");
        }
    }

    #[test]
    fn pages_are_those_that_lie_whole_in_their_region() {
        assert_eq!(whole_pages(&(HUGE - 1..3 * HUGE + 5)).collect::<Vec<_>>(), [HUGE, 2 * HUGE]);
        assert_eq!(whole_pages(&(HUGE + 1..2 * HUGE + 5)).count(), 0);
    }

    #[test]
    fn what_is_touched_is_filled_and_keeps_its_bytes() {
        let bytes: Vec<u8> = (0..4 * HUGE).map(|at| (at % 251) as u8).collect();
        let start = bytes.as_ptr().addr();
        for page in whole_pages(&(start..start + bytes.len())) {
            assert_eq!(filled(page), SMALL_IN_HUGE);
            collapse(page);
        }
        assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
        assert_eq!(filled(HUGE), 0, "nothing is mapped at the bottom");
    }

    #[test]
    fn the_heap_is_looked_at_when_it_has_changed() {
        let (sender, receiver) = bounded(1);
        let mut pages = HugePages { seen: u64::MAX, before: u64::MAX, is_calm: Arc::default(), thread: Some(sender) };
        pages.follow_heap();
        assert!(receiver.try_recv().is_err() && !pages.is_calm.load(Relaxed), "what changes is not calm");
        // Other tests take and give memory, too.
        while !pages.is_calm.load(Relaxed) {
            pages.follow_heap();
        }
        assert!(receiver.try_recv().is_ok() && pages.seen < u64::MAX);
        assert!(has_changed(0, CHANGE_MIN + 1) && has_changed(1 << 34, 1 << 33));
        assert!(!has_changed(1 << 34, (1 << 34) + CHANGE_MIN + 1));
        let mut off = HugePages::off();
        off.follow_heap();
        assert_eq!(off.seen, 0);
    }
}
