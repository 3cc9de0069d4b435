//! Statements through SPI, their plans kept, their errors whole.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use pgrx::pg_sys::{self, Datum, Oid, SPIPlanPtr, SPITupleTable};
use uuid::Uuid;

use super::{PgError, attempt, raw};
use crate::error::Failure;
use crate::jsonb;

/// Runs `f` connected to SPI.
pub fn connected<T, E: From<PgError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: connecting and finishing pair up; after an error the transaction's end, or the
    // subtransaction's, closes the connection.
    unsafe {
        attempt(|| raw::SPI_connect())?;
        let result = f()?;
        attempt(|| raw::SPI_finish())?;
        Ok(result)
    }
}

/// Runs `f` with one snapshot for all its reads.
pub fn in_one_snapshot<T, E: From<PgError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: after an error the (sub)transaction's end pops the snapshot.
    unsafe {
        attempt(|| {
            raw::CommandCounterIncrement();
            raw::PushActiveSnapshot(raw::GetTransactionSnapshot());
        })?;
        let result = f()?;
        attempt(|| raw::PopActiveSnapshot())?;
        Ok(result)
    }
}

/// Runs `f` with a snapshot of what is committed now, whatever the isolation level.
pub fn in_latest_snapshot<T, E: From<PgError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: as in `in_one_snapshot`.
    unsafe {
        attempt(|| raw::PushActiveSnapshot(raw::GetLatestSnapshot()))?;
        let result = f()?;
        attempt(|| raw::PopActiveSnapshot())?;
        Ok(result)
    }
}

/// A moment in the transaction, between two commands.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pg_sys::CommandId);

impl Moment {
    pub fn now() -> Result<Moment, PgError> {
        // SAFETY: no pointers.
        unsafe { attempt(|| raw::GetCurrentCommandId(false)) }.map(Moment)
    }
}

/// Runs `f` with a snapshot of what is committed now, and of what the transaction had written at the
/// moment `before`.
pub fn in_latest_snapshot_as_of<T, E: From<PgError>>(
    before: Moment,
    f: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    in_latest_snapshot(|| {
        // SAFETY: the active snapshot is a copy, which is nobody else's.
        unsafe { attempt(|| (*raw::GetActiveSnapshot()).curcid = before.0)? };
        f()
    })
}

/// Runs `f` without schemas to search but `pg_catalog`, so that PostgreSQL writes all other names
/// qualified.
pub fn in_system_path<T, E: From<PgError>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // SAFETY: after an error the (sub)transaction's end puts the setting back.
    unsafe {
        let level = attempt(|| raw::NewGUCNestLevel())?;
        set_for_now(c"search_path", c"pg_catalog, pg_temp")?;
        set_for_now(c"quote_all_identifiers", c"off")?;
        let result = f()?;
        attempt(|| raw::AtEOXact_GUC(true, level))?;
        Ok(result)
    }
}

/// Sets a setting until the innermost GUC nest level ends.
///
/// # Safety
///
/// The caller began that level, and ends it.
unsafe fn set_for_now(name: &CStr, value: &CStr) -> Result<(), PgError> {
    // SAFETY: the caller's; both strings live through the call.
    unsafe {
        attempt(|| {
            raw::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            )
        })?;
    }
    Ok(())
}

/// In a session that wants a plan made for each execution, begins a GUC nest level, which the caller
/// ends, in which kept plans are taken: plans made meanwhile would not be by [`Planning`].
unsafe fn take_the_kept_plan() -> Result<Option<i32>, PgError> {
    // SAFETY: a setting of the session; after an error the (sub)transaction's end puts it back.
    unsafe {
        let forced = pg_sys::PlanCacheMode::PLAN_CACHE_MODE_FORCE_CUSTOM_PLAN;
        if pg_sys::plan_cache_mode as u32 != forced {
            return Ok(None);
        }
        let level = attempt(|| raw::NewGUCNestLevel())?;
        set_for_now(c"plan_cache_mode", c"auto")?;
        Ok(Some(level))
    }
}

