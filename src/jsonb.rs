//! Datum ↔ bytes: detoasting and allocating. What the bytes mean is the engine's.

use bumpalo::Bump;
use erp_engine::jsonb::Value;
use pgrx::pg_sys::{self, Datum};

use crate::pg::array::length_word;
use crate::pg::{PgError, attempt, raw};

/// The body of a varlena datum, copied into `arena`.
///
/// # Safety
///
/// The datum is a varlena that lives through the call.
unsafe fn body(datum: Datum, arena: &Bump) -> Result<&[u8], PgError> {
    // SAFETY: the caller's; detoasting gives a varlena with a four-byte length word.
    unsafe {
        let given: *mut pg_sys::varlena = datum.cast_mut_ptr();
        let is_short = pgrx::varatt_is_1b(given) && !pgrx::varatt_is_1b_e(given);
        if is_short || pgrx::varatt_is_4b_u(given) {
            return Ok(arena.alloc_slice_copy(pgrx::varlena_to_byte_slice(given)));
        }
        let plain = attempt(|| raw::pg_detoast_datum(given))?;
        let bytes = arena.alloc_slice_copy(bytes_of(plain));
        pg_sys::pfree(plain.cast());
        Ok(bytes)
    }
}

unsafe fn bytes_of<'a>(plain: *mut pg_sys::varlena) -> &'a [u8] {
    // SAFETY: the caller's: a varlena with a four-byte length word.
    unsafe {
        let length = pgrx::varsize(plain) - pg_sys::VARHDRSZ;
        std::slice::from_raw_parts(plain.cast::<u8>().add(pg_sys::VARHDRSZ), length)
    }
}

/// A jsonb, read in place, copied into `arena`.
///
/// # Safety
///
/// The datum is a jsonb.
pub unsafe fn read(datum: Datum, arena: &Bump) -> Result<Value<'_>, PgError> {
    // SAFETY: the caller's.
    Ok(Value::from_datum(unsafe { body(datum, arena) }?))
}

/// The bytes of a jsonb argument, without its length word. They live as long as the SQL call:
/// what detoasting copies is in the memory context of the call.
///
/// # Safety
///
/// The datum is a jsonb argument of the running call.
pub unsafe fn argument<'c>(datum: Datum) -> Result<&'c [u8], PgError> {
    // SAFETY: the caller's.
    unsafe {
        let given: *mut pg_sys::varlena = datum.cast_mut_ptr();
        let plain = attempt(|| raw::pg_detoast_datum(given))?;
        Ok(bytes_of(plain))
    }
}

/// A text, copied into `arena`.
///
/// # Safety
///
/// The datum is a text in UTF-8: databases of other encodings are refused at installation.
pub unsafe fn text(datum: Datum, arena: &Bump) -> Result<&str, PgError> {
    // SAFETY: the caller's.
    let bytes = unsafe { body(datum, arena) }?;
    Ok(std::str::from_utf8(bytes).expect("the database's encoding is UTF-8"))
}

/// A varlena datum of `bytes`, allocated in the current memory context: a jsonb or a text.
pub fn datum(bytes: &[u8]) -> Result<Datum, PgError> {
    let length = bytes.len() + pg_sys::VARHDRSZ;
    // SAFETY: as many bytes are written as were allocated.
    unsafe {
        let out = attempt(|| raw::palloc(length))?.cast::<u8>();
        out.cast::<[u8; 4]>().write(length_word(length));
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.add(pg_sys::VARHDRSZ), bytes.len());
        Ok(Datum::from(out))
    }
}
