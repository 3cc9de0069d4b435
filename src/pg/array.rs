//! Arrays as arguments of statements, laid out as `utils/array.h` says.

use bumpalo::Bump;
use pgrx::pg_sys::{self, Datum, Oid};
use uuid::Uuid;

/// A one-dimensional array without nulls, being filled.
struct Builder<'a> {
    bytes: bumpalo::collections::Vec<'a, u64>,
    length: usize,
}

const HEADER: usize = 24;

impl<'a> Builder<'a> {
    /// Room for `size` bytes of elements.
    fn new(arena: &'a Bump, size: usize) -> Builder<'a> {
        let mut bytes = bumpalo::collections::Vec::new_in(arena);
        bytes.resize((HEADER + size).div_ceil(8), 0);
        Builder { bytes, length: HEADER }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.bytes.len() * 8 < end {
            self.bytes.resize(end.div_ceil(8), 0);
        }
        let (_, all, _) = unsafe {
            // SAFETY: words without padding, seen as bytes.
            self.bytes.as_mut_slice().align_to_mut::<u8>()
        };
        all[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    fn put_varlena(&mut self, bytes: &[u8]) {
        self.length = self.length.next_multiple_of(4);
        self.put(&length_word(bytes.len() + 4));
        self.put(bytes);
    }

    fn finish(mut self, count: usize, element: Oid) -> Datum {
        let length = self.length;
        self.length = 0;
        self.put(&length_word(length));
        // One dimension, no nulls, element type, its size, its lower bound.
        for word in [u32::from(count > 0), 0, element.to_u32(), count as u32, 1] {
            self.put(&word.to_ne_bytes());
        }
        Datum::from(self.bytes.into_bump_slice().as_ptr())
    }
}

/// A varlena's four-byte length word.
pub fn length_word(length: usize) -> [u8; 4] {
    let length = length as u32;
    if cfg!(target_endian = "little") { length << 2 } else { length }.to_ne_bytes()
}

fn of_varlena<'a, 'v>(
    arena: &'a Bump,
    element: Oid,
    values: impl Iterator<Item = &'v [u8]> + Clone,
) -> Datum {
    let size = values.clone().map(|value| (value.len() + 4).next_multiple_of(4)).sum();
    let mut builder = Builder::new(arena, size);
    let mut count = 0;
    for value in values {
        builder.put_varlena(value);
        count += 1;
    }
    builder.finish(count, element)
}

/// A `text`, or a `jsonb` in binary form.
pub fn varlena(arena: &Bump, content: &[u8]) -> Datum {
    let length = content.len() + 4;
    let words: &mut [u32] = arena.alloc_slice_fill_copy(length.div_ceil(4), 0);
    let (_, bytes, _) = unsafe {
        // SAFETY: words without padding, seen as bytes.
        words.align_to_mut::<u8>()
    };
    bytes[..4].copy_from_slice(&length_word(length));
    bytes[4..length].copy_from_slice(content);
    Datum::from(bytes.as_ptr())
}

/// A `text[]`.
pub fn of_text<'a, 'v>(arena: &'a Bump, values: impl Iterator<Item = &'v str> + Clone) -> Datum {
    of_varlena(arena, pg_sys::TEXTOID, values.map(str::as_bytes))
}

/// A `jsonb[]` of documents in binary form.
pub fn of_jsonb<'a, 'v>(arena: &'a Bump, values: impl Iterator<Item = &'v [u8]> + Clone) -> Datum {
    of_varlena(arena, pg_sys::JSONBOID, values)
}

/// A `uuid[]`.
pub fn of_uuid(arena: &Bump, values: impl ExactSizeIterator<Item = Uuid>) -> Datum {
    let count = values.len();
    let mut builder = Builder::new(arena, 16 * count);
    values.for_each(|value| builder.put(value.as_bytes()));
    builder.finish(count, pg_sys::UUIDOID)
}

/// A `boolean[]`.
pub fn of_bool(arena: &Bump, values: impl ExactSizeIterator<Item = bool>) -> Datum {
    let count = values.len();
    let mut builder = Builder::new(arena, count);
    values.for_each(|value| builder.put(&[u8::from(value)]));
    builder.finish(count, pg_sys::BOOLOID)
}

/// A `bigint[]`.
pub fn of_i64(arena: &Bump, values: impl ExactSizeIterator<Item = i64>) -> Datum {
    let count = values.len();
    let mut builder = Builder::new(arena, 8 * count);
    values.for_each(|value| builder.put(&value.to_ne_bytes()));
    builder.finish(count, pg_sys::INT8OID)
}
