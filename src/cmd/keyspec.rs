//! Which arguments of a request are keys, and what is done with each.
//!
//! Key specifications (`command::KeySpec`) say it for most commands; a few with options in any place have a function of their own below,
//! which their entries name as `find_keys`. COMMAND GETKEYS shows the result, ACL rules and cluster slots are checked by it.

use super::command::{Access, Begin, Command, Find, KeyFlag, KeySpec};
use crate::resp::request::Request;
use crate::util::number::parse_i64;

/// One key of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundKey {
    pub index: usize,
    pub access: Access,
    pub flags: &'static [KeyFlag],
}

/// What somebody must be allowed to do with a key: read its value, change it, both, or just know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs(u8);

impl Needs {
    pub const NONE: Self = Self(0);
    pub const READ: Self = Self(1);
    pub const WRITE: Self = Self(2);

    pub fn of(flags: &[KeyFlag]) -> Self {
        flags.iter().fold(Self::NONE, |needs, flag| match flag {
            KeyFlag::Access => needs.and(Self::READ),
            KeyFlag::Update | KeyFlag::Insert | KeyFlag::Delete => needs.and(Self::WRITE),
            KeyFlag::NotKey | KeyFlag::Incomplete | KeyFlag::VariableFlags => needs,
        })
    }

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub const fn are_within(self, granted: Self) -> bool {
        self.0 & !granted.0 == 0
    }
}

/// The key of a command that has exactly one, always in the same place, and the most that can be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoleKey {
    pub index: u8,
    pub needs: Needs,
}

pub fn sole_key(command: &Command) -> Option<SoleKey> {
    let [spec] = command.keys else { return None };
    let hides_more = [KeyFlag::NotKey, KeyFlag::Incomplete].iter().any(|flag| spec.flags.contains(flag));
    match (spec.begin, spec.find) {
        (Begin::Index(index), Find::Range { last: 0, .. })
            if !hides_more && index < command.arity.unsigned_abs() as usize =>
        {
            Some(SoleKey { index: u8::try_from(index).ok()?, needs: Needs::of(spec.flags) })
        }
        _ => None,
    }
}

/// Where most of a request's keys lie, as far as the command alone or one count can tell: good enough to fetch them before they are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Places {
    None,
    One(usize),
    /// The last, where it is negative, is counted from the end.
    Every {
        first: usize,
        last: i32,
        step: usize,
    },
    /// A count lies at `at`.
    Counted {
        at: usize,
        first: usize,
    },
}

pub fn places(command: &Command) -> Places {
    let Some(spec) = key_specs(command).next() else { return Places::None };
    match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last: 0, .. }) => Places::One(first),
        (Begin::Index(first), Find::Range { last, step, .. }) => Places::Every { first, last, step: step.max(1) },
        (Begin::Index(at), Find::Count { count, first, .. }) => Places::Counted { at: at + count, first: at + first },
        _ => Places::None,
    }
}

impl Places {
    /// Indices of the first keys; none that the request has not. O(1): there is a limit to them.
    pub fn indices(self, request: Request) -> impl Iterator<Item = usize> {
        const MAX: usize = 16;
        let (first, end, step) = match self {
            Self::None => (0, 0, 1),
            Self::One(index) => (index, index + 1, 1),
            Self::Every { first, last, step } => {
                let back = last.unsigned_abs() as usize;
                let end = if last < 0 { (request.len() + 1).saturating_sub(back) } else { first + back + 1 };
                (first, end, step)
            }
            Self::Counted { at, first } => (first, first + counted(request, at).unwrap_or(0).min(MAX), 1),
        };
        (first..end.min(request.len())).step_by(step).take(MAX)
    }
}

/// True where keys besides those found may be read: the arguments only have patterns of them.
pub fn reads_unnamed_keys(command: &Command) -> bool {
    key_specs(command).any(|spec| matches!(spec.begin, Begin::Unknown) && spec.access == Access::Ro)
}

