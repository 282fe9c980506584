//! The part of a key that a node of the radix tree holds itself: inline where it is short, else in a box.

const INLINE_MAX: usize = 22;

pub(super) enum Suffix {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Heap(Box<[u8]>),
}

impl Suffix {
    #[inline]
    pub(super) fn new(text: &[u8]) -> Self {
        if text.len() > INLINE_MAX {
            return Self::Heap(text.into());
        }
        let mut bytes = [0; INLINE_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Self::Inline { len: text.len() as u8, bytes }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(bytes) => bytes.len(),
        }
    }

    /// `self` + `label` + `tail`: the text of a path that lost its only fork.
    pub(super) fn joined(&self, label: u8, tail: &Suffix) -> Self {
        Self::new(&[self.as_bytes(), &[label], tail.as_bytes()].concat())
    }
}
