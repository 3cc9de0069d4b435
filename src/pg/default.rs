//! The default of a column, evaluated as INSERT does: from the expression that is stored. Its text
//! would be read again, under the search_path of whoever calls, and could come to mean functions
//! and operators of somebody else's.

use std::ffi::CStr;

use bumpalo::Bump;
use pgrx::pg_sys::{self, AclResult, EState, ExprContext, ExprState, ObjectType, Oid};

use super::rights::{INSERT, has_any};
use super::spi::in_one_snapshot;
use super::{PgError, attempt, raw};

/// A default, ready to be evaluated any number of times.
#[derive(Clone, Copy)]
struct Default {
    executor: *mut EState,
    context: *mut ExprContext,
    expression: *mut ExprState,
    /// The output function of its type.
    output: Oid,
}

/// The next `count` values of the default of a column, as text; `None` for null, or if it has no
/// default any more. As an INSERT that names no column of identity, it needs the right to insert,
/// and none on an identity's sequence.
pub fn next(
    relation: Oid,
    column: i16,
    count: usize,
    arena: &Bump,
) -> Result<Vec<Option<&str>>, PgError> {
    in_one_snapshot(|| {
        // SAFETY: the executor's state lives until it is freed here, or with the
        // (sub)transaction after an error.
        unsafe {
            let Some(default) = attempt(|| Default::of(relation, column))? else {
                return Ok(vec![None; count]);
            };
            let values = (0..count)
                .map(|_| {
                    let Some(text) = attempt(|| default.evaluate())? else { return Ok(None) };
                    let bytes = arena.alloc_slice_copy(CStr::from_ptr(text).to_bytes());
                    pg_sys::pfree(text.cast());
                    Ok(Some(std::str::from_utf8(bytes).expect("the database's encoding is UTF-8")))
                })
                .collect::<Result<_, PgError>>()?;
            attempt(|| raw::FreeExecutorState(default.executor))?;
            Ok(values)
        }
    })
}

impl Default {
    /// # Safety
    ///
    /// To be called inside `attempt`.
    unsafe fn of(relation: Oid, column: i16) -> Option<Default> {
        // SAFETY: the expression is a copy, which outlives the closed relation.
        unsafe {
            let table = raw::table_open(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            // Before a sequence moves on.
            if !has_any(relation, INSERT) {
                let (denied, kind) = (AclResult::ACLCHECK_NO_PRIV, ObjectType::OBJECT_TABLE);
                raw::aclcheck_error(denied, kind, (*(*table).rd_rel).relname.data.as_ptr());
            }
            let expression = raw::build_column_default(table, column.into());
            raw::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
            if expression.is_null() {
                return None;
            }
            let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
            let ty = raw::exprType(expression);
            raw::getTypeOutputInfo(ty, &raw mut output, &raw mut is_varlena);
            let executor = raw::CreateExecutorState();
            let expression = raw::ExecPrepareExpr(expression.cast(), executor);
            let context = raw::MakePerTupleExprContext(executor);
            Some(Default { executor, context, expression, output })
        }
    }

    /// The next value, in the current memory context; `None` for null.
    ///
    /// # Safety
    ///
    /// To be called inside `attempt`, while the executor's state lives.
    unsafe fn evaluate(self) -> Option<*mut std::ffi::c_char> {
        // SAFETY: the caller's; what the evaluation allocates goes with the next one.
        unsafe {
            let memory = (*self.context).ecxt_per_tuple_memory;
            raw::MemoryContextReset(memory);
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = memory;
            let evaluate = (*self.expression).evalfunc?;
            let mut is_null = false;
            let value = evaluate(self.expression, self.context, &raw mut is_null);
            pg_sys::CurrentMemoryContext = before;
            (!is_null).then(|| raw::OidOutputFunctionCall(self.output, value))
        }
    }
}
