//! HyperLogLog: how many different elements a set has, within 0.8 %, in at most 12 KiB; byte for byte Redis's string.
//!
//! The string is data that clients may GET, SET and break, so every function validates what it reads. Counting follows
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017; hashing is Austin Appleby's
//! MurmurHash64A (public domain). The commands are in `cmd/hyperloglog.rs`.
//!
//! ```text
//!   0       4          5         8                16
//!   ┌───────┬──────────┬─────────┬────────────────┬────────────────────────────────────────────┐
//!   │ HYLL  │ encoding │ 0  0  0 │ cached count,  │ dense (0):  16384 registers of 6 bits,      │
//!   │       │          │         │ little-endian  │             lowest bits first, 12288 bytes │
//!   └───────┴──────────┴─────────┴────────────────┤ sparse (1): runs                           │
//!                  top bit set: the count is stale │   00rrrrrr            r+1 zeros            │
//!                                                 │   01rrrrrr rrrrrrrr   r+1 zeros            │
//!                                                 │   1vvvvvrr            r+1 times v+1        │
//!                                                 └────────────────────────────────────────────┘
//! ```

use super::keytable;

/// How many registers there are, whatever the encoding.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Why bytes cannot be used as a HyperLogLog; Redis has a sentence for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HllError {
    /// The header is not one.
    NotHyperLogLog,
    /// The header is right, the sparse runs are not.
    Corrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Dense,
    Sparse,
}

/// Where a HyperLogLog's bytes stand while elements are added: in a vector, or in the keyspace.
pub trait Held {
    fn as_slice(&self) -> &[u8];
    fn as_mut_slice(&mut self) -> &mut [u8];
    /// Puts `with` in the place of `removed` bytes from `at` on.
    fn splice(&mut self, at: usize, removed: usize, with: &[u8]);
}

impl Held for Vec<u8> {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, at: usize, removed: usize, with: &[u8]) {
        self.splice(at..at + removed, with.iter().copied());
    }
}

/// An empty one, sparse.
pub fn new() -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = 1;
    bytes.extend_from_slice(&zeros_run(REGISTERS).0);
    bytes
}

/// Looks at the header and, where dense, at the length; the runs are checked by whoever walks them.
pub fn encoding(bytes: &[u8]) -> Result<Encoding, HllError> {
    match bytes {
        [b'H', b'Y', b'L', b'L', 0, ..] if bytes.len() == DENSE_LEN => Ok(Encoding::Dense),
        [b'H', b'Y', b'L', b'L', 1, ..] if bytes.len() >= HEADER => Ok(Encoding::Sparse),
        _ => Err(HllError::NotHyperLogLog),
    }
}

/// Adds an element; says whether a register grew. The caller then calls `mark_stale`.
///
/// A sparse string that would grow beyond `sparse_bytes_max`, header included, becomes dense.
pub fn add(bytes: &mut impl Held, element: &[u8], sparse_bytes_max: usize) -> Result<bool, HllError> {
    let (index, rank) = index_and_rank(element);
    set_register(bytes, index, rank, sparse_bytes_max)
}

/// Adds an element to a dense string, in place, as `add` does; callers have looked at the encoding.
pub fn add_dense(bytes: &mut [u8], element: &[u8]) -> bool {
    let (index, rank) = index_and_rank(element);
    set_dense(&mut bytes[HEADER..], index, rank)
}

/// Asks the cache for what adding the element to a string of this length will read, where it is dense. None of it is read here.
pub fn prefetch(bytes: &[u8], element: &[u8]) {
    if bytes.len() != DENSE_LEN {
        return;
    }
    let (index, _) = index_and_rank(element);
    keytable::prefetch(bytes.as_ptr());
    keytable::prefetch(bytes[HEADER + index / 8 * 6..].as_ptr());
}

/// The count kept in the header, unless it is stale.
pub fn cached_count(bytes: &[u8]) -> Result<Option<u64>, HllError> {
    encoding(bytes)?;
    let count = bytes[COUNT_AT..HEADER].first_chunk().map_or(STALE, |count| u64::from_le_bytes(*count));
    Ok((count & STALE == 0).then_some(count))
}

