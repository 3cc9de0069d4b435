//! Where the rows of many keys are, by the pages of an index: keys in order that stand on one leaf
//! are looked for there together, and texts are compared as bytes. A scan goes down from the root
//! for each key, and calls a function for each comparison: 9,800 instructions a key, here 1,600 (of
//! 1,000 keys among 20,000). So a batch of unchanged contracts came from 140,000 instructions an
//! event to 102,000.
//!
//! The pages are those of `access/nbtree.h`, version 4, the same in PostgreSQL 13 to 18. What is
//! not as expected here is left to scans.

use std::cmp::Ordering;
use std::ffi::c_int;

use pgrx::pg_sys::{self, BlockNumber, Buffer, ItemPointerData, Relation};

use super::{PgError, attempt, interrupt, raw};

/// Which key a row has, and where it stands.
pub type Entry = (usize, ItemPointerData);

const PAGE: usize = pg_sys::BLCKSZ as usize;
/// A page's header: where its line pointers end, where what is its own begins.
const LOWER: usize = 12;
const SPECIAL: usize = 16;
const LINE_POINTERS: usize = 24;

/// The page that tells the root: magic number, version, and the lowest page from which all leaves
/// are reached.
const META: BlockNumber = 0;
const MAGIC: u32 = 0x0005_3162;
const VERSION: u32 = 4;
const FAST_ROOT: usize = 16;

/// At the end of a page of the tree: the page to the right, and flags.
const OPAQUE: usize = 16;
const NEXT: usize = 4;
const FLAGS: usize = 12;
const IS_LEAF: u16 = 1;
const IS_DELETED: u16 = 1 << 2 | 1 << 4;

/// Where the line pointer of the highest key stands, on pages that are not rightmost.
const HIGH_KEY: usize = 1;

/// An item's header: place or page, count or flags, size and flags.
const COUNT: usize = 4;
const INFO: usize = 6;
const SIZE: u16 = 0x1FFF;
const IS_ALTERNATIVE: u16 = 0x2000;
const HAS_NULLS: u16 = 0x8000;
const IS_POSTING: u16 = 0x2000;
const HAS_PLACE: u16 = 0x1000;
const OF_COUNT: u16 = 0x0FFF;
const HEADER: usize = 8;
const HEADER_WITH_NULLS: usize = 16;

/// Pages that are looked at for one key: more are no tree.
const MOST_PAGES: usize = 10_000;

/// An index, and for each of its columns, the part of a key that it is compared with.
struct Tree<'k> {
    index: Relation,
    parts: &'k [usize],
}

/// What comes after a page.
enum Step {
    Page(BlockNumber),
    /// The page was the leaf.
    Done,
}

/// Adds to `found` where the index says that rows with one of `keys` are, for every key in turn.
/// `false` when that is left to a scan. The snapshot that looks at the rows is active: so no page
/// is used for another part of the tree.
///
/// # Safety
///
/// The index is open, a B-tree of text columns, compared byte by byte.
pub unsafe fn find(
    index: Relation,
    parts: &[usize],
    keys: &[&[&str]],
    found: &mut Vec<Entry>,
) -> Result<bool, PgError> {
    // SAFETY: the caller's.
    unsafe {
        if is_left_to_scans(index, parts.len()) {
            return Ok(false);
        }
        let tree = Tree { index, parts };
        let Some(root) = tree.on_page(META, Page::root)?.flatten() else { return Ok(false) };
        // An index without rows has no root.
        let mut at = if root == 0 { keys.len() } else { 0 };
        while at < keys.len() {
            interrupt::check()?;
            if !tree.find_leaf(root, keys, &mut at, found)? {
                return Ok(false);
            }
        }
        attempt(|| count(index, keys.len(), found.len()))?;
        Ok(true)
    }
}

