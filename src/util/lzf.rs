//! LZF, the compression inside RDB files: texts and nodes that other servers wrote, and ours for them.
//!
//! Both directions work on slices and are bounded by them: nothing is allocated that the caller did not ask for.

/// ```text
///   000lllll  text              l + 1 bytes as they are                        (1 to 32)
///   lllooooo  oooooooo          l + 2 bytes from o + 1 bytes back              (3 to 8, up to 8 KiB back)
///   111ooooo  llllllll oooooooo l + 9 bytes from o + 1 bytes back              (9 to 264)
/// ```
const LITERAL_MAX: usize = 32;
const MATCH_MAX: usize = 264;
const LONG: usize = 7;
const MATCH_BYTES_MAX: usize = 3;
const DISTANCE_MAX: u32 = 1 << 13;

const SLOTS_BITS: u32 = 13;
/// Short texts use a part of the table, which then stays in the nearest cache.
const SLOTS_BITS_MIN: u32 = 9;
/// After so many bytes without a match (as a power of two) every second is tried, then every third, and so on: random data cost little.
const PATIENCE_BITS: usize = 6;

/// Compresses one text after another, with a table that is made once.
pub struct Compressor {
    /// Where three bytes with this hash were last seen, counted from the first text on: what is below `base` is of an earlier text.
    last_seen: Box<[u32; 1 << SLOTS_BITS]>,
    /// Where the text begins in that count.
    base: u32,
}

impl Compressor {
    pub fn new() -> Self {
        Self { last_seen: Box::new([0; 1 << SLOTS_BITS]), base: 1 }
    }

    /// Appends the compressed text, if it is smaller by at least `gain` bytes; otherwise leaves `out` as it was and
    /// says false. Texts of 4 GiB and more are not compressed.
    pub fn compress(&mut self, text: &[u8], gain: usize, out: &mut Vec<u8>) -> bool {
        let Some(len) = u32::try_from(text.len()).ok().filter(|&len| len < u32::MAX) else { return false };
        let Some(size_max) = text.len().checked_sub(gain) else { return false };
        if self.base.checked_add(len).is_none() {
            self.last_seen.fill(0);
            self.base = 1;
        }
        let start = out.len();
        let is_smaller = self.compress_within(text, start.saturating_add(size_max), out);
        self.base += len;
        if !is_smaller {
            out.truncate(start);
        }
        is_smaller
    }

    /// Appends the compressed text while `out` is not longer than `end_max`. Whether all of it fits.
    fn compress_within(&mut self, text: &[u8], end_max: usize, out: &mut Vec<u8>) -> bool {
        let shift = u32::BITS - (text.len().max(1).ilog2() + 5).clamp(SLOTS_BITS_MIN, SLOTS_BITS);
        let (mut at, mut literal) = (0, 0);
        while let Some(three) = three_at(text, at) {
            let Some(seen) = self.look_up(three, at, shift).filter(|&seen| three_at(text, seen) == Some(three)) else {
                at += 1 + ((at - literal) >> PATIENCE_BITS);
                continue;
            };
            let before = common_before(&text[literal..at], &text[..seen]);
            let (here, there) = (at - before, seen - before);
            let len = common(&text[here..], &text[there..]);
            if literals_len(here - literal) + MATCH_BYTES_MAX > end_max.saturating_sub(out.len()) {
                return false;
            }
            write_literals(&text[literal..here], out);
            write_match(at - seen, len, out);
            at = here + len;
            literal = at;
            // So that the next repetition is found from where this one ended, too.
            if let Some(three) = three_at(text, at - 2) {
                self.look_up(three, at - 2, shift);
            }
        }
        let fits = literals_len(text.len() - literal) <= end_max.saturating_sub(out.len());
        if fits {
            write_literals(&text[literal..], out);
        }
        fits
    }

    /// Where bytes with the hash of these were last seen in the text, if that is near enough to be told. Remembers them.
    #[inline]
    fn look_up(&mut self, three: u32, at: usize, shift: u32) -> Option<usize> {
        let slot = (three.wrapping_mul(0x9E37_79B1) >> shift) as usize % self.last_seen.len();
        let here = self.base + at as u32;
        let seen = std::mem::replace(&mut self.last_seen[slot], here);
        (seen >= self.base && (1..=DISTANCE_MAX).contains(&(here.wrapping_sub(seen))))
            .then(|| (seen - self.base) as usize)
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// The three bytes there, where a fourth follows.
#[inline]
fn three_at(text: &[u8], at: usize) -> Option<u32> {
    let four = text.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four) << 8)
}

/// How many bytes both begin with, of the most that one match can tell of.
fn common(here: &[u8], there: &[u8]) -> usize {
    let (here, there) = (&here[..here.len().min(MATCH_MAX)], &there[..there.len().min(MATCH_MAX)]);
    let words = here.as_chunks::<8>().0.iter().zip(there.as_chunks::<8>().0);
    for (at, (one, two)) in words.enumerate() {
        let difference = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*two);
        if difference != 0 {
            return at * 8 + difference.trailing_zeros() as usize / 8;
        }
    }
    let whole = here.len().min(there.len()) / 8 * 8;
    let rest = here[whole..].iter().zip(&there[whole..]);
    whole + rest.take_while(|(one, two)| one == two).count()
}

