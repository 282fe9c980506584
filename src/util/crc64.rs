//! The checksum of RDB files and DUMP payloads: CRC-64 with Jones's polynomial, reflected, start 0.
//!
//! Eight tables let the loop take eight bytes a step (Michael Kounavis and Frank Berry, "Slicing-by-8", 2005).

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    update(0, bytes)
}

/// The checksum of everything so far and `bytes` behind it; starts with 0.
pub fn update(mut crc: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        crc = 0;
        for (place, &byte) in mixed.iter().enumerate() {
            crc ^= TABLES[7 - place][usize::from(byte)];
        }
    }
    for &byte in rest {
        crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    crc
}

/// 0xad93d23594c935a9 with its bits in reverse.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9u64.reverse_bits();

/// `TABLES[n][byte]` is what `byte` adds to the checksum when `n` more bytes follow.
static TABLES: [[u64; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][index] = crc;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let crc: u64 = tables[table - 1][index];
            tables[table][index] = tables[0][(crc & 0xff) as usize] ^ crc >> 8;
            index += 1;
        }
        table += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gives_the_documented_check_value() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    proptest! {
        #[test]
        fn eight_at_a_time_is_one_at_a_time(bytes: Vec<u8>, cut: proptest::sample::Index) {
            let single = bytes.iter().fold(0, |crc, byte| update(crc, &[*byte]));
            prop_assert_eq!(crc64(&bytes), single);
            let cut = cut.index(bytes.len() + 1);
            prop_assert_eq!(update(crc64(&bytes[..cut]), &bytes[cut..]), single);
        }
    }
}