/// Finds a request's keys; `None` where its arguments do not allow to tell.
pub type FindKeys = fn(Request) -> Option<Vec<FoundKey>>;

/// True where the command can have keys at all; channels of sharded pub/sub are not keys.
pub fn has_keys(command: &Command) -> bool {
    command.find_keys.is_some() || key_specs(command).next().is_some()
}

/// The keys of a request. `None` where arguments are missing, a count is bad or something else does not fit. O(arguments).
pub fn keys_of(command: &Command, request: Request) -> Option<Vec<FoundKey>> {
    let mut found = Vec::new();
    each_key(command, request, |key| found.push(key)).map(|()| found)
}

/// As `keys_of`, one by one. Nobody is to be believed before all is found to fit.
fn each_key(command: &Command, request: Request, mut visit: impl FnMut(FoundKey)) -> Option<()> {
    each_range(command, request, |range| {
        let found = |index| FoundKey { index, access: range.access, flags: range.flags };
        range.indices().map(found).for_each(&mut visit);
    })
}

/// Keys that follow each other and with which the same is done.
pub struct KeyRange {
    first: usize,
    last: usize,
    step: usize,
    access: Access,
    pub flags: &'static [KeyFlag],
}

impl KeyRange {
    #[inline]
    pub fn indices(&self) -> impl Iterator<Item = usize> + use<> {
        (self.first..=self.last).step_by(self.step)
    }
}

/// As `keys_of`, range by range and without gathering them. Nobody is to be believed before all is found to fit.
#[inline]
pub fn each_range(command: &Command, request: Request, mut visit: impl FnMut(KeyRange)) -> Option<()> {
    match command.find_keys {
        // Where places or flags depend on options, only the command's own function knows them.
        Some(find) if request.len() >= command.arity.unsigned_abs() as usize => {
            for FoundKey { index, access, flags } in find(request)? {
                visit(KeyRange { first: index, last: index, step: 1, access, flags });
            }
            Some(())
        }
        _ => visit_ranges(key_specs(command), request, &mut visit),
    }
}

/// Indices of the arguments that say in which slot a request belongs: its keys, and its channels where they are sharded. `None` where the
/// arguments do not allow to tell. O(arguments).
pub fn slotted_arguments(command: &Command, request: Request) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    if has_keys(command) {
        each_range(command, request, |range| found.extend(range.indices()))?;
    } else {
        let channels = command.keys.iter().filter(|spec| spec.flags.contains(&KeyFlag::NotKey));
        visit_ranges(channels, request, &mut |range: KeyRange| found.extend(range.indices()))?;
    }
    Some(found)
}

/// True where the first key's place depends on the request, or not all keys are found by counting from it.
pub fn are_movable(command: &Command) -> bool {
    key_specs(command).any(|spec| {
        !matches!((spec.begin, spec.find), (Begin::Index(_), Find::Range { .. }))
            || spec.flags.contains(&KeyFlag::Incomplete)
    })
}

/// First key, last key and step, as COMMAND has always told them: the part of the specifications that three numbers can say.
pub fn legacy_range(command: &Command) -> (i64, i64, i64) {
    let mut range: Option<(i64, i64, i64)> = None;
    for spec in command.keys {
        let (Begin::Index(index), Find::Range { last, step, .. }) = (spec.begin, spec.find) else { continue };
        let (first, step) = (index as i64, step.max(1) as i64);
        let last = if last >= 0 { first + i64::from(last) } else { i64::from(last) };
        range = match range {
            None => Some((first, last, step)),
            // Only what begins right behind the range so far can be added to it.
            Some((start, end, 1)) if end + 1 == first && step == 1 => Some((start, last, 1)),
            known => known,
        };
    }
    range.unwrap_or((0, 0, 0))
}

fn key_specs(command: &Command) -> impl Iterator<Item = &KeySpec> {
    command.keys.iter().filter(|spec| !spec.flags.contains(&KeyFlag::NotKey))
}

