//! What changes the shape or the sums of a radix tree: insert, update, remove, and `check`.
//!
//! A new key adds itself to the sums on its way down. Where a mark goes away its ancestors look for the next one only if it
//! was theirs, so most changes touch one number a level.

use super::{Branch, KEY_LEN_MAX, Node, Rax, Suffix, Tally};

impl<V> Rax<V> {
    /// Sets a key; gives back the value it had.
    ///
    /// # Panics
    /// If the key is longer than [`KEY_LEN_MAX`].
    pub fn insert(&mut self, key: &[u8], value: V, tally: Tally) -> Option<V> {
        assert!(key.len() <= KEY_LEN_MAX, "a key of {} bytes is longer than the radix tree allows", key.len());
        if self.get(key).is_some() {
            return self.update(key, |slot| (std::mem::replace(slot, value), tally));
        }
        self.len += 1;
        match &mut self.root {
            None => self.root = Some(Node::leaf(key, value, &mut self.heap_bytes)),
            Some(root) => insert_new(root, key, value, tally, self.total, &mut self.heap_bytes),
        }
        self.total = self.total.with(tally);
        None
    }

    /// Changes the value of a key and says what it weighs now.
    pub fn update<R>(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> (R, Tally)) -> Option<R> {
        update(self.root.as_mut()?, key, &mut self.total, change)
    }

    /// Removes a key; branches that lost their reason are joined with what is left.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let removed = match self.root.as_mut()? {
            Node::Leaf { suffix, .. } if suffix.as_bytes() != key => return None,
            Node::Leaf { .. } => {
                self.total = Tally::NONE;
                self.root.take()?.into_leaf_value(&mut self.heap_bytes)
            }
            root @ Node::Branch(_) => {
                let value = remove(root, key, &mut self.total, &mut self.heap_bytes)?;
                root.join(&mut self.heap_bytes);
                value
            }
        };
        self.len -= 1;
        Some(removed)
    }

    /// Asserts every invariant of the tree, given what each value should weigh. O(keys).
    pub fn check(&self, tally_of: impl Fn(&V) -> Tally) {
        let mut found = Found { len: 0, heap_bytes: 0 };
        let total = self.root.as_ref().map_or(Tally::NONE, |root| check(root, &tally_of, &mut found));
        assert_eq!(total, self.total, "the sum of all keys");
        assert_eq!(found.len, self.len, "the number of keys");
        assert_eq!(found.heap_bytes, self.heap_bytes, "the bytes on the heap");
    }
}

fn insert_new<V>(mut node: &mut Node<V>, key: &[u8], value: V, tally: Tally, mut total: Tally, heap_bytes: &mut usize) {
    let mut rest = key;
    loop {
        let text = node.text().as_bytes();
        let common = text.iter().zip(rest).take_while(|(one, two)| one == two).count();
        if common < text.len() || matches!(node, Node::Leaf { .. }) {
            return node.fork(common, total, heap_bytes).put(&rest[common..], value, tally, heap_bytes);
        }
        rest = &rest[common..];
        let Node::Branch(branch) = node else { unreachable!("leaves were forked") };
        let Some((at, after)) = rest.split_first().and_then(|(&label, after)| Some((branch.find(label)?, after)))
        else {
            return branch.put(rest, value, tally, heap_bytes);
        };
        total = branch.tallies[at];
        branch.tallies[at] = total.with(tally);
        node = &mut branch.children[at];
        rest = after;
    }
}

fn update<V, R>(
    node: &mut Node<V>,
    rest: &[u8],
    total: &mut Tally,
    change: impl FnOnce(&mut V) -> (R, Tally),
) -> Option<R> {
    match node {
        Node::Leaf { suffix, value } => {
            if suffix.as_bytes() != rest {
                return None;
            }
            let (result, tally) = change(value);
            *total = tally;
            Some(result)
        }
        Node::Branch(branch) => {
            let rest = rest.strip_prefix(branch.prefix.as_bytes())?;
            let Some((&label, after)) = rest.split_first() else {
                let (value, tally) = branch.own.as_mut()?;
                let (result, now) = change(value);
                let before = std::mem::replace(tally, now);
                branch.retotal(total, before, now);
                return Some(result);
            };
            let at = branch.find(label)?;
            let before = branch.tallies[at];
            let result = update(&mut branch.children[at], after, &mut branch.tallies[at], change)?;
            let now = branch.tallies[at];
            branch.retotal(total, before, now);
            Some(result)
        }
    }
}