/// Whether the transaction sees one snapshot throughout: REPEATABLE READ or SERIALIZABLE.
pub fn keeps_one_snapshot() -> bool {
    // SAFETY: set when the transaction starts.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// A prepared statement that is kept until it is dropped.
pub struct Statement {
    plan: SPIPlanPtr,
    planning: Planning,
    is_planned: Cell<bool>,
    /// The types of its columns, as those who read its rows take them to be.
    columns: Vec<Oid>,
}

/// How the plan that is kept finds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planning {
    /// One by one through indexes: a table that is small or without statistics now may be large
    /// when the plan runs, and a sequential scan or a hash of it would never be left again.
    ByIndex,
    /// As `ByIndex`, with bitmaps: inverted indexes have no other scans.
    ByAnyIndex,
    /// As the planner thinks best: there is no index for it.
    Free,
}

impl Planning {
    /// The settings that are off while planning.
    fn disabled(self) -> &'static [&'static CStr] {
        match self {
            Planning::ByIndex => &[
                c"enable_seqscan",
                c"enable_bitmapscan",
                c"enable_hashjoin",
                c"enable_mergejoin",
                c"enable_material",
                c"jit",
            ],
            Planning::ByAnyIndex => &[
                c"enable_seqscan",
                c"enable_hashjoin",
                c"enable_mergejoin",
                c"enable_material",
                c"jit",
            ],
            Planning::Free => &[c"jit"],
        }
    }
}

/// How a statement may look at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Through the active snapshot, which it does not replace.
    Read,
    /// Through a new snapshot; it may write.
    Write,
}

impl Statement {
    /// Prepares `source`, whose parameters are of `types` and whose columns are of `columns`, for
    /// one plan that serves all values.
    pub fn prepare(
        source: &str,
        types: &[Oid],
        columns: &[Oid],
        planning: Planning,
    ) -> Result<Rc<Statement>, PgError> {
        let source =
            CString::new(source).expect("statements hold no NUL: names of PostgreSQL do not");
        let (types, count) = (types.as_ptr().cast_mut(), types.len() as i32);
        let options = pg_sys::CURSOR_OPT_GENERIC_PLAN as i32;
        // SAFETY: source and types live through the call.
        let plan = unsafe {
            attempt(|| {
                let plan = raw::SPI_prepare_cursor(source.as_ptr(), count, types, options);
                if !plan.is_null() {
                    raw::SPI_keepplan(plan);
                }
                plan
            })?
        };
        assert!(!plan.is_null(), "SPI refused to prepare a statement");
        let columns = columns.to_vec();
        Ok(Rc::new(Statement { plan, planning, is_planned: false.into(), columns }))
    }

    /// Executes the statement. No argument is null. Error: `ENTITY_TYPE_UNKNOWN` when its columns
    /// are no longer of the types they had, because somebody altered the table.
    pub fn execute(&self, arguments: &[Datum], access: Access) -> Result<Rows, Failure> {
        let mut arguments: smallvec::SmallVec<[Datum; 8]> = arguments.into();
        let (plan, values) = (self.plan, arguments.as_mut_ptr());
        let read_only = access == Access::Read;
        // SAFETY: the plan is kept as long as `self`, the values live through the call.
        let rows = unsafe {
            if !self.is_planned.get() || !attempt(|| raw::SPI_plan_is_valid(plan))? {
                self.make_plan()?;
            }
            let level = take_the_kept_plan()?;
            let table = attempt(|| {
                raw::SPI_execute_plan(plan, values, std::ptr::null(), read_only, 0);
                pg_sys::SPI_tuptable
            })?;
            if let Some(level) = level {
                attempt(|| raw::AtEOXact_GUC(true, level))?;
            }
            Rows { table }
        };
        if rows.has_types(&self.columns) {
            return Ok(rows);
        }
        let message =
            "a table of an entity type has columns of other types than it was created with";
        Err(Error::new(Code::EntityTypeUnknown, message)
            .hint("Give id, attributes, links, stub and the identifiers' columns their types back.")
            .into())
    }

    /// Executes a statement that returns no rows, through a new snapshot. How many rows it wrote.
    pub fn execute_counted(&self, arguments: &[Datum]) -> Result<u64, Failure> {
        self.execute(arguments, Access::Write)?;
        // SAFETY: set by the execution.
        Ok(unsafe { pg_sys::SPI_processed })
    }