/// Keeps a count in the header.
pub fn store_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT_AT..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// Says in the header that registers have changed since the count was kept.
pub fn mark_stale(bytes: &mut [u8]) {
    bytes[HEADER - 1] |= 0x80;
}

/// Estimates how many different elements were added, from the registers alone.
pub fn count(bytes: &[u8]) -> Result<u64, HllError> {
    let histogram = match encoding(bytes)? {
        Encoding::Dense => dense_histogram(&bytes[HEADER..]),
        Encoding::Sparse => sparse_histogram(&bytes[HEADER..])?,
    };
    Ok(estimate(&histogram))
}

/// Makes a sparse string dense; says whether it was sparse.
pub fn make_dense(bytes: &mut impl Held) -> Result<bool, HllError> {
    let sparse = bytes.as_slice();
    if encoding(sparse)? == Encoding::Dense {
        return Ok(false);
    }
    let mut registers = Registers::new();
    registers.merge(sparse)?;
    let dense = registers.dense_string(&sparse[..HEADER]);
    let len = sparse.len();
    bytes.splice(0, len, &dense);
    Ok(true)
}

/// Whether the encodings agree with each other and the estimate with what was added: PFSELFTEST. `random` gives the values.
pub fn self_test(random: &mut impl FnMut() -> u64) -> Result<(), String> {
    registers_keep_what_they_are_given(random)?;
    const ELEMENTS: u64 = 200_000;
    let (mut sparse, mut dense, first) = (new(), new(), random());
    let broken = |_| "a string that was just made cannot be read".to_owned();
    make_dense(&mut dense).map_err(broken)?;
    for added in 1..=ELEMENTS {
        let element = first.wrapping_add(added).to_le_bytes();
        add(&mut sparse, &element, 3000).map_err(broken)?;
        add_dense(&mut dense, &element);
        // Sparse strings hold small counts: those are looked at closely.
        if added < 1000 && added % 50 == 0 || added % 20_000 == 0 {
            let (one, other) = (count(&sparse).map_err(broken)?, count(&dense).map_err(broken)?);
            if one != other {
                return Err(format!("after {added} elements the sparse string counts {one} and the dense one {other}"));
            }
            // Five standard errors, and some more where few elements make for coarse steps.
            let allowed = added as f64 * 5.0 * 1.04 / (REGISTERS as f64).sqrt() + 5.0;
            if one.abs_diff(added) as f64 > allowed {
                return Err(format!("{added} elements are counted as {one}"));
            }
        }
    }
    Ok(())
}

fn registers_keep_what_they_are_given(random: &mut impl FnMut() -> u64) -> Result<(), String> {
    const ROUNDS: usize = 100;
    for round in 0..ROUNDS {
        let wanted = Registers(Box::new(std::array::from_fn(|_| (random() & 0x3f) as u8)));
        let mut held = Registers::new();
        let bytes = wanted.dense_string(&new()[..HEADER]);
        let merged = held.merge(&bytes);
        if merged != Ok(Encoding::Dense) || held.0 != wanted.0 {
            return Err(format!("in round {round} registers do not hold what was put into them"));
        }
    }
    Ok(())
}

/// The runs of a sparse string as PFDEBUG DECODE shows them: `Z:100 v:3,1 z:5`.
pub fn decode_sparse(bytes: &[u8]) -> Result<String, HllError> {
    let mut words = Vec::new();
    for run in Runs(&bytes[HEADER.min(bytes.len())..]) {
        let run = run?;
        words.push(match (run.value, run.size) {
            (0, 1) => format!("z:{}", run.length),
            (0, _) => format!("Z:{}", run.length),
            (value, _) => format!("v:{value},{}", run.length),
        });
    }
    Ok(words.join(" "))
}

/// All registers, a byte each: where several strings are united.
#[derive(Clone)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

impl Registers {
    pub fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    pub fn as_bytes(&self) -> &[u8; REGISTERS] {
        &self.0
    }