/// Removes a key below a branch. The caller joins the branch if one child is left.
fn remove<V>(node: &mut Node<V>, rest: &[u8], total: &mut Tally, heap_bytes: &mut usize) -> Option<V> {
    let Node::Branch(branch) = node else { return None };
    let rest = rest.strip_prefix(branch.prefix.as_bytes())?;
    let Some((&label, after)) = rest.split_first() else {
        let (value, tally) = branch.own.take()?;
        branch.retotal(total, tally, Tally::NONE);
        return Some(value);
    };
    let at = branch.find(label)?;
    let before = branch.tallies[at];
    match &mut branch.children[at] {
        Node::Leaf { suffix, .. } if suffix.as_bytes() != after => None,
        Node::Leaf { .. } => {
            let child = branch.take(at, heap_bytes);
            branch.retotal(total, before, Tally::NONE);
            Some(child.into_leaf_value(heap_bytes))
        }
        child => {
            let value = remove(child, after, &mut branch.tallies[at], heap_bytes)?;
            child.join(heap_bytes);
            let now = branch.tallies[at];
            branch.retotal(total, before, now);
            Some(value)
        }
    }
}

impl<V> Node<V> {
    fn leaf(text: &[u8], value: V, heap_bytes: &mut usize) -> Self {
        let suffix = Suffix::new(text);
        *heap_bytes += suffix.heap_bytes();
        Node::Leaf { suffix, value }
    }

    fn text(&self) -> &Suffix {
        match self {
            Node::Leaf { suffix, .. } => suffix,
            Node::Branch(branch) => &branch.prefix,
        }
    }

    fn text_mut(&mut self) -> &mut Suffix {
        match self {
            Node::Leaf { suffix, .. } => suffix,
            Node::Branch(branch) => &mut branch.prefix,
        }
    }

    fn set_text(&mut self, text: Suffix, heap_bytes: &mut usize) {
        *heap_bytes += text.heap_bytes();
        *heap_bytes -= std::mem::replace(self.text_mut(), text).heap_bytes();
    }

    fn into_leaf_value(self, heap_bytes: &mut usize) -> V {
        match self {
            Node::Leaf { suffix, value } => {
                *heap_bytes -= suffix.heap_bytes();
                value
            }
            Node::Branch(_) => unreachable!("only leaves give up their value"),
        }
    }

    /// Puts a new branch over the first `at` bytes of the node's text; what the node was comes under it.
    fn fork(&mut self, at: usize, total: Tally, heap_bytes: &mut usize) -> &mut Branch<V> {
        let branch = Branch {
            prefix: Suffix::new(&self.text().as_bytes()[..at]),
            own: None,
            labels: Vec::new(),
            tallies: Vec::new(),
            children: Vec::new(),
        };
        *heap_bytes += branch.heap_bytes() + branch.prefix.heap_bytes();
        let mut under = std::mem::replace(self, Node::Branch(Box::new(branch)));
        let Node::Branch(branch) = self else { unreachable!("a branch was put there") };
        let text = under.text().as_bytes();
        match text.get(at).copied() {
            None => branch.own = Some((under.into_leaf_value(heap_bytes), total)),
            Some(label) => {
                let tail = Suffix::new(&text[at + 1..]);
                under.set_text(tail, heap_bytes);
                branch.adopt(0, label, under, total, heap_bytes);
            }
        }
        branch
    }

