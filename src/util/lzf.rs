//! LZF, the compression inside RDB files: texts and nodes that other servers wrote, and ours for them.
//!
//! Both directions work on slices and are bounded by them: nothing is allocated that the caller did not ask for.

/// ```text
///   000lllll  text              l + 1 bytes as they are                        (1 to 32)
///   lllooooo  oooooooo          l + 2 bytes from o + 1 bytes back              (3 to 8, up to 8 KiB back)
///   111ooooo  llllllll oooooooo l + 9 bytes from o + 1 bytes back              (9 to 264)
/// ```
const LITERAL_MAX: usize = 32;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 264;
const LONG: usize = 7;
const DISTANCE_MAX: usize = 1 << 13;

const SLOTS_BITS: u32 = 13;

/// Compresses one text after another, with a table that is made once.
pub struct Compressor {
    /// Where three bytes with this hash were last seen. May be of an earlier text: every use is checked.
    last_seen: Box<[u32; 1 << SLOTS_BITS]>,
}

impl Compressor {
    pub fn new() -> Self {
        Self { last_seen: Box::new([0; 1 << SLOTS_BITS]) }
    }

    /// Appends the compressed text, if it is smaller by at least `gain` bytes; otherwise leaves `out` as it was and
    /// says false. Texts of 4 GiB and more are not compressed.
    pub fn compress(&mut self, text: &[u8], gain: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let Some(size_max) = text.len().checked_sub(gain).filter(|_| u32::try_from(text.len()).is_ok()) else {
            return false;
        };
        let (mut at, mut literal) = (0, 0);
        while at + MATCH_MIN <= text.len() {
            let Some((back, len)) = self.find(text, at) else {
                at += 1;
                continue;
            };
            write_literals(&text[literal..at], out);
            write_match(back, len, out);
            if out.len() - start > size_max {
                break;
            }
            at += len;
            literal = at;
            // So that the next repetition is found from where this one ended, too.
            if at + 1 < text.len() {
                self.last_seen[slot(text, at - 2)] = (at - 2) as u32;
            }
        }
        write_literals(&text[literal..], out);
        let smaller = out.len() - start <= size_max;
        if !smaller {
            out.truncate(start);
        }
        smaller
    }

    /// How far back, and how long, the bytes at `at` were last seen. Remembers them.
    #[inline]
    fn find(&mut self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let seen = std::mem::replace(&mut self.last_seen[slot(text, at)], at as u32) as usize;
        let back = at.checked_sub(seen).filter(|back| (1..=DISTANCE_MAX).contains(back))?;
        let (here, there) = (&text[at..], &text[seen..]);
        if here[..MATCH_MIN] != there[..MATCH_MIN] {
            return None;
        }
        let pairs = here.iter().zip(there).take(MATCH_MAX);
        Some((back, pairs.take_while(|(one, two)| one == two).count()))
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn slot(text: &[u8], at: usize) -> usize {
    let three = u32::from_le_bytes([text[at], text[at + 1], text[at + 2], 0]);
    (three.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS_BITS)) as usize
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
