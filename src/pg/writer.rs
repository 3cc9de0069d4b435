//! Rows of a plain table, written one by one without a statement: an executor takes longer to start
//! than a row or two to be written, and what carries many rows to it takes longer than to write them.
//! Logical replication applies changes in the same way (`ExecSimpleRelationUpdate`).
//!
//! What a statement would do besides is left to statements: triggers, rules, row-level security,
//! checks, columns with defaults, tables with children, rows that somebody else has changed.

use pgrx::pg_sys::{
    self, AclMode, Datum, EState, ItemPointerData, LOCKMODE, List, Oid, Relation, ResultRelInfo,
    TM_FailureData, TM_Result, TableAmRoutine, TransactionId, TupleTableSlot,
};

use super::generated::{Generated, column};
use super::index::{Column, Table};
use super::rights::has_on_whole;
use super::spi::keeps_one_snapshot;
use super::{PgError, attempt, interrupt, raw};

const LOCK: LOCKMODE = pg_sys::RowExclusiveLock as LOCKMODE;

/// Types below are PostgreSQL's own, and no domains.
const FIRST_OTHER_TYPE: u32 = 10_000;

/// A version of a row: where it stands, and which transaction wrote it. Vacuum may give its place to
/// another one; what makes the table anew, as CLUSTER does, gives it another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    file: Oid,
    tid: ItemPointerTuple,
    writer: TransactionId,
}

/// An `ItemPointerData`, comparable.
type ItemPointerTuple = (u16, u16, u16);

impl Place {
    /// # Safety
    ///
    /// The slot holds a row of the table, which is open.
    pub(super) unsafe fn of(slot: *mut TupleTableSlot, relation: Relation) -> Place {
        // SAFETY: the caller's; the columns of the system of such a row are there.
        unsafe {
            let ItemPointerData { ip_blkid: block, ip_posid } = (*slot).tts_tid;
            let mut is_null = false;
            let number = pg_sys::MinTransactionIdAttributeNumber;
            let read = (*(*slot).tts_ops).getsysattr.expect("slots of tables have it");
            let writer = read(slot, number, &raw mut is_null);
            let writer = TransactionId::from(writer.value() as u32);
            Place { file: file(relation), tid: (block.bi_hi, block.bi_lo, ip_posid), writer }
        }
    }

    fn pointer(self) -> ItemPointerData {
        let (bi_hi, bi_lo, ip_posid) = self.tid;
        ItemPointerData { ip_blkid: pg_sys::BlockIdData { bi_hi, bi_lo }, ip_posid }
    }
}

/// The file of an open table.
unsafe fn file(relation: Relation) -> Oid {
    // SAFETY: the caller's.
    unsafe { (*(*relation).rd_rel).relfilenode }
}

/// What of a table is kept from one call to the next.
#[derive(Default)]
pub struct Kept(Option<Generated>);

/// A table whose rows are written. After an error the (sub)transaction's end closes it.
pub struct Writer<'k> {
    table: Table,
    columns: Vec<Column>,
    generated: &'k Generated,
    result: *mut ResultRelInfo,
    executor: *mut EState,
    /// A row as it is, and as it will be.
    old: *mut TupleTableSlot,
    new: *mut TupleTableSlot,
    /// Whether the role may.
    may_insert: bool,
    may_update: bool,
}