#[inline]
fn visit_ranges<'a>(
    specs: impl Iterator<Item = &'a KeySpec>,
    request: Request,
    visit: &mut impl FnMut(KeyRange),
) -> Option<()> {
    for spec in specs {
        if spec.flags.contains(&KeyFlag::Incomplete) {
            return None;
        }
        let Some(begin) = begin_of(spec.begin, request)? else { continue };
        let (first, last, step) = match spec.find {
            Find::Range { last, step, limit } => (begin, last_of_range(begin, last, limit, request.len())?, step),
            Find::Count { count, first, step } => {
                let keys = counted(request, begin.checked_add(count)?)?;
                let first = begin.checked_add(first)?;
                (first, first.checked_add((keys - 1).checked_mul(step.max(1))?)?, step)
            }
            Find::Unknown => return None,
        };
        if last < first || last >= request.len() {
            return None;
        }
        visit(KeyRange { first, last, step: step.max(1), access: spec.access, flags: spec.flags });
    }
    Some(())
}

/// A number of keys, at least one. Redis reads it here as C's `atoi` does, so `1 ` and `1,5` are one; the commands themselves are stricter.
fn counted(request: Request, at: usize) -> Option<usize> {
    let text = request.get(at)?.trim_ascii_start();
    let is_negative = text.starts_with(b"-");
    let digits = &text[usize::from(is_negative || text.starts_with(b"+"))..];
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let count = parse_i64(&digits[zeros..end])?;
    // What is too large for 32 bits names fewer keys, or none.
    let count = (if is_negative { -count } else { count }) as i32;
    usize::try_from(count).ok().filter(|keys| *keys > 0)
}

fn last_of_range(begin: usize, last: i32, limit: usize, arguments: usize) -> Option<usize> {
    let back = last.unsigned_abs() as usize;
    if last >= 0 {
        return begin.checked_add(back);
    }
    let end = if limit > 1 { begin + arguments.checked_sub(begin)? / limit } else { arguments };
    end.checked_sub(back)
}

/// Where a specification's search begins; `Some(None)` where its keyword is not there, `None` where nobody can tell.
fn begin_of(begin: Begin, request: Request) -> Option<Option<usize>> {
    let (word, from) = match begin {
        Begin::Index(index) => return Some(Some(index)),
        Begin::Keyword { word, from } => (word, from),
        Begin::Unknown => return None,
    };
    let matches = |index: &usize| request.arg(*index).eq_ignore_ascii_case(word.as_bytes());
    // A keyword in the last place has no key behind it.
    let end = request.len().saturating_sub(1);
    let found = match usize::try_from(from) {
        Ok(from) => (from..end).find(matches),
        Err(_) => {
            let from = request.len().checked_sub(from.unsigned_abs() as usize)?;
            (1..=from.min(end.saturating_sub(1))).rev().find(matches)
        }
    };
    Some(found.map(|index| index + 1))
}

const fn at(index: usize, access: Access, flags: &'static [KeyFlag]) -> FoundKey {
    FoundKey { index, access, flags }
}

/// DELEX reads the key when it compares.
pub fn delex(request: Request) -> Option<Vec<FoundKey>> {
    Some(vec![if request.len() > 2 {
        at(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])
    } else {
        at(1, Access::Rm, &[KeyFlag::Delete])
    }])
}

/// SET reads the key too when GET or a comparison is among its options.
pub fn set(request: Request) -> Option<Vec<FoundKey>> {
    let options: [&[u8]; 5] = [b"GET", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"];
    let reads = request.iter().skip(3).any(|arg| options.iter().any(|option| arg.eq_ignore_ascii_case(option)));
    Some(vec![if reads {
        at(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])
    } else {
        at(1, Access::Ow, &[KeyFlag::Update])
    }])
}

