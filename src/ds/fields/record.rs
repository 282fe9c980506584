//! A field of a large hash with its value, and where it has one its deadline: one allocation, reached by a thin pointer.
//!
//! ```text
//!  0      1          1 + w       1 + 2w
//!  ┌──────┬──────────┬───────────┬────────────┬──────┬───────┐
//!  │ kind │ name len │ value len │ deadline 8 │ name │ value │     w = 1, 2, 4 or 8: what the longer of the two needs
//!  └──────┴──────────┴───────────┴────────────┴──────┴───────┘
//!   bits 0, 1: log2 w              where kind has bit 2
//! ```
//! The layout of the block is always a whole size class, so a value may change in place within its class.

use crate::ds::ahead::Fetch;
use crate::ds::keytable::{Slot, prefetch};
use crate::util::memory::block_size;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// An owned field.
pub struct Field(NonNull<u8>);

/// A field in a table. Nothing of it is read before it is asked for.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    start: NonNull<u8>,
    table: PhantomData<&'a [u8]>,
}

/// A field in a table, to change.
pub struct FieldMut<'a> {
    start: NonNull<u8>,
    table: PhantomData<&'a mut [u8]>,
}

const WIDTH_BITS: u8 = 0b011;
const HAS_DEADLINE: u8 = 0b100;

// SAFETY: a field owns its block alone.
unsafe impl Send for Field {}
// SAFETY: a shared field is only read.
unsafe impl Sync for Field {}

/// Where everything is in a block.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    kind: u8,
    name: usize,
    value: usize,
}

impl Shape {
    #[inline]
    fn of(name: usize, value: usize, has_deadline: bool) -> Self {
        let width = match name | value {
            0..0x100 => 0,
            0x100..0x1_0000 => 1,
            0x1_0000..0x1_0000_0000 => 2,
            _ => 3,
        };
        Self { kind: width | if has_deadline { HAS_DEADLINE } else { 0 }, name, value }
    }

    /// # Safety
    /// `start` is the block of a live field.
    #[inline]
    unsafe fn read(start: NonNull<u8>) -> Self {
        // SAFETY: the head of a block is written by `Field::new`, with two lengths of the width that `kind` tells.
        unsafe {
            let kind = start.read();
            let at = start.add(1);
            let (name, value) = match kind & WIDTH_BITS {
                0 => (usize::from(at.read()), usize::from(at.add(1).read())),
                1 => {
                    let lengths = at.cast::<[u16; 2]>().read_unaligned();
                    (usize::from(lengths[0]), usize::from(lengths[1]))
                }
                2 => {
                    let lengths = at.cast::<[u32; 2]>().read_unaligned();
                    (lengths[0] as usize, lengths[1] as usize)
                }
                _ => {
                    let lengths = at.cast::<[u64; 2]>().read_unaligned();
                    (lengths[0] as usize, lengths[1] as usize)
                }
            };
            Self { kind, name, value }
        }
    }

    /// # Safety
    /// `start` is a block of at least `size()` bytes that nobody else looks at.
    #[inline]
    unsafe fn write(self, start: NonNull<u8>) {
        // SAFETY: the head is part of the block.
        unsafe {
            start.write(self.kind);
            let at = start.add(1);
            match self.kind & WIDTH_BITS {
                0 => at.cast::<[u8; 2]>().write([self.name as u8, self.value as u8]),
                1 => at.cast::<[u16; 2]>().write_unaligned([self.name as u16, self.value as u16]),
                2 => at.cast::<[u32; 2]>().write_unaligned([self.name as u32, self.value as u32]),
                _ => at.cast::<[u64; 2]>().write_unaligned([self.name as u64, self.value as u64]),
            }
        }
    }

    #[inline]
    fn has_deadline(self) -> bool {
        self.kind & HAS_DEADLINE != 0
    }

    #[inline]
    fn deadline_at(self) -> usize {
        1 + (2 << (self.kind & WIDTH_BITS))
    }

    #[inline]
    fn name_at(self) -> usize {
        self.deadline_at() + if self.has_deadline() { 8 } else { 0 }
    }

    #[inline]
    fn value_at(self) -> usize {
        self.name_at() + self.name
    }

    #[inline]
    fn layout(self) -> Layout {
        Layout::from_size_align(block_size(self.value_at() + self.value), 8).expect("sizes are far below isize::MAX")
    }
}

impl Field {
    pub fn new(name: &[u8], value: &[u8], deadline: Option<u64>) -> Self {
        let shape = Shape::of(name.len(), value.len(), deadline.is_some());
        let layout = shape.layout();
        // SAFETY: a size class is never zero bytes.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the block has room for all parts of its shape, and nobody else knows it.
        unsafe {
            shape.write(start);
            if let Some(deadline) = deadline {
                start.add(shape.deadline_at()).cast::<u64>().write_unaligned(deadline);
            }
            start.add(shape.name_at()).copy_from_nonoverlapping(NonNull::from(name).cast(), name.len());
            start.add(shape.value_at()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        #[cfg(test)]
        crate::ds::live::born();
        Self(start)
    }

    #[inline]
    pub fn view(&self) -> FieldRef<'_> {
        FieldRef { start: self.0, table: PhantomData }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        #[cfg(test)]
        crate::ds::live::died();
        let layout = self.view().shape().layout();
        // SAFETY: allocated with this layout, and not used again.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }
}

impl<'a> FieldRef<'a> {
    #[inline]
    fn shape(self) -> Shape {
        // SAFETY: the view was made of a live field that is not changed during `'a`.
        unsafe { Shape::read(self.start) }
    }

    #[inline]
    fn bytes(self, at: usize, length: usize) -> &'a [u8] {
        // SAFETY: called with parts of the field's own shape, which `Field::new` filled.
        unsafe { std::slice::from_raw_parts(self.start.add(at).as_ptr(), length) }
    }

    #[inline]
    pub fn name(self) -> &'a [u8] {
        let shape = self.shape();
        self.bytes(shape.name_at(), shape.name)
    }