    /// Adds an element.
    pub fn add(&mut self, element: &[u8]) {
        let (index, rank) = index_and_rank(element);
        let register = &mut self.0[index];
        *register = (*register).max(rank);
    }

    /// Raises each register to that of `bytes`; returns how `bytes` was encoded.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<Encoding, HllError> {
        let encoding = encoding(bytes)?;
        match encoding {
            Encoding::Dense => self.merge_dense(&bytes[HEADER..]),
            Encoding::Sparse => self.merge_sparse(&bytes[HEADER..])?,
        }
        Ok(encoding)
    }

    /// Estimates how many different elements the united strings have.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; HISTOGRAM];
        for &value in self.0.iter() {
            histogram[usize::from(value) & (HISTOGRAM - 1)] += 1;
        }
        estimate(&histogram)
    }

    /// Raises the registers of `bytes` to these and marks its count stale: PFMERGE's last step.
    pub fn write_to(&self, bytes: &mut Vec<u8>, dense: bool, sparse_bytes_max: usize) -> Result<(), HllError> {
        if dense {
            make_dense(bytes)?;
        }
        for (index, &rank) in self.0.iter().enumerate() {
            if encoding(bytes)? == Encoding::Dense {
                let mut all = self.clone();
                all.merge(bytes)?;
                *bytes = all.dense_string(&bytes[..HEADER]);
                break;
            }
            if rank > 0 {
                set_register(bytes, index, rank, sparse_bytes_max)?;
            }
        }
        mark_stale(bytes);
        Ok(())
    }

    fn merge_dense(&mut self, dense: &[u8]) {
        let (groups, _) = self.0.as_chunks_mut::<8>();
        for (registers, packed) in groups.iter_mut().zip(dense.as_chunks::<6>().0) {
            for (register, value) in registers.iter_mut().zip(unpack(packed)) {
                *register = (*register).max(value);
            }
        }
    }

    fn merge_sparse(&mut self, runs: &[u8]) -> Result<(), HllError> {
        let mut at = 0;
        for run in Runs(runs) {
            let run = run?;
            let span = self.0.get_mut(at..at + run.length).ok_or(HllError::Corrupted)?;
            if run.value > 0 {
                span.iter_mut().for_each(|register| *register = (*register).max(run.value));
            }
            at += run.length;
        }
        if at == REGISTERS { Ok(()) } else { Err(HllError::Corrupted) }
    }

    /// The dense string with these registers and what else `header` says.
    fn dense_string(&self, header: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DENSE_LEN);
        bytes.extend_from_slice(header);
        bytes[ENCODING_AT] = 0;
        for group in self.0.as_chunks::<8>().0 {
            bytes.extend_from_slice(&pack(group));
        }
        bytes
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Layout

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;
/// The header's count says nothing.
const STALE: u64 = 1 << 63;

/// Bits of the hash that choose the register; the others are ranked.
const INDEX_BITS: u32 = 14;
const RANKED_BITS: u32 = 64 - INDEX_BITS;

/// Any value that six bits can have: a broken dense string may hold more than a hash can give.
const HISTOGRAM: usize = 64;
type Histogram = [u32; HISTOGRAM];

/// What the runs of a sparse string can express.
const RUN_VALUE_MAX: u8 = 32;
const RUN_LENGTH_MAX: usize = 4;
const ZEROS_SHORT_MAX: usize = 64;

/// Registers of one value side by side, and how many bytes say so.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    length: usize,
    size: usize,
}

struct Runs<'a>(&'a [u8]);

impl Iterator for Runs<'_> {
    type Item = Result<Run, HllError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let &first = self.0.first()?;
        let low = usize::from(first & 0x3f);
        let run = match first >> 6 {
            0 => Run { value: 0, length: low + 1, size: 1 },
            1 => match self.0.get(1) {
                Some(&second) => Run { value: 0, length: (low << 8 | usize::from(second)) + 1, size: 2 },
                None => {
                    self.0 = &[];
                    return Some(Err(HllError::Corrupted));
                }
            },
            _ => Run { value: (first >> 2 & 0x1f) + 1, length: usize::from(first & 3) + 1, size: 1 },
        };
        self.0 = &self.0[run.size..];
        Some(Ok(run))
    }
}

