//! The allocator, and a true account of what it has handed out.
//!
//! Every allocation carries its size in its `Layout`, so the account needs no size query: the block size mimalloc
//! will hand out follows from the size alone. Each thread counts in a cell of its own; `used()` adds them up.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use libmimalloc_sys as mi;

/// The global allocator: mimalloc, counted.
pub struct Accounted;

/// Threads beyond this share the last cell, which stays correct and merely contends.
const CELLS: usize = 16;
const WORD: usize = 8;

#[repr(align(64))]
struct CounterCell(AtomicI64);

static COUNTERS: [CounterCell; CELLS] = [const { CounterCell(AtomicI64::new(0)) }; CELLS];
static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Bytes handed out and not yet given back, over all threads, block sizes included. O(1).
pub fn used() -> u64 {
    let total: i64 = COUNTERS.iter().map(|cell| cell.0.load(Relaxed)).sum();
    total.max(0) as u64
}

/// The block size mimalloc hands out for a request of `size` bytes: steps of 8 up to 64, then four steps for each
/// doubling; whole pages once a block is a mapping of its own. O(1).
#[inline]
pub const fn block_size(size: usize) -> usize {
    const MAPPED: usize = 1 << 19;
    const PAGE: usize = 4096;
    if size <= 8 * WORD {
        return if size == 0 { WORD } else { size.next_multiple_of(WORD) };
    }
    if size > MAPPED {
        return size.next_multiple_of(PAGE);
    }
    let step = 1 << ((size - 1).ilog2() - 2);
    size.next_multiple_of(step)
}

#[inline]
fn account(change: i64) {
    let index = CELL.try_with(|cell| match cell.get() {
        usize::MAX => {
            let taken = NEXT_CELL.fetch_add(1, Relaxed).min(CELLS - 1);
            cell.set(taken);
            taken
        }
        index => index,
    });
    let index = index.unwrap_or(CELLS - 1);
    let counter = &COUNTERS[index].0;
    if index == CELLS - 1 {
        // The last cell is shared by late threads and by threads that are ending.
        counter.fetch_add(change, Relaxed);
    } else {
        // One writer: a plain add.
        counter.store(counter.load(Relaxed).wrapping_add(change), Relaxed);
    }
}

// SAFETY: every method forwards to mimalloc, which fulfils the contract of `malloc`, `realloc` and `free`; blocks are 8-aligned
// by default and larger alignments go through the aligned entry points.
unsafe impl GlobalAlloc for Accounted {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        account(block_size(layout.size()) as i64);
        // SAFETY: see the impl.
        unsafe {
            if layout.align() <= WORD {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        account(block_size(layout.size()) as i64);
        // SAFETY: see the impl.
        unsafe {
            if layout.align() <= WORD {
                mi::mi_zalloc(layout.size()).cast()
            } else {
                mi::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        account(-(block_size(layout.size()) as i64));
        // SAFETY: see the impl.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        account(block_size(new_size) as i64 - block_size(layout.size()) as i64);
        // SAFETY: see the impl.
        unsafe {
            if layout.align() <= WORD {
                mi::mi_realloc(block.cast(), new_size).cast()
            } else {
                mi::mi_realloc_aligned(block.cast(), new_size, layout.align()).cast()
            }
        }
    }
}

/// The option's number in the allocator's third version; the bindings have no name for it.
const PURGE_DELAY: mi::mi_option_t = 15;

/// From now on memory that is free inside the allocator stays there until `purge`, not only for a second.
pub fn keep_until_purged() {
    const DAYS_MS: std::ffi::c_long = 1_000_000_000;
    // SAFETY: an option of this allocator's version, which may be set at any time.
    unsafe { mi::mi_option_set(PURGE_DELAY, DAYS_MS) }
}

/// Gives memory that is free inside the allocator back to the system (`MEMORY PURGE`).
pub fn purge() {
    // SAFETY: may be called at any time from any thread.
    unsafe { mi::mi_collect(true) }
}

/// mimalloc's version, as `INFO` shows it.
pub fn allocator_version() -> String {
    // SAFETY: returns a constant.
    let version = unsafe { mi::mi_version() };
    format!("mimalloc-{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_of_purging_is_the_option_that_is_meant() {
        // SAFETY: reads a number.
        let (version, delay_ms) = unsafe { (mi::mi_version(), mi::mi_option_get(PURGE_DELAY)) };
        assert_eq!((version / 10_000, delay_ms), (3, 1000), "the version, and that version's default");
    }

    #[test]
    fn block_sizes_are_the_allocators() {
        for size in (1..5_000).chain((5_000..1 << 20).step_by(997)) {
            // SAFETY: pure query.
            let good = unsafe { mi::mi_good_size(size) };
            assert_eq!(block_size(size), good, "for {size} bytes");
        }
    }
}
