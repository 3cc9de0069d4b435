//! Rows by their keys, read through an index without a statement: for a key or two an executor
//! takes longer to start than the rows to be found. Logical replication finds the rows it changes
//! in the same way (`RelationFindReplTupleByIndex`).
//!
//! What a statement would do besides is left to statements: row-level security, tables with
//! children, roles that may read some of the columns, errors about what is no longer there.

use std::ffi::{CString, c_int};

use bumpalo::Bump;
use pgrx::pg_sys::{
    self, Datum, IndexScanDesc, ItemPointerData, LOCKMODE, Oid, Relation, ScanKeyData,
};
use smallvec::SmallVec;

use super::leaves::{self, Entry};
use super::rights::{READ, has_on_whole};
use super::writer::Place;
use super::{PgError, array, attempt, interrupt, raw};
use crate::settings;

const LOCK: LOCKMODE = pg_sys::AccessShareLock as LOCKMODE;
/// Locks are held to the end of the transaction, as those of statements are.
const KEEP_LOCK: LOCKMODE = pg_sys::NoLock as LOCKMODE;

/// An index by whose columns, of text, rows are found.
pub struct Index {
    table: Oid,
    pub oid: Oid,
    /// Whether at most one row has a key, at any moment.
    pub is_unique: bool,
    /// For each of its columns, the part of a key that it is compared with.
    parts: Parts,
    /// The columns that are read.
    columns: Vec<Column>,
}

type Parts = SmallVec<[usize; 2]>;

/// What [`Index`] says of an index.
struct IndexOf {
    oid: Oid,
    is_unique: bool,
    parts: Parts,
}

/// A column by its number.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub number: c_int,
    pub ty: Oid,
}

impl Index {
    /// The index of `table` that is made of the columns `key`, and the columns to be read: their
    /// names and types. `None` when there is none that has every row.
    pub fn of(
        table: Oid,
        key: &[String],
        columns: &[(&str, Oid)],
    ) -> Result<Option<Index>, PgError> {
        let Some(table) = Table::open_plain(table, LOCK)? else { return Ok(None) };
        let key = table.columns(key.iter().map(|name| (name.as_str(), pg_sys::TEXTOID)))?;
        let columns = table.columns(columns.iter().copied())?;
        let found = match (key, columns) {
            (Some(key), Some(columns)) => table.index_of(&key)?.map(|found| Index {
                table: table.oid,
                oid: found.oid,
                is_unique: found.is_unique,
                parts: found.parts,
                columns,
            }),
            _ => None,
        };
        table.close()?;
        Ok(found)
    }

    /// The unique index of `table` that is made of the columns `key`, of the rows that the column
    /// `flag` is true of.
    pub fn of_flagged(table: Oid, key: &[String], flag: &str) -> Result<Option<Oid>, PgError> {
        let Some(table) = Table::open_plain(table, LOCK)? else { return Ok(None) };
        let key = table.columns(key.iter().map(|name| (name.as_str(), pg_sys::TEXTOID)))?;
        let flag = table.column(flag, pg_sys::BOOLOID)?;
        let found = match (key, flag) {
            (Some(key), Some(flag)) => table.flagged_index_of(&key, flag)?,
            _ => None,
        };
        table.close()?;
        Ok(found)
    }

