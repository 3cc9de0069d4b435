//! The values of a table's generated columns. A statement reads their expressions from the
//! catalog's text each time it starts, which is more than half of an update of one row; here they
//! are kept, ready to be evaluated.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_int};

use pgrx::pg_sys::{self, ExprContext, ExprState, MemoryContext, Relation, TupleTableSlot};

use super::{PgError, attempt, raw};

/// The expressions of a table's generated columns.
pub struct Generated {
    memory: MemoryContext,
    columns: Vec<Column>,
    /// Whether an evaluation was left by an error.
    is_spoilt: Cell<bool>,
}

struct Column {
    /// From 0.
    at: usize,
    /// The expression as the catalog has it.
    text: CString,
    state: *mut ExprState,
}

impl Generated {
    /// Those of an open table; `None` when an expression hangs on more than its text, as the
    /// definitions of functions that are not PostgreSQL's own: then a statement is to evaluate it.
    pub fn of(relation: Relation) -> Result<Option<Generated>, PgError> {
        // SAFETY: the relation is open; the expressions live in a context of their own.
        unsafe {
            let memory = attempt(|| {
                raw::AllocSetContextCreateInternal(
                    pg_sys::TopMemoryContext,
                    c"erp_toolkit generated columns".as_ptr(),
                    pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                    pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                    pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
                )
            })?;
            let columns = Vec::new();
            let mut generated = Generated { memory, columns, is_spoilt: false.into() };
            for (at, text) in texts(relation) {
                let Some(state) = attempt(|| ready(relation, at, memory))? else {
                    return Ok(None);
                };
                generated.columns.push(Column { at, text: text.to_owned(), state });
            }
            Ok(Some(generated))
        }
    }

    /// Whether these are still the expressions of the open table, and can be evaluated.
    pub fn is_of(&self, relation: Relation) -> bool {
        let known = self.columns.iter().map(|column| (column.at, &*column.text));
        // SAFETY: the relation is open.
        !self.is_spoilt.get() && known.eq(unsafe { texts(relation) })
    }

    /// Notes that an error may have left an evaluation.
    pub fn spoil(&self) {
        self.is_spoilt.set(true);
    }

    /// Puts the values into a slot that holds the others, in the current memory context.
    ///
    /// # Safety
    ///
    /// To be called inside `attempt`, with a virtual slot of the table.
    pub unsafe fn fill(&self, slot: *mut TupleTableSlot, context: *mut ExprContext) {
        // SAFETY: the caller's.
        unsafe {
            (*context).ecxt_scantuple = slot;
            // What an expression keeps from one evaluation to the next lives as long as itself.
            let of_query = std::mem::replace(&mut (*context).ecxt_per_query_memory, self.memory);
            for column in &self.columns {
                let mut is_null = false;
                let Some(evaluate) = (*column.state).evalfunc else { continue };
                let value = evaluate(column.state, context, &raw mut is_null);
                *(*slot).tts_values.add(column.at) = value;
                *(*slot).tts_isnull.add(column.at) = is_null;
            }
            (*context).ecxt_per_query_memory = of_query;
        }
    }
}

impl Drop for Generated {
    fn drop(&mut self) {
        // SAFETY: nobody else has the context; deleting it cannot fail in a way that matters.
        unsafe {
            let memory = self.memory;
            let _ = attempt(|| raw::MemoryContextDelete(memory));
        }
    }
}

/// The stored generated columns of a table, from 0, with their expressions.
///
/// # Safety
///
/// The relation is open as long as the texts are read.
unsafe fn texts<'r>(relation: Relation) -> impl Iterator<Item = (usize, &'r CStr)> {
    // SAFETY: the caller's.
    unsafe {
        let description = (*relation).rd_att;
        let constraints = (*description).constr;
        let defaults: &[pg_sys::AttrDefault] = match constraints.is_null() {
            true => &[],
            false if (*constraints).num_defval == 0 => &[],
            false => {
                let count = (*constraints).num_defval as usize;
                std::slice::from_raw_parts((*constraints).defval, count)
            }
        };
        defaults.iter().filter_map(move |default| {
            let at = default.adnum as usize - 1;
            let generated = column(relation, at).attgenerated as u8;
            let is_stored = generated == pg_sys::ATTRIBUTE_GENERATED_STORED;
            (is_stored && !default.adbin.is_null()).then(|| (at, CStr::from_ptr(default.adbin)))
        })
    }
}

/// A column of an open table, from 0.
///
/// # Safety
///
/// The relation is open as long as the column is read, and has it.
pub unsafe fn column<'r>(relation: Relation, at: usize) -> &'r pg_sys::FormData_pg_attribute {
    // SAFETY: the caller's; a look cannot raise.
    unsafe {
        let description = (*relation).rd_att;
        #[cfg(not(feature = "pg18"))]
        let column = (*description).attrs.as_ptr().add(at);
        // They follow the compact ones.
        #[cfg(feature = "pg18")]
        let column = (*description)
            .compact_attrs
            .as_ptr()
            .add((*description).natts as usize)
            .cast::<pg_sys::FormData_pg_attribute>()
            .add(at);
        &*column
    }
}

/// The expression of a column, from 0, ready to be evaluated and kept in `memory`.
///
/// # Safety
///
/// To be called inside `attempt`, with an open relation.
unsafe fn ready(relation: Relation, at: usize, memory: MemoryContext) -> Option<*mut ExprState> {
    // SAFETY: the caller's; what is allocated goes with the context.
    unsafe {
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = memory;
        let (mut relations, mut others) = (std::ptr::null_mut(), std::ptr::null_mut());
        let stored = raw::build_column_default(relation, at as c_int + 1).cast();
        let planned =
            raw::expression_planner_with_deps(stored, &raw mut relations, &raw mut others);
        let state = (relations.is_null() && others.is_null())
            .then(|| raw::ExecInitExpr(planned, std::ptr::null_mut()));
        pg_sys::CurrentMemoryContext = before;
        state
    }
}
