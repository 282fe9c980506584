//! The set: one word that is an intset, a listpack, or a hash table of members.
//!
//! When one becomes another follows Redis's rules to the letter, since clients look at the encoding. Random members are in
//! `sample.rs`, unions and the like in `combine.rs`. Replies, keys and the rule that no empty one is stored are for others.

pub mod combine;
mod sample;
#[cfg(test)]
mod tests;

use crate::ds::ahead::Ahead;
use crate::ds::image::{ImageId, Shown, TableImage};
use crate::ds::intset::{self, Intset};
use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::{Entry, Hash, Prefetch, Seed, Table};
use crate::ds::listpack::{Builder, Listpack};
use crate::ds::member::{Member, MemberRef};
use crate::ds::sizeclass::round_up;
use crate::ds::trio::{Part, PartMut, Trio};
use crate::types::gathered::are_distinct;
use crate::util::number::{IntegerText, parse_i64};

pub use combine::{difference, difference_len, intersection, intersection_len, union, union_len};

/// A set. It may be empty; whoever stores one sees to that.
pub struct Set(Trio<Intset, Members>);

/// The directives that decide about the encoding, and the seed that a hash table will need.
#[derive(Clone, Copy)]
pub struct Limits {
    /// `set-max-intset-entries`
    pub intset_max: usize,
    /// `set-max-listpack-entries`
    pub listpack_max: usize,
    /// `set-max-listpack-value`
    pub value_bytes_max: usize,
    pub seed: &'static Seed,
}

impl Limits {
    /// What the directives are where nobody set them.
    pub const fn with_seed(seed: &'static Seed) -> Self {
        Self { intset_max: 512, listpack_max: 128, value_bytes_max: 64, seed }
    }

    /// The intset's own limit holds whatever is configured.
    fn intset_max(&self) -> usize {
        self.intset_max.min(intset::COUNT_MAX - 1)
    }

    fn admits(&self, listpack: &Listpack, member: &[u8]) -> bool {
        listpack.len() < self.listpack_max && member.len() <= self.value_bytes_max && listpack.fits(member.len())
    }
}

/// The members of a large set.
struct Members {
    table: Table<Member>,
    member_bytes: usize,
    /// What they were at a moment that a snapshot wants to know of.
    image: Option<Box<TableImage<()>>>,
}

impl Set {
    /// An empty one.
    pub fn new() -> Self {
        Self(Trio::second(Intset::new()))
    }

    /// Tells that so many members, this one first, are about to be added. It decides about the encoding as Redis does: by the
    /// number given, even where some of them turn out to be the same or members already.
    pub fn expect(&mut self, count: usize, first: &[u8], limits: &Limits) {
        if !self.is_empty() {
            let too_many = match self.0.part() {
                Part::Second(_) => count > limits.intset_max(),
                Part::Packed(_) => count > limits.listpack_max,
                Part::Boxed(_) => false,
            };
            if too_many {
                self.unpack(limits);
            }
            return;
        }
        self.0 = match parse_i64(first) {
            Some(_) if count <= limits.intset_max() => Trio::second(Intset::new()),
            _ if count <= limits.listpack_max => Trio::packed(Listpack::new()),
            _ => Trio::boxed(Box::new(Members::with_capacity(0, limits))),
        };
    }

