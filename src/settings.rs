//! The settings under `erp_toolkit.`: limits of mappings, events and expressions, and of what an
//! event may remove; how long is kept what has ended; how tables are accessed.

use std::time::Duration;

use erp_engine::expr::Limits;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;

static MAX_MAPPING_SIZE: GucSetting<i32> = GucSetting::<i32>::new(4 * 1024);
static MAX_ENTITIES: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static MAX_RELATION_ITEMS: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);

static MAX_LENGTH: GucSetting<i32> = GucSetting::<i32>::new(64);
static TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static MAX_STEPS: GucSetting<i32> = GucSetting::<i32>::new(10_000_000);
static MAX_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(1_000);
static MAX_STRING_LENGTH: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);
static MAX_ARRAY_LENGTH: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MAX_RESULT_SIZE: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);

/// -1: any number.
static MAX_PRUNE: GucSetting<i32> = GucSetting::<i32>::new(-1);

static DIRECT_ACCESS: GucSetting<bool> = GucSetting::<bool>::new(true);

/// How long rows are kept, in minutes; -1: for ever. `erp_maintain`, in SQL, reads them.
static EVENT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * DAY);
static DEAD_LETTER_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(180 * DAY);
static HISTORY_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(365 * DAY);
static RUN_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(365 * DAY);
static TRACE_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * DAY);
static FIELD_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(90 * DAY);
static IMPORT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(90 * DAY);
static JOB_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * DAY);
static DELETED_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(-1);

/// In minutes.
const DAY: i32 = 24 * 60;

/// Declares the settings. Misspelt names under the prefix are refused.
pub fn define() {
    define_limits();
    define_retention();
    GucRegistry::define_bool_guc(
        c"erp_toolkit.direct_access",
        c"Looks entities up and writes them without statements.",
        c"Where a statement would do nothing else. Off: every access is a statement, for auto_explain to show.",
        &DIRECT_ACCESS,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: a C string.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"erp_toolkit".as_ptr()) }
}

fn define_limits() {
    let define = |name, short, long, setting, min, max, flags| {
        GucRegistry::define_int_guc(
            name,
            short,
            long,
            setting,
            min,
            max,
            GucContext::Userset,
            flags,
        );
    };
    let plain = GucFlags::default();
    define(
        c"erp_toolkit.max_mapping_size",
        c"Largest mapping.",
        c"A larger one is refused with MP001.",
        &MAX_MAPPING_SIZE,
        1,
        64 * 1024,
        GucFlags::UNIT_KB,
    );
    define(
        c"erp_toolkit.max_entities",
        c"Most entity updates that one event may yield.",
        c"An event that yields more fails with MP010.",
        &MAX_ENTITIES,
        1,
        100_000_000,
        plain,
    );
    define(
        c"erp_toolkit.max_relation_items",
        c"Most relation items that one event may yield.",
        c"An event that yields more fails with MP010.",
        &MAX_RELATION_ITEMS,
        1,
        100_000_000,
        plain,
    );
    define(
        c"erp_toolkit.max_memory",
        c"Most memory that one event may take.",
        c"An event that takes more fails with MP010.",
        &MAX_MEMORY,
        1024,
        i32::MAX,
        GucFlags::UNIT_KB,
    );
    define(
        c"erp_toolkit.expression_max_length",
        c"Longest expression.",
        c"A mapping with a longer one is refused with MP001.",
        &MAX_LENGTH,
        1,
        1024,
        GucFlags::UNIT_KB,
    );
    define(
        c"erp_toolkit.expression_timeout",
        c"Longest time one expression may take.",
        c"An expression that takes longer fails with MP010.",
        &TIMEOUT,
        1,
        3_600_000,
        GucFlags::UNIT_MS,
    );
    define(
        c"erp_toolkit.expression_max_steps",
        c"Most steps one expression may take.",
        c"An expression that takes more fails with MP010.",
        &MAX_STEPS,
        1_000,
        i32::MAX,
        plain,
    );
    define(
        c"erp_toolkit.expression_max_depth",
        c"Deepest nesting of calls in one expression.",
        c"An expression that nests deeper fails with MP010.",
        &MAX_DEPTH,
        10,
        10_000,
        plain,
    );
    define(
        c"erp_toolkit.expression_max_string_length",
        c"Longest string an expression may build.",
        c"An expression that builds a longer one fails with MP010.",
        &MAX_STRING_LENGTH,
        1,
        1024 * 1024,
        GucFlags::UNIT_KB,
    );
    define(
        c"erp_toolkit.expression_max_array_length",
        c"Most items of an array that an expression may build.",
        c"An expression that builds a longer one fails with MP010.",
        &MAX_ARRAY_LENGTH,
        10,
        10_000_000,
        plain,
    );
    define(
        c"erp_toolkit.expression_max_result_size",
        c"Largest result of an expression, as JSON text.",
        c"An expression with a larger result fails with MP010.",
        &MAX_RESULT_SIZE,
        1,
        256 * 1024,
        GucFlags::UNIT_KB,
    );
    define(
        c"erp_toolkit.max_prune",
        c"Most entities that one event may purge or prune.",
        c"An event that would remove more fails with MP011. -1 sets no limit.",
        &MAX_PRUNE,
        -1,
        i32::MAX,
        plain,
    );
}