    #[inline]
    pub fn value(self) -> &'a [u8] {
        let shape = self.shape();
        self.bytes(shape.value_at(), shape.value)
    }

    #[inline]
    pub fn parts(self) -> (&'a [u8], &'a [u8]) {
        let shape = self.shape();
        (self.bytes(shape.name_at(), shape.name), self.bytes(shape.value_at(), shape.value))
    }

    #[inline]
    pub fn deadline(self) -> Option<u64> {
        let shape = self.shape();
        // SAFETY: a shape with a deadline has eight bytes for it.
        shape.has_deadline().then(|| unsafe { self.start.add(shape.deadline_at()).cast::<u64>().read_unaligned() })
    }

    /// The bytes of memory it takes.
    #[inline]
    pub fn memory(self) -> usize {
        self.shape().layout().size()
    }

    #[inline]
    pub(super) fn address(self) -> usize {
        self.start.as_ptr().expose_provenance()
    }

    /// The field at an address that `address` gave.
    ///
    /// # Safety
    /// That field lives and is not changed during `'a`.
    #[inline]
    pub(super) unsafe fn from_address(address: usize) -> Option<Self> {
        let start = NonNull::new(std::ptr::with_exposed_provenance_mut(address))?;
        Some(Self { start, table: PhantomData })
    }
}

impl Fetch for FieldRef<'_> {
    #[inline]
    fn fetch(&self) {
        prefetch(self.start.as_ptr());
    }
}

impl FieldMut<'_> {
    /// Stores a value in place where the new field would get a block of the same shape and class; false otherwise.
    #[inline]
    pub fn set_value(&mut self, value: &[u8]) -> bool {
        // SAFETY: the view was made of a live field that nobody else looks at.
        let old = unsafe { Shape::read(self.start) };
        let new = Shape::of(old.name, value.len(), old.has_deadline());
        let fits = old.kind == new.kind && old.layout() == new.layout();
        if fits {
            // SAFETY: the block is as large as that of the new shape, whose parts up to the value are where they were.
            unsafe {
                new.write(self.start);
                self.start.add(new.value_at()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
            }
        }
        fits
    }
}

// SAFETY: a field is one block from the allocator (user space is below 2^47) whose name never changes.
unsafe impl Slot for Field {
    type Ref<'a> = FieldRef<'a>;
    type Mut<'a> = FieldMut<'a>;

    #[inline]
    fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    #[inline]
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        Self: 'a,
    {
        FieldRef { start: raw, table: PhantomData }.name()
    }

    #[inline]
    unsafe fn view<'a>(raw: NonNull<u8>) -> FieldRef<'a>
    where
        Self: 'a,
    {
        FieldRef { start: raw, table: PhantomData }
    }

    #[inline]
    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> FieldMut<'a>
    where
        Self: 'a,
    {
        FieldMut { start: raw, table: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_shape_come_back() {
        let bytes: Vec<u8> = (0..70_000).map(|at| at as u8).collect();
        let lengths = [0usize, 1, 20, 255, 256, 65_535, 65_536, 70_000];
        for (name, value) in lengths.iter().flat_map(|&name| lengths.map(|value| (&bytes[..name], &bytes[..value]))) {
            for deadline in [None, Some(0), Some(u64::MAX)] {
                let field = Field::new(name, value, deadline);
                assert_eq!(field.view().parts(), (name, value));
                assert_eq!((field.view().name(), field.view().value()), (name, value));
                assert_eq!(field.view().deadline(), deadline);
            }
        }
        assert_eq!(Field::new(&[0; 20], &[0; 3], None).view().memory(), 32);
    }

    #[test]
    fn a_value_changes_in_place_within_its_size_class_only() {
        for deadline in [None, Some(77)] {
            for (old, new) in [(3usize, 4usize), (3, 9), (3, 10), (300, 100), (250, 260), (0, 1), (9, 0)] {
                let (old, new) = (vec![b'o'; old], vec![b'n'; new]);
                let field = Field::new(&[b'f'; 20], &old, deadline);
                let rebuilt = Field::new(&[b'f'; 20], &new, deadline);
                let same_block = field.view().memory() == rebuilt.view().memory()
                    && field.view().shape().kind == rebuilt.view().shape().kind;
                let mut view = FieldMut { start: field.0, table: PhantomData };
                assert_eq!(view.set_value(&new), same_block);
                let expected = if same_block { &new } else { &old };
                assert_eq!(field.view().parts(), (&[b'f'; 20][..], &expected[..]));
                assert_eq!(field.view().deadline(), deadline);
            }
        }
    }
}