/// Whether scans do more than to look: they lock what they read for serializable transactions, or
/// find their snapshot too old. They read other orders, too.
unsafe fn is_left_to_scans(index: Relation, columns: usize) -> bool {
    // SAFETY: the index is open; the variables are set before a transaction reads.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let grows_old = pg_sys::old_snapshot_threshold >= 0;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let grows_old = false;
        let options = std::slice::from_raw_parts((*index).rd_indoption, columns);
        cfg!(target_endian = "big")
            || pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as c_int
            || grows_old
            || options.iter().any(|option| *option != 0)
    }
}

/// Counts what was looked for and found, as scans do (`pg_stat_user_indexes`).
unsafe fn count(index: Relation, looked_for: usize, found: usize) {
    // SAFETY: the index is open.
    unsafe {
        if (*index).pgstat_info.is_null() && (*index).pgstat_enabled {
            raw::pgstat_assoc_relation(index);
        }
        if let Some(counted) = (*index).pgstat_info.as_mut() {
            #[cfg(feature = "pg15")]
            {
                counted.t_counts.t_numscans += looked_for as i64;
                counted.t_counts.t_tuples_returned += found as i64;
            }
            #[cfg(not(feature = "pg15"))]
            {
                counted.counts.numscans += looked_for as i64;
                counted.counts.tuples_returned += found as i64;
            }
        }
    }
}

