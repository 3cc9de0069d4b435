//! What an event would do, told without doing it: the decision of [`super::decide`] on what is
//! there, nothing locked, nothing written.

use bumpalo::Bump;
use erp_engine::jsonb::Value;
use erp_engine::map::Mapped;

use super::apply::Stop;
use super::cast::cast;
use super::registered::{Ids, assign_ids};
use super::remove::{Look, in_scope};
use super::request::{Types, request};
use super::resolve::resolve;
use super::write::Written;
use crate::error::Failure;

/// What would become of one entity.
pub struct Simulated<'r> {
    pub slug: &'r str,
    pub id: &'r str,
    pub action: &'static str,
    pub identifiers: &'r [(&'r str, Value<'r>)],
    /// Its attributes as they are; `None` when it is not there.
    pub before: Option<Value<'r>>,
    /// Its attributes as they would be; `None` when it would be gone.
    pub after: Option<Value<'r>>,
}

/// Tells `found` what the event would do, row by row as it would be applied.
pub fn simulate<'a>(
    mapped: Vec<Mapped<'a>>,
    arena: &'a Bump,
    found: &mut dyn FnMut(Simulated<'_>) -> Result<(), Failure>,
) -> Result<(), Stop> {
    let mut types = Types::default();
    types.gather(&mapped)?;
    let mut event = [(0, Ok(mapped))];
    cast(&types, &mut event, arena)?;
    let [(_, mapped)] = event;
    let request = request(mapped?, &mut types, arena)?;
    let looked_up = resolve(&types, &[&request], arena)?;
    let mut entities = looked_up.entities;
    entities.check_given(&request, &looked_up.seen.given)?;
    let mut outcomes = entities.apply(&request)?;
    if entities.is_entangled() {
        return Err(Stop::Entangled);
    }
    let mut written = Written::default();
    assign_ids(&entities, &mut written, Ids::Given, arena)?;
    let pruned = in_scope(&request, &entities, &outcomes, &written, Look::Read, arena)?;
    outcomes.extend(pruned.into_iter().map(|entity| entity.outcome(&mut entities)));
    for outcome in &outcomes {
        let entity = &entities.entities[outcome.entity];
        found(Simulated {
            slug: &entities.types[entity.ty].slug,
            id: written.id(&entities, outcome.entity),
            action: outcome.action.name(),
            identifiers: outcome.identifiers,
            before: entity.row_attributes.map(Value::Object),
            after: entity.attributes.filter(|_| !entity.is_purged()).map(Value::Object),
        })?;
    }
    Ok(())
}