    /// An empty one that is about to be loaded with so many members, in the encoding Redis starts from.
    pub fn for_loading(count: usize, limits: &Limits) -> Self {
        if count <= limits.intset_max() {
            return Self::new();
        }
        Self(Trio::boxed(Box::new(Members::with_capacity(count, limits))))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self.0.part() {
            Part::Second(intset) => intset.len(),
            Part::Packed(listpack) => listpack.len(),
            Part::Boxed(members) => members.table.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member; false where it was there.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        match self.0.part_mut() {
            PartMut::Boxed(members) => members.add(member),
            PartMut::Packed(listpack) => {
                if listpack.find(member, None, 0).is_some() {
                    return false;
                }
                if limits.admits(listpack, member) {
                    listpack.push_back(member);
                    return true;
                }
                self.unpack(limits).add(member)
            }
            PartMut::Second(intset) => match parse_i64(member) {
                Some(value) => {
                    let (added, len) = intset.change(|intset| (intset.insert(value), intset.len()));
                    if len > limits.intset_max() {
                        self.unpack(limits);
                    }
                    added
                }
                None => {
                    self.admit_text(member, limits);
                    self.add(member, limits)
                }
            },
        }
    }

    /// Removes a member; false where there was none. The encoding stays.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.0.part_mut() {
            PartMut::Boxed(members) => members.remove(member),
            PartMut::Packed(listpack) => {
                let position = listpack.find(member, None, 0);
                position.into_iter().for_each(|position| {
                    listpack.delete(position);
                });
                position.is_some()
            }
            PartMut::Second(intset) => {
                parse_i64(member).is_some_and(|value| intset.change(|intset| intset.remove(value)))
            }
        }
    }

    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0.part() {
            Part::Boxed(members) => members.table.contains(members.table.hash(member), member),
            Part::Packed(listpack) => listpack.find(member, None, 0).is_some(),
            Part::Second(intset) => parse_i64(member).is_some_and(|value| intset.contains(value)),
        }
    }

    /// All members. Those of an intset ascend.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        match self.0.part() {
            Part::Second(intset) => Walk::Second(intset.iter().map(Item::Int)),
            Part::Packed(listpack) => Walk::Packed(listpack.iter().map(|(_, item)| item)),
            Part::Boxed(members) => Walk::Boxed(members.iter().map(|member| Item::Bytes(member.bytes()))),
        }
    }

    /// Shows about `count` members from the cursor's place on and returns the next cursor; 0 begins and ends. The small encodings
    /// show all at once. A member that is there from the first call to the last is shown at least once, even where the
    /// encoding changes in between.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(Item<'_>)) -> u64 {
        match self.0.part() {
            Part::Boxed(members) => {
                members.table.scan(cursor, count, &mut |member: MemberRef<'_>| show(Item::Bytes(member.bytes())))
            }
            _ => {
                self.iter().for_each(show);
                0
            }
        }
    }

    /// The encoding's name as OBJECT ENCODING tells it.
    pub fn encoding(&self) -> &'static str {
        match self.0.part() {
            Part::Second(_) => "intset",
            Part::Packed(_) => "listpack",
            Part::Boxed(_) => "hashtable",
        }
    }

    /// Asks the cache for what a lookup of this member will read first, where that is likely to be far away; the hash is for
    /// `prefetch_entry`.
    #[inline]
    pub fn prefetch(&self, member: &[u8]) -> Option<Hash> {
        let Part::Boxed(members) = self.0.part() else { return None };
        let hash = members.hash(member);
        members.table.prefetch_bucket(hash);
        Some(hash)
    }

    /// Asks the cache for what the lookup will read next; best some time after `prefetch`.
    #[inline]
    pub fn prefetch_entry(&self, hash: Hash) {
        if let Part::Boxed(members) = self.0.part() {
            members.table.prefetch_entry(hash);
        }
    }

    /// Bytes it owns, not counting its word. O(1).
    pub fn memory(&self) -> usize {
        match self.0.part() {
            Part::Second(intset) => intset.memory(),
            Part::Packed(listpack) => listpack.memory(),
            Part::Boxed(members) => round_up(size_of::<Members>()) + members.table.memory() + members.member_bytes,
        }
    }

    /// The intset, where it is one: what a snapshot writes as it stands.
    pub fn as_intset(&self) -> Option<&Intset> {
        match self.0.part() {
            Part::Second(intset) => Some(intset),
            _ => None,
        }
    }

    /// The listpack, where it is one: what a snapshot writes as it stands.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.part() {
            Part::Packed(listpack) => Some(listpack),
            _ => None,
        }
    }

    /// A set of an intset from outside (`Intset::from_bytes` has checked it).
    pub fn from_intset(intset: Intset, limits: &Limits) -> Self {
        let too_many = intset.len() > limits.intset_max();
        let mut set = Self(Trio::second(intset));
        if too_many {
            set.unpack(limits);
        }
        set
    }

    /// A set of a listpack from outside (`Listpack::from_bytes` has checked it); `None` where an element comes up twice.
    /// Of the limits only the number of entries counts, as in Redis.
    pub fn from_listpack(listpack: Listpack, limits: &Limits) -> Option<Self> {
        if !are_distinct(listpack.iter().map(|(_, item)| item), limits.seed) {
            return None;
        }
        let too_many = listpack.len() > limits.listpack_max;
        let mut set = Self(Trio::packed(listpack));
        if too_many {
            set.unpack(limits);
        }
        Some(set)
    }

    /// What SUNIONSTORE and SDIFFSTORE store of these distinct members: the encoding that adding them one by one leads to.
    pub fn of_distinct(members: &[Item<'_>], limits: &Limits) -> Self {
        if let Some(set) = Self::of_integers(members, limits) {
            return set;
        }
        if members.len() > limits.listpack_max {
            return Self::of_many(members, limits);
        }
        let mut set = Self::new();
        let mut text = ItemText::default();
        members.iter().for_each(|member| {
            set.add(member.text(&mut text), limits);
        });
        set
    }

    /// What SINTERSTORE stores of these distinct members: the smallest encoding that the limits allow.
    pub fn of_intersection(members: &[Item<'_>], limits: &Limits) -> Self {
        Self::of_integers(members, limits)
            .or_else(|| Self::of_listpack(members.iter().copied(), members.len(), limits))
            .unwrap_or_else(|| Self::of_many(members, limits))
    }

    /// The table of its members, where there is one.
    pub fn table(&self) -> Option<&dyn Prefetch> {
        match self.0.part() {
            Part::Boxed(members) => Some(&members.table),
            _ => None,
        }
    }

    /// From now on the image is of what it holds now. False where it is too small to have one.
    pub fn begin_image(&mut self, id: ImageId) -> bool {
        let PartMut::Boxed(members) = self.0.part_mut() else { return false };
        members.image = Some(Box::new(TableImage::new(id)));
        true
    }

    /// Shows some of the members that it held, each once. False where all are shown.
    pub fn step_image(&mut self, mut show: impl FnMut(&[u8])) -> bool {
        let PartMut::Boxed(Members { table, image: Some(image), .. }) = self.0.part_mut() else { return false };
        image.step(table, &mut |shown: Shown<'_, MemberRef<'_>, ()>| match shown {
            Shown::There(member) => show(member.bytes()),
            Shown::Kept(member, ()) => show(member),
        })
    }

    pub fn end_image(&mut self) {
        if let PartMut::Boxed(members) = self.0.part_mut() {
            members.image = None;
        }
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        let Part::Boxed(members) = self.0.part() else { return None };
        members.image.as_ref().map(|image| (image.id, image.bytes()))
    }

    /// Looks at everything again.
    pub fn check(&self) {
        match self.0.part() {
            Part::Second(intset) => intset.check(),
            Part::Packed(listpack) => {
                listpack.check();
                let distinct: std::collections::HashSet<_> = self.iter().map(|item| item.to_vec()).collect();
                assert_eq!(distinct.len(), listpack.len(), "no member comes up twice");
            }
            Part::Boxed(members) => {
                members.table.check();
                let bytes: usize = members.iter().map(|member| Member::memory_of(member.bytes().len())).sum();
                assert_eq!(bytes, members.member_bytes, "bytes of members");
            }
        }
    }

    fn of_integers(members: &[Item<'_>], limits: &Limits) -> Option<Self> {
        if members.len() > limits.intset_max() {
            return None;
        }
        let mut values = members.iter().map(Item::as_int).collect::<Option<Vec<i64>>>()?;
        values.sort_unstable();
        Some(Self(Trio::second(Intset::from_sorted(&values))))
    }

    /// A listpack of so many distinct members, where the limits allow it.
    fn of_listpack<'a>(members: impl Iterator<Item = Item<'a>>, len: usize, limits: &Limits) -> Option<Self> {
        if len > limits.listpack_max {
            return None;
        }
        let mut builder = Builder::default();
        let (mut text, mut bytes_left) = (ItemText::default(), crate::ds::listpack::BYTES_MAX / 2);
        for member in members {
            let bytes = member.text(&mut text).len();
            bytes_left = bytes_left.checked_sub(bytes + 16).filter(|_| bytes <= limits.value_bytes_max)?;
            builder.push_item(member);
        }
        Some(Self(Trio::packed(builder.finish())))
    }

    fn of_many(members: &[Item<'_>], limits: &Limits) -> Self {
        let mut table = Members::with_capacity(members.len(), limits);
        let mut text = ItemText::default();
        members.iter().for_each(|member| table.add_new(member.text(&mut text)));
        Self(Trio::boxed(Box::new(table)))
    }

    /// Turns an intset into what can hold this text besides its integers.
    #[cold]
    fn admit_text(&mut self, member: &[u8], limits: &Limits) {
        let Part::Second(intset) = self.0.part() else { return };
        let longest =
            [intset.min(), intset.max()].into_iter().flatten().map(|value| IntegerText::new(value).as_bytes().len());
        let longest = longest.max().unwrap_or(0).max(member.len());
        if intset.len() < limits.listpack_max && longest <= limits.value_bytes_max {
            let mut builder = Builder::default();
            intset.iter().for_each(|value| builder.push_int(value));
            self.0 = Trio::packed(builder.finish());
        } else {
            self.unpack(limits);
        }
    }

    /// Changes over to the hash table, if it has not.
    #[cold]
    fn unpack(&mut self, limits: &Limits) -> &mut Members {
        if !matches!(self.0.part(), Part::Boxed(_)) {
            let mut members = Members::with_capacity(self.len() + 1, limits);
            let mut text = ItemText::default();
            self.iter().for_each(|item| members.add_new(item.text(&mut text)));
            self.0 = Trio::boxed(Box::new(members));
        }
        match self.0.part_mut() {
            PartMut::Boxed(members) => members,
            _ => unreachable!("the small encoding was just replaced"),
        }
    }
}

impl Members {
    fn with_capacity(members: usize, limits: &Limits) -> Self {
        let mut table = Table::new(limits.seed);
        table.reserve(members);
        Self { table, member_bytes: 0, image: None }
    }

    #[inline]
    fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.table.hash(member);
        let Entry::Vacant(vacant) = self.table.entry(hash, member) else { return false };
        if let Some(image) = &mut self.image {
            image.note(hash, member, 0, || None);
        }
        vacant.insert(Member::new(member));
        self.member_bytes += Member::memory_of(member.len());
        true
    }

    /// Adds a member that is known not to be there.
    #[inline]
    fn add_new(&mut self, member: &[u8]) {
        let hash = self.table.hash(member);
        self.table.insert_new(hash, Member::new(member));
        self.member_bytes += Member::memory_of(member.len());
    }

    #[inline]
    fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.table.hash(member);
        let removed = self.table.remove(hash, member).is_some();
        if removed {
            self.note_gone(member);
        }
        self.member_bytes -= if removed { Member::memory_of(member.len()) } else { 0 };
        removed
    }

    /// A member has gone, of which an image may want to know.
    #[inline]
    fn note_gone(&mut self, member: &[u8]) {
        if let Some(image) = &mut self.image {
            image.note(self.table.hash(member), member, 0, || Some(()));
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = MemberRef<'_>> {
        Ahead::new(self.table.iter())
    }

    #[inline]
    fn hash(&self, member: &[u8]) -> Hash {
        self.table.hash(member)
    }
}

/// One of three iterators.
enum Walk<S, P, B> {
    Second(S),
    Packed(P),
    Boxed(B),
}

impl<T, S, P, B> Iterator for Walk<S, P, B>
where
    S: Iterator<Item = T>,
    P: Iterator<Item = T>,
    B: Iterator<Item = T>,
{
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Second(iter) => iter.next(),
            Self::Packed(iter) => iter.next(),
            Self::Boxed(iter) => iter.next(),
        }
    }

    #[inline]
    fn fold<A, F: FnMut(A, T) -> A>(self, start: A, step: F) -> A {
        match self {
            Self::Second(iter) => iter.fold(start, step),
            Self::Packed(iter) => iter.fold(start, step),
            Self::Boxed(iter) => iter.fold(start, step),
        }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Set {
    /// A copy, as COPY makes it: of the same encoding. O(bytes).
    fn clone(&self) -> Self {
        match self.0.part() {
            Part::Second(intset) => Self(Trio::second(intset.clone())),
            Part::Packed(listpack) => Self(Trio::packed(listpack.clone())),
            Part::Boxed(members) => {
                let mut copy = Members { table: Table::new(members.table.seed()), member_bytes: 0, image: None };
                copy.table.reserve(members.table.len());
                members.iter().for_each(|member| copy.add_new(member.bytes()));
                Self(Trio::boxed(Box::new(copy)))
            }
        }
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
