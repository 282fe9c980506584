//! How the ranked tree keeps its shape: splitting what is full, joining what has become small, and telling parents.
//!
//! Every repair follows the path that the change came down and touches a node and one neighbour on each level.

use super::*;

/// Below these a node looks for a neighbour to join or to share with.
const LEAF_MIN: usize = LEAF_MAX / 4;
const INNER_MIN: usize = INNER_MAX / 4;
/// Two neighbours become one node only if that leaves room for what may come.
const LEAF_JOINED_MAX: usize = LEAF_MAX * 3 / 4;
const INNER_JOINED_MAX: usize = INNER_MAX * 3 / 4;

impl Tree {
    /// Tells the parents what a leaf's first entry now is, as far up as it is theirs too.
    pub(super) fn publish_first(&mut self, path: &Path) {
        let (score, first) = (path.leaf.score(0), path.leaf.record(0));
        for level in (0..path.levels).rev() {
            let (inner, slot) = path.step(level);
            inner.get_mut().set_first(slot, score, first);
            if slot > 0 {
                break;
            }
        }
    }

    /// Puts a leaf's new address where its old one was.
    pub(super) fn replace_leaf(&mut self, path: &mut Path, leaf: Leaf) {
        path.leaf = leaf;
        match path.levels {
            0 => self.root = Some(Child::leaf(leaf)),
            levels => {
                let (parent, slot) = path.step(levels - 1);
                parent.get_mut().set_child(slot, Child::leaf(leaf));
            }
        }
    }

    /// Inserts into a full leaf. An entry past the leaf's end starts a leaf of its own, so that ascending inserts
    /// leave full leaves behind; so does one before its start, for descending ones. Others halve the leaf.
    pub(super) fn insert_by_split(&mut self, mut path: Path, score: f64, record: Record) {
        let slot = path.slot;
        let right = if slot == LEAF_MAX {
            let mut right = self.new_leaf(1);
            right.insert(0, score, record);
            right
        } else if slot == 0 {
            let mut left = self.new_leaf(1);
            left.insert(0, score, record);
            let right = path.leaf;
            self.replace_leaf(&mut path, left);
            right
        } else {
            let middle = LEAF_MAX.div_ceil(2);
            let goes_right = slot > middle;
            let mut right = self.new_leaf(LEAF_MAX - middle + usize::from(goes_right));
            right.insert_from(0, &path.leaf, middle..LEAF_MAX);
            path.leaf.remove(middle..LEAF_MAX);
            let mut left = self.resized(path.leaf, middle + usize::from(!goes_right));
            if goes_right {
                right.insert(slot - middle, score, record);
            } else {
                left.insert(slot, score, record);
            }
            self.replace_leaf(&mut path, left);
            right
        };
        if slot == 0 {
            self.publish_first(&path);
        }
        self.insert_branch(&path, path.leaf.len() as u64, branch_of_leaf(right));
    }

    /// Adds a branch right of the path, splitting upwards; `left_count` is what stayed in the path's own node.
    fn insert_branch(&mut self, path: &Path, left_count: u64, branch: Branch) {
        let mut branch = branch;
        let mut left_count = left_count;
        for level in (0..path.levels).rev() {
            let (reference, slot) = path.step(level);
            let inner = reference.get_mut();
            *inner.count_mut(slot) = left_count;
            let at = slot + 1;
            if inner.len() < INNER_MAX {
                inner.insert(at, branch);
                return;
            }
            let sibling_reference = self.new_inner();
            let sibling = sibling_reference.get_mut();
            if at == INNER_MAX {
                sibling.insert(0, branch);
            } else {
                let middle = INNER_MAX / 2;
                sibling.take_from(0, inner, middle..INNER_MAX);
                if at > middle {
                    sibling.insert(at - middle, branch);
                } else {
                    inner.insert(at, branch);
                }
            }
            left_count = inner.total();
            branch = branch_of_inner(sibling_reference);
        }
        let old = self.root.expect("a split needs a root");
        let mut left = if self.levels == 0 { branch_of_leaf(old.as_leaf()) } else { branch_of_inner(old.as_inner()) };
        left.count = left_count;
        let root = self.new_inner();
        root.get_mut().insert(0, left);
        root.get_mut().insert(1, branch);
        self.root = Some(Child::inner(root));
        self.levels += 1;
        assert!(self.levels <= LEVELS_MAX, "a tree of {LEVELS_MAX} levels cannot be in memory");
    }

