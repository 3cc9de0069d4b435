//! A call of a SQL function: its arguments, its result, and how it fails.

use bumpalo::Bump;
use erp_engine::jsonb::{Tree, Value, encode};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, ReturnSetInfo};
use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use super::array::varlena;
use super::{PgError, attempt, guard, interrupt, memory, raw};
use crate::error::{Failure, Report};
use crate::jsonb;

/// A call of a SQL function.
#[derive(Clone, Copy)]
pub struct Call(FunctionCallInfo);

/// How the elements of an array are laid out.
struct Elements {
    ty: pg_sys::Oid,
    length: c_int,
    by_value: bool,
    align: u8,
}

impl Elements {
    const JSONB: Elements = Elements::varlena(pg_sys::JSONBOID);
    const TEXT: Elements = Elements::varlena(pg_sys::TEXTOID);
    const BIGINT: Elements =
        Elements { ty: pg_sys::INT8OID, length: 8, by_value: true, align: pg_sys::TYPALIGN_DOUBLE };

    const fn varlena(ty: pg_sys::Oid) -> Elements {
        Elements { ty, length: -1, by_value: false, align: pg_sys::TYPALIGN_INT }
    }
}

/// What leaves Rust when a call fails: nothing in it needs dropping.
#[derive(Clone, Copy)]
enum Leaving {
    Again(*mut pg_sys::ErrorData),
    New { sqlstate: c_int, message: *const c_char, detail: *const c_char, hint: *const c_char },
}

/// Runs the body of a SQL function and raises its failure, whole.
///
/// # Safety
///
/// To be called by PostgreSQL's function manager alone, with nothing to drop in the caller.
pub unsafe fn enter(fcinfo: FunctionCallInfo, body: fn(Call) -> Result<Datum, Failure>) -> Datum {
    // SAFETY: all that has a destructor lives and ends inside the guard; only plain data leaves
    // it, and the error is raised from a frame that owns nothing.
    unsafe {
        let outcome = pg_sys::panic::pgrx_extern_c_guard(|| {
            let left = guard::in_call(|| body(Call(fcinfo)).map_err(leave));
            memory::trim();
            left
        });
        match outcome {
            Ok(datum) => datum,
            Err(Leaving::Again(error)) => PgError::raise(error),
            Err(Leaving::New { sqlstate, message, detail, hint }) => {
                if raw::errstart(pgrx::PgLogLevel::ERROR as c_int, std::ptr::null()) {
                    raw::errcode(sqlstate);
                    raw::errmsg_internal(c"%s".as_ptr(), message);
                    if !detail.is_null() {
                        raw::errdetail_internal(c"%s".as_ptr(), detail);
                    }
                    if !hint.is_null() {
                        raw::errhint(c"%s".as_ptr(), hint);
                    }
                    raw::errfinish(c"erp_toolkit".as_ptr(), 0, c"enter".as_ptr());
                }
                unreachable!("an error was raised and came back")
            }
        }
    }
}

fn leave(failure: Failure) -> Leaving {
    match failure.report() {
        Report::Pg(error) => Leaving::Again(error.into_raw()),
        Report::New(told) => Leaving::New {
            sqlstate: pack(&told.sqlstate),
            message: c_string(&told.message),
            detail: told.detail.map_or(std::ptr::null(), |text| c_string(&text)),
            hint: told.hint.map_or(std::ptr::null(), |text| c_string(&text)),
        },
    }
}

/// `MAKE_SQLSTATE`.
fn pack(sqlstate: &str) -> c_int {
    let six_bits = |byte: u8| c_int::from(byte.wrapping_sub(b'0') & 0x3F);
    sqlstate.bytes().enumerate().fold(0, |packed, (i, byte)| packed | six_bits(byte) << (6 * i))
}

/// A copy that PostgreSQL frees with the memory context.
fn c_string(text: &str) -> *const c_char {
    // SAFETY: as many bytes are written as were allocated.
    unsafe {
        let copy = pg_sys::palloc(text.len() + 1).cast::<u8>();
        std::ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
        copy.add(text.len()).write(0);
        copy.cast()
    }
}