    /// Tells `found` of the rows that have one of `keys`, at most `most` a key, as the active
    /// snapshot sees them, each with the position of its key. `false`, and nothing is told, when
    /// that is left to a statement.
    pub fn look_up(
        &self,
        keys: &[&[&str]],
        most: usize,
        arena: &Bump,
        mut found: impl FnMut(usize, Row<'_>) -> Result<(), PgError>,
    ) -> Result<bool, PgError> {
        let Some(table) = Table::open(self.table, LOCK)? else { return Ok(false) };
        let is_as_it_was =
            self.columns.iter().all(|it| table.has(*it)) && table.indexes()?.contains(&self.oid);
        let index = if is_as_it_was { table.open_index(self.oid)? } else { None };
        let Some(index) = index else {
            table.close()?;
            return Ok(false);
        };
        let mut scan = Scan::start(&table, index, self.parts.len())?;
        let last = self.columns.iter().map(|column| column.number).max().unwrap_or_default();
        let (relation, columns) = (table.relation, &self.columns);
        let mut tell = |at, slot| found(at, Row { slot, relation, columns });
        let mut places = Vec::with_capacity(keys.len());
        // A scan takes less for one key alone.
        // SAFETY: the index is open, and was found to be such a tree.
        if keys.len() > 1 && unsafe { leaves::find(index, &self.parts, keys, &mut places)? } {
            scan.tell_places(&places, most, last, &mut tell)?;
        } else {
            let text = |key: &&[&str], part: usize| array::varlena(arena, key[part].as_bytes());
            for (at, key) in keys.iter().enumerate() {
                interrupt::check()?;
                scan.look_for(self.parts.iter().map(|part| text(key, *part)));
                for _ in 0..most {
                    if !scan.next(last)? {
                        break;
                    }
                    tell(at, scan.slot)?;
                }
            }
        }
        scan.end()?;
        close_index(index)?;
        table.close()?;
        Ok(true)
    }
}

/// An open table, a plain one. After an error the (sub)transaction's end closes it.
pub(super) struct Table {
    pub oid: Oid,
    pub relation: Relation,
}

impl Table {
    /// `None` for what is to be read by a statement, or is gone. Extensions that check the rights
    /// to tables are asked by statements alone.
    pub fn open(oid: Oid, lock: LOCKMODE) -> Result<Option<Table>, PgError> {
        // SAFETY: a hook is set when a library is loaded.
        let hook = unsafe { pg_sys::ExecutorCheckPerms_hook };
        if hook.is_some() || !settings::direct_access() {
            return Ok(None);
        }
        let Some(table) = Table::open_plain(oid, lock)? else { return Ok(None) };
        // SAFETY: no pointers.
        if unsafe { attempt(|| has_on_whole(oid, READ))? } {
            return Ok(Some(table));
        }
        table.close()?;
        Ok(None)
    }

    /// Whoever asks, and whatever the session's settings: `None` hangs on the table alone.
    fn open_plain(oid: Oid, lock: LOCKMODE) -> Result<Option<Table>, PgError> {
        // SAFETY: the relation is open while it is read.
        unsafe {
            let relation = attempt(|| raw::try_table_open(oid, lock))?;
            if relation.is_null() {
                return Ok(None);
            }
            let table = Table { oid, relation };
            let class = &*(*relation).rd_rel;
            let is_plain = class.relkind as u8 == pg_sys::RELKIND_RELATION
                && class.relam == pg_sys::HEAP_TABLE_AM_OID
                && !class.relrowsecurity
                && !class.relhassubclass;
            if is_plain {
                return Ok(Some(table));
            }
            table.close()?;
            Ok(None)
        }
    }

    pub fn close(self) -> Result<(), PgError> {
        // SAFETY: it is open, and nothing reads it any more.
        unsafe { attempt(|| raw::table_close(self.relation, KEEP_LOCK)) }
    }

    /// The columns so named, if they are of the types.
    pub fn columns<'n>(
        &self,
        named: impl Iterator<Item = (&'n str, Oid)>,
    ) -> Result<Option<Vec<Column>>, PgError> {
        named.map(|(name, ty)| self.column(name, ty)).collect()
    }

    /// The column so named, if it is of the type.
    fn column(&self, name: &str, ty: Oid) -> Result<Option<Column>, PgError> {
        let name = CString::new(name).expect("names of PostgreSQL hold no NUL");
        let (relation, name) = (self.relation, name.as_ptr());
        // SAFETY: the table is open, the name lives through the call.
        let number = unsafe { attempt(|| raw::SPI_fnumber((*relation).rd_att, name))? };
        let column = Column { number, ty };
        Ok(Some(column).filter(|column| number > 0 && self.has(*column)))
    }

    /// Whether the table has the column, and of its type; one that was dropped has no type.
    pub fn has(&self, column: Column) -> bool {
        // SAFETY: the table is open; a column that is not there has no type.
        unsafe { pg_sys::SPI_gettypeid((*self.relation).rd_att, column.number) == column.ty }
    }

    fn indexes(&self) -> Result<SmallVec<[Oid; 8]>, PgError> {
        let relation = self.relation;
        // SAFETY: the table is open; the list is a copy of ours.
        unsafe {
            let list = attempt(|| raw::RelationGetIndexList(relation))?;
            let mut indexes = SmallVec::new();
            if !list.is_null() {
                let cells = std::slice::from_raw_parts((*list).elements, (*list).length as usize);
                indexes.extend(cells.iter().map(|cell| cell.oid_value));
                attempt(|| raw::list_free(list))?;
            }
            Ok(indexes)
        }
    }

