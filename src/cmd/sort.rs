//! SORT and SORT_RO: the elements of a list, set or sorted set, in an order that may come from other keys.
//!
//! Elements and weights are borrowed from the keyspace while they are sorted; only STORE copies. In a pattern the first `*` stands for the
//! element, and `->` behind it leads to a field of a hash. (Redis turns a sorted set that is sorted into its large encoding, for good; here it
//! stays as it is.)

use std::cmp::Ordering;

use super::args::Args;
use super::command::{Access, Begin, COMMAND, Category, Command, Find, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::error::{Done, SYNTAX, Stop, WRONG_TYPE, error};
use super::keyspec;
use super::string::reply_string;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::deque::End;
use crate::ds::item::{Item, ItemText};
use crate::resp::reply::Reply;
use crate::server::cluster::slot_of_pattern;
use crate::types::hash::Hash;
use crate::types::list::{Limits, List};
use crate::types::set::Set;
use crate::types::value::{self, StringRef};
use crate::types::zset::Zset;
use crate::util::crc16::key_slot;
use crate::util::float::parse_score_bound;

use Flag::{DenyOom, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "SORT",
        find_keys: Some(keyspec::sort),
        arity: -2,
        run: Run::Write(sort),
        flags: &[DenyOom, MovableKeys],
        keys: &[SORTED_KEY, PATTERN_KEYS, STORE_KEY],
        group: Group::Generic,
        cost: COST,
        usage: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
        summary: "Sorts the elements of a list, a set or a sorted set, and returns or stores them.",
        categories: CATEGORIES,
        ..COMMAND
    },
    Command {
        name: "SORT_RO",
        find_keys: Some(keyspec::sort_read_only),
        arity: -2,
        run: Run::Read(sort_ro),
        flags: &[MovableKeys],
        keys: &[SORTED_KEY, PATTERN_KEYS],
        group: Group::Generic,
        since: "7.0.0",
        cost: COST,
        usage: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
        summary: "Returns the sorted elements of a list, a set or a sorted set.",
        categories: CATEGORIES,
        ..COMMAND
    },
];

const COST: &str = "O(N+M*log(M)), where N is the number of elements and M is the number of those returned; O(N) where nothing is sorted.";
const CATEGORIES: &[Category] = &[Category::Set, Category::SortedSet, Category::List, Category::Dangerous];
const SORTED_KEY: KeySpec = key(1, Access::Ro, &[KeyFlag::Access]);
const PATTERN_KEYS: KeySpec = KeySpec {
    begin: Begin::Unknown,
    find: Find::Unknown,
    access: Access::Ro,
    flags: &[KeyFlag::Access],
    notes: "Keys that the patterns of BY and GET lead to: only the elements tell which",
};
const STORE_KEY: KeySpec = KeySpec {
    begin: Begin::Unknown,
    find: Find::Unknown,
    access: Access::Ow,
    flags: &[KeyFlag::Update],
    notes: "The destination of STORE, which may stand anywhere among the options",
};

const BY_DENIED: Stop = error("ERR BY option of SORT denied due to insufficient ACL permissions.");
/// Even of GET #, which reads no other key.
const GET_DENIED: Stop = error("ERR GET option of SORT denied due to insufficient ACL permissions.");
const BY_LEAVES_SLOT: Stop =
    error("ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.");
const GET_LEAVES_SLOT: Stop =
    error("ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.");
const NOT_A_WEIGHT: Stop = error("ERR One or more scores can't be converted into double");

fn sort(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let wanted = Wanted::read(true, &Reach::of(key, &edit.view(), edit.may_read_all_keys), args)?;

    let Some(destination) = wanted.store else {
        return show(&wanted, key, &edit.view(), reply);
    };
    let list = collect(&wanted, key, &edit.view())?;
    let len = list.len();
    if len > 0 {
        edit.set(destination, list, None);
        edit.changed_many(destination, Class::List, "sortstore", len);
    } else if edit.remove(destination) {
        edit.changed(destination, Class::Generic, "del");
    }

    reply.count(len);
    Ok(())
}

fn sort_ro(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let wanted = Wanted::read(false, &Reach::of(key, view, view.may_read_all_keys), args)?;
    show(&wanted, key, view, reply)
}

fn show(wanted: &Wanted, key: &[u8], view: &View, reply: &mut Reply) -> Done {
    let elements = sorted(wanted, key, view)?;

    reply.array(elements.len() * wanted.gets.len().max(1));
    for element in elements {
        wanted.each_value(element, view, |value| match value {
            Some(value) => reply_string(reply, value),
            None => reply.null(),
        });
    }
    Ok(())
}