impl Call {
    /// The argument at `index`, from 0; `None` for null.
    pub fn datum(self, index: usize) -> Option<Datum> {
        // SAFETY: SQL declares the function with as many arguments as it reads.
        unsafe {
            let argument = &(*self.0).args.as_slice((*self.0).nargs as usize)[index];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// The bytes of a jsonb argument, without its length word.
    pub fn jsonb_bytes<'c>(self, index: usize) -> Result<Option<&'c [u8]>, PgError> {
        // SAFETY: SQL declares the argument as jsonb.
        self.datum(index).map(|datum| unsafe { jsonb::argument(datum) }).transpose()
    }

    /// A jsonb argument.
    pub fn jsonb<'c>(self, index: usize) -> Result<Option<Value<'c>>, PgError> {
        Ok(self.jsonb_bytes(index)?.map(Value::from_datum))
    }

    /// A `jsonb[]` argument, read in place.
    pub fn jsonb_array<'c>(self, index: usize) -> Result<Option<Vec<Option<Value<'c>>>>, PgError> {
        let Some(elements) = self.elements(index, Elements::JSONB)? else { return Ok(None) };
        // SAFETY: SQL declares the argument as jsonb[]; its elements live as long as the call.
        let value = |datum| unsafe { jsonb::argument(datum) }.map(Value::from_datum);
        elements
            .into_iter()
            .map(|datum| datum.map(value).transpose())
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A `jsonb[]` argument without nulls, as the bytes of its elements; `None` if it has any.
    pub fn jsonb_bytes_array<'c>(self, index: usize) -> Result<Option<Vec<&'c [u8]>>, PgError> {
        let Some(elements) = self.elements(index, Elements::JSONB)? else { return Ok(None) };
        // SAFETY: SQL declares the argument as jsonb[]; its elements live as long as the call.
        let bytes = |datum: Option<_>| datum.map(|datum| unsafe { jsonb::argument(datum) });
        elements.into_iter().map(|datum| bytes(datum).transpose()).collect()
    }

    /// A `text[]` argument without nulls; `None` if it has any.
    pub fn text_array(self, index: usize, arena: &Bump) -> Result<Option<Vec<&str>>, PgError> {
        let Some(elements) = self.elements(index, Elements::TEXT)? else { return Ok(None) };
        // SAFETY: SQL declares the argument as text[].
        let text = |datum: Option<_>| datum.map(|datum| unsafe { jsonb::text(datum, arena) });
        elements.into_iter().map(|datum| text(datum).transpose()).collect()
    }

    /// A `bigint[]` argument without nulls; `None` if it has any.
    pub fn i64_array(self, index: usize) -> Result<Option<Vec<i64>>, PgError> {
        let Some(elements) = self.elements(index, Elements::BIGINT)? else { return Ok(None) };
        Ok(elements.into_iter().map(|datum| datum.map(|datum| datum.value() as i64)).collect())
    }

    /// The elements of an array argument, in place.
    fn elements(self, index: usize, of: Elements) -> Result<Option<Vec<Option<Datum>>>, PgError> {
        let Some(datum) = self.datum(index) else { return Ok(None) };
        let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: SQL declares the argument as an array of such elements.
        unsafe {
            attempt(|| {
                let array = raw::pg_detoast_datum(datum.cast_mut_ptr()).cast();
                let Elements { ty, length, by_value, align } = of;
                let align = align as c_char;
                let (found, nulls, count) = (&raw mut elements, &raw mut nulls, &raw mut count);
                raw::deconstruct_array(array, ty, length, by_value, align, found, nulls, count);
            })?;
            let element = |i| (!*nulls.add(i)).then(|| *elements.add(i));
            Ok(Some((0..count as usize).map(element).collect()))
        }
    }

    /// A text argument.
    pub fn text(self, index: usize, arena: &Bump) -> Result<Option<&str>, PgError> {
        // SAFETY: SQL declares the argument as text.
        self.datum(index).map(|datum| unsafe { jsonb::text(datum, arena) }).transpose()
    }

    /// Returns null.
    pub fn null(self) -> Datum {
        // SAFETY: the call runs.
        unsafe { (*self.0).isnull = true }
        Datum::null()
    }

    /// Starts the function's result rows.
    pub fn rows(self) -> Result<Results, PgError> {
        let fcinfo = self.0;
        // The columns that the caller expects are those that SQL declares. To look them up again was
        // 6 % of the instructions of a call that changes nothing.
        let columns = pg_sys::MAT_SRF_USE_EXPECTED_DESC;
        // SAFETY: SQL declares the function as RETURNS TABLE; the executor offers a tuplestore.
        let info = unsafe {
            attempt(|| raw::InitMaterializedSRF(fcinfo, columns))?;
            (*fcinfo).resultinfo.cast::<ReturnSetInfo>()
        };
        Ok(Results { call: self, info, row: RefCell::default() })
    }
}

/// The result rows of a set-returning function.
pub struct Results {
    call: Call,
    info: *mut ReturnSetInfo,
    /// What the row that is being added is made of.
    row: RefCell<Bump>,
}

/// A column of a result row.
pub enum Cell<'v> {
    Null,
    Text(&'v str),
    Tree(&'v Tree<'v>),
    /// Anything else, as it is.
    Datum(Datum),
}

impl Results {
    /// Adds a row.
    pub fn put(&self, cells: &[Cell<'_>]) -> Result<(), Failure> {
        interrupt::check()?;
        let mut arena = self.row.borrow_mut();
        let mut values: smallvec::SmallVec<[Datum; 8]> = smallvec::SmallVec::new();
        let mut nulls: smallvec::SmallVec<[bool; 8]> = smallvec::SmallVec::new();
        for cell in cells {
            nulls.push(matches!(cell, Cell::Null));
            values.push(match cell {
                Cell::Null => Datum::null(),
                Cell::Text(text) => varlena(&arena, text.as_bytes()),
                Cell::Tree(tree) => varlena(&arena, &encode(tree)?),
                Cell::Datum(datum) => *datum,
            });
        }
        let (info, row, is_null) = (self.info, values.as_ptr(), nulls.as_ptr());
        // SAFETY: SQL declares as many columns as there are cells; the tuplestore copies them.
        unsafe {
            attempt(|| {
                raw::tuplestore_putvalues((*info).setResult, (*info).setDesc, row, is_null);
            })?;
        }
        arena.reset();
        Ok(())
    }

    /// Takes all rows back.
    pub fn clear(&self) -> Result<(), PgError> {
        let info = self.info;
        // SAFETY: the tuplestore is ours until the function returns.
        unsafe { attempt(|| raw::tuplestore_clear((*info).setResult)) }
    }

    /// What the function returns once all rows are there.
    pub fn done(self) -> Result<Datum, Failure> {
        Ok(self.call.null())
    }
}
