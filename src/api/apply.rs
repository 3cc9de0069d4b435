//! `erp_apply` and `erp_apply_batch`: map, resolve, write.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::map::members;
use pgrx::pg_sys::Datum;

use super::events::{Events, Payloads};
use super::{event_name_argument, mapping_argument, payload, payload_argument};
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::{Cell, Results};
use crate::store::apply::{Applied, OnError};

/// `erp_apply(mapping, event_name, payload)`.
pub fn payload_form(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let mapping = mapping_argument(call, 0)?;
    let event_name = event_name_argument(call, 1, &arena)?;
    one(call, mapping, event_name, payload_argument(call, 2, &arena)?)
}

/// `erp_apply(mapping, event)`, the event being
/// `{"event_name", "payload", "deduplication_id"?, "correlation_id"?, "timestamp"?}`.
pub fn event_form(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let mapping = mapping_argument(call, 0)?;
    let malformed = |message: &str| Failure::from(Error::new(Code::MalformedPayload, message));
    let event = match call.jsonb(1)? {
        Some(Value::Object(event)) => event,
        Some(_) => return Err(malformed("the event is not an object")),
        None => return Err(malformed("the event is null")),
    };
    let event_name = match event.get("event_name") {
        Some(Value::String(name)) => name,
        Some(_) => return Err(malformed("the event's \"event_name\" is not a string")),
        None => return Err(malformed("the event has no \"event_name\"")),
    };
    let given = event.get("payload").ok_or_else(|| malformed("the event has no \"payload\""))?;
    one(call, mapping, event_name, payload(Some(given), &arena)?)
}

fn one(call: Call, mapping: &[u8], event_name: &str, payload: Value<'_>) -> Result<Datum, Failure> {
    let rows = call.rows()?;
    let events = Events::of_one_name(mapping, event_name, Payloads::One(payload));
    events.apply(OnError::Raise, &rows, None, |applied| match applied {
        Applied::Row { slug, id, action, identifiers, .. } => rows.put(&[
            Cell::Text(slug),
            Cell::Text(id),
            Cell::Text(action),
            Cell::Tree(&members(identifiers)),
        ]),
        Applied::Unlinked { .. } | Applied::Failed { .. } => Ok(()),
    })?;
    rows.done()
}

/// `erp_apply_batch(mapping, event_name, payloads, on_error)`.
pub fn batch(call: Call) -> Result<Datum, Failure> {
    let arena = Bump::new();
    let mapping = mapping_argument(call, 0)?;
    let event_name = event_name_argument(call, 1, &arena)?;
    let payloads = call.jsonb_array(2)?.ok_or_else(|| {
        Failure::from(Error::new(Code::MalformedPayload, "the payloads are null"))
    })?;
    let on_error = match call.text(3, &arena)? {
        Some("raise") => OnError::Raise,
        Some("continue") => OnError::Continue,
        _ => {
            return Err(Failure::Argument {
                message: "on_error must be 'raise' or 'continue'".into(),
            });
        }
    };
    let rows = call.rows()?;
    let events = Events::of_one_name(mapping, event_name, Payloads::Many(payloads));
    events.apply(on_error, &rows, None, |applied| put(&rows, applied))?;
    rows.done()
}

/// Adds a row that tells which event it is of.
pub fn put(rows: &Results, applied: Applied<'_>) -> Result<(), Failure> {
    let number = |event: usize| Cell::Datum(Datum::from(event as i64 + 1));
    match applied {
        Applied::Row { event, slug, id, action, identifiers, .. } => rows.put(&[
            number(event),
            Cell::Text(slug),
            Cell::Text(id),
            Cell::Text(action),
            Cell::Tree(&members(identifiers)),
            Cell::Null,
        ]),
        Applied::Unlinked { .. } => Ok(()),
        Applied::Failed { event, error } => {
            let arena = Bump::new();
            let error = error.to_tree(&arena);
            rows.put(&[
                number(event),
                Cell::Null,
                Cell::Null,
                Cell::Text("failed"),
                Cell::Null,
                Cell::Tree(&error),
            ])
        }
    }
}