impl<'k> Writer<'k> {
    /// Opens the table to write the columns that are so named and typed; new rows get values for the
    /// first `given` of them. `None` when that is left to statements.
    pub fn open(
        table: Oid,
        columns: &[(&str, Oid)],
        given: usize,
        kept: &'k mut Kept,
    ) -> Result<Option<Writer<'k>>, PgError> {
        // SAFETY: set when the transaction starts.
        if keeps_one_snapshot() || unsafe { pg_sys::XactReadOnly } {
            return Ok(None);
        }
        let Some(table) = Table::open(table, LOCK)? else { return Ok(None) };
        let columns = table.columns(columns.iter().copied())?;
        let is_left = |columns: &Vec<Column>| !is_plain(&table) || !take_all(&table, columns);
        let Some(columns) = columns.filter(|columns| !is_left(columns)) else {
            table.close()?;
            return Ok(None);
        };
        if !kept.0.as_ref().is_some_and(|known| known.is_of(table.relation)) {
            kept.0 = Generated::of(table.relation)?;
        }
        let Some(generated) = &kept.0 else {
            table.close()?;
            return Ok(None);
        };
        let may_insert =
            may(&table, pg_sys::ACL_INSERT)? && has_no_others(&table, &columns[..given]);
        let may_update = may(&table, pg_sys::ACL_UPDATE)?;
        let relation = table.relation;
        // SAFETY: the table is open as long as what is made here.
        let (result, executor, old, new) = unsafe {
            attempt(|| {
                raw::CommandCounterIncrement();
                raw::PushActiveSnapshot(raw::GetTransactionSnapshot());
                let executor = raw::CreateExecutorState();
                // All that is made here goes with the executor's state.
                let before = pg_sys::CurrentMemoryContext;
                pg_sys::CurrentMemoryContext = (*executor).es_query_cxt;
                raw::MakePerTupleExprContext(executor);
                let result: *mut ResultRelInfo = raw::palloc(size_of::<ResultRelInfo>()).cast();
                result.write_bytes(0, 1);
                (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
                raw::InitResultRelInfo(result, relation, 0, std::ptr::null_mut(), 0);
                raw::ExecOpenIndices(result, true);
                say_generated_are_known(result);
                let old = raw::table_slot_create(relation, std::ptr::null_mut());
                let operations = &raw const pg_sys::TTSOpsVirtual;
                let new = raw::MakeSingleTupleTableSlot((*relation).rd_att, operations);
                pg_sys::CurrentMemoryContext = before;
                (result, executor, old, new)
            })?
        };
        let writer = Writer {
            table,
            columns,
            generated,
            result,
            executor,
            old,
            new,
            may_insert,
            may_update,
        };
        if writer.checks_at_once() {
            return Ok(Some(writer));
        }
        writer.close()?;
        Ok(None)
    }

    pub fn close(self) -> Result<(), PgError> {
        let (result, executor, old, new) = (self.result, self.executor, self.old, self.new);
        // SAFETY: all are open, and nothing reads them any more.
        unsafe {
            attempt(|| {
                raw::ExecDropSingleTupleTableSlot(old);
                raw::ExecDropSingleTupleTableSlot(new);
                raw::ExecCloseIndices(result);
                raw::FreeExecutorState(executor);
                raw::PopActiveSnapshot();
                raw::CommandCounterIncrement();
            })?;
        }
        self.table.close()
    }

    fn indexes(&self) -> &[Relation] {
        // SAFETY: the indexes are open as long as the table; without any there is no array.
        unsafe {
            match (*self.result).ri_NumIndices as usize {
                0 => &[],
                count => std::slice::from_raw_parts((*self.result).ri_IndexRelationDescs, count),
            }
        }
    }

    /// Whether the table has the index, and every row is in it.
    fn has_index(&self, index: Oid) -> bool {
        // SAFETY: the indexes are open.
        let is_it = |known: &Relation| unsafe {
            (**known).rd_id == index && (*(**known).rd_index).indisvalid
        };
        self.indexes().iter().any(is_it)
    }

    /// Whether another unique index than this one and the primary key's has all rows: it would raise
    /// an error where this one tells of a conflict.
    fn has_other_unique(&self, index: Oid) -> bool {
        // SAFETY: the indexes are open, each with its description.
        self.indexes().iter().enumerate().any(|(at, known)| unsafe {
            let form = &*(**known).rd_index;
            let description = *(*self.result).ri_IndexRelationInfo.add(at);
            form.indisunique
                && !form.indisprimary
                && (**known).rd_id != index
                && (*description).ii_Predicate.is_null()
        })
    }

    /// Whether no index checks its rows at the end of the statement or transaction.
    fn checks_at_once(&self) -> bool {
        self.indexes().iter().all(|index| {
            // SAFETY: the indexes are open.
            let form = unsafe { &*(**index).rd_index };
            form.indimmediate && !form.indisexclusion
        })
    }

