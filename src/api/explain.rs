//! `erp_explain` and `erp_explain_diagram`: what a mapping reads and writes.

use bumpalo::Bump;
use erp_engine::explain::{Row, diagram as diagram_of, explain as rows_of};
use pgrx::pg_sys::Datum;

use super::mapping_argument;
use crate::error::Failure;
use crate::pg::call::{Cell, Results};
use crate::pg::interrupt::{self, Watch};
use crate::pg::{Call, array};
use crate::{jsonb, mapping_cache, settings};

/// `erp_explain(mapping, event_name)`.
pub fn explain(call: Call) -> Result<Datum, Failure> {
    explained(call, |rows| {
        let results = call.rows()?;
        rows.iter().try_for_each(|row| put(&results, row))?;
        results.done()
    })
}

/// `erp_explain_diagram(mapping, event_name)`.
pub fn diagram(call: Call) -> Result<Datum, Failure> {
    explained(call, |rows| Ok(jsonb::datum(diagram_of(rows).as_bytes())?))
}

/// Calls `then` with the rows of the arguments' mapping.
fn explained(
    call: Call,
    then: impl FnOnce(&[Row<'_>]) -> Result<Datum, Failure>,
) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let mapping = mapping_cache::compiled(mapping_argument(call, 0)?, &settings::limits())?;
    let event_name = call.text(1, &arena)?;
    let watch = Watch::start()?;
    match rows_of(&mapping, event_name, &watch.token()) {
        Ok(rows) => then(&rows),
        Err(error) => {
            // What cancelled it is told instead.
            interrupt::check()?;
            Err(error.into())
        }
    }
}

fn put(results: &Results, row: &Row<'_>) -> Result<(), Failure> {
    let arena = Bump::new();
    let source: Vec<String> = row.reads.paths().map(|path| path.to_string()).collect();
    let source = array::of_text(&arena, source.iter().map(String::as_str));
    let reads_from = (!row.reads.is_nothing()).then(|| row.reads_from.name());
    let (slug, attribute) = row.target.as_ref().map(|(a, b)| (&**a, &**b)).unzip();
    results.put(&[
        text(row.event_name),
        Cell::Datum(Datum::from(row.entry as i32)),
        Cell::Text(row.entity_slug),
        Cell::Text(row.mode.name()),
        Cell::Text(row.role.name()),
        text(row.attribute),
        Cell::Datum(source),
        text(reads_from),
        Cell::Text(row.kind.name()),
        Cell::Text(&row.expression),
        text(row.operation.map(|operation| operation.name())),
        text(slug),
        text(attribute),
        Cell::Text(&row.pointer),
    ])?;
    Ok(())
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Null, Cell::Text)
}
