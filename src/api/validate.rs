//! `erp_validate`: every problem of a mapping, also against the entity types there are.

use bumpalo::Bump;
use erp_engine::error::Error;
use erp_engine::jsonb::Value;
use erp_engine::mapping::{Mapping, Problem, Severity, compile, key_set_uses};
use pgrx::pg_sys::Datum;

use super::mapping_argument;
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::Cell;
use crate::pg::spi::connected;
use crate::store::entity_type::{EntityType, Purpose, create_hint, or_near, slugs};

/// `erp_validate(mapping)`.
pub fn validate(call: Call) -> Result<Datum, Failure> {
    let document = mapping_argument(call, 0)?;
    let compiled = compile(Value::from_datum(document));
    let mut problems = compiled.problems;
    if let Some(mapping) = compiled.mapping.as_ref().or(compiled.understood.as_ref()) {
        problems.extend(connected(|| unprepared(mapping))?);
    }
    let rows = call.rows()?;
    for problem in &problems {
        rows.put(&[
            Cell::Text(match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            }),
            Cell::Text(problem.code),
            Cell::Text(&problem.path),
            Cell::Text(&problem.message),
            problem.hint.as_deref().map_or(Cell::Null, Cell::Text),
        ])?;
    }
    rows.done()
}

/// What the mapping needs of the entity types and is not there.
fn unprepared(mapping: &Mapping) -> Result<Vec<Problem>, Failure> {
    let arena = Bump::new();
    let mut problems = Vec::new();
    let known = slugs(&arena)?;
    for used in key_set_uses(mapping) {
        let names: Vec<&str> = used.unique_ids.iter().map(String::as_str).collect();
        let purpose = if used.is_upserted { Purpose::Upserts } else { Purpose::Relations };
        let (code, message, hint) = match EntityType::find(&used.schema)? {
            None => {
                let create = create_hint(&used.schema, &names, purpose);
                let hint = or_near(&used.schema, &known, create);
                ("ENTITY_TYPE_UNKNOWN", format!("no table is bound to \"{}\"", used.schema), hint)
            }
            Some(ty) => {
                let set = ty.key_set(&names).map(|set| &ty.key_sets[set]);
                if set.is_some_and(|set| set.is_unique || !used.is_upserted) {
                    continue;
                }
                let Error { message, hint, .. } = ty.not_prepared(&names, purpose);
                ("KEY_SET_UNKNOWN", message, hint.unwrap_or_default())
            }
        };
        problems.push(Problem {
            severity: Severity::Warning,
            code,
            path: used.pointer,
            message,
            hint: Some(hint),
        });
    }
    Ok(problems)
}
