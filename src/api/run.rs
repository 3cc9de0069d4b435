//! `erp._apply_events`: events of use cases, each with a mapping of its own; and what the order of
//! events needs to know.

use bumpalo::Bump;
use pgrx::pg_sys::Datum;

use super::apply::put;
use super::events::{Events, Names, Payloads};
use crate::error::Failure;
use crate::pg::{Call, attempt, raw};
use crate::store::apply::{Applied, OnError};
use crate::store::history::{History, Kept, Noted};

/// `erp._apply_events(mappings, runs, kept, of, events, event_names, payloads, on_error,
/// tell_rows)`.
pub fn apply_events(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let refused = || Failure::Argument { message: "the arguments do not fit each other".into() };
    let mappings = call.jsonb_bytes_array(0)?.ok_or_else(refused)?;
    let runs = call.i64_array(1)?.ok_or_else(refused)?;
    let kept = call.text_array(2, &arena)?.ok_or_else(refused)?;
    let of = call.i64_array(3)?.ok_or_else(refused)?;
    let events = call.i64_array(4)?.ok_or_else(refused)?;
    let names = call.text_array(5, &arena)?.ok_or_else(refused)?;
    let payloads = call.jsonb_array(6)?.ok_or_else(refused)?;
    let on_error = match call.text(7, &arena)? {
        Some("raise") => OnError::Raise,
        Some("stop") => OnError::Stop,
        Some("blame") => OnError::Blame,
        _ => return Err(refused()),
    };
    let tells_rows = call.datum(8).is_some_and(|tells| tells.value() != 0);
    let is_known = |of: &i64| (1..=mappings.len() as i64).contains(of);
    let has_all = [of.len(), events.len(), names.len()].iter().all(|n| *n == payloads.len());
    if !has_all || runs.len() != mappings.len() || kept.len() != runs.len() {
        return Err(refused());
    }
    if !of.iter().all(is_known) {
        return Err(refused());
    }
    let of: Vec<usize> = of.iter().map(|of| *of as usize - 1).collect();
    let kept: Vec<Kept> = kept.iter().map(|kept| Kept::named(kept)).collect();
    let noted =
        |(of, event): (&usize, &i64)| Noted { event: *event, run: runs[*of], kept: kept[*of] };
    let history = History::new(of.iter().zip(&events).map(noted).collect());
    let names = of.into_iter().zip(names).collect();
    let events = Events::new(mappings, Names::Many(names), Payloads::Many(payloads));
    let rows = call.rows()?;
    let history = history.is_kept().then_some(&history);
    events.apply(on_error, &rows, history, |applied| match applied {
        Applied::Row { .. } if !tells_rows => Ok(()),
        applied => put(&rows, applied),
    })?;
    rows.done()
}

/// `erp._next_xid()`: the number that the next transaction gets.
pub fn next_xid(_call: Call) -> Result<Datum, Failure> {
    // SAFETY: no arguments.
    let next = unsafe { attempt(|| raw::ReadNextFullTransactionId())? };
    Ok(Datum::from(next.value))
}
