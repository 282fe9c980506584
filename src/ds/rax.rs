//! A radix tree over byte keys: an ordered map that shares prefixes and can add up what lies left of a key.
//!
//! Each key carries a [`Tally`] (how much it weighs, and a mark) and every branch holds the tallies of its children, so "how many
//! entries lie before this id" and "where is the oldest one" are one walk down the tree. What the weights and marks mean is the
//! owner's business: see `types::stream`. The walk that changes the shape of the tree is in `rax/shape.rs`, iteration in `rax/iter.rs`.

mod iter;
mod shape;
mod suffix;
#[cfg(test)]
mod tests;

pub use iter::{Ascending, Descending};
use suffix::Suffix;

/// The longest key. Changes recurse once per branch on the key's path, so this bounds the stack.
pub const KEY_LEN_MAX: usize = 1024;

/// What a key contributes to the sums along its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Added up: see [`Rax::weight_before`].
    pub weight: u64,
    /// The least one wins: see [`Rax::lowest`].
    pub mark: u64,
}

/// An ordered map from byte keys to values.
///
/// ```text
///   keys  "log"=1  "logs"=2  "logic"=3  "map"=4               (w = weight, m = mark, of everything below)
///
///            Branch  prefix ""   no value
///            labels   │ l           │ m          │             sorted; one byte each, searched as one run of bytes
///            tallies  │ w 3, m ..   │ w 1, m ..  │             so the sum left of a child is a sum over an array
///            children │ ●           │ Leaf "ap" 4│             a leaf lives in its parent's array
///                       │
///                       ▼
///                     Branch  prefix "og"   value 1            the key that ends here comes before its children
///                     labels   │ i          │ s         │
///                     tallies  │ w 1        │ w 1       │
///                     children │ Leaf "c" 3 │ Leaf "" 2 │
/// ```
///
/// Invariants (`check`): a branch has at least two keys' worth of reasons to exist (children plus its own value), labels ascend,
/// `tallies[i]` is the sum and minimum over `children[i]`. Arrays are as wide as the branch needs and grow by about a third.
pub struct Rax<V> {
    root: Option<Node<V>>,
    total: Tally,
    len: usize,
    heap_bytes: usize,
}

enum Node<V> {
    Leaf { suffix: Suffix, value: V },
    Branch(Box<Branch<V>>),
}

struct Branch<V> {
    prefix: Suffix,
    own: Option<(V, Tally)>,
    labels: Vec<u8>,
    tallies: Vec<Tally>,
    children: Vec<Node<V>>,
}

/// Where a seek ends, relative to the key asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Tally {
    /// The tally of nothing.
    pub const NONE: Tally = Tally { weight: 0, mark: u64::MAX };

    fn with(self, other: Tally) -> Tally {
        Tally { weight: self.weight + other.weight, mark: self.mark.min(other.mark) }
    }
}

impl<V> Rax<V> {
    pub const fn new() -> Self {
        Self { root: None, total: Tally::NONE, len: 0, heap_bytes: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tally of all keys together.
    pub fn total(&self) -> Tally {
        self.total
    }

    /// Bytes on the heap, not counting what the values own. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// How many branches the tree has besides its leaves. O(branches).
    pub fn branches(&self) -> usize {
        fn count<V>(node: &Node<V>) -> usize {
            match node {
                Node::Leaf { .. } => 0,
                Node::Branch(branch) => 1 + branch.children.iter().map(count).sum::<usize>(),
            }
        }
        self.root.as_ref().map_or(0, count)
    }

    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = self.root.as_ref()?;
        let mut rest = key;
        loop {
            match node {
                Node::Leaf { suffix, value } => return (suffix.as_bytes() == rest).then_some(value),
                Node::Branch(branch) => {
                    rest = rest.strip_prefix(branch.prefix.as_bytes())?;
                    let Some((&label, after)) = rest.split_first() else {
                        return branch.own.as_ref().map(|(value, _)| value);
                    };
                    node = &branch.children[branch.find(label)?];
                    rest = after;
                }
            }
        }
    }

    /// The value of a key, to change it in a way that leaves its tally as it is; else see [`Rax::update`].
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let mut node = self.root.as_mut()?;
        let mut rest = key;
        loop {
            match node {
                Node::Leaf { suffix, value } => return (suffix.as_bytes() == rest).then_some(value),
                Node::Branch(branch) => {
                    rest = rest.strip_prefix(branch.prefix.as_bytes())?;
                    let Some((&label, after)) = rest.split_first() else {
                        return branch.own.as_mut().map(|(value, _)| value);
                    };
                    let at = branch.find(label)?;
                    node = &mut branch.children[at];
                    rest = after;
                }
            }
        }
    }

