//! `erp_validate`: every problem of a mapping, also against the entity types there are.

use erp_engine::mapping::Severity;
use pgrx::pg_sys::Datum;

use super::mapping_argument;
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::Cell;
use crate::pg::spi::connected;
use crate::store::check;
use crate::{mapping_cache, settings};

/// `erp_validate(mapping)`.
pub fn validate(call: Call) -> Result<Datum, Failure> {
    let document = mapping_argument(call, 0)?;
    let compiled = mapping_cache::compile(document, &settings::limits())?;
    let mut problems = compiled.problems;
    if let Some(mapping) = compiled.mapping.as_ref().or(compiled.understood.as_ref()) {
        problems.extend(connected(|| check::problems(mapping))?);
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
