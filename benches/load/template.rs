//! Requests made beforehand: a line such as `SET key:{r} {v}` becomes bytes with the places where digits go, so that
//! sending costs the driver a dozen digits and one copy. `loads.rs` holds the lines, `client.rs` sends the batches.
//!
//! | in a line | becomes |
//! |---|---|
//! | `{r}`, `{r:N}` | a random number below the load's keys, below N |
//! | `{n}`, `{n+N}` | 0, 1, 2, … in the order of sending, from N on |
//! | `{p}` | the same numbers below the load's keys, each once, in an order that looks random |
//! | `{c}` | the connection's number |
//! | `{t}` | the time of sending, in nanoseconds of the run |
//! | `{v}` | the load's value |
//!
//! Every number is twelve digits with leading zeros, as redis-benchmark writes its own.

use super::resp::write_request;

pub const DIGITS: usize = 12;

/// A prime that divides no round number of keys, so n ↦ n·P mod keys visits each key once.
const PERMUTATION_PRIME: u64 = 611_953;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Random { below: u64 },
    Sequence { from: u64 },
    Permuted { below: u64 },
    Connection,
    Time,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    kind: Kind,
}

/// Several requests as one run of bytes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    requests: u32,
}

/// Where the numbers come from; one for all connections of a run.
#[derive(Clone, Debug)]
pub struct Numbers {
    random_state: u64,
    sequence: u64,
    pub time_ns: u64,
}

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers { random_state: seed | 1, sequence: 0, time_ns: 0 }
    }

    /// xorshift64*: a few cycles, and good enough to spread keys.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random_state ^= self.random_state >> 12;
        self.random_state ^= self.random_state << 25;
        self.random_state ^= self.random_state >> 27;
        let random = self.random_state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        ((u128::from(random) * u128::from(limit)) >> 64) as u64
    }
}

impl Batch {
    /// Adds the request of one line.
    pub fn push(&mut self, line: &str, value: &[u8], keys: u64) {
        let mut arguments: Vec<Vec<u8>> = Vec::new();
        let mut kinds = Vec::new();
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            arguments.push(argument(word, value, keys, &mut kinds));
        }
        let from = self.bytes.len();
        write_request(&arguments, &mut self.bytes);
        self.slots.extend(find_marks(&self.bytes, from).zip(kinds).map(|(at, kind)| Slot { at, kind }));
        self.requests += 1;
    }

    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The bytes with fresh numbers in them.
    pub fn fill(&mut self, numbers: &mut Numbers, connection: u64) -> &[u8] {
        for slot in &self.slots {
            let number = match slot.kind {
                Kind::Random { below } => numbers.below(below),
                Kind::Sequence { from } => from + numbers.sequence,
                Kind::Permuted { below } => numbers.sequence % below * PERMUTATION_PRIME % below,
                Kind::Connection => connection,
                Kind::Time => numbers.time_ns,
            };
            numbers.sequence += u64::from(matches!(slot.kind, Kind::Sequence { .. }));
            write_digits(number, &mut self.bytes[slot.at..slot.at + DIGITS]);
        }
        &self.bytes
    }
}

/// A byte that no line holds stands where digits go until all of them are found.
const MARK: u8 = 0;

fn argument(word: &str, value: &[u8], keys: u64, kinds: &mut Vec<Kind>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a placeholder ends with }");
        bytes.extend_from_slice(text.as_bytes());
        if name == "v" {
            bytes.extend_from_slice(value);
        } else {
            kinds.push(kind(name, keys));
            bytes.extend_from_slice(&[MARK; DIGITS]);
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn kind(name: &str, keys: u64) -> Kind {
    let number = |text: &str| text.parse::<u64>().expect("a placeholder's number");
    match name.split_once([':', '+']) {
        Some(("r", below)) => Kind::Random { below: number(below) },
        Some(("n", from)) => Kind::Sequence { from: number(from) },
        None if name == "r" => Kind::Random { below: keys },
        None if name == "n" => Kind::Sequence { from: 0 },
        None if name == "p" => Kind::Permuted { below: keys },
        None if name == "c" => Kind::Connection,
        None if name == "t" => Kind::Time,
        _ => panic!("no placeholder is called {{{name}}}"),
    }
}

fn find_marks(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> {
    let mut at = from;
    std::iter::from_fn(move || {
        let found = at + bytes[at..].iter().position(|&byte| byte == MARK)?;
        at = found + DIGITS;
        Some(found)
    })
}

/// The number that `write_digits` wrote at the head of `text`.
pub fn read_digits(text: &[u8]) -> u64 {
    text.iter().take(DIGITS).fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0')))
}

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

fn write_digits(number: u64, place: &mut [u8]) {
    let mut rest = number;
    for pair in place.rchunks_exact_mut(2) {
        pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
}
