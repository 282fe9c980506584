//! Asks the kernel for huge pages under the heap: most of a lookup among millions of keys is the walk of the page tables.
//!
//! The allocator reserves its memory in regions of a gigabyte or so and cannot ask by itself without also refusing to give
//! memory back, so its regions are found in `/proc/self/maps`: at the start, and again whenever the heap has grown.

use std::fs;

use crate::util::memory;

/// Smaller mappings are stacks and the like, which huge pages would only bloat.
const REGION_MIN: usize = 64 << 20;
/// The heap has to grow by this much before a new region is looked for.
const GROWTH: u64 = 32 << 20;

/// Where the heap's regions have been asked for.
#[derive(Default)]
pub struct HugePages {
    is_off: bool,
    next_look_at: u64,
}

impl HugePages {
    /// For a process that does without.
    pub fn off() -> Self {
        Self { is_off: true, next_look_at: u64::MAX }
    }

    /// Looks for new regions, if the heap has grown. O(1), with a file of some dozen lines to read every 32 MiB.
    pub fn follow_heap(&mut self) {
        let used = memory::used();
        if self.is_off || used < self.next_look_at {
            return;
        }
        self.next_look_at = used + GROWTH;
        let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
            self.is_off = true;
            return;
        };
        for (start, length) in maps.lines().filter_map(region) {
            // SAFETY: advice about memory of this process changes nothing that can be seen in it. That the kernel may have none to
            // give is its business.
            unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_HUGEPAGE) };
        }
    }
}

/// The start and length of a mapping, if it is one of the heap's: large, private, writable, without a file or a name.
fn region(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, inode) = (words.next()?, words.nth(2)?);
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    let is_heap = rights == "rw-p" && inode == "0" && words.next().is_none();
    (is_heap && length >= REGION_MIN).then_some((start, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_nameless_memory_is_the_heaps() {
        assert_eq!(region("20000000000-20040000000 rw-p 00000000 00:00 0 "), Some((0x200_0000_0000, 0x4000_0000)));
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
    fn the_heap_is_looked_for_when_it_has_grown() {
        let mut pages = HugePages::default();
        pages.follow_heap();
        let next = pages.next_look_at;
        assert!(next >= GROWTH);
        pages.follow_heap();
        assert!(pages.next_look_at <= next + GROWTH);
        let mut off = HugePages::off();
        off.follow_heap();
        assert_eq!(off.next_look_at, u64::MAX);
    }
}