    /// Replaces a branch that forks no longer by the one thing it holds.
    fn join(&mut self, heap_bytes: &mut usize) {
        let Node::Branch(branch) = self else { return };
        if branch.children.len() + usize::from(branch.own.is_some()) > 1 {
            return;
        }
        *heap_bytes -= branch.heap_bytes() + branch.prefix.heap_bytes();
        *self = match branch.own.take() {
            Some((value, _)) => {
                let suffix = std::mem::replace(&mut branch.prefix, Suffix::new(b""));
                *heap_bytes += suffix.heap_bytes();
                Node::Leaf { suffix, value }
            }
            None => {
                let (label, mut child) = (branch.labels[0], branch.children.swap_remove(0));
                let text = branch.prefix.joined(label, child.text());
                child.set_text(text, heap_bytes);
                child
            }
        };
    }
}

impl<V> Branch<V> {
    /// A new key that parts from the others in this branch.
    fn put(&mut self, rest: &[u8], value: V, tally: Tally, heap_bytes: &mut usize) {
        match rest.split_first() {
            None => self.own = Some((value, tally)),
            Some((&label, after)) => {
                let at = self.lower_bound(label);
                let leaf = Node::leaf(after, value, heap_bytes);
                self.adopt(at, label, leaf, tally, heap_bytes);
            }
        }
    }

    fn adopt(&mut self, at: usize, label: u8, child: Node<V>, tally: Tally, heap_bytes: &mut usize) {
        if self.labels.len() == self.labels.capacity() {
            let more = (self.labels.len() / 3).clamp(2, 256 - self.labels.len());
            *heap_bytes -= self.heap_bytes();
            self.labels.reserve_exact(more);
            self.tallies.reserve_exact(more);
            self.children.reserve_exact(more);
            *heap_bytes += self.heap_bytes();
        }
        self.labels.insert(at, label);
        self.tallies.insert(at, tally);
        self.children.insert(at, child);
    }

    fn take(&mut self, at: usize, heap_bytes: &mut usize) -> Node<V> {
        self.labels.remove(at);
        self.tallies.remove(at);
        let child = self.children.remove(at);
        if self.labels.len() * 2 < self.labels.capacity() && self.labels.capacity() > 4 {
            *heap_bytes -= self.heap_bytes();
            let room = self.labels.len() + self.labels.len() / 3;
            self.labels.shrink_to(room);
            self.tallies.shrink_to(room);
            self.children.shrink_to(room);
            *heap_bytes += self.heap_bytes();
        }
        child
    }

    /// Brings the branch's total up to date after one of its parts went from `before` to `now`.
    fn retotal(&self, total: &mut Tally, before: Tally, now: Tally) {
        total.weight = total.weight - before.weight + now.weight;
        if now.mark <= total.mark {
            total.mark = now.mark;
        } else if before.mark == total.mark {
            total.mark = self.sum().mark;
        }
    }

    fn sum(&self) -> Tally {
        let own = self.own.as_ref().map_or(Tally::NONE, |(_, tally)| *tally);
        self.tallies.iter().fold(own, |sum, &tally| sum.with(tally))
    }

    /// The branch and its arrays; the texts are counted apart.
    fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.labels.capacity()
            + self.tallies.capacity() * size_of::<Tally>()
            + self.children.capacity() * size_of::<Node<V>>()
    }
}

struct Found {
    len: usize,
    heap_bytes: usize,
}

fn check<V>(node: &Node<V>, tally_of: &impl Fn(&V) -> Tally, found: &mut Found) -> Tally {
    found.heap_bytes += node.text().heap_bytes();
    match node {
        Node::Leaf { value, .. } => {
            found.len += 1;
            tally_of(value)
        }
        Node::Branch(branch) => {
            found.heap_bytes += branch.heap_bytes();
            found.len += usize::from(branch.own.is_some());
            if let Some((value, tally)) = &branch.own {
                assert_eq!(*tally, tally_of(value), "a branch's own tally");
            }
            assert!(branch.labels.is_sorted_by(|one, two| one < two), "labels ascend");
            assert!(branch.children.len() == branch.labels.len() && branch.tallies.len() == branch.labels.len());
            assert!(branch.children.len() + usize::from(branch.own.is_some()) > 1, "a branch forks");
            for (child, tally) in branch.children.iter().zip(&branch.tallies) {
                assert_eq!(*tally, check(child, tally_of, found), "a child's tally");
            }
            branch.sum()
        }
    }
}
