//! Walking a whole radix tree in order, either way.
//!
//! The key is put together on the way and lent out for one step. Who wants a stretch of the tree seeks from value to value instead.

use super::{Branch, Node};

/// All keys, least first.
pub struct Ascending<'a, V> {
    walk: Walk<'a, V>,
}

/// All keys, greatest first.
pub struct Descending<'a, V> {
    walk: Walk<'a, V>,
}

struct Walk<'a, V> {
    key: Vec<u8>,
    todo: Vec<Step<'a, V>>,
}

/// What is still to be visited; `key_len` is how much of the key it keeps.
enum Step<'a, V> {
    Node { key_len: usize, label: Option<u8>, node: &'a Node<V> },
    Own { key_len: usize, value: &'a V },
}

impl<'a, V> Ascending<'a, V> {
    pub(super) fn new(root: Option<&'a Node<V>>) -> Self {
        Self { walk: Walk::new(root) }
    }

    /// The next key and its value.
    pub fn step(&mut self) -> Option<(&[u8], &'a V)> {
        let value = self.walk.advance(|walk, key_len, branch| {
            walk.todo.extend(branch.steps(key_len).rev());
            walk.todo.extend(branch.own.as_ref().map(|(value, _)| Step::Own { key_len, value }));
        })?;
        Some((&self.walk.key, value))
    }
}

impl<'a, V> Descending<'a, V> {
    pub(super) fn new(root: Option<&'a Node<V>>) -> Self {
        Self { walk: Walk::new(root) }
    }

    /// The next key and its value.
    pub fn step(&mut self) -> Option<(&[u8], &'a V)> {
        let value = self.walk.advance(|walk, key_len, branch| {
            walk.todo.extend(branch.own.as_ref().map(|(value, _)| Step::Own { key_len, value }));
            walk.todo.extend(branch.steps(key_len));
        })?;
        Some((&self.walk.key, value))
    }
}

impl<'a, V> Walk<'a, V> {
    fn new(root: Option<&'a Node<V>>) -> Self {
        let todo = root.map(|node| Step::Node { key_len: 0, label: None, node });
        Self { key: Vec::new(), todo: Vec::from_iter(todo) }
    }

    fn advance(&mut self, push: impl Fn(&mut Self, usize, &'a Branch<V>)) -> Option<&'a V> {
        loop {
            match self.todo.pop()? {
                Step::Own { key_len, value } => {
                    self.key.truncate(key_len);
                    return Some(value);
                }
                Step::Node { key_len, label, node } => {
                    self.key.truncate(key_len);
                    self.key.extend(label);
                    match node {
                        Node::Leaf { suffix, value } => {
                            self.key.extend_from_slice(suffix.as_bytes());
                            return Some(value);
                        }
                        Node::Branch(branch) => {
                            self.key.extend_from_slice(branch.prefix.as_bytes());
                            push(self, self.key.len(), branch);
                        }
                    }
                }
            }
        }
    }
}

impl<V> Branch<V> {
    fn steps(&self, key_len: usize) -> impl DoubleEndedIterator<Item = Step<'_, V>> {
        let children = self.labels.iter().zip(&self.children);
        children.map(move |(&label, node)| Step::Node { key_len, label: Some(label), node })
    }
}
