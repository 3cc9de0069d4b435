//! `erp_simulate`: what an event would do.

use bumpalo::Bump;
use erp_engine::map::members;
use pgrx::pg_sys::{self, Datum};

use super::map::Mapper;
use super::{event_name_argument, mapping_argument, payload_argument};
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::Cell;
use crate::pg::spi::connected;
use crate::store::apply::failed;
use crate::store::simulate::simulate as simulate_event;

/// `erp_simulate(mapping, event_name, payload)`.
pub fn simulate(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    // SAFETY: no arguments.
    let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() };
    let mapper = Mapper::new(mapping_argument(call, 0)?, now)?;
    let event_name = event_name_argument(call, 1, &arena)?;
    let payload = payload_argument(call, 2, &arena)?;
    let mapped = mapper.map(event_name, payload, &arena)?;
    let rows = call.rows()?;
    connected(|| {
        simulate_event(mapped, &arena, &mut |entity| {
            let tree = |value: Option<_>| value.map(erp_engine::jsonb::Tree::Value);
            let (before, after) = (tree(entity.before), tree(entity.after));
            rows.put(&[
                Cell::Text(entity.slug),
                Cell::Text(entity.id),
                Cell::Text(entity.action),
                Cell::Tree(&members(entity.identifiers)),
                before.as_ref().map_or(Cell::Null, Cell::Tree),
                after.as_ref().map_or(Cell::Null, Cell::Tree),
            ])
        })
        .map_err(failed)
    })?;
    rows.done()
}
