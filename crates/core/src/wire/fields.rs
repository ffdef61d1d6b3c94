//! The fields of headers and stamps: little-endian, without padding (SPEC §2).

use crate::wire::stamp::Stamp;

const NONE: u64 = crate::contract::layout::NONE_U64;

/// Reads the u64 at an offset.
pub(crate) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Reads the u32 at an offset.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Reads the bytes at an offset.
pub(crate) fn bytes<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

/// Returns these fields, one after the other.
pub(crate) fn joined<const N: usize>(fields: impl Iterator<Item = u8>) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, field) in bytes.iter_mut().zip(fields) {
        *byte = field;
    }
    bytes
}

/// Returns the bytes of numbers.
pub(crate) fn longs(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u8> {
    numbers.into_iter().flat_map(u64::to_le_bytes)
}

/// Returns the bytes of numbers.
pub(crate) fn words(numbers: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u8> {
    numbers.into_iter().flat_map(u32::to_le_bytes)
}

/// Returns a NUL-padded text; `None` if it is not NUL-terminated ASCII.
pub(crate) fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&field[..end]).ok().filter(|text| text.is_ascii())
}

/// Returns a stamp whose publisher, sequence, capture and due time are [`NONE`] if they are unknown.
pub(crate) fn stamp(boot_id: [u8; 16], numbers: [u64; 4]) -> Stamp {
    let [publisher, sequence, capture, due] = numbers.map(|number| (number != NONE).then_some(number));
    Stamp { boot_id, publisher, sequence, capture, due }
}
