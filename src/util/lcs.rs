//! The longest common subsequence of two strings, as the LCS command reports it.
//!
//! The table takes four bytes for each pair of bytes: the caller limits what it lets in, with `table_len`.

use std::ops::Range;

/// A run of bytes that both strings have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub one: Range<usize>,
    pub two: Range<usize>,
}

/// What two strings have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    pub subsequence: Vec<u8>,
    /// From the end of the strings to their beginning, as Redis lists them.
    pub matches: Vec<Match>,
}

/// How many cells the table for two strings has; `None` where that cannot be counted.
pub fn table_len(one: &[u8], two: &[u8]) -> Option<usize> {
    one.len().checked_add(1)?.checked_mul(two.len().checked_add(1)?)
}

/// The length alone, which needs one row of the table at a time.
pub fn length(one: &[u8], two: &[u8]) -> usize {
    let (short, long) = if one.len() < two.len() { (one, two) } else { (two, one) };
    let mut row = vec![0usize; short.len() + 1];
    for byte in long {
        let mut diagonal = 0;
        for (at, other) in short.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if byte == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[short.len()]
}

/// The subsequence and its matches of at least `match_len_min` bytes; `None` where the table would be too large to count.
pub fn common(one: &[u8], two: &[u8], match_len_min: usize) -> Option<Common> {
    let table = Table::new(one, two)?;
    let mut subsequence = Vec::with_capacity(table.get(one.len(), two.len()) as usize);
    let mut matches = Vec::new();
    let mut current: Option<Match> = None;

    let (mut i, mut j) = (one.len(), two.len());
    while i > 0 && j > 0 {
        if one[i - 1] == two[j - 1] {
            (i, j) = (i - 1, j - 1);
            subsequence.push(one[i]);
            match &mut current {
                Some(run) if run.one.start == i + 1 && run.two.start == j + 1 => {
                    (run.one.start, run.two.start) = (i, j);
                }
                _ => {
                    matches.extend(current.take());
                    current = Some(Match { one: i..i + 1, two: j..j + 1 });
                }
            }
        } else if table.get(i - 1, j) > table.get(i, j - 1) {
            i -= 1;
        } else {
            // Where both ways are as good Redis goes back in the second string.
            j -= 1;
        }
    }
    matches.extend(current);
    matches.retain(|run| run.one.len() >= match_len_min);
    subsequence.reverse();
    Some(Common { subsequence, matches })
}

/// `get(i, j)`: the length for the first `i` and the first `j` bytes.
struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(one: &[u8], two: &[u8]) -> Option<Self> {
        let width = two.len() + 1;
        let mut cells = vec![0u32; table_len(one, two)?];
        for (i, byte) in one.iter().enumerate() {
            let (above, row) = cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, other) in two.iter().enumerate() {
                row[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Some(Self { cells, width })
    }

    fn get(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_strings_of_the_documentation() {
        let found = common(b"ohmytext", b"mynewtext", 0).expect("small");
        assert_eq!(found.subsequence, b"mytext");
        assert_eq!(found.matches, [Match { one: 4..8, two: 5..9 }, Match { one: 2..4, two: 0..2 }]);
        assert_eq!(common(b"ohmytext", b"mynewtext", 4).expect("small").matches.len(), 1);
        assert_eq!(length(b"ohmytext", b"mynewtext"), 6);
    }

    proptest! {
        #[test]
        fn what_is_found_is_in_both_and_as_long_as_it_can_be(one in "[abc]{0,30}", two in "[abc]{0,30}") {
            let (one, two) = (one.as_bytes(), two.as_bytes());
            let found = common(one, two, 0).expect("small");
            prop_assert_eq!(found.subsequence.len(), length(one, two));
            let joined = |pick: &dyn Fn(&Match) -> Vec<u8>| found.matches.iter().rev().flat_map(pick).collect::<Vec<u8>>();
            prop_assert_eq!(&joined(&|run| one[run.one.clone()].to_vec()), &found.subsequence);
            prop_assert_eq!(&joined(&|run| two[run.two.clone()].to_vec()), &found.subsequence);
        }
    }
}