    /// Makes the plan that is kept. The settings hold while planning alone, not for the triggers
    /// that an execution runs.
    fn make_plan(&self) -> Result<(), PgError> {
        let plan = self.plan;
        // SAFETY: the plan is kept as long as `self`; the cached plan is released at once.
        unsafe {
            let level = attempt(|| raw::NewGUCNestLevel())?;
            for name in self.planning.disabled() {
                set_for_now(name, c"off")?;
            }
            attempt(|| {
                raw::PushActiveSnapshot(raw::GetTransactionSnapshot());
                let cached = raw::SPI_plan_get_cached_plan(plan);
                if !cached.is_null() {
                    raw::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
                }
                raw::PopActiveSnapshot();
            })?;
            attempt(|| raw::AtEOXact_GUC(true, level))?;
        }
        self.is_planned.set(true);
        Ok(())
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let plan = self.plan;
        // SAFETY: the plan was kept and nobody else has it. Freeing it cannot fail in a way
        // that matters here.
        unsafe {
            let _ = attempt(|| raw::SPI_freeplan(plan));
        }
    }
}

/// The rows of a result, freed when dropped.
pub struct Rows {
    table: *mut SPITupleTable,
}

impl Rows {
    pub fn len(&self) -> usize {
        if self.table.is_null() {
            return 0;
        }
        // SAFETY: the table is ours until it is freed.
        unsafe { (*self.table).numvals as usize }
    }

    /// Whether the columns are of these types. A statement without rows has none.
    fn has_types(&self, columns: &[Oid]) -> bool {
        if self.table.is_null() {
            return columns.is_empty();
        }
        // SAFETY: the table is ours until it is freed; a column that is not there has no type.
        unsafe {
            let description = (*self.table).tupdesc;
            (*description).natts as usize == columns.len()
                && columns
                    .iter()
                    .zip(1..)
                    .all(|(column, at)| pg_sys::SPI_gettypeid(description, at) == *column)
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| Row { rows: self, index })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: ours; freeing a table that a rolled-back subtransaction has freed already
        // only warns, so rows never outlive the subtransaction they were read in.
        unsafe {
            if !self.table.is_null() {
                let table = self.table;
                let _ = attempt(|| raw::SPI_freetuptable(table));
            }
        }
    }
}

/// A uuid.
///
/// # Safety
///
/// The datum is a uuid: sixteen bytes.
pub unsafe fn uuid(datum: Datum) -> Uuid {
    // SAFETY: the caller's.
    unsafe { Uuid::from_bytes(*datum.cast_mut_ptr::<[u8; 16]>()) }
}

/// One row. Columns count from 1.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    rows: &'r Rows,
    index: usize,
}

impl Row<'_> {
    /// The column as it is; `None` for null.
    pub fn datum(&self, column: i32) -> Option<Datum> {
        let mut is_null = false;
        // SAFETY: index and column are within the result, whose shape its statement fixes.
        let datum = unsafe {
            let table = &*self.rows.table;
            let tuple = *table.vals.add(self.index);
            raw::SPI_getbinval(tuple, table.tupdesc, column, &raw mut is_null)
        };
        (!is_null).then_some(datum)
    }

    pub fn bool(&self, column: i32) -> bool {
        self.datum(column).is_some_and(|datum| datum.value() != 0)
    }

    pub fn i64(&self, column: i32) -> Option<i64> {
        self.datum(column).map(|datum| datum.value() as i64)
    }

    pub fn oid(&self, column: i32) -> Option<Oid> {
        self.datum(column).map(|datum| Oid::from(datum.value() as u32))
    }

    pub fn text<'a>(&self, column: i32, arena: &'a Bump) -> Result<Option<&'a str>, PgError> {
        let Some(datum) = self.datum(column) else { return Ok(None) };
        // SAFETY: the column is of type text.
        unsafe { jsonb::text(datum, arena) }.map(Some)
    }

    pub fn uuid(&self, column: i32) -> Option<Uuid> {
        // SAFETY: the column is of type uuid.
        self.datum(column).map(|datum| unsafe { uuid(datum) })
    }

    pub fn jsonb<'a>(&self, column: i32, arena: &'a Bump) -> Result<Option<Value<'a>>, PgError> {
        let Some(datum) = self.datum(column) else { return Ok(None) };
        // SAFETY: the column is of type jsonb.
        unsafe { jsonb::read(datum, arena) }.map(Some)
    }
}
