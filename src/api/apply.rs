//! `erp_apply` and `erp_apply_batch`: map, resolve, write.

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::map::{Mapped, members};
use erp_engine::mapping::{Event, Mode};
use pgrx::pg_sys::{self, Datum};

use super::map::Mapper;
use super::{event_name_argument, mapping_argument, payload, payload_argument};
use crate::error::Failure;
use crate::pg::Call;
use crate::pg::call::{Cell, Results};
use crate::pg::spi::connected;
use crate::settings;
use crate::store::apply::{Applied, CHUNK, How, OnError, apply_chunk, lock_batch, with_retries};

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
    let events = Events { mapping, event_name, payloads: Payloads::One(payload) };
    events.apply(OnError::Raise, &rows, |applied| match applied {
        Applied::Row { slug, id, action, identifiers, .. } => rows.put(&[
            Cell::Text(slug),
            Cell::Text(id),
            Cell::Text(action),
            Cell::Tree(&members(identifiers)),
        ]),
        Applied::Failed { .. } => Ok(()),
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
    let events = Events { mapping, event_name, payloads: Payloads::Many(payloads) };
    let number = |event: usize| Cell::Datum(Datum::from(event as i64 + 1));
    events.apply(on_error, &rows, |applied| match applied {
        Applied::Row { event, slug, id, action, identifiers } => rows.put(&[
            number(event),
            Cell::Text(slug),
            Cell::Text(id),
            Cell::Text(action),
            Cell::Tree(&members(identifiers)),
            Cell::Null,
        ]),
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
    })?;
    rows.done()
}

/// Events of one name, to be applied in order.
struct Events<'c> {
    mapping: &'c [u8],
    event_name: &'c str,
    payloads: Payloads<'c>,
}

enum Payloads<'c> {
    One(Value<'c>),
    /// As they were given: a string may hold JSON.
    Many(Vec<Option<Value<'c>>>),
}

impl<'c> Events<'c> {
    fn apply(
        &self,
        on_error: OnError,
        rows: &Results,
        mut found: impl FnMut(Applied<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // SAFETY: no arguments.
        let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() };
        let mapper = Mapper::new(self.mapping, now)?;
        let event = mapper.mapping.event(self.event_name)?;
        let chunk_size = chunk_size(event);
        let events: Vec<usize> = (0..self.len()).collect();
        let is_batch = matches!(self.payloads, Payloads::Many(_));
        let max_prune = settings::max_prune();
        let how = How { on_error, is_batch, now: Datum::from(now), max_prune };
        connected(|| {
            with_retries(|tried| {
                if tried > 1 {
                    rows.clear()?;
                }
                if chunk_size < events.len() && event.entities.iter().any(|it| it.mode.purges()) {
                    lock_batch(event)?;
                }
                let mut rest = &events[..];
                while !rest.is_empty() {
                    let arena = Bump::new();
                    let map = |event| self.map(event, &mapper, &arena);
                    let is_full = mapper.fills(settings::max_memory());
                    let chunk = &rest[..chunk_size.min(rest.len())];
                    rest = &rest[apply_chunk(chunk, how, &map, &is_full, &arena, &mut found)?..];
                }
                Ok(())
            })
        })
    }

    fn len(&self) -> usize {
        match &self.payloads {
            Payloads::One(_) => 1,
            Payloads::Many(payloads) => payloads.len(),
        }
    }

    fn map<'a>(
        &self,
        event: usize,
        mapper: &'a Mapper,
        arena: &'a Bump,
    ) -> Result<Vec<Mapped<'a>>, Failure>
    where
        'c: 'a,
    {
        let payload = match &self.payloads {
            Payloads::One(payload) => *payload,
            Payloads::Many(payloads) => payload(payloads[event], arena)?,
        };
        mapper.map(self.event_name, payload, arena)
    }
}

/// How many events are resolved and written together.
fn chunk_size(event: &Event) -> usize {
    let looks = |mode| !matches!(mode, Mode::Upsert | Mode::Delete);
    if event.entities.iter().any(|entity| looks(entity.mode)) { 1 } else { CHUNK }
}