fn define_retention() {
    let define = |name, short, setting| {
        GucRegistry::define_int_guc(
            name,
            short,
            c"Older rows are removed by erp_maintain. -1 keeps them for ever.",
            setting,
            -1,
            i32::MAX,
            GucContext::Userset,
            GucFlags::UNIT_MIN,
        );
    };
    define(
        c"erp_toolkit.event_retention",
        c"How long events are kept that are done, skipped or duplicates.",
        &EVENT_RETENTION,
    );
    define(
        c"erp_toolkit.dead_letter_retention",
        c"How long dead letters are kept.",
        &DEAD_LETTER_RETENTION,
    );
    define(
        c"erp_toolkit.history_retention",
        c"How long the history of entities is kept.",
        &HISTORY_RETENTION,
    );
    define(c"erp_toolkit.run_retention", c"How long runs are kept.", &RUN_RETENTION);
    define(
        c"erp_toolkit.trace_retention",
        c"How long spans that were pushed from outside are kept.",
        &TRACE_RETENTION,
    );
    define(
        c"erp_toolkit.field_retention",
        c"How long fields are remembered that no longer arrive.",
        &FIELD_RETENTION,
    );
    define(
        c"erp_toolkit.import_retention",
        c"How long imports and their errors are kept.",
        &IMPORT_RETENTION,
    );
    define(
        c"erp_toolkit.job_retention",
        c"How long pg_cron's notes of the jobs of erp_schedule are kept.",
        &JOB_RETENTION,
    );
    define(
        c"erp_toolkit.deleted_retention",
        c"How long soft-deleted entities are kept before they are purged.",
        &DELETED_RETENTION,
    );
}

/// How many entities one event may purge or prune; `None`: any number.
pub fn max_prune() -> Option<usize> {
    usize::try_from(MAX_PRUNE.get()).ok()
}

/// Whether tables may be accessed without statements.
pub fn direct_access() -> bool {
    DIRECT_ACCESS.get()
}

fn count(setting: &GucSetting<i32>) -> usize {
    usize::try_from(setting.get()).unwrap_or(0)
}

/// The memory that one event may take, in bytes.
pub fn max_memory() -> usize {
    count(&MAX_MEMORY) * 1024
}

/// The limits that the session has set.
pub fn limits() -> Limits {
    Limits {
        max_mapping_size: count(&MAX_MAPPING_SIZE) * 1024,
        max_length: count(&MAX_LENGTH) * 1024,
        timeout: Duration::from_millis(count(&TIMEOUT) as u64),
        max_steps: count(&MAX_STEPS) as u64,
        max_depth: count(&MAX_DEPTH),
        max_string_length: count(&MAX_STRING_LENGTH) * 1024,
        max_array_length: count(&MAX_ARRAY_LENGTH),
        max_result_size: count(&MAX_RESULT_SIZE) * 1024,
        max_entities: count(&MAX_ENTITIES),
        max_relation_items: count(&MAX_RELATION_ITEMS),
        max_memory: max_memory(),
    }
}