/// BITFIELD only reads when every operation is a GET.
pub fn bitfield(request: Request) -> Option<Vec<FoundKey>> {
    let mut index = 2;
    while index < request.len() {
        let (operation, left) = (request.arg(index), request.len() - index - 1);
        index += match operation {
            get if get.eq_ignore_ascii_case(b"get") && left >= 2 => 3,
            overflow if overflow.eq_ignore_ascii_case(b"overflow") && left >= 1 => 2,
            _ => return Some(vec![at(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])]),
        };
    }
    Some(vec![at(1, Access::Ro, &[KeyFlag::Access])])
}

/// SORT's options come in any order; the last STORE counts.
pub fn sort(request: Request) -> Option<Vec<FoundKey>> {
    let mut found = vec![at(1, Access::Ro, &[KeyFlag::Access])];
    let mut index = 2;
    while index < request.len() {
        let option = request.arg(index);
        if option.eq_ignore_ascii_case(b"store") && index + 1 < request.len() {
            found.truncate(1);
            found.push(at(index + 1, Access::Ow, &[KeyFlag::Update]));
        }
        index += match option {
            limit if limit.eq_ignore_ascii_case(b"limit") => 3,
            pattern if pattern.eq_ignore_ascii_case(b"by") || pattern.eq_ignore_ascii_case(b"get") => 2,
            store if store.eq_ignore_ascii_case(b"store") => 2,
            _ => 1,
        };
    }
    Some(found)
}

/// SORT_RO stores nothing.
pub fn sort_read_only(_: Request) -> Option<Vec<FoundKey>> {
    Some(vec![at(1, Access::Ro, &[KeyFlag::Access])])
}

/// Every STORE and STOREDIST of GEORADIUS: the last one counts, and a specification would show the first alone.
pub fn georadius(request: Request) -> Option<Vec<FoundKey>> {
    Some(stored_by_radius(request, 6))
}

/// The same for GEORADIUSBYMEMBER.
pub fn georadius_by_member(request: Request) -> Option<Vec<FoundKey>> {
    Some(stored_by_radius(request, 5))
}

fn stored_by_radius(request: Request, options_from: usize) -> Vec<FoundKey> {
    let mut found = vec![at(1, Access::Ro, &[KeyFlag::Access])];
    let mut index = options_from;
    while index + 1 < request.len() {
        let option = request.arg(index);
        if option.eq_ignore_ascii_case(b"store") || option.eq_ignore_ascii_case(b"storedist") {
            index += 1;
            found.push(at(index, Access::Ow, &[KeyFlag::Update]));
        }
        index += 1;
    }
    found
}

/// XREADGROUP's keys are the first half behind STREAMS, which may also be the name of a group or of a consumer.
pub fn xreadgroup(request: Request) -> Option<Vec<FoundKey>> {
    let mut index = 1;
    while index < request.len() {
        let option = request.arg(index);
        let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
        if is(b"streams") {
            let (first, keys) = (index + 1, (request.len() - index - 1) / 2);
            return (keys > 0)
                .then(|| (first..first + keys).map(|index| at(index, Access::Ro, &[KeyFlag::Access])).collect());
        }
        let values = [&b"count"[..], b"block", b"claim", b"maxcount", b"maxsize"].iter().any(|word| is(word));
        index += if is(b"group") { 3 } else { 1 + usize::from(values) };
    }
    None
}