    /// Takes `taken` entries of one leaf out, from the path's slot on, and repairs the leaf's surroundings.
    pub(super) fn remove_at(&mut self, mut path: Path, taken: usize) {
        self.len -= taken as u64;
        self.add_to_counts(&path, -(taken as i64));
        path.leaf.remove(path.slot..path.slot + taken);
        let left = path.leaf.len();
        if left == 0 {
            self.remove_empty_leaf(&path);
            return;
        }
        if path.slot == 0 {
            self.publish_first(&path);
        }
        if left < LEAF_MIN && path.levels > 0 {
            self.join_leaf(&path);
            return;
        }
        if path.leaf.is_slack() {
            let leaf = self.resized(path.leaf, left + 2);
            self.replace_leaf(&mut path, leaf);
        }
    }

    fn remove_empty_leaf(&mut self, path: &Path) {
        // SAFETY: the leaf's slot in its parent, or the root, is taken away below before anything looks there.
        unsafe { self.free_leaf(path.leaf) };
        if path.levels == 0 {
            self.root = None;
            return;
        }
        self.remove_branch(path, path.levels - 1);
    }

    /// Takes the path's branch out of its node on `level`, and the nodes above that become empty by it.
    fn remove_branch(&mut self, path: &Path, level: usize) {
        let (reference, slot) = path.step(level);
        let inner = reference.get_mut();
        inner.remove(slot);
        if inner.len() == 0 {
            // SAFETY: its branch in the level above, or the root, goes before anything looks there.
            unsafe { self.free_inner(reference) };
            if level == 0 {
                self.root = None;
                self.levels = 0;
            } else {
                self.remove_branch(path, level - 1);
            }
            return;
        }
        if slot == 0 {
            let branch = inner.branch(0);
            self.publish_branch(path, level, branch);
        }
        self.repair_inner(path, level);
    }

    /// Tells the levels above `level` the first entry of the path's node there.
    fn publish_branch(&mut self, path: &Path, level: usize, first: Branch) {
        for above in (0..level).rev() {
            let (parent, slot) = path.step(above);
            parent.get_mut().set_first(slot, first.score, first.first);
            if slot > 0 {
                break;
            }
        }
    }

    /// Joins a leaf that has become small with a neighbour, or evens the two out.
    fn join_leaf(&mut self, path: &Path) {
        let (parent, slot) = path.step(path.levels - 1);
        let Some((left_slot, right_slot)) = neighbours(parent.get(), slot) else { return };
        let inner = parent.get_mut();
        let mut left = inner.child(left_slot).as_leaf();
        let mut right = inner.child(right_slot).as_leaf();
        let total = left.len() + right.len();
        if total <= LEAF_JOINED_MAX {
            if left.capacity() < total {
                left = self.resized(left, total);
            }
            left.insert_from(left.len(), &right, 0..right.len());
            inner.set_child(left_slot, Child::leaf(left));
            *inner.count_mut(left_slot) = total as u64;
            // SAFETY: its branch is removed in the next step, and its entries are in `left` now.
            unsafe { self.free_leaf(right) };
            self.remove_joined(path, path.levels - 1, right_slot);
            return;
        }
        let middle = total / 2;
        if left.len() < middle {
            let moved = middle - left.len();
            left = self.resized(left, middle);
            left.insert_from(left.len(), &right, 0..moved);
            right.remove(0..moved);
            right = self.resized(right, total - middle);
        } else {
            right = self.resized(right, total - middle);
            right.insert_from(0, &left, middle..left.len());
            left.remove(middle..left.len());
            left = self.resized(left, middle);
        }
        inner.set_child(left_slot, Child::leaf(left));
        inner.set_child(right_slot, Child::leaf(right));
        *inner.count_mut(left_slot) = left.len() as u64;
        *inner.count_mut(right_slot) = right.len() as u64;
        inner.set_first(right_slot, right.score(0), right.record(0));
    }

