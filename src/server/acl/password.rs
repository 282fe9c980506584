//! Passwords are kept as the hexadecimal digits of their SHA-256, never themselves.

use sha2::{Digest, Sha256};

pub const HASH_LEN: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    pub fn of(password: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; HASH_LEN];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(password)) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        Self(digits)
    }

    /// Takes the same time wherever the two differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |different, (one, other)| different | (one ^ other)) == 0
    }
}
