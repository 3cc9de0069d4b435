//! `erp_find`: entities read back as JSON.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::applicable_key;
use erp_engine::jsonb::Value;
use pgrx::pg_sys::Datum;

use crate::error::Failure;
use crate::jsonb;
use crate::pg::Call;
use crate::pg::call::Cell;
use crate::pg::spi::{Access, connected};
use crate::store::entity::State;
use crate::store::entity_type::{EntityType, Purpose};

/// `erp_find(slug, unique_identifiers)`.
pub fn find(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let slug = call
        .text(0, &arena)?
        .ok_or_else(|| Failure::Argument { message: "the slug is null".into() })?;
    let wanted = match call.jsonb(1)? {
        Some(Value::Object(wanted)) => wanted,
        _ => {
            let message = "unique_identifiers must be an object of attributes";
            return Err(Error::new(Code::AttributeTypeMismatch, message).into());
        }
    };
    let identifiers = wanted
        .iter()
        .map(|(name, value)| Ok((name, applicable_key(slug, name, Some(value))?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let rows = call.rows()?;
    connected(|| {
        let names: Vec<&str> = identifiers.iter().map(|(name, _)| *name).collect();
        let ty = EntityType::get(slug, &names, Purpose::Upserts)?;
        let statement = ty.find_by_identifiers(&names)?;
        let mut arguments = Vec::new();
        for (name, key) in &identifiers {
            arguments.push(jsonb::datum(name.as_bytes())?);
            arguments.push(jsonb::datum(key.as_bytes())?);
        }
        for row in statement.execute(&arguments, Access::Read)?.iter() {
            let cells = (1..=5).map(|column| row.datum(column).map_or(Cell::Null, Cell::Datum));
            rows.put(&cells.collect::<Vec<_>>())?;
        }
        Ok::<(), Failure>(())
    })?;
    rows.done()
}

/// `erp._now(slug, entity_id)`: an entity as it is.
pub fn now(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let missing = || Failure::Argument { message: "slug and entity_id must not be null".into() };
    let slug = call.text(0, &arena)?.ok_or_else(missing)?;
    let id = call.text(1, &arena)?.ok_or_else(missing)?;
    let results = call.rows()?;
    connected(|| {
        let ty = EntityType::get(slug, &[], Purpose::Upserts)?;
        let ids = ty.layout.ids(&arena, ty.layout.canonical_id(id, &arena).into_iter());
        for row in ty.find_now()?.execute(&[ids], Access::Read)?.iter() {
            let cell = |column| row.datum(column).map_or(Cell::Null, Cell::Datum);
            let state = State::of(row.bool(2), row.bool(3)).name();
            results.put(&[cell(1), Cell::Text(state), cell(4), cell(5)])?;
        }
        Ok::<(), Failure>(())
    })?;
    results.done()
}

/// `erp._identifier(value)`: the text under which an identifier is looked up; null for what
/// identifies nothing.
pub fn identifier(call: Call) -> Result<Datum, Failure> {
    let value = call.jsonb(0)?;
    match value.and_then(erp_engine::identifier::key) {
        Some(key) => Ok(jsonb::datum(key.as_bytes())?),
        None => Ok(call.null()),
    }
}
