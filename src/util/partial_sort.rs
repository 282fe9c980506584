//! Sorting only the beginning of a slice: quicksort in the manner of Bentley and McIlroy ("Engineering a Sort Function", 1993) that leaves alone
//! what lies wholly behind the part asked for.
//!
//! Elements that compare equal come out in an order that is this algorithm's own, which is why it is spelled out here: Redis sorts the places
//! that GEOSEARCH finds with it where there is a COUNT, so those at the same place come in the same order as there.
//!
//! ```text
//!   while a part is divided:   = pivot | < pivot | not seen yet | > pivot | = pivot
//!                              0       equal     low            high      equal_above
//! ```

use std::cmp::Ordering;

/// Puts the `first` least elements into order at the slice's beginning; the others are behind them in any order. O(N log N) at most, O(N) where
/// `first` is small.
pub fn sort_first<T>(items: &mut [T], first: usize, mut compare: impl FnMut(&T, &T) -> Ordering) {
    let divisions_max = 2 * (items.len().checked_ilog2().unwrap_or(0) + 1);
    sort(items, first, divisions_max, &mut compare);
}

fn sort<T>(mut items: &mut [T], mut first: usize, divisions_max: u32, compare: &mut impl FnMut(&T, &T) -> Ordering) {
    const INSERTED_BELOW: usize = 7;
    for _ in 0..divisions_max {
        if items.len() < INSERTED_BELOW {
            break;
        }
        let pivot = pivot_of(items, compare);
        items.swap(0, pivot);
        let Parts { less, greater, moved } = divide(items, compare);
        if !moved {
            break;
        }
        sort(&mut items[..less], first, divisions_max - 1, compare);
        let behind = items.len() - greater;
        if behind >= first {
            return;
        }
        (items, first) = (&mut items[behind..], first - behind);
    }
    // Few, or in order as it seems, or made by somebody to be divided badly. The original inserts one by one here, which is stable too.
    items.sort_by(compare);
}

/// The middle one, the median of three, or of nine where there are many.
fn pivot_of<T>(items: &[T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let (mut low, mut middle, mut high) = (0, items.len() / 2, items.len() - 1);
    if items.len() > 7 {
        if items.len() > 40 {
            let step = items.len() / 8;
            low = median(items, [low, low + step, low + 2 * step], compare);
            middle = median(items, [middle - step, middle, middle + step], compare);
            high = median(items, [high - 2 * step, high - step, high], compare);
        }
        middle = median(items, [low, middle, high], compare);
    }
    middle
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let mut below = |one: usize, other: usize| compare(&items[one], &items[other]).is_lt();
    if below(a, b) {
        if below(b, c) {
            b
        } else if below(a, c) {
            c
        } else {
            a
        }
    } else if below(c, b) {
        b
    } else if below(a, c) {
        a
    } else {
        c
    }
}

/// How many are less and greater than the pivot; what equals it stands between them.
struct Parts {
    less: usize,
    greater: usize,
    /// Something was not where it belongs.
    moved: bool,
}

/// Divides by the first element.
fn divide<T>(items: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> Parts {
    let len = items.len();
    // `high` and `equal_above` are one behind what they speak of, so that they never pass zero.
    let (mut equal, mut low, mut high, mut equal_above, mut moved) = (1, 1, len, len, false);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Less => {}
                Ordering::Equal => {
                    moved = true;
                    items.swap(equal, low);
                    equal += 1;
                }
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Greater => {}
                Ordering::Equal => {
                    moved = true;
                    equal_above -= 1;
                    items.swap(high - 1, equal_above);
                }
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        moved = true;
        low += 1;
        high -= 1;
    }
    let parts = Parts { less: low - equal, greater: equal_above - high, moved };
    swap_ends(&mut items[..low], equal.min(parts.less));
    swap_ends(&mut items[low..], parts.greater.min(len - equal_above));
    parts
}

/// Exchanges so many elements at the beginning with as many at the end.
fn swap_ends<T>(items: &mut [T], count: usize) {
    let end = items.len() - count;
    for at in 0..count {
        items.swap(at, end + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_beginning_is_sorted_and_nothing_is_lost(mut items in prop::collection::vec(0u8..40, 0..200), first in 0usize..220) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sort_first(&mut items, first, u8::cmp);
            let first = first.min(items.len());
            prop_assert_eq!(&items[..first], &sorted[..first]);
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }
    }
}