    /// Takes the right one of two joined nodes out of their parent. It is never a parent's first, so no first entry changes.
    fn remove_joined(&mut self, path: &Path, level: usize, right_slot: usize) {
        let (reference, _) = path.step(level);
        reference.get_mut().remove(right_slot);
        self.repair_inner(path, level);
    }

    /// Joins an inner node that has become small with a neighbour, or evens the two out; drops a root with one child.
    fn repair_inner(&mut self, path: &Path, level: usize) {
        let (reference, _) = path.step(level);
        let len = reference.get().len();
        if level == 0 {
            self.drop_single_roots();
            return;
        }
        if len >= INNER_MIN {
            return;
        }
        let (parent, slot) = path.step(level - 1);
        let Some((left_slot, right_slot)) = neighbours(parent.get(), slot) else { return };
        let parent = parent.get_mut();
        let left_reference = parent.child(left_slot).as_inner();
        let right_reference = parent.child(right_slot).as_inner();
        let (left, right) = (left_reference.get_mut(), right_reference.get_mut());
        let total = left.len() + right.len();
        if total <= INNER_JOINED_MAX {
            left.take_from(left.len(), right, 0..right.len());
            *parent.count_mut(left_slot) = left.total();
            // SAFETY: its branch is removed in the next step, and its children are in `left` now.
            unsafe { self.free_inner(right_reference) };
            self.remove_joined(path, level - 1, right_slot);
            return;
        }
        let middle = total / 2;
        if left.len() < middle {
            left.take_from(left.len(), right, 0..middle - left.len());
        } else {
            right.take_from(0, left, middle..left.len());
        }
        *parent.count_mut(left_slot) = left.total();
        *parent.count_mut(right_slot) = right.total();
        let first = right.branch(0);
        parent.set_first(right_slot, first.score, first.first);
    }

    pub(super) fn new_leaf(&mut self, entries: usize) -> Leaf {
        let leaf = Leaf::new(entries);
        self.bytes += leaf.memory();
        leaf
    }

    /// The leaf at its new address: the old one is dead.
    pub(super) fn resized(&mut self, leaf: Leaf, entries: usize) -> Leaf {
        self.bytes -= leaf.memory();
        let leaf = leaf.resized(entries);
        self.bytes += leaf.memory();
        leaf
    }

    /// # Safety
    /// As for `Leaf::free`.
    unsafe fn free_leaf(&mut self, leaf: Leaf) {
        self.bytes -= leaf.memory();
        // SAFETY: the caller's promise.
        unsafe { leaf.free() }
    }

    fn new_inner(&mut self) -> InnerRef {
        self.bytes += INNER_BYTES;
        InnerRef::new()
    }

    /// # Safety
    /// As for `InnerRef::free`.
    unsafe fn free_inner(&mut self, inner: InnerRef) {
        self.bytes -= INNER_BYTES;
        // SAFETY: the caller's promise.
        unsafe { inner.free() }
    }

    fn drop_single_roots(&mut self) {
        while self.levels > 0 {
            let root = self.root.expect("a tree with levels has a root").as_inner();
            if root.get().len() > 1 {
                return;
            }
            self.root = Some(root.get().child(0));
            self.levels -= 1;
            // SAFETY: its only child has taken its place.
            unsafe { self.free_inner(root) };
        }
    }
}
/// A child and a neighbour of it, left one first.
fn neighbours(parent: &Inner, slot: usize) -> Option<(usize, usize)> {
    match slot {
        _ if slot + 1 < parent.len() => Some((slot, slot + 1)),
        0 => None,
        _ => Some((slot - 1, slot)),
    }
}