    /// Makes a version of a row another one, with these values, by the positions of their columns.
    /// `false`, and nothing is done, when that is left to a statement: somebody else has changed it.
    pub fn update(
        &mut self,
        place: Place,
        values: &[(usize, Option<Datum>)],
    ) -> Result<bool, PgError> {
        if !self.may_update || !self.fetch(place)? {
            return Ok(false);
        }
        let (relation, result, executor) = (self.table.relation, self.result, self.executor);
        let (old, new, generated) = (self.old, self.new, self.generated);
        let (mut at, columns) = (place.pointer(), &*self.columns);
        self.in_row(|| {
            // SAFETY: table, slots and executor are open.
            unsafe {
                raw::CheckCmdReplicaIdentity(relation, pg_sys::CmdType::CMD_UPDATE);
                copy(old, new, relation);
                fill(new, columns, values);
                complete(relation, result, executor, new, generated);
                let mut failure = TM_FailureData::default();
                let mut mode = pg_sys::LockTupleMode::LockTupleNoKeyExclusive;
                let mut indexes = Default::default();
                let done = access(relation).tuple_update.map(|update| {
                    update(
                        relation,
                        &raw mut at,
                        new,
                        raw::GetCurrentCommandId(true),
                        raw::GetActiveSnapshot(),
                        std::ptr::null_mut(),
                        true,
                        &raw mut failure,
                        &raw mut mode,
                        &raw mut indexes,
                    )
                });
                if done != Some(TM_Result::TM_Ok) {
                    return false;
                }
                #[cfg(feature = "pg15")]
                let (is_any, is_only_summarizing) = (indexes, false);
                #[cfg(not(feature = "pg15"))]
                let (is_any, is_only_summarizing) = (
                    indexes != pg_sys::TU_UpdateIndexes::TU_None,
                    indexes == pg_sys::TU_UpdateIndexes::TU_Summarizing,
                );
                if is_any {
                    insert_entries(result, new, executor, Entries::Version { is_only_summarizing });
                }
                true
            }
        })
    }

    /// Whether the role may update rows.
    pub fn may_update(&self) -> bool {
        self.may_update
    }

    /// Adds a row of these values. `unless` names the unique index in which a row of the same key
    /// may be, of another session: then `false`, and nothing is done.
    pub fn insert(
        &mut self,
        values: &[(usize, Option<Datum>)],
        unless: Option<Oid>,
    ) -> Result<bool, PgError> {
        if !self.may_insert || !unless.is_none_or(|index| self.has_index(index)) {
            return Ok(false);
        }
        let (relation, result, executor) = (self.table.relation, self.result, self.executor);
        let (new, generated, columns) = (self.new, self.generated, &*self.columns);
        let looks_first = unless.is_some_and(|index| self.has_other_unique(index));
        self.in_row(|| {
            // SAFETY: table, slot and executor are open.
            unsafe {
                clear(new, relation);
                fill(new, columns, values);
                complete(relation, result, executor, new, generated);
                let command = raw::GetCurrentCommandId(true);
                let (Some(insert), Some(insert_unless), Some(decide)) = (
                    access(relation).tuple_insert,
                    access(relation).tuple_insert_speculative,
                    access(relation).tuple_complete_speculative,
                ) else {
                    return false;
                };
                let Some(index) = unless else {
                    insert(relation, new, command, 0, std::ptr::null_mut());
                    insert_entries(result, new, executor, Entries::Row { unless: None });
                    return true;
                };
                let arbiters = raw::lappend_oid(std::ptr::null_mut(), index);
                if looks_first && !is_free(result, new, executor, arbiters) {
                    return false;
                }
                let transaction = raw::GetCurrentTransactionId();
                let token = raw::SpeculativeInsertionLockAcquire(transaction);
                insert_unless(relation, new, command, 0, std::ptr::null_mut(), token);
                let mut is_conflict = false;
                let unless = Some((arbiters, &raw mut is_conflict));
                insert_entries(result, new, executor, Entries::Row { unless });
                decide(relation, new, token, !is_conflict);
                raw::SpeculativeInsertionLockRelease(transaction);
                !is_conflict
            }
        })
    }

    /// Locks a version of a row as an update of it would. `false` when that is left to a statement:
    /// somebody else has changed it.
    pub fn lock(&mut self, place: Place) -> Result<bool, PgError> {
        if !self.may_update || !self.fetch(place)? {
            return Ok(false);
        }
        let (relation, slot, mut at) = (self.table.relation, self.old, place.pointer());
        self.in_row(|| {
            // SAFETY: table and slot are open.
            unsafe {
                let mut failure = TM_FailureData::default();
                let done = access(relation).tuple_lock.map(|lock| {
                    lock(
                        relation,
                        &raw mut at,
                        raw::GetActiveSnapshot(),
                        slot,
                        raw::GetCurrentCommandId(true),
                        pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                        pg_sys::LockWaitPolicy::LockWaitBlock,
                        0,
                        &raw mut failure,
                    )
                });
                done == Some(TM_Result::TM_Ok)
            }
        })
    }