/// What is to be stored: a value that is not there becomes an empty string.
fn collect(wanted: &Wanted, key: &[u8], view: &View) -> Result<List, Stop> {
    let limits = Limits { max_listpack_size: i64::from(view.config.list_max_listpack_size) };
    let mut list = List::new();
    let mut scratch = ItemText::default();
    for element in sorted(wanted, key, view)? {
        wanted.each_value(element, view, |value| {
            let item = value.map_or(Item::Bytes(b""), |value| value.item());
            list.push(End::Back, item.text(&mut scratch), &limits);
        });
    }
    Ok(list)
}

/// The arguments behind the key.
struct Wanted<'a> {
    by: Option<Pattern<'a>>,
    /// BY was given a name without a `*`: the elements stay in the order in which they are.
    as_they_are: bool,
    gets: Vec<Pattern<'a>>,
    offset: i64,
    /// Negative: all.
    count: i64,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

/// Which keys patterns may lead to.
struct Reach {
    may_read_all_keys: bool,
    /// In a cluster: the slot in which they all must be.
    slot: Option<u16>,
}

impl Reach {
    fn of(key: &[u8], view: &View, may_read_all_keys: bool) -> Self {
        Self { may_read_all_keys, slot: view.config.cluster_enabled.then(|| key_slot(key)) }
    }

    fn leaves_slot(&self, pattern: &[u8]) -> bool {
        self.slot.is_some() && slot_of_pattern(pattern) != self.slot
    }
}

impl<'a> Wanted<'a> {
    fn read(may_store: bool, reach: &Reach, args: &mut Args<'a>) -> Result<Self, Stop> {
        let mut wanted = Self {
            by: None,
            as_they_are: false,
            gets: Vec::new(),
            offset: 0,
            count: -1,
            descending: false,
            alpha: false,
            store: None,
        };
        while !args.is_empty() {
            match () {
                () if args.option("ASC") => wanted.descending = false,
                () if args.option("DESC") => wanted.descending = true,
                () if args.option("ALPHA") => wanted.alpha = true,
                () if args.len() >= 3 && args.option("LIMIT") => {
                    (wanted.offset, wanted.count) = (args.int()?, args.int()?);
                }
                () if may_store && args.option_with_value("STORE") => wanted.store = Some(args.next()?),
                () if args.option_with_value("BY") => {
                    let text = args.next()?;
                    let pattern = Pattern::new(text);
                    let leads_nowhere = matches!(pattern, Pattern::Nothing | Pattern::Element);
                    if !leads_nowhere && reach.leaves_slot(text) {
                        return Err(BY_LEAVES_SLOT);
                    }
                    if !leads_nowhere && !reach.may_read_all_keys {
                        return Err(BY_DENIED);
                    }
                    wanted.as_they_are |= leads_nowhere;
                    wanted.by = Some(pattern);
                }
                () if args.option_with_value("GET") => {
                    let text = args.next()?;
                    if text != b"#" && reach.leaves_slot(text) {
                        return Err(GET_LEAVES_SLOT);
                    }
                    if !reach.may_read_all_keys {
                        return Err(GET_DENIED);
                    }
                    wanted.gets.push(Pattern::new(text));
                }
                () => return Err(SYNTAX),
            }
        }
        Ok(wanted)
    }