/// MIGRATE has one key, or, in its place an empty string and the keys at the end, behind KEYS.
pub fn migrate(request: Request) -> Option<Vec<FoundKey>> {
    const FLAGS: &[KeyFlag] = &[KeyFlag::Access, KeyFlag::Delete];
    let mut index = 6;
    while index + 1 < request.len() {
        let option = request.arg(index);
        if option.eq_ignore_ascii_case(b"keys") {
            let keys = index + 1..request.len();
            return request.arg(3).is_empty().then(|| keys.map(|index| at(index, Access::Rw, FLAGS)).collect());
        }
        index += match option {
            auth if auth.eq_ignore_ascii_case(b"auth") => 2,
            auth if auth.eq_ignore_ascii_case(b"auth2") => 3,
            _ => 1,
        };
    }
    (request.len() > 3).then(|| vec![at(3, Access::Rw, FLAGS)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::command::{COMMAND, counted_keys, key, keys};
    use crate::testing;

    fn found(command: Command, line: &str) -> Option<Vec<(usize, &'static str)>> {
        let request = testing::request(line);
        let command: &'static Command = Box::leak(Box::new(command));
        let found = keys_of(command, request.borrow())?;
        Some(found.iter().map(|key| (key.index, key.access.name().unwrap_or("none"))).collect())
    }

    fn with(keys: &'static [KeySpec]) -> Command {
        Command { name: "TEST", arity: -2, keys, ..COMMAND }
    }

    #[test]
    fn ranges() {
        const MSET: &[KeySpec] = &[keys(1, -1, 2, Access::Ow, &[])];
        assert_eq!(found(with(MSET), "mset a 1 b"), Some(vec![(1, "OW"), (3, "OW")]));
        const PFMERGE: &[KeySpec] = &[key(1, Access::Rw, &[]), keys(2, -1, 1, Access::Ro, &[])];
        assert_eq!(found(with(PFMERGE), "pfmerge d a b"), Some(vec![(1, "RW"), (2, "RO"), (3, "RO")]));
        assert_eq!(found(with(PFMERGE), "pfmerge d"), None);
        const BLPOP: &[KeySpec] = &[keys(1, -2, 1, Access::Rw, &[])];
        assert_eq!(found(with(BLPOP), "blpop a b 0"), Some(vec![(1, "RW"), (2, "RW")]));
    }

    #[test]
    fn counts() {
        const ZUNIONSTORE: &[KeySpec] = &[key(1, Access::Ow, &[]), counted_keys(2, Access::Ro, &[])];
        assert_eq!(found(with(ZUNIONSTORE), "zunionstore d 2 a b"), Some(vec![(1, "OW"), (3, "RO"), (4, "RO")]));
        for bad in ["3", "0", "-1", "x", "99999999999999999999", "9223372036854775807"] {
            assert_eq!(found(with(ZUNIONSTORE), &format!("zunionstore d {bad} a b")), None);
        }
        assert_eq!(found(with(ZUNIONSTORE), "zunionstore d"), None);
        for one in ["01", "+1", "1,5", "1x", "4294967297", "-4294967295", "\" 1 \""] {
            assert!(found(with(ZUNIONSTORE), &format!("zunionstore d {one} a b")).is_some(), "{one}");
        }
    }

    #[test]
    fn keywords() {
        const XREAD: &[KeySpec] = &[KeySpec {
            begin: Begin::Keyword { word: "STREAMS", from: 1 },
            find: Find::Range { last: -1, step: 1, limit: 2 },
            access: Access::Ro,
            flags: &[],
            notes: "",
        }];
        assert_eq!(found(with(XREAD), "xread count 1 streams a b 0 0"), Some(vec![(4, "RO"), (5, "RO")]));
        assert_eq!(found(with(XREAD), "xread streams a b 0"), Some(vec![(2, "RO")]));
        assert_eq!(found(with(XREAD), "xread count 5 a b c"), Some(vec![]));
        const GEORADIUS: &[KeySpec] = &[
            key(1, Access::Ro, &[]),
            KeySpec {
                begin: Begin::Keyword { word: "STORE", from: 6 },
                find: Find::Range { last: 0, step: 1, limit: 0 },
                access: Access::Ow,
                flags: &[],
                notes: "",
            },
        ];
        assert_eq!(found(with(GEORADIUS), "georadius k 1 1 1 m store d"), Some(vec![(1, "RO"), (7, "OW")]));
        assert_eq!(found(with(GEORADIUS), "georadius k 1 1 1 m store"), Some(vec![(1, "RO")]));
        assert!(are_movable(&with(GEORADIUS)) && are_movable(&with(XREAD)));
    }

    #[test]
    fn words_of_options_that_are_names_of_something_else() {
        let read = |line| found(Command { find_keys: Some(xreadgroup), ..with(&[]) }, line);
        assert_eq!(read("xreadgroup group g c streams a b > >"), Some(vec![(5, "RO"), (6, "RO")]));
        assert_eq!(read("xreadgroup count 1 group streams c streams a >"), Some(vec![(7, "RO")]));
        assert_eq!(read("xreadgroup group streams streams noack streams a >"), Some(vec![(6, "RO")]));
        assert_eq!(read("xreadgroup group g c count 1"), None);
        let near = |line| found(Command { find_keys: Some(georadius), ..with(&[]) }, line);
        assert_eq!(near("georadius k 1 1 1 m store a storedist b"), Some(vec![(1, "RO"), (7, "OW"), (9, "OW")]));
        assert_eq!(near("georadius k 1 1 1 m store store store b"), Some(vec![(1, "RO"), (7, "OW"), (9, "OW")]));
        assert_eq!(near("georadius k 1 1 1 m asc store"), Some(vec![(1, "RO")]));
    }

    #[test]
    fn legacy_ranges() {
        const RENAME: &[KeySpec] = &[key(1, Access::Rw, &[]), key(2, Access::Ow, &[])];
        const BITOP: &[KeySpec] = &[key(2, Access::Ow, &[]), keys(3, -1, 1, Access::Ro, &[])];
        const EVAL: &[KeySpec] = &[counted_keys(2, Access::Rw, &[])];
        const MSET: &[KeySpec] = &[keys(1, -1, 2, Access::Ow, &[])];
        let ranges = [RENAME, BITOP, EVAL, MSET].map(|keys| legacy_range(&with(keys)));
        assert_eq!(ranges, [(1, 2, 1), (2, -1, 1), (0, 0, 0), (1, -1, 2)]);
    }

    #[test]
    fn options_that_decide() {
        const VARIABLE: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::VariableFlags])];
        let command = |find: FindKeys| Command { find_keys: Some(find), ..with(VARIABLE) };
        for (line, access) in [("set get get x", "OW"), ("set a b ex get", "RW"), ("set a b", "OW")] {
            assert_eq!(found(command(set), line), Some(vec![(1, access)]), "{line}");
        }
        for (line, access) in [
            ("bitfield a get u8 0", "RO"),
            ("bitfield a overflow set", "RO"),
            ("bitfield a get u8", "RW"),
            ("bitfield a get u8 get set u8 0 1", "RW"),
        ] {
            assert_eq!(found(command(bitfield), line), Some(vec![(1, access)]), "{line}");
        }
    }

    #[test]
    fn keys_among_options() {
        let sorted =
            |line: &str| sort(testing::request(line).borrow()).map(|keys| keys.iter().map(|key| key.index).collect());
        let indices: [(&str, Vec<usize>); 6] = [
            ("sort k", vec![1]),
            ("sort k STORE d STORE e", vec![1, 5]),
            ("sort k LIMIT STORE 5 GET a STORE b", vec![1, 8]),
            ("sort k BY STORE x", vec![1]),
            ("sort k STORE", vec![1]),
            ("sort k GET STORE STORE x", vec![1, 5]),
        ];
        for (line, wanted) in indices {
            assert_eq!(sorted(line), Some(wanted), "{line}");
        }
        let moved = |line: &str| {
            migrate(testing::request(line).borrow()).map(|keys| keys.iter().map(|key| key.index).collect::<Vec<_>>())
        };
        assert_eq!(moved("migrate h 1 k 0 10 copy keys"), Some(vec![3]));
        assert_eq!(moved("migrate h 1 k 0 10 keys a"), None);
        assert_eq!(moved("migrate h 1 \"\" 0 10 auth2 keys keys keys a b"), Some(vec![10, 11]));
    }
}