    pub fn first(&self) -> Option<&V> {
        self.root.as_ref().map(leftmost)
    }

    pub fn last(&self) -> Option<&V> {
        self.root.as_ref().map(rightmost)
    }

    /// The value whose key is nearest to `key` on the side asked for. O(length of the key).
    pub fn seek(&self, key: &[u8], seek: Seek) -> Option<&V> {
        let root = self.root.as_ref()?;
        match seek {
            Seek::AtLeast => seek_up(root, key, true),
            Seek::Above => seek_up(root, key, false),
            Seek::AtMost => seek_down(root, key, true),
            Seek::Below => seek_down(root, key, false),
        }
    }

    /// The weights of all keys below `key`, added up.
    pub fn weight_before(&self, key: &[u8]) -> u64 {
        let Some(mut node) = self.root.as_ref() else { return 0 };
        let mut whole = self.total.weight;
        let mut rest = key;
        let mut sum = 0;
        loop {
            match node {
                Node::Leaf { suffix, .. } => {
                    return if suffix.as_bytes() < rest { sum + whole } else { sum };
                }
                Node::Branch(branch) => {
                    let Some(stripped) = rest.strip_prefix(branch.prefix.as_bytes()) else {
                        return if branch.prefix.as_bytes() < rest { sum + whole } else { sum };
                    };
                    let Some((&label, after)) = stripped.split_first() else { return sum };
                    let at = branch.lower_bound(label);
                    sum += branch.own.as_ref().map_or(0, |(_, tally)| tally.weight);
                    sum += branch.tallies[..at].iter().map(|tally| tally.weight).sum::<u64>();
                    if branch.labels.get(at) != Some(&label) {
                        return sum;
                    }
                    whole = branch.tallies[at].weight;
                    node = &branch.children[at];
                    rest = after;
                }
            }
        }
    }

    /// The value with the least mark; the least key among equals.
    pub fn lowest(&self) -> Option<&V> {
        self.next_marked(b"", self.total.mark)
    }

    /// The value with the least key that is at least `key` and whose mark is at most `mark_max`.
    ///
    /// Subtrees without such a mark are skipped whole.
    pub fn next_marked(&self, key: &[u8], mark_max: u64) -> Option<&V> {
        if self.total.mark > mark_max {
            return None;
        }
        next_marked(self.root.as_ref()?, Some(key), mark_max)
    }

    /// Everything in ascending order of keys.
    pub fn iter(&self) -> Ascending<'_, V> {
        Ascending::new(self.root.as_ref())
    }

    /// Everything in descending order of keys.
    pub fn iter_back(&self) -> Descending<'_, V> {
        Descending::new(self.root.as_ref())
    }
}

impl<V> Default for Rax<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Branch<V> {
    #[inline]
    fn find(&self, label: u8) -> Option<usize> {
        // Appends and reads of what is new go to the last child.
        if self.labels.last() == Some(&label) {
            return Some(self.labels.len() - 1);
        }
        memchr::memchr(label, &self.labels)
    }

    #[inline]
    fn lower_bound(&self, label: u8) -> usize {
        match self.labels.last() {
            Some(&last) if last < label => self.labels.len(),
            Some(&last) if last == label => self.labels.len() - 1,
            _ => self.labels.partition_point(|&one| one < label),
        }
    }
}

fn leftmost<V>(mut node: &Node<V>) -> &V {
    loop {
        match node {
            Node::Leaf { value, .. } => return value,
            Node::Branch(branch) => match &branch.own {
                Some((value, _)) => return value,
                None => node = &branch.children[0],
            },
        }
    }
}

fn rightmost<V>(mut node: &Node<V>) -> &V {
    loop {
        match node {
            Node::Leaf { value, .. } => return value,
            // A branch has children: its own value alone would have made it a leaf.
            Node::Branch(branch) => node = &branch.children[branch.children.len() - 1],
        }
    }
}

