//! PostgreSQL's functions without pgrx's guard around each. An error in one of them jumps
//! straight to [`super::guard::attempt`], which keeps it whole; pgrx's guard would rebuild it
//! and lose its SQLSTATE, its constraint, table and column names, and its context.
//!
//! Every function here may only be called inside `attempt`, unless it cannot raise.

use pgrx::pg_sys::{
    AclMaskHow, AclMode, AclResult, ArrayType, BlockNumber, Buffer, CachedPlan, CmdType, CommandId,
    Datum, EState, ErrorData, Expr, ExprContext, ExprState, FullTransactionId, FunctionCallInfo,
    GucAction, GucContext, GucSource, HeapTuple, Index, IndexScanDesc, ItemPointerData, LOCKMODE,
    LOCKTAG, List, LockAcquireResult, MemoryContext, Node, ObjectType, Oid, PlanState, Relation,
    ResourceOwner, ResultRelInfo, SPIPlanPtr, SPITupleTable, ScanDirection, ScanKeyData, Size,
    Snapshot, TransactionId, TupleDesc, TupleTableSlot, TupleTableSlotOps, Tuplestorestate,
    varlena,
};
use std::ffi::{c_char, c_int, c_long, c_void};

unsafe extern "C-unwind" {
    // Errors
    pub fn CopyErrorData() -> *mut ErrorData;
    pub fn FreeErrorData(error: *mut ErrorData);
    pub fn FlushErrorState();
    pub fn ReThrowError(error: *mut ErrorData) -> !;
    pub fn errstart(level: c_int, domain: *const c_char) -> bool;
    pub fn errcode(code: c_int) -> c_int;
    pub fn errmsg_internal(format: *const c_char, ...) -> c_int;
    pub fn errdetail_internal(format: *const c_char, ...) -> c_int;
    pub fn errhint(format: *const c_char, ...) -> c_int;
    pub fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    pub fn ProcessInterrupts();

    // Transactions
    pub fn BeginInternalSubTransaction(name: *const c_char);
    pub fn ReleaseCurrentSubTransaction();
    pub fn RollbackAndReleaseCurrentSubTransaction();
    pub fn CommandCounterIncrement();
    pub fn GetCurrentCommandId(used: bool) -> CommandId;
    pub fn ReadNextFullTransactionId() -> FullTransactionId;
    pub fn GetTransactionSnapshot() -> Snapshot;
    pub fn GetLatestSnapshot() -> Snapshot;
    pub fn PushActiveSnapshot(snapshot: Snapshot);
    pub fn GetActiveSnapshot() -> Snapshot;
    pub fn PopActiveSnapshot();
    pub fn LockAcquire(
        tag: *const LOCKTAG,
        mode: LOCKMODE,
        session: bool,
        dont_wait: bool,
    ) -> LockAcquireResult::Type;

    // Rights
    pub fn GetUserNameFromId(role: Oid, missing_ok: bool) -> *mut c_char;
    pub fn get_namespace_oid(name: *const c_char, missing_ok: bool) -> Oid;
    pub fn get_relname_relid(name: *const c_char, schema: Oid) -> Oid;
    pub fn pg_class_aclcheck_ext(
        relation: Oid,
        role: Oid,
        rights: AclMode,
        is_missing: *mut bool,
    ) -> AclResult::Type;
    pub fn pg_attribute_aclcheck_all(
        relation: Oid,
        role: Oid,
        rights: AclMode,
        how: AclMaskHow::Type,
    ) -> AclResult::Type;
    pub fn aclcheck_error(result: AclResult::Type, kind: ObjectType::Type, name: *const c_char);

    // Defaults of columns
    pub fn table_open(relation: Oid, mode: LOCKMODE) -> Relation;
    pub fn table_close(relation: Relation, mode: LOCKMODE);
    pub fn build_column_default(relation: Relation, column: c_int) -> *mut Node;
    pub fn exprType(expression: *const Node) -> Oid;
    pub fn getTypeOutputInfo(ty: Oid, output: *mut Oid, is_varlena: *mut bool);
    pub fn OidOutputFunctionCall(output: Oid, value: Datum) -> *mut c_char;
    pub fn CreateExecutorState() -> *mut EState;
    pub fn FreeExecutorState(executor: *mut EState);
    pub fn ExecPrepareExpr(expression: *mut Expr, executor: *mut EState) -> *mut ExprState;
    pub fn MakePerTupleExprContext(executor: *mut EState) -> *mut ExprContext;
    pub fn MemoryContextReset(context: MemoryContext);

    // Look-ups by an index
    pub fn try_table_open(relation: Oid, mode: LOCKMODE) -> Relation;
    pub fn RelationGetIndexList(relation: Relation) -> *mut List;
    pub fn RelationGetIndexPredicate(index: Relation) -> *mut List;
    pub fn list_free(list: *mut List);
    pub fn index_open(index: Oid, mode: LOCKMODE) -> Relation;
    pub fn index_close(index: Relation, mode: LOCKMODE);
    pub fn table_slot_create(relation: Relation, list: *mut *mut List) -> *mut TupleTableSlot;
    pub fn ExecDropSingleTupleTableSlot(slot: *mut TupleTableSlot);
    pub fn slot_getsomeattrs_int(slot: *mut TupleTableSlot, last: c_int);
    pub fn ReadBuffer(relation: Relation, block: BlockNumber) -> Buffer;
    pub fn LockBuffer(buffer: Buffer, mode: c_int);
    pub fn UnlockReleaseBuffer(buffer: Buffer);
    pub fn pgstat_assoc_relation(relation: Relation);
    pub fn index_fetch_heap(scan: IndexScanDesc, slot: *mut TupleTableSlot) -> bool;
    pub fn ScanKeyEntryInitialize(
        entry: *mut ScanKeyData,
        flags: c_int,
        number: i16,
        strategy: u16,
        subtype: Oid,
        collation: Oid,
        function: Oid,
        argument: Datum,
    );
    #[cfg(not(feature = "pg18"))]
    pub fn index_beginscan(
        table: Relation,
        index: Relation,
        snapshot: Snapshot,
        keys: c_int,
        orders: c_int,
    ) -> IndexScanDesc;
    #[cfg(feature = "pg18")]
    pub fn index_beginscan(
        table: Relation,
        index: Relation,
        snapshot: Snapshot,
        counters: *mut pgrx::pg_sys::IndexScanInstrumentation,
        keys: c_int,
        orders: c_int,
    ) -> IndexScanDesc;
    pub fn index_rescan(
        scan: IndexScanDesc,
        keys: *mut ScanKeyData,
        count: c_int,
        orders: *mut ScanKeyData,
        order_count: c_int,
    );
    pub fn index_getnext_slot(
        scan: IndexScanDesc,
        direction: ScanDirection::Type,
        slot: *mut TupleTableSlot,
    ) -> bool;
    pub fn index_endscan(scan: IndexScanDesc);

    // Writing rows
    pub fn InitResultRelInfo(
        result: *mut ResultRelInfo,
        relation: Relation,
        range_table_index: Index,
        root: *mut ResultRelInfo,
        instrument: c_int,
    );
    pub fn ExecOpenIndices(result: *mut ResultRelInfo, is_speculative: bool);
    pub fn ExecCloseIndices(result: *mut ResultRelInfo);
    pub fn ExecConstraints(
        result: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        executor: *mut EState,
    );
    pub fn ExecCheckIndexConstraints(
        result: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        executor: *mut EState,
        conflict: *mut ItemPointerData,
        #[cfg(feature = "pg18")] tuple: *mut ItemPointerData,
        arbiters: *mut List,
    ) -> bool;
    pub fn ExecInsertIndexTuples(
        result: *mut ResultRelInfo,
        slot: *mut TupleTableSlot,
        executor: *mut EState,
        is_update: bool,
        no_error: bool,
        is_conflict: *mut bool,
        arbiters: *mut List,
        #[cfg(not(feature = "pg15"))] only_summarizing: bool,
    ) -> *mut List;
    pub fn CheckCmdReplicaIdentity(relation: Relation, command: CmdType::Type);
    pub fn GetCurrentTransactionId() -> TransactionId;
    pub fn SpeculativeInsertionLockAcquire(transaction: TransactionId) -> u32;
    pub fn SpeculativeInsertionLockRelease(transaction: TransactionId);
    pub fn MakeSingleTupleTableSlot(
        description: TupleDesc,
        operations: *const TupleTableSlotOps,
    ) -> *mut TupleTableSlot;
    pub fn ExecStoreVirtualTuple(slot: *mut TupleTableSlot) -> *mut TupleTableSlot;
    pub fn lappend_oid(list: *mut List, oid: Oid) -> *mut List;

    // Expressions that are kept
    pub fn expression_planner_with_deps(
        expression: *mut Expr,
        relations: *mut *mut List,
        others: *mut *mut List,
    ) -> *mut Expr;
    pub fn ExecInitExpr(expression: *mut Expr, parent: *mut PlanState) -> *mut ExprState;
    pub fn AllocSetContextCreateInternal(
        parent: MemoryContext,
        name: *const c_char,
        least: Size,
        first: Size,
        most: Size,
    ) -> MemoryContext;
    pub fn MemoryContextDelete(context: MemoryContext);

    // SPI
    pub fn SPI_fnumber(description: TupleDesc, name: *const c_char) -> c_int;
    pub fn SPI_connect() -> c_int;
    pub fn SPI_finish() -> c_int;
    pub fn SPI_prepare_cursor(
        source: *const c_char,
        count: c_int,
        types: *mut Oid,
        options: c_int,
    ) -> SPIPlanPtr;
    pub fn SPI_keepplan(plan: SPIPlanPtr) -> c_int;
    pub fn SPI_freeplan(plan: SPIPlanPtr) -> c_int;
    pub fn SPI_plan_is_valid(plan: SPIPlanPtr) -> bool;
    pub fn SPI_execute_plan(
        plan: SPIPlanPtr,
        values: *mut Datum,
        nulls: *const c_char,
        read_only: bool,
        limit: c_long,
    ) -> c_int;
    pub fn SPI_freetuptable(table: *mut SPITupleTable);
    pub fn SPI_getbinval(
        tuple: HeapTuple,
        description: TupleDesc,
        column: c_int,
        is_null: *mut bool,
    ) -> Datum;

    // Settings while planning
    pub fn NewGUCNestLevel() -> c_int;
    pub fn AtEOXact_GUC(commit: bool, level: c_int);
    pub fn set_config_option(
        name: *const c_char,
        value: *const c_char,
        context: GucContext::Type,
        source: GucSource::Type,
        action: GucAction::Type,
        change: bool,
        level: c_int,
        is_reload: bool,
    ) -> c_int;
    pub fn SPI_plan_get_cached_plan(plan: SPIPlanPtr) -> *mut CachedPlan;
    pub fn ReleaseCachedPlan(plan: *mut CachedPlan, owner: ResourceOwner);

    // Data
    pub fn pg_detoast_datum(datum: *mut varlena) -> *mut varlena;
    pub fn palloc(size: Size) -> *mut c_void;
    pub fn InitMaterializedSRF(call: FunctionCallInfo, flags: u32);
    pub fn tuplestore_putvalues(
        store: *mut Tuplestorestate,
        description: TupleDesc,
        values: *const Datum,
        nulls: *const bool,
    );
    pub fn tuplestore_clear(store: *mut Tuplestorestate);
    pub fn deconstruct_array(
        array: *mut ArrayType,
        element: Oid,
        length: c_int,
        by_value: bool,
        align: c_char,
        elements: *mut *mut Datum,
        nulls: *mut *mut bool,
        count: *mut c_int,
    );
    pub fn CacheInvalidateRelcacheByRelid(relation: Oid);

    // Timers
    pub fn RegisterTimeout(id: c_int, handler: extern "C" fn()) -> c_int;
    pub fn enable_timeout_every(id: c_int, first: i64, delay_ms: c_int);
    pub fn disable_timeout(id: c_int, keep_indicator: bool);
}
