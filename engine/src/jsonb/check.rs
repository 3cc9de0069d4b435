//! Whether bytes are well-formed jsonb. What the server hands over always is; the fuzzer's
//! bytes are not.

use super::layout::{self, align, word};
use super::{key_order, number};

/// Bytes that are not jsonb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Checks that reading `bytes` (a jsonb datum without its length word) cannot panic. Not
/// recursive: takes any nesting.
pub fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let mut pending = vec![(bytes, true)];
    while let Some((container, is_root)) = pending.pop() {
        check_container(container, is_root, &mut pending)?;
    }
    Ok(())
}

fn check_container<'a>(
    bytes: &'a [u8],
    is_root: bool,
    pending: &mut Vec<(&'a [u8], bool)>,
) -> Result<(), Malformed> {
    if bytes.len() < 4 {
        return Err(Malformed);
    }
    let header = word(bytes, 0);
    let count = (header & layout::COUNT) as usize;
    let is_object = match header & !layout::COUNT {
        layout::ARRAY => false,
        layout::OBJECT => true,
        kind if kind == layout::ARRAY | layout::SCALAR && is_root && count == 1 => false,
        _ => return Err(Malformed),
    };
    let is_scalar = header & layout::SCALAR != 0;
    let entries = if is_object { 2 * count } else { count };
    let data = bytes.get(4 + 4 * entries..).ok_or(Malformed)?;
    let (mut start, mut previous_key) = (0, None);
    for index in 0..entries {
        let entry = word(bytes, 4 + 4 * index);
        let length = (entry & layout::OFFSET) as usize;
        let has_offset = entry & layout::HAS_OFFSET != 0;
        let end = if has_offset { length } else { start + length };
        if end < start || end > data.len() || has_offset != index.is_multiple_of(layout::STRIDE) {
            return Err(Malformed);
        }
        let kind = entry & layout::TYPE;
        if is_object && index < count {
            let key = check_string(kind, &data[start..end])?;
            if previous_key.is_some_and(|previous| key_order(previous, key).is_ge()) {
                return Err(Malformed);
            }
            previous_key = Some(key);
        } else {
            check_child(kind, data, start, end, is_scalar, pending)?;
        }
        start = end;
    }
    Ok(())
}

fn check_child<'a>(
    kind: u32,
    data: &'a [u8],
    start: usize,
    end: usize,
    is_scalar: bool,
    pending: &mut Vec<(&'a [u8], bool)>,
) -> Result<(), Malformed> {
    match kind {
        layout::IS_NULL | layout::IS_FALSE | layout::IS_TRUE => Ok(()),
        layout::IS_STRING => check_string(kind, &data[start..end]).map(|_| ()),
        layout::IS_NUMBER => check_number(data.get(align(start)..end).ok_or(Malformed)?),
        layout::IS_CONTAINER if !is_scalar => {
            pending.push((data.get(align(start)..end).ok_or(Malformed)?, false));
            Ok(())
        }
        _ => Err(Malformed),
    }
}

fn check_string(kind: u32, bytes: &[u8]) -> Result<&str, Malformed> {
    if kind != layout::IS_STRING {
        return Err(Malformed);
    }
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// A finite numeric with its length word, its digits below 10,000.
fn check_number(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() < 6 || number::word_length(bytes) != bytes.len() {
        return Err(Malformed);
    }
    let header = u16::from_ne_bytes([bytes[4], bytes[5]]);
    let digits = match header & 0xC000 {
        0xC000 => return Err(Malformed),
        0x8000 => &bytes[6..],
        _ => bytes.get(8..).ok_or(Malformed)?,
    };
    let fits = |pair: &[u8]| u16::from_ne_bytes([pair[0], pair[1]]) < 10_000;
    if digits.len() % 2 == 0 && digits.chunks(2).all(fits) { Ok(()) } else { Err(Malformed) }
}
