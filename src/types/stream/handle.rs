//! The one word by which the keyspace holds a stream.
//!
//! A stream is several hundred bytes; this is a box around it that says of itself what every collection says.

use std::ops::{Deref, DerefMut};

use super::Stream;
use crate::ds::sizeclass;

/// A stream in a box.
#[derive(Clone, Default)]
#[repr(transparent)]
pub struct StreamBox(Box<Stream>);

impl StreamBox {
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    pub fn memory(&self) -> usize {
        sizeclass::round_up(size_of::<Stream>()) + self.0.heap_bytes()
    }

    pub fn check(&self) {
        self.0.check();
    }
}

impl From<Stream> for StreamBox {
    fn from(stream: Stream) -> Self {
        Self(Box::new(stream))
    }
}

impl Deref for StreamBox {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl DerefMut for StreamBox {
    fn deref_mut(&mut self) -> &mut Stream {
        &mut self.0
    }
}