impl Tree<'_> {
    /// Calls `f` with a page, locked against changes; `None` for what is no page of a tree.
    unsafe fn on_page<T>(
        &self,
        block: BlockNumber,
        f: impl FnOnce(&Page) -> T,
    ) -> Result<Option<T>, PgError> {
        let index = self.index;
        // SAFETY: the index is open; the page is read while it is locked.
        unsafe {
            let buffer: Buffer = attempt(|| {
                let buffer = raw::ReadBuffer(index, block);
                raw::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as c_int);
                buffer
            })?;
            let page = Page(pg_sys::BufferGetPage(buffer).cast_const().cast());
            let result = page.is_of_tree().then(|| f(&page));
            attempt(|| raw::UnlockReleaseBuffer(buffer))?;
            Ok(result)
        }
    }

    /// Goes down to the leaf of the key at `at`, and looks there for it and for those behind it
    /// that stand there as well.
    unsafe fn find_leaf(
        &self,
        root: BlockNumber,
        keys: &[&[&str]],
        at: &mut usize,
        found: &mut Vec<Entry>,
    ) -> Result<bool, PgError> {
        let mut block = root;
        for _ in 0..MOST_PAGES {
            // SAFETY: the caller's.
            let step = unsafe { self.on_page(block, |page| self.step(page, keys, at, found))? };
            match step.flatten() {
                Some(Step::Page(next)) => block = next,
                Some(Step::Done) => return Ok(true),
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    fn step(
        &self,
        page: &Page,
        keys: &[&[&str]],
        at: &mut usize,
        found: &mut Vec<Entry>,
    ) -> Option<Step> {
        let key = keys[*at];
        // A page may have been split, or emptied, since another one named it.
        if page.flags() & IS_DELETED != 0 {
            return page.next().map(Step::Page);
        }
        if let Some(next) = page.next()
            && self.compare(key, page.item(HIGH_KEY)?)? == Ordering::Greater
        {
            return Some(Step::Page(next));
        }
        if page.flags() & IS_LEAF == 0 {
            // The first item is less than any key.
            let after = self.first_from(page, page.first() + 1, key)?;
            return Some(Step::Page(page.item(after - 1)?.page()));
        }
        self.on_leaf(page, keys, at, found)?;
        Some(Step::Done)
    }

    fn on_leaf(
        &self,
        page: &Page,
        keys: &[&[&str]],
        at: &mut usize,
        found: &mut Vec<Entry>,
    ) -> Option<()> {
        let mut low = page.first();
        loop {
            let key = keys[*at];
            low = self.first_from(page, low, key)?;
            let mut number = low;
            while number <= page.last() {
                let item = page.item(number)?;
                if self.compare(key, item)? != Ordering::Equal {
                    break;
                }
                item.places(|place| found.push((*at, place)))?;
                number += 1;
            }
            let high = page.next().map(|_| page.item(HIGH_KEY));
            // The key goes on on the page to the right.
            if let Some(high) = high
                && number > page.last()
                && self.compare(key, high?)? == Ordering::Equal
            {
                return None;
            }
            *at += 1;
            let Some(next) = keys.get(*at) else { return Some(()) };
            let is_behind = self.order(key, next) != Ordering::Greater;
            let is_here = match high {
                Some(high) => self.compare(next, high?)? != Ordering::Greater,
                None => true,
            };
            if !is_behind || !is_here {
                return Some(());
            }
        }
    }

    /// The number of the first item from `low` on that is not less than the key.
    fn first_from(&self, page: &Page, mut low: usize, key: &[&str]) -> Option<usize> {
        let mut high = page.last() + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare(key, page.item(middle)?)? {
                Ordering::Greater => low = middle + 1,
                _ => high = middle,
            }
        }
        Some(low)
    }

    /// The order of two keys in the index.
    fn order(&self, key: &[&str], other: &[&str]) -> Ordering {
        let orders = self.parts.iter().map(|part| key[*part].cmp(other[*part]));
        orders.fold(Ordering::Equal, Ordering::then)
    }

    /// How a key stands to an item. `None` for an item whose texts are not as they are.
    fn compare(&self, key: &[&str], item: Item<'_>) -> Option<Ordering> {
        let columns = item.columns().unwrap_or(self.parts.len()).min(self.parts.len());
        let mut texts = item.texts();
        for part in &self.parts[..columns] {
            // Nulls stand last.
            let order = match texts.next()? {
                Some(text) => key[*part].as_bytes().cmp(text),
                None => Ordering::Less,
            };
            if order != Ordering::Equal {
                return Some(order);
            }
        }
        // Columns, and the place, that an item between pages has not are less than any.
        let is_cut = columns < self.parts.len() || item.is_between() && !item.has_place();
        Some(if is_cut { Ordering::Greater } else { Ordering::Equal })
    }
}

/// A page that is locked against changes, but for hints.
struct Page(*const u8);

impl Page {
    fn half(&self, at: usize) -> u16 {
        debug_assert!(at + 2 <= PAGE);
        // SAFETY: within the page, and aligned; hints may be set at any time.
        unsafe { self.0.add(at).cast::<u16>().read_volatile() }
    }

    fn word(&self, at: usize) -> u32 {
        debug_assert!(at + 4 <= PAGE);
        // SAFETY: as above.
        unsafe { self.0.add(at).cast::<u32>().read_volatile() }
    }

    /// Whether its parts are where those of the pages of a tree are.
    fn is_of_tree(&self) -> bool {
        let pointers = LINE_POINTERS..=PAGE - OPAQUE;
        usize::from(self.half(SPECIAL)) == PAGE - OPAQUE
            && pointers.contains(&usize::from(self.half(LOWER)))
    }

    /// Of the page that tells it, the root; 0 if there is none.
    fn root(&self) -> Option<BlockNumber> {
        let is_known = self.word(LINE_POINTERS) == MAGIC && self.word(LINE_POINTERS + 4) == VERSION;
        is_known.then(|| self.word(LINE_POINTERS + FAST_ROOT))
    }

    fn flags(&self) -> u16 {
        self.half(PAGE - OPAQUE + FLAGS)
    }

    /// The page to the right.
    fn next(&self) -> Option<BlockNumber> {
        Some(self.word(PAGE - OPAQUE + NEXT)).filter(|next| *next != 0)
    }

    /// The number of the first item that is not the high key.
    fn first(&self) -> usize {
        if self.next().is_some() { HIGH_KEY + 1 } else { HIGH_KEY }
    }

    fn last(&self) -> usize {
        (usize::from(self.half(LOWER)) - LINE_POINTERS) / 4
    }

    /// The item at a number from 1; `None` when it is not there whole.
    fn item(&self, number: usize) -> Option<Item<'_>> {
        if !(1..=self.last()).contains(&number) {
            return None;
        }
        let pointer = self.word(LINE_POINTERS + 4 * (number - 1));
        let at = (pointer & 0x7FFF) as usize;
        if !at.is_multiple_of(8) || at + HEADER > PAGE {
            return None;
        }
        let size = usize::from(self.half(at + INFO) & SIZE);
        // SAFETY: within the page; what an item consists of does not change while it is locked.
        let bytes = (at + size <= PAGE && size >= HEADER)
            .then(|| unsafe { std::slice::from_raw_parts(self.0.add(at), size) })?;
        Some(Item(bytes))
    }
}

