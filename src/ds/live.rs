//! Counts the records that are alive in this thread, so that tests see a leak or a second drop.

use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

pub(crate) fn born() {
    LIVE.set(LIVE.get() + 1);
}

pub(crate) fn died() {
    LIVE.set(LIVE.get() - 1);
}

pub(crate) fn count() -> i64 {
    LIVE.get()
}