    /// The unique index that is made of the columns, of the rows that `flag` is true of.
    fn flagged_index_of(&self, key: &[Column], flag: Column) -> Result<Option<Oid>, PgError> {
        for oid in self.indexes()? {
            let Some(index) = self.open_index(oid)? else { continue };
            // SAFETY: the index is open while it is read.
            let is_it = unsafe {
                let form = &*(*index).rd_index;
                let is_unique = form.indisunique && form.indimmediate;
                is_unique && parts(index, key)?.is_some() && is_where(index, flag)?
            };
            close_index(index)?;
            if is_it {
                return Ok(Some(oid));
            }
        }
        Ok(None)
    }

    /// The index that is made of the columns.
    fn index_of(&self, key: &[Column]) -> Result<Option<IndexOf>, PgError> {
        for oid in self.indexes()? {
            let Some(index) = self.open_index(oid)? else { continue };
            let parts = if has_all(index)? { parts(index, key)? } else { None };
            // SAFETY: the index is open.
            let form = unsafe { &*(*index).rd_index };
            let is_unique = form.indisunique && form.indimmediate;
            close_index(index)?;
            if let Some(parts) = parts {
                return Ok(Some(IndexOf { oid, is_unique, parts }));
            }
        }
        Ok(None)
    }

    /// Opens one of the table's indexes, unless rows may be missing in it.
    fn open_index(&self, index: Oid) -> Result<Option<Relation>, PgError> {
        // SAFETY: the table is open, so that the index is not dropped; it is open while it is read.
        unsafe {
            let index = attempt(|| raw::index_open(index, LOCK))?;
            let form = &*(*index).rd_index;
            if form.indisvalid && !form.indcheckxmin {
                return Ok(Some(index));
            }
            close_index(index)?;
            Ok(None)
        }
    }
}

fn close_index(index: Relation) -> Result<(), PgError> {
    // SAFETY: it is open, and nothing reads it any more.
    unsafe { attempt(|| raw::index_close(index, KEEP_LOCK)) }
}

/// Whether an open index has all rows.
fn has_all(index: Relation) -> Result<bool, PgError> {
    // SAFETY: the list is a copy of ours.
    unsafe { attempt(|| raw::RelationGetIndexPredicate(index).is_null()) }
}

/// Whether an open index has the rows that a boolean column is true of.
fn is_where(index: Relation, flag: Column) -> Result<bool, PgError> {
    // SAFETY: the list is a copy of ours; it is read while it lives.
    unsafe {
        attempt(|| {
            let predicate = raw::RelationGetIndexPredicate(index);
            if predicate.is_null() || (*predicate).length != 1 {
                return false;
            }
            let only: *mut pg_sys::Node = (*(*predicate).elements).ptr_value.cast();
            let column: *mut pg_sys::Var = only.cast();
            (*only).type_ == pg_sys::NodeTag::T_Var
                && c_int::from((*column).varattno) == flag.number
        })
    }
}

/// For each column of an index, which of `key` it is; `None` when the index is not a tree by exactly
/// these columns, compared byte by byte.
fn parts(index: Relation, key: &[Column]) -> Result<Option<Parts>, PgError> {
    // SAFETY: the index is open while it is read.
    unsafe {
        let form = &*(*index).rd_index;
        let count = form.indnkeyatts as usize;
        let is_tree = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID;
        if !is_tree || count != key.len() {
            return Ok(None);
        }
        let families = std::slice::from_raw_parts((*index).rd_opfamily, count);
        let collations = std::slice::from_raw_parts((*index).rd_indcollation, count);
        let by_bytes = families.iter().all(|family| *family == pg_sys::TEXT_BTREE_FAM_OID)
            && collations.iter().all(|collation| *collation == pg_sys::C_COLLATION_OID);
        let numbers = form.indkey.values.as_slice(count).iter();
        let parts: Option<Parts> = numbers
            .map(|number| key.iter().position(|column| column.number == c_int::from(*number)))
            .collect();
        let is_whole = |parts: &Parts| (0..count).all(|part| parts.contains(&part));
        Ok(parts.filter(|parts| by_bytes && is_whole(parts)))
    }
}

/// A scan of an index. After an error the (sub)transaction's end ends it.
struct Scan {
    scan: IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    keys: SmallVec<[ScanKeyData; 2]>,
    /// Whether the keys are others than the scan has.
    is_restarted: bool,
}

impl Scan {
    fn start(table: &Table, index: Relation, columns: usize) -> Result<Scan, PgError> {
        let relation = table.relation;
        let mut keys = SmallVec::new();
        for number in 1..=columns as i16 {
            let mut key = ScanKeyData::default();
            let place = &raw mut key;
            // SAFETY: the key lives through the call.
            unsafe {
                attempt(|| {
                    raw::ScanKeyEntryInitialize(
                        place,
                        0,
                        number,
                        pg_sys::BTEqualStrategyNumber as u16,
                        pg_sys::InvalidOid,
                        pg_sys::C_COLLATION_OID,
                        Oid::from(pg_sys::F_TEXTEQ),
                        Datum::null(),
                    );
                })?;
            }
            keys.push(key);
        }
        // SAFETY: table and index are open; the active snapshot is there as long as the scan.
        unsafe {
            attempt(|| {
                let slot = raw::table_slot_create(relation, std::ptr::null_mut());
                let snapshot = raw::GetActiveSnapshot();
                #[cfg(not(feature = "pg18"))]
                let scan = raw::index_beginscan(relation, index, snapshot, columns as c_int, 0);
                #[cfg(feature = "pg18")]
                let scan = {
                    let counters = std::ptr::null_mut();
                    raw::index_beginscan(relation, index, snapshot, counters, columns as c_int, 0)
                };
                (scan, slot)
            })
            .map(|(scan, slot)| Scan { scan, slot, keys, is_restarted: true })
        }
    }