fn seek_up<'a, V>(mut node: &'a Node<V>, key: &[u8], or_equal: bool) -> Option<&'a V> {
    let mut rest = key;
    let mut right: Option<&'a Node<V>> = None;
    loop {
        match node {
            Node::Leaf { suffix, value } => {
                let suffix = suffix.as_bytes();
                if suffix > rest || (or_equal && suffix == rest) {
                    return Some(value);
                }
                return right.map(leftmost);
            }
            Node::Branch(branch) => {
                let Some(stripped) = rest.strip_prefix(branch.prefix.as_bytes()) else {
                    return if branch.prefix.as_bytes() > rest { Some(leftmost(node)) } else { right.map(leftmost) };
                };
                let Some((&label, after)) = stripped.split_first() else {
                    return Some(if or_equal { leftmost(node) } else { leftmost(&branch.children[0]) });
                };
                let at = branch.lower_bound(label);
                if branch.labels.get(at) != Some(&label) {
                    return branch.children.get(at).or(right).map(leftmost);
                }
                right = branch.children.get(at + 1).or(right);
                node = &branch.children[at];
                rest = after;
            }
        }
    }
}

fn seek_down<'a, V>(mut node: &'a Node<V>, key: &[u8], or_equal: bool) -> Option<&'a V> {
    /// What comes just before the path: a subtree's last value, or a branch's own value.
    enum Left<'a, V> {
        Subtree(&'a Node<V>),
        Value(&'a V),
    }
    let take = |left: Option<Left<'a, V>>| match left? {
        Left::Subtree(node) => Some(rightmost(node)),
        Left::Value(value) => Some(value),
    };
    let mut rest = key;
    let mut left = None;
    loop {
        match node {
            Node::Leaf { suffix, value } => {
                let suffix = suffix.as_bytes();
                if suffix < rest || (or_equal && suffix == rest) {
                    return Some(value);
                }
                return take(left);
            }
            Node::Branch(branch) => {
                let Some(stripped) = rest.strip_prefix(branch.prefix.as_bytes()) else {
                    return if branch.prefix.as_bytes() < rest { Some(rightmost(node)) } else { take(left) };
                };
                let Some((&label, after)) = stripped.split_first() else {
                    return match &branch.own {
                        Some((value, _)) if or_equal => Some(value),
                        _ => take(left),
                    };
                };
                let at = branch.lower_bound(label);
                if at > 0 {
                    left = Some(Left::Subtree(&branch.children[at - 1]));
                } else if let Some((value, _)) = &branch.own {
                    left = Some(Left::Value(value));
                }
                if branch.labels.get(at) != Some(&label) {
                    return take(left);
                }
                node = &branch.children[at];
                rest = after;
            }
        }
    }
}

/// `from` is what is left of the lower bound, or nothing where the whole subtree is above it.
fn next_marked<'a, V>(node: &'a Node<V>, from: Option<&[u8]>, mark_max: u64) -> Option<&'a V> {
    match node {
        Node::Leaf { suffix, value } => from.is_none_or(|from| suffix.as_bytes() >= from).then_some(value),
        Node::Branch(branch) => {
            let prefix = branch.prefix.as_bytes();
            let from = match from.map(|from| (from, from.strip_prefix(prefix))) {
                None => None,
                Some((_, Some(stripped))) => (!stripped.is_empty()).then_some(stripped),
                Some((from, None)) if prefix > from => None,
                Some(_) => return None,
            };
            let Some(from) = from else {
                if let Some((value, tally)) = &branch.own
                    && tally.mark <= mark_max
                {
                    return Some(value);
                }
                let at = branch.tallies.iter().position(|tally| tally.mark <= mark_max)?;
                return next_marked(&branch.children[at], None, mark_max);
            };
            let start = branch.lower_bound(from[0]);
            if branch.labels.get(start) == Some(&from[0])
                && branch.tallies[start].mark <= mark_max
                && let Some(value) = next_marked(&branch.children[start], Some(&from[1..]), mark_max)
            {
                return Some(value);
            }
            let after = start + usize::from(branch.labels.get(start) == Some(&from[0]));
            let at = after + branch.tallies[after..].iter().position(|tally| tally.mark <= mark_max)?;
            next_marked(&branch.children[at], None, mark_max)
        }
    }
}