    /// The part of `len` elements that LIMIT leaves.
    fn part(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = usize::try_from(self.count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }

    /// What GET asks for about an element; the element itself where nothing is asked.
    fn each_value(&self, element: Item, view: &View, mut show: impl FnMut(Option<StringRef>)) {
        if self.gets.is_empty() {
            return show(Some(as_string(element)));
        }
        for pattern in &self.gets {
            match pattern {
                Pattern::Element => show(Some(as_string(element))),
                pattern => show(pattern.look_up(element, view)),
            }
        }
    }
}

fn as_string(item: Item) -> StringRef {
    match item {
        Item::Bytes(bytes) => StringRef::Bytes(bytes),
        Item::Int(value) => StringRef::Integer(value),
    }
}

/// The elements in the order and part that are asked for.
fn sorted<'a>(wanted: &Wanted, key: &[u8], view: &View<'a>) -> Result<Vec<Item<'a>>, Stop> {
    let source = Source::of(key, view)?;
    let order = match source {
        // A set has no order of its own: what is stored, or seen by a script, must not depend on chance.
        Source::Set(_) if wanted.as_they_are && (wanted.store.is_some() || !view.may_wait) => Order::Alpha,
        _ if wanted.as_they_are => Order::AsTheyAre,
        _ if wanted.alpha => wanted.by.as_ref().map_or(Order::Alpha, Order::AlphaBy),
        _ => wanted.by.as_ref().map_or(Order::Weight, Order::WeightBy),
    };
    // Redis compares what it stores as bytes, and what it shows as C strings of the server's locale, which is always "C" here.
    let compare = if wanted.store.is_some() { compare_bytes } else { compare_c_strings };
    let elements = source.elements(wanted.descending && matches!(order, Order::AsTheyAre));
    let mut elements = match order {
        Order::AsTheyAre => elements,
        Order::Alpha => {
            let same = |element| Ok(Some(element));
            in_order(elements, wanted, same, |one, other| compare_texts(one, other, compare), false)?
        }
        Order::AlphaBy(pattern) => {
            let look_up = |element| Ok(pattern.look_up(element, view).map(|value| value.item()));
            in_order(elements, wanted, look_up, |one, other| compare_texts(one, other, compare), false)?
        }
        Order::Weight => in_order(elements, wanted, weight, f64::total_cmp, true)?,
        Order::WeightBy(pattern) => {
            let look_up = |element| pattern.look_up(element, view).map_or(Ok(0.0), |value| weight(value.item()));
            in_order(elements, wanted, look_up, f64::total_cmp, true)?
        }
    };
    let part = wanted.part(elements.len());
    elements.truncate(part.end);
    elements.drain(..part.start);
    Ok(elements)
}

enum Order<'a> {
    AsTheyAre,
    Alpha,
    AlphaBy(&'a Pattern<'a>),
    Weight,
    WeightBy(&'a Pattern<'a>),
}