    /// Reads a version of a row. Whether it is there still.
    fn fetch(&mut self, place: Place) -> Result<bool, PgError> {
        let (relation, slot, mut at) = (self.table.relation, self.old, place.pointer());
        // SAFETY: table and slot are open.
        unsafe {
            // There may be no such page.
            if place.file != file(relation) {
                return Ok(false);
            }
            let is_there = attempt(|| {
                let fetch = access(relation).tuple_fetch_row_version;
                fetch.is_some_and(|fetch| {
                    fetch(relation, &raw mut at, raw::GetActiveSnapshot(), slot)
                })
            })?;
            Ok(is_there && Place::of(slot, relation) == place)
        }
    }

    /// Runs `f` with what it allocates freed before the next row.
    fn in_row(&self, f: impl FnOnce() -> bool) -> Result<bool, PgError> {
        interrupt::check()?;
        // SAFETY: the executor's state is there; after an error the context is put back.
        let done = unsafe {
            let before = pg_sys::CurrentMemoryContext;
            let memory = (*(*self.executor).es_per_tuple_exprcontext).ecxt_per_tuple_memory;
            let done = attempt(|| {
                raw::MemoryContextReset(memory);
                pg_sys::CurrentMemoryContext = memory;
                f()
            });
            pg_sys::CurrentMemoryContext = before;
            done
        };
        done.inspect_err(|_| self.generated.spoil())
    }
}

/// Keeps PostgreSQL from reading the expressions of generated columns to tell an index which columns
/// an update changes, a hint where it makes room: it takes all as they were.
///
/// # Safety
///
/// The result is an open one, which is not asked for values of generated columns.
unsafe fn say_generated_are_known(result: *mut ResultRelInfo) {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(feature = "pg15")]
        let known = &raw mut (*result).ri_GeneratedExprs;
        #[cfg(any(feature = "pg16", feature = "pg17"))]
        let known = &raw mut (*result).ri_GeneratedExprsU;
        #[cfg(not(feature = "pg18"))]
        known.write(result.cast());
        #[cfg(feature = "pg18")]
        {
            (*result).ri_extraUpdatedCols_valid = true;
        }
    }
}

/// Whether a statement would write the table's rows and do nothing else.
fn is_plain(table: &Table) -> bool {
    // SAFETY: the table is open.
    unsafe {
        let relation = &*table.relation;
        let class = &*relation.rd_rel;
        let constraints = (*relation.rd_att).constr;
        !class.relispartition
            && relation.rd_rules.is_null()
            && relation.trigdesc.is_null()
            && (constraints.is_null() || (*constraints).num_check == 0)
    }
}

fn may(table: &Table, right: u32) -> Result<bool, PgError> {
    let oid = table.oid;
    // SAFETY: no pointers.
    unsafe { attempt(|| has_on_whole(oid, right as AclMode)) }
}

/// Whether columns take all values of their types as they are: `timestamptz(0)` rounds them.
fn take_all(table: &Table, columns: &[Column]) -> bool {
    // SAFETY: the table is open, and has the columns.
    let modifier =
        |it: &Column| unsafe { column(table.relation, it.number as usize - 1).atttypmod };
    columns.iter().all(|column| modifier(column) == -1)
}

/// Whether the table's other columns are null in a new row, or generated.
fn has_no_others(table: &Table, columns: &[Column]) -> bool {
    // SAFETY: the table is open.
    unsafe {
        let count = (*(*table.relation).rd_att).natts;
        (1..=count).filter(|number| columns.iter().all(|known| known.number != *number)).all(
            |number| {
                let column = column(table.relation, number as usize - 1);
                column.attisdropped
                    || column.attgenerated != 0
                    || !column.atthasdef
                        && column.attidentity == 0
                        && column.atttypid.to_u32() < FIRST_OTHER_TYPE
            },
        )
    }
}