/// A run of zeros, and how many bytes it takes.
fn zeros_run(length: usize) -> ([u8; 2], usize) {
    let stored = length - 1;
    match length > ZEROS_SHORT_MAX {
        true => ([0x40 | (stored >> 8) as u8, stored as u8], 2),
        false => ([stored as u8, 0], 1),
    }
}

fn value_run(value: u8, length: usize) -> u8 {
    debug_assert!((1..=RUN_VALUE_MAX).contains(&value) && (1..=RUN_LENGTH_MAX).contains(&length));
    0x80 | (value - 1) << 2 | (length - 1) as u8
}

/// Eight registers out of six bytes.
#[inline]
fn unpack(packed: &[u8; 6]) -> [u8; 8] {
    let word = word_of(packed);
    std::array::from_fn(|index| (word >> (6 * index)) as u8 & 0x3f)
}

#[inline]
fn pack(registers: &[u8; 8]) -> [u8; 6] {
    group_of(registers.iter().rev().fold(0u64, |word, &value| word << 6 | u64::from(value)))
}

#[inline]
fn word_of(&[a, b, c, d, e, f]: &[u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

#[inline]
fn group_of(word: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = word.to_le_bytes();
    [a, b, c, d, e, f]
}

// ---------------------------------------------------------------------------------------------------------------
// Setting a register

fn set_register(bytes: &mut impl Held, index: usize, rank: u8, sparse_bytes_max: usize) -> Result<bool, HllError> {
    match encoding(bytes.as_slice())? {
        Encoding::Dense => Ok(set_dense(&mut bytes.as_mut_slice()[HEADER..], index, rank)),
        Encoding::Sparse => set_sparse(bytes, index, rank, sparse_bytes_max),
    }
}

#[inline]
fn set_dense(dense: &mut [u8], index: usize, rank: u8) -> bool {
    let group = &mut dense.as_chunks_mut::<6>().0[index / 8];
    let (word, shift) = (word_of(group), 6 * (index % 8));
    if (word >> shift) as u8 & 0x3f >= rank {
        return false;
    }
    *group = group_of(word & !(0x3f << shift) | u64::from(rank) << shift);
    true
}

/// Splits the run that covers the register into up to three, then joins equal neighbours as Redis does.
fn set_sparse(bytes: &mut impl Held, index: usize, rank: u8, sparse_bytes_max: usize) -> Result<bool, HllError> {
    if rank > RUN_VALUE_MAX {
        return set_promoted(bytes, index, rank);
    }
    let place = find_run(&bytes.as_slice()[HEADER..], index)?;
    let Run { value, length, size } = place.run;
    if value >= rank {
        return Ok(false);
    }

    let mut pieces = Pieces::default();
    pieces.push(value, index - place.first);
    pieces.push(rank, 1);
    pieces.push(value, place.first + length - 1 - index);
    let pieces = pieces.as_slice();
    if pieces.len() > size && bytes.as_slice().len() + pieces.len() - size > sparse_bytes_max {
        return set_promoted(bytes, index, rank);
    }
    bytes.splice(HEADER + place.at, size, pieces);
    join_values(bytes, HEADER + place.previous);
    Ok(true)
}

fn set_promoted(bytes: &mut impl Held, index: usize, rank: u8) -> Result<bool, HllError> {
    make_dense(bytes)?;
    Ok(set_dense(&mut bytes.as_mut_slice()[HEADER..], index, rank))
}

/// What one run is split into: at most zeros in two bytes on both sides of a value.
#[derive(Default)]
struct Pieces {
    bytes: [u8; 5],
    len: usize,
}

impl Pieces {
    /// Adds a run of `length` registers of one value, where it has any.
    fn push(&mut self, value: u8, length: usize) {
        match (length, value) {
            (0, _) => {}
            (_, 0) => {
                let (zeros, size) = zeros_run(length);
                zeros[..size].iter().for_each(|&byte| self.push_byte(byte));
            }
            _ => self.push_byte(value_run(value, length)),
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the run that covers a register stands.
struct Place {
    run: Run,
    /// Offset of the run and of the one before it (its own where there is none).
    at: usize,
    previous: usize,
    /// The run's first register.
    first: usize,
}

fn find_run(runs: &[u8], index: usize) -> Result<Place, HllError> {
    let (mut at, mut previous, mut first) = (0, 0, 0);
    while at < runs.len() {
        // Eight runs at a time, where all are short and the sought one is behind them.
        if let Some(eight) = runs[at..].first_chunk()
            && let Some(length) = length_of_short_runs(*eight)
            && first + length <= index
        {
            (first, previous, at) = (first + length, at + 7, at + 8);
            continue;
        }
        let run = Runs(&runs[at..]).next().ok_or(HllError::Corrupted)??;
        if index < first + run.length {
            return Ok(Place { run, at, previous, first });
        }
        (first, previous, at) = (first + run.length, at, at + run.size);
    }
    Err(HllError::Corrupted)
}

/// How many registers eight runs of one byte each cover; `None` where one of them has two bytes.
#[inline]
fn length_of_short_runs(runs: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(runs);
    let (values, six) = (word >> 7 & ONES, word >> 6 & ONES);
    if six & !values != 0 {
        return None;
    }
    // The length stands in two bits behind a value, and in six behind none.
    let lengths = word & (0x3f * ONES) & !(values * 0x3c);
    let even = lengths & 0x00ff_00ff_00ff_00ff;
    let odd = lengths >> 8 & 0x00ff_00ff_00ff_00ff;
    Some((even + odd).wrapping_mul(0x0001_0001_0001_0001).wrapping_shr(48) as usize + 8)
}

/// Joins neighbouring runs of one value where both fit one run. Redis looks at five runs from the one before the change.
fn join_values(bytes: &mut impl Held, mut at: usize) {
    for _ in 0..5 {
        let runs = bytes.as_slice();
        let Some(&first) = runs.get(at) else { return };
        if first >> 6 == 1 {
            at += 2;
            continue;
        }
        if let (1, Some(&second)) = (first >> 7, runs.get(at + 1))
            && second >> 2 == first >> 2
        {
            let length = usize::from(first & 3) + usize::from(second & 3) + 2;
            if length <= RUN_LENGTH_MAX {
                bytes.splice(at, 2, &[first & !3 | (length - 1) as u8]);
                continue;
            }
        }
        at += 1;
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Hashing and counting

/// The register an element belongs to, and the position of the lowest set bit of the rest of its hash, from 1.
fn index_and_rank(element: &[u8]) -> (usize, u8) {
    let hash = murmur_hash_64a(element, 0xadc8_3b19);
    let ranked = hash >> INDEX_BITS | 1 << RANKED_BITS;
    (hash as usize & (REGISTERS - 1), ranked.trailing_zeros() as u8 + 1)
}

fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 47;
        hash = (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 47
}

/// Eight histograms side by side, so that equal registers in a row do not wait for one counter.
fn dense_histogram(dense: &[u8]) -> Histogram {
    let mut lanes = [[0u32; HISTOGRAM]; 8];
    for packed in dense.as_chunks::<6>().0 {
        for (lane, value) in lanes.iter_mut().zip(unpack(packed)) {
            lane[usize::from(value)] += 1;
        }
    }
    std::array::from_fn(|value| lanes.iter().map(|lane| lane[value]).sum())
}

fn sparse_histogram(runs: &[u8]) -> Result<Histogram, HllError> {
    let mut histogram = [0; HISTOGRAM];
    let mut total = 0;
    for run in Runs(runs) {
        let run = run?;
        total += run.length;
        if total > REGISTERS {
            break;
        }
        histogram[usize::from(run.value)] += run.length as u32;
    }
    if total == REGISTERS { Ok(histogram) } else { Err(HllError::Corrupted) }
}

/// Ertl's improved raw estimate, his Algorithm 6.
fn estimate(histogram: &Histogram) -> u64 {
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let registers = REGISTERS as f64;
    let full = RANKED_BITS as usize + 1;
    let mut sum = registers * tau((registers - f64::from(histogram[full])) / registers);
    for &count in histogram[1..full].iter().rev() {
        sum = (sum + f64::from(count)) * 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    (ALPHA * registers * registers / sum).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(elements: impl IntoIterator<Item = u64>, sparse_bytes_max: usize) -> Vec<u8> {
        let mut bytes = new();
        for element in elements {
            add(&mut bytes, element.to_string().as_bytes(), sparse_bytes_max).expect("a valid string");
        }
        bytes
    }

    fn registers(bytes: &[u8]) -> Registers {
        let mut registers = Registers::new();
        registers.merge(bytes).expect("a valid string");
        registers
    }

    fn registers_of(bytes: &[u8]) -> Vec<u8> {
        registers(bytes).as_bytes().to_vec()
    }

    #[test]
    fn the_empty_one_is_a_header_and_one_run() {
        assert_eq!(new(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        assert_eq!(count(&new()), Ok(0));
        assert_eq!(decode_sparse(&new()).as_deref(), Ok("Z:16384"));
    }

    #[test]
    fn counts_within_four_standard_errors() {
        for size in [1u64, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
            let estimated = count(&filled(0..size, 3000)).expect("a valid string");
            let error = estimated.abs_diff(size) as f64 / size as f64;
            assert!(error < 0.0325, "{size}: {estimated}");
        }
    }

    #[test]
    fn refuses_what_is_no_hyperloglog() {
        let mut long = filled(0..10_000, 0);
        long.push(0);
        for bytes in
            [&b""[..], b"HYLL", b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0", &long]
        {
            assert_eq!(encoding(bytes), Err(HllError::NotHyperLogLog));
        }
        let mut short = new();
        short.pop();
        assert_eq!(count(&short), Err(HllError::Corrupted));
        assert_eq!(make_dense(&mut short), Err(HllError::Corrupted));
    }

    #[test]
    fn the_self_test_passes() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 29
        };
        assert_eq!(self_test(&mut random), Ok(()));
    }

    #[test]
    fn a_stale_count_is_not_given() {
        let mut bytes = new();
        store_count(&mut bytes, 77);
        assert_eq!(cached_count(&bytes), Ok(Some(77)));
        mark_stale(&mut bytes);
        assert_eq!(cached_count(&bytes), Ok(None));
    }

    proptest! {
        #[test]
        fn both_encodings_hold_the_same_registers(elements in prop::collection::vec(0u64..5_000, 0..800)) {
            let sparse = filled(elements.iter().copied(), usize::MAX);
            let mut dense = filled(elements.iter().copied(), 0);
            let _ = make_dense(&mut dense);
            prop_assert_eq!(registers_of(&sparse), registers_of(&dense));
            prop_assert_eq!(count(&sparse), count(&dense));
            prop_assert_eq!(registers(&sparse).count(), count(&dense).expect("a valid string"));
            let mut promoted = sparse;
            let _ = make_dense(&mut promoted);
            prop_assert_eq!(promoted, dense);
        }

        #[test]
        fn a_union_is_what_adding_everything_gives(one in prop::collection::vec(0u64..9_000, 0..300), two in prop::collection::vec(0u64..9_000, 0..300), dense: bool) {
            let mut union = registers(&filled(one.iter().copied(), 3000));
            union.merge(&filled(two.iter().copied(), 3000)).expect("a valid string");
            let mut written = new();
            union.write_to(&mut written, dense, 3000).expect("a valid string");
            let all = filled(one.into_iter().chain(two), 3000);
            prop_assert_eq!(registers_of(&written), registers_of(&all));
            prop_assert_eq!(count(&written), count(&all));
        }

        #[test]
        fn broken_runs_are_refused_without_panic(runs: Vec<u8>, element: Vec<u8>) {
            let mut bytes = new();
            bytes.truncate(HEADER);
            bytes.extend_from_slice(&runs);
            let _ = (count(&bytes), decode_sparse(&bytes), Registers::new().merge(&bytes), make_dense(&mut bytes.clone()));
            let _ = add(&mut bytes, &element, 3000);
        }
    }
}
