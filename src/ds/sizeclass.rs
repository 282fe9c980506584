//! The size classes of the global allocator: what a request for n bytes really takes.
//!
//! Buffers that grow by whole classes waste nothing, and a buffer that knows its length and two bits of its
//! class need not store its capacity. `listpack` and `intset` use that; nothing here allocates.

/// ```text
///  index   1  2 …  8 |  9  10  11  12 | 13  14  15  16 | 17 …
///  bytes   8 16 … 64 | 80  96 112 128 |160 192 224 256 |320 …      four classes per doubling
/// ```
/// The index of the smallest class that holds `bytes` (at least one).
#[inline]
pub const fn class_of(bytes: usize) -> usize {
    let words = bytes.div_ceil(8);
    if words <= 4 {
        return if words == 0 { 1 } else { words };
    }
    let below = words - 1;
    let doubling = below.ilog2() as usize;
    4 * doubling + ((below >> (doubling - 2)) & 3) - 3
}

/// The bytes that class `index` holds.
#[inline]
pub const fn class_bytes(index: usize) -> usize {
    if index <= 4 {
        return index * 8;
    }
    let (doubling, quarter) = ((index + 3) >> 2, (index + 3) & 3);
    ((5 + quarter) << (doubling - 2)) * 8
}

/// What an allocation of `bytes` takes.
#[inline]
pub const fn round_up(bytes: usize) -> usize {
    class_bytes(class_of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_the_drawing() {
        let classes: Vec<usize> = (1..=18).map(class_bytes).collect();
        let expected = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
        assert_eq!(classes, expected);
    }

    #[test]
    fn every_size_lands_in_the_smallest_class_that_holds_it() {
        for bytes in 1..100_000 {
            let class = class_of(bytes);
            assert!(class_bytes(class) >= bytes, "{bytes}");
            assert!(class == 1 || class_bytes(class - 1) < bytes, "{bytes}");
            assert_eq!(round_up(bytes), crate::util::memory::block_size(bytes));
        }
    }
}