/// # Safety
///
/// The relation is an open table.
unsafe fn access<'r>(relation: Relation) -> &'r TableAmRoutine {
    // SAFETY: the caller's.
    unsafe { &*(*relation).rd_tableam }
}

/// Empties a slot, all its values null.
///
/// # Safety
///
/// To be called inside `attempt`, with a virtual slot of the table; the same holds for those below.
unsafe fn clear(slot: *mut TupleTableSlot, relation: Relation) {
    // SAFETY: the caller's.
    unsafe {
        let count = (*(*relation).rd_att).natts as usize;
        if let Some(clear) = (*(*slot).tts_ops).clear {
            clear(slot);
        }
        (*slot).tts_values.write_bytes(0, count);
        (*slot).tts_isnull.write_bytes(1, count);
    }
}

/// Makes `to` a row as `from` is, without what columns had that are gone.
unsafe fn copy(from: *mut TupleTableSlot, to: *mut TupleTableSlot, relation: Relation) {
    // SAFETY: the caller's.
    unsafe {
        clear(to, relation);
        let count = (*(*relation).rd_att).natts;
        raw::slot_getsomeattrs_int(from, count);
        (*to).tts_values.copy_from_nonoverlapping((*from).tts_values, count as usize);
        (*to).tts_isnull.copy_from_nonoverlapping((*from).tts_isnull, count as usize);
        for at in 0..count as usize {
            if column(relation, at).attisdropped {
                *(*to).tts_isnull.add(at) = true;
            }
        }
    }
}

/// Puts values into a slot, by the positions of their columns.
unsafe fn fill(slot: *mut TupleTableSlot, columns: &[Column], values: &[(usize, Option<Datum>)]) {
    // SAFETY: the caller's.
    unsafe {
        for (position, value) in values {
            let at = columns[*position].number as usize - 1;
            *(*slot).tts_values.add(at) = value.unwrap_or(Datum::null());
            *(*slot).tts_isnull.add(at) = value.is_none();
        }
        raw::ExecStoreVirtualTuple(slot);
    }
}

/// Generates what is generated, and checks the row.
unsafe fn complete(
    relation: Relation,
    result: *mut ResultRelInfo,
    executor: *mut EState,
    slot: *mut TupleTableSlot,
    generated: &Generated,
) {
    // SAFETY: the caller's.
    unsafe {
        // A column may be generated from it.
        (*slot).tts_tableOid = (*relation).rd_id;
        generated.fill(slot, (*executor).es_per_tuple_exprcontext);
        if !(*(*relation).rd_att).constr.is_null() {
            raw::ExecConstraints(result, slot, executor);
        }
    }
}

/// Whether no other row has the key of a new one in the unique indexes `arbiters`; waits for who may be
/// adding one.
unsafe fn is_free(
    result: *mut ResultRelInfo,
    slot: *mut TupleTableSlot,
    executor: *mut EState,
    arbiters: *mut List,
) -> bool {
    let mut other = ItemPointerData::default();
    // SAFETY: the caller's.
    unsafe {
        raw::ExecCheckIndexConstraints(
            result,
            slot,
            executor,
            &raw mut other,
            #[cfg(feature = "pg18")]
            &raw mut (*slot).tts_tid,
            arbiters,
        )
    }
}

/// What is added to indexes.
enum Entries {
    /// Those of a new row; `unless` says in which unique indexes another row is no error, and is told
    /// of it.
    Row { unless: Option<(*mut List, *mut bool)> },
    /// Those of a row's new version.
    Version { is_only_summarizing: bool },
}

unsafe fn insert_entries(
    result: *mut ResultRelInfo,
    slot: *mut TupleTableSlot,
    executor: *mut EState,
    entries: Entries,
) {
    let (unless, version) = match entries {
        Entries::Row { unless } => (unless, None),
        Entries::Version { is_only_summarizing } => (None, Some(is_only_summarizing)),
    };
    let (arbiters, is_conflict) = unless.unwrap_or((std::ptr::null_mut(), std::ptr::null_mut()));
    // SAFETY: the caller's.
    unsafe {
        raw::ExecInsertIndexTuples(
            result,
            slot,
            executor,
            version.is_some(),
            unless.is_some(),
            is_conflict,
            arbiters,
            #[cfg(not(feature = "pg15"))]
            version.unwrap_or(false),
        );
    }
}