    /// Starts again, with the text that each column of the index is to have.
    fn look_for(&mut self, texts: impl Iterator<Item = Datum>) {
        for (key, text) in self.keys.iter_mut().zip(texts) {
            key.sk_argument = text;
        }
        self.is_restarted = true;
    }

    /// Reads the next row, its columns up to `last`. Whether there is one.
    fn next(&mut self, last: c_int) -> Result<bool, PgError> {
        let (scan, slot) = (self.scan, self.slot);
        let (keys, count) = (self.keys.as_mut_ptr(), self.keys.len() as c_int);
        let is_restarted = std::mem::take(&mut self.is_restarted);
        let forwards = pg_sys::ScanDirection::ForwardScanDirection;
        // SAFETY: scan and slot are open; the scan copies the keys, whose texts live as long.
        unsafe {
            attempt(|| {
                if is_restarted {
                    raw::index_rescan(scan, keys, count, std::ptr::null_mut(), 0);
                }
                let is_there = raw::index_getnext_slot(scan, forwards, slot);
                if is_there {
                    raw::slot_getsomeattrs_int(slot, last);
                }
                is_there
            })
        }
    }

    /// Tells of the rows at `places`, which are in the order of their keys, at most `most` a key.
    fn tell_places(
        &mut self,
        places: &[Entry],
        most: usize,
        last: c_int,
        tell: &mut dyn FnMut(usize, *mut pg_sys::TupleTableSlot) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        for of_key in places.chunk_by(|(a, _), (b, _)| a == b) {
            let mut told = 0;
            for (at, place) in of_key {
                interrupt::check()?;
                if told < most && self.fetch(*place, last)? {
                    tell(*at, self.slot)?;
                    told += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads the row at a place, its columns up to `last`. Whether it is there for the snapshot.
    fn fetch(&mut self, place: ItemPointerData, last: c_int) -> Result<bool, PgError> {
        let (scan, slot) = (self.scan, self.slot);
        // SAFETY: scan and slot are open; the scan reads the table at the place that it is given.
        unsafe {
            (*scan).xs_heaptid = place;
            (*scan).xs_heap_continue = false;
            attempt(|| {
                let is_there = raw::index_fetch_heap(scan, slot);
                if is_there {
                    raw::slot_getsomeattrs_int(slot, last);
                }
                is_there
            })
        }
    }

    fn end(self) -> Result<(), PgError> {
        let (scan, slot) = (self.scan, self.slot);
        // SAFETY: both are open, and nothing reads them any more.
        unsafe {
            attempt(|| {
                raw::index_endscan(scan);
                raw::ExecDropSingleTupleTableSlot(slot);
            })
        }
    }
}

/// A row that was found, until the next one is read.
pub struct Row<'s> {
    slot: *mut pg_sys::TupleTableSlot,
    relation: Relation,
    columns: &'s [Column],
}

impl Row<'_> {
    /// The column, by its position among those that are read; `None` for null.
    pub fn datum(&self, at: usize) -> Option<Datum> {
        let at = self.columns[at].number as usize - 1;
        // SAFETY: the slot's values have been read as far as this column.
        unsafe {
            let slot = &*self.slot;
            (!*slot.tts_isnull.add(at)).then(|| *slot.tts_values.add(at))
        }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        // SAFETY: the slot holds the row; the table is open as long as it is told of.
        unsafe { Place::of(self.slot, self.relation) }
    }
}