/// Sorts by what `look_up` finds for each element. Equals are ordered by their bytes with `settle`, and stay as they are without.
fn in_order<'a, W>(
    elements: Vec<Item<'a>>,
    wanted: &Wanted,
    look_up: impl Fn(Item<'a>) -> Result<W, Stop>,
    compare: impl Fn(&W, &W) -> Ordering,
    settle: bool,
) -> Result<Vec<Item<'a>>, Stop> {
    let weighed = |element| Ok((look_up(element)?, element));
    let mut weighed: Vec<(W, Item)> = elements.into_iter().map(weighed).collect::<Result<_, Stop>>()?;
    weighed.sort_by(|(weight, element), (other_weight, other)| {
        let order = compare(weight, other_weight);
        let order = match order {
            Ordering::Equal if settle => compare_items(*element, *other, compare_bytes),
            order => order,
        };
        if wanted.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn weight(item: Item) -> Result<f64, Stop> {
    let weight = match item {
        Item::Int(value) => Some(value as f64),
        Item::Bytes(text) => parse_score_bound(text),
    };
    // The two zeros are equal, and nothing else keeps `total_cmp` from being the order of numbers.
    weight.filter(|weight| !weight.is_nan()).map(|weight| weight + 0.0).ok_or(NOT_A_WEIGHT)
}

type Compare = fn(&[u8], &[u8]) -> Ordering;

/// What is not there comes first.
fn compare_texts(one: &Option<Item>, other: &Option<Item>, compare: Compare) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => compare_items(*one, *other, compare),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

fn compare_items(one: Item, other: Item, compare: Compare) -> Ordering {
    compare(one.text(&mut ItemText::default()), other.text(&mut ItemText::default()))
}

fn compare_bytes(one: &[u8], other: &[u8]) -> Ordering {
    one.cmp(other)
}

fn compare_c_strings(one: &[u8], other: &[u8]) -> Ordering {
    until_nul(one).cmp(until_nul(other))
}

fn until_nul(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// What can be sorted.
enum Source<'a> {
    Nothing,
    List(&'a List),
    Set(&'a Set),
    Zset(&'a Zset),
}

impl<'a> Source<'a> {
    fn of(key: &[u8], view: &View<'a>) -> Result<Self, Stop> {
        let Some(record) = view.record(key) else { return Ok(Source::Nothing) };
        let list = || record.get::<List>().map(Source::List);
        let set = || record.get::<Set>().map(Source::Set);
        let zset = || record.get::<Zset>().map(Source::Zset);
        list().or_else(set).or_else(zset).ok_or(error(WRONG_TYPE))
    }

    fn elements(&self, reverse: bool) -> Vec<Item<'a>> {
        match self {
            Source::Nothing => Vec::new(),
            Source::List(list) if reverse => list.iter_back().collect(),
            Source::List(list) => list.iter().collect(),
            Source::Set(set) => set.iter().collect(),
            Source::Zset(zset) => zset.entries(0..u64::MAX, reverse).map(|entry| entry.member).collect(),
        }
    }
}

/// A pattern of BY or GET.
enum Pattern<'a> {
    /// `#`
    Element,
    /// Names no key that depends on the element, and therefore none at all.
    Nothing,
    Key {
        before: &'a [u8],
        after: &'a [u8],
    },
    Field {
        before: &'a [u8],
        after: &'a [u8],
        field: &'a [u8],
    },
}

impl<'a> Pattern<'a> {
    fn new(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = memchr::memchr(b'*', until_nul(text)) else { return Pattern::Nothing };
        let (before, after) = (&text[..star], &text[star + 1..]);
        match memchr::memmem::find(until_nul(after), b"->") {
            // An arrow that leads nowhere is a part of the key.
            Some(arrow) if until_nul(after).len() > arrow + 2 => {
                Pattern::Field { before, after: &after[..arrow], field: &after[arrow + 2..] }
            }
            _ => Pattern::Key { before, after },
        }
    }

    /// The string, or the hash's field, that the pattern leads to from this element.
    fn look_up<'v>(&self, element: Item, view: &View<'v>) -> Option<StringRef<'v>> {
        let (before, after) = match self {
            Pattern::Element | Pattern::Nothing => return None,
            Pattern::Key { before, after } | Pattern::Field { before, after, .. } => (before, after),
        };
        let mut key = before.to_vec();
        element.write_to(&mut key);
        key.extend_from_slice(after);
        let record = view.record(&key)?;
        match self {
            Pattern::Field { field, .. } => record.get::<Hash>()?.get(field, view.now).map(as_string),
            _ => value::string(&record),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn numbers_texts_and_parts() {
        check(
            r#"
            > RPUSH l 10 9 -1 2.5 9.0
            (integer) 5
            > SORT l
            1) "-1"
            2) "2.5"
            3) "9"
            4) "9.0"
            5) "10"
            > SORT l DESC LIMIT 1 2
            1) "9.0"
            2) "9"
            > SORT l ALPHA LIMIT -1 2
            1) "-1"
            2) "10"
            > SORT_RO l LIMIT 9 1
            (empty array)
            > SORT l BY nosort DESC LIMIT 1 2
            1) "2.5"
            2) "-1"
            > RPUSH l x
            (integer) 6
            > SORT l LIMIT 0 1
            (error) ERR One or more scores can't be converted into double
            > SORT l LIMIT 0
            (error) ERR syntax error
            > SORT_RO l STORE to
            (error) ERR syntax error
            > SET s 1
            OK
            > SORT s
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SORT none
            (empty array)
            "#,
        );
    }

    #[test]
    fn order_and_values_come_from_other_keys() {
        check(
            r#"
            > ZADD z 1 a 2 b 3 c
            (integer) 3
            > SET w_a 3
            OK
            > SET w_b 2
            OK
            > SORT z BY w_* GET # GET w_* GET w_a
            1) "c"
            2) (nil)
            3) (nil)
            4) "b"
            5) "2"
            6) (nil)
            7) "a"
            8) "3"
            9) (nil)
            > SORT z BY w_* ALPHA DESC
            1) "a"
            2) "b"
            3) "c"
            > SORT z BY nosort DESC
            1) "c"
            2) "b"
            3) "a"
            > SORT z BY w_* GET w_* STORE to
            (integer) 3
            > LRANGE to 0 -1
            1) ""
            2) "2"
            3) "3"
            > SORT none STORE to
            (integer) 0
            > LLEN to
            (integer) 0
            "#,
        );
    }

    #[test]
    fn shown_texts_end_at_a_zero_byte() {
        check(
            r#"
            > RPUSH l "a\x00b" "a\x00a" a
            (integer) 3
            > SORT l ALPHA
            1) "a\x00b"
            2) "a\x00a"
            3) "a"
            > SORT l ALPHA STORE l
            (integer) 3
            > LRANGE l 0 -1
            1) "a"
            2) "a\x00a"
            3) "a\x00b"
            "#,
        );
    }
}
