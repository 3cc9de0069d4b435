//! `erp_map`: what an event maps to, no table read.

use std::cell::Cell as Mutable;
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::error::Result as EngineResult;
use erp_engine::expr::{Context, Limits};
use erp_engine::jsonb::Value;
use erp_engine::map::{Mapped, map as map_payload};
use erp_engine::mapping::Mapping;
use pgrx::pg_sys::{self, Datum};

use super::{event_name_argument, mapping_argument, payload_argument};
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::Cell;
use crate::pg::interrupt::{self, Watch};
use crate::pg::memory::{self, Bound};
use crate::{mapping_cache, settings};

/// Maps payloads of one event, under the session's limits, stopped by interrupts.
pub struct Mapper {
    pub mapping: Rc<Mapping>,
    limits: Limits,
    now: i64,
    /// Bytes of the values that the events have yielded.
    yielded: Rc<Mutable<usize>>,
    watch: Watch,
}

impl Mapper {
    /// `now` is what `$now()` tells, in microseconds since 2000.
    pub fn new(mapping: &[u8], now: i64) -> Result<Mapper, Failure> {
        /// Seconds from 1970 to 2000.
        const EPOCH: i64 = 946_684_800;
        let limits = settings::limits();
        Ok(Mapper {
            mapping: mapping_cache::compiled(mapping, &limits)?,
            limits,
            yielded: Rc::default(),
            now: now.div_euclid(1_000) + EPOCH * 1_000,
            watch: Watch::start()?,
        })
    }

    /// Counts in `yielded` the bytes of the values that events yield.
    pub fn counting(self, yielded: &Rc<Mutable<usize>>) -> Mapper {
        Mapper { yielded: yielded.clone(), ..self }
    }

    /// Tells whether the events mapped since have taken, or will take when they are written,
    /// `bytes` of memory together; `yielded` counts what they yield.
    pub fn fills(yielded: &Mutable<usize>, bytes: usize) -> impl Fn() -> bool {
        let (in_use, before) = (memory::in_use(), yielded.get());
        move || memory::in_use() > in_use + bytes || yielded.get() > before + bytes
    }

    /// Maps `payload`.
    pub fn map<'a>(
        &'a self,
        event_name: &str,
        payload: Value<'a>,
        arena: &'a Bump,
    ) -> Result<Vec<Mapped<'a>>, Failure> {
        // An event that took too much memory does not stop the next one.
        if memory::has_stopped() {
            self.watch.renew();
        }
        let _bound = Bound::start(self.limits.max_memory);
        let context = Context::new(arena, &self.limits, self.now, self.watch.token())
            .with_memory(memory::is_exceeded);
        let mapped: EngineResult<_> =
            self.mapping.event(event_name).and_then(|event| map_payload(event, payload, &context));
        if mapped.is_err() {
            // What cancelled the evaluation is told instead of the evaluation's failure.
            interrupt::check()?;
        }
        self.yielded.set(self.yielded.get() + context.yielded());
        Ok(mapped?)
    }
}

/// `erp_map(mapping, event_name, payload, at)`.
pub fn map(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    // SAFETY: no arguments.
    let at = match call.datum(3) {
        Some(at) => at.value() as i64,
        None => unsafe { pg_sys::GetCurrentTransactionStartTimestamp() },
    };
    if matches!(at, i64::MIN | i64::MAX) {
        return Err(Failure::Argument { message: "at must be a finite time".into() });
    }
    let mapper = Mapper::new(mapping_argument(call, 0)?, at)?;
    let event_name = event_name_argument(call, 1, &arena)?;
    let payload = payload_argument(call, 2, &arena)?;
    let rows = call.rows()?;
    for mapped in mapper.map(event_name, payload, &arena)? {
        let slug_and_mode = [Cell::Text(mapped.schema()), Cell::Text(mapped.mode())];
        let [slug, mode] = slug_and_mode;
        match &mapped {
            Mapped::Update(update) => rows.put(&[
                slug,
                mode,
                Cell::Tree(&update.identifiers_tree()),
                Cell::Tree(&update.attributes_tree()),
                Cell::Null,
            ])?,
            Mapped::Prune(prune) => {
                rows.put(&[slug, mode, Cell::Null, Cell::Null, Cell::Tree(&prune.scope_tree())])?;
            }
        }
    }
    rows.done()
}