/// What stands on a page: on a leaf a key and the places of its rows; above, and as the highest key
/// of a page, what stands between pages.
#[derive(Clone, Copy)]
struct Item<'p>(&'p [u8]);

impl<'p> Item<'p> {
    fn half(self, at: usize) -> u16 {
        u16::from_ne_bytes([self.0[at], self.0[at + 1]])
    }

    /// The page below that it leads to, or where the places of several rows stand in it.
    fn page(self) -> BlockNumber {
        u32::from(self.half(0)) << 16 | u32::from(self.half(2))
    }

    fn is_alternative(self) -> bool {
        self.half(INFO) & IS_ALTERNATIVE != 0
    }

    fn is_posting(self) -> bool {
        self.is_alternative() && self.half(COUNT) & IS_POSTING != 0
    }

    fn is_between(self) -> bool {
        self.is_alternative() && !self.is_posting()
    }

    /// Whether it tells a place to the left of which it stands, if it is between pages.
    fn has_place(self) -> bool {
        self.half(COUNT) & HAS_PLACE != 0
    }

    /// How many columns it has, if not all.
    fn columns(self) -> Option<usize> {
        self.is_between().then(|| usize::from(self.half(COUNT) & OF_COUNT))
    }

    /// The texts of its columns, as far as they can be read; `None` for null.
    fn texts(self) -> impl Iterator<Item = Option<&'p [u8]>> {
        let has_nulls = self.half(INFO) & HAS_NULLS != 0;
        let mut at = if has_nulls { HEADER_WITH_NULLS } else { HEADER };
        (0..).map_while(move |column: usize| {
            if has_nulls && self.0.get(HEADER + column / 8)? & (1 << (column % 8)) == 0 {
                return Some(None);
            }
            let (start, end) = text(self.0, at)?;
            at = end;
            self.0.get(start..end).map(Some)
        })
    }

    /// Calls `f` with the places of its rows.
    fn places(self, mut f: impl FnMut(ItemPointerData)) -> Option<()> {
        if !self.is_alternative() {
            f(place(self.0.get(..6)?));
            return Some(());
        }
        let (count, at) = (usize::from(self.half(COUNT) & OF_COUNT), self.page() as usize);
        let places = self.0.get(at..)?.get(..6 * count)?;
        places.chunks_exact(6).for_each(|bytes| f(place(bytes)));
        Some(())
    }
}

fn place(bytes: &[u8]) -> ItemPointerData {
    let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    ItemPointerData {
        ip_blkid: pg_sys::BlockIdData { bi_hi: half(0), bi_lo: half(2) },
        ip_posid: half(4),
    }
}

/// From where to where the text goes whose length word stands at `at`, or at the next word; `None`
/// when it is compressed.
fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = *bytes.get(at)?;
    if first & 1 == 1 {
        let length = usize::from(first >> 1);
        return (length >= 1).then_some((at + 1, at + length));
    }
    let at = if first == 0 { at.next_multiple_of(4) } else { at };
    let word = bytes.get(at..at + 4)?;
    let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    let length = (word >> 2) as usize;
    (word & 3 == 0 && length >= 4).then_some((at + 4, at + length))
}