/// How many bytes both end with.
fn common_before(here: &[u8], there: &[u8]) -> usize {
    here.iter().rev().zip(there.iter().rev()).take_while(|(one, two)| one == two).count()
}

/// What so many bytes take as they are.
fn literals_len(bytes: usize) -> usize {
    bytes + bytes.div_ceil(LITERAL_MAX)
}

fn write_literals(text: &[u8], out: &mut Vec<u8>) {
    for run in text.chunks(LITERAL_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn write_match(back: usize, len: usize, out: &mut Vec<u8>) {
    let (offset, rest) = (back - 1, len - 2);
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    if rest < LONG {
        out.extend_from_slice(&[(rest as u8) << 5 | high, low]);
    } else {
        out.extend_from_slice(&[(LONG as u8) << 5 | high, (rest - LONG) as u8, low]);
    }
}

/// Whether so few bytes can be the compressed form of so many: asked before memory for them is made ready.
pub fn is_plausible(compressed_bytes: usize, text_bytes: usize) -> bool {
    text_bytes <= compressed_bytes.saturating_mul(MATCH_MAX)
}

/// Appends the text that `compressed` stands for, which is exactly `text_bytes` long. `None`, with `out` as it was,
/// where it is malformed or of another length.
#[must_use]
pub fn decompress(compressed: &[u8], text_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    if !is_plausible(compressed.len(), text_bytes) {
        return None;
    }
    let start = out.len();
    out.reserve_exact(text_bytes);
    let whole = unpack(compressed, start, text_bytes, out).filter(|()| out.len() - start == text_bytes);
    if whole.is_none() {
        out.truncate(start);
    }
    whole
}

fn unpack(mut rest: &[u8], start: usize, text_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        let (short, high) = (usize::from(control >> 5), usize::from(control & 0x1F));
        let room = text_bytes - (out.len() - start);
        if short == 0 {
            let (run, after) = rest.split_at_checked(high + 1).filter(|(run, _)| run.len() <= room)?;
            out.extend_from_slice(run);
            rest = after;
            continue;
        }
        let more = match (short, rest) {
            (LONG, [more, after @ ..]) => {
                rest = after;
                usize::from(*more)
            }
            (LONG, []) => return None,
            _ => 0,
        };
        let (&low, after) = rest.split_first()?;
        rest = after;
        let (len, back) = (short + more + 2, (high << 8 | usize::from(low)) + 1);
        if len > room || back > out.len() - start {
            return None;
        }
        copy_back(out, back, len);
    }
    Some(())
}

/// Appends `len` bytes that begin `back` bytes before the end; they may run into themselves.
fn copy_back(out: &mut Vec<u8>, back: usize, len: usize) {
    let (from, mut left) = (out.len() - back, len);
    while left > 0 {
        // What has been appended repeats what was there, so each round can take twice as much.
        let run = left.min(out.len() - from);
        out.extend_from_within(from..from + run);
        left -= run;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            (any::<u8>(), 1..600usize).prop_map(|(byte, len)| vec![byte; len]),
            proptest::collection::vec(any::<u8>(), 0..60),
            (0..50u32, 1..20usize).prop_map(|(value, times)| format!("job:{value};").repeat(times).into_bytes()),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(texts in proptest::collection::vec(text(), 1..4)) {
            let mut compressor = Compressor::new();
            for text in texts {
                let mut compressed = b"before".to_vec();
                if compressor.compress(&text, 1, &mut compressed) {
                    let compressed = &compressed[6..];
                    prop_assert!(compressed.len() < text.len());
                    let mut back = b"kept".to_vec();
                    prop_assert_eq!(decompress(compressed, text.len(), &mut back), Some(()));
                    prop_assert_eq!(&back[4..], &text[..]);
                    // Another implementation of the format agrees.
                    prop_assert_eq!(lzf::decompress(compressed, text.len()).unwrap(), text);
                } else {
                    prop_assert_eq!(compressed, b"before");
                }
            }
        }

        #[test]
        fn what_others_compressed_comes_back(text in text()) {
            if let Ok(compressed) = lzf::compress(&text) {
                let mut back = Vec::new();
                prop_assert_eq!(decompress(&compressed, text.len(), &mut back), Some(()));
                prop_assert_eq!(back, text);
            }
        }

        #[test]
        fn garbage_is_refused_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..80), size in 0..3000usize) {
            let mut out = Vec::new();
            let whole = decompress(&bytes, size, &mut out);
            prop_assert_eq!(out.len(), if whole.is_some() { size } else { 0 });
            prop_assert!(out.capacity() <= size);
        }
    }
}
