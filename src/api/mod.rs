//! The SQL functions: names, arguments, results. No rule is decided here.
//!
//! The functions are declared in `sql/install/`. They are entered by hand-written C functions,
//! not by pgrx's, whose errors could carry neither SQLSTATEs of our own nor a user's error
//! whole.

mod apply;
mod events;
mod explain;
mod find;
mod map;
mod merge;
mod prepare;
mod purge;
mod run;
mod simulate;
mod validate;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::{Value, encode, parse_text_until};
use pgrx::pg_sys::{Datum, FunctionCallInfo, Pg_finfo_record};

use crate::error::Failure;
use crate::pg::interrupt::{self, Watch};
use crate::pg::memory::Bound;
use crate::pg::{Call, enter};
use crate::settings;

/// Version 1 calling convention.
const VERSION_1: Pg_finfo_record = Pg_finfo_record { api_version: 1 };

/// Declares the C function `$symbol`, which runs `$body`, to PostgreSQL.
macro_rules! sql_functions {
    ($($info:ident $symbol:ident => $body:path;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static Pg_finfo_record {
            &VERSION_1
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: FunctionCallInfo) -> Datum {
            // SAFETY: called by the function manager; nothing to drop here.
            unsafe { enter(fcinfo, $body) }
        }
    )*};
}

sql_functions! {
    pg_finfo_erp_validate erp_validate => validate::validate;
    pg_finfo_erp_map erp_map => map::map;
    pg_finfo_erp_explain erp_explain => explain::explain;
    pg_finfo_erp_explain_diagram erp_explain_diagram => explain::diagram;
    pg_finfo_erp_merge erp_merge => merge::merge;
    pg_finfo_erp_merge_changes erp_merge_changes => merge::merge_changes;
    pg_finfo_erp_relink erp_relink => merge::relink;
    pg_finfo_erp_unlink erp_unlink => merge::unlink;
    pg_finfo_erp_purge_deleted erp_purge_deleted => purge::purge_deleted;
    pg_finfo_erp_identifier erp_identifier => find::identifier;
    pg_finfo_erp_find erp_find => find::find;
    pg_finfo_erp_now erp_now => find::now;
    pg_finfo_erp_key_sets erp_key_sets => prepare::key_sets;
    pg_finfo_erp_binding_changed erp_binding_changed => prepare::binding_changed;
    pg_finfo_erp_apply erp_apply => apply::payload_form;
    pg_finfo_erp_apply_event erp_apply_event => apply::event_form;
    pg_finfo_erp_simulate erp_simulate => simulate::simulate;
    pg_finfo_erp_apply_batch erp_apply_batch => apply::batch;
    pg_finfo_erp_apply_events erp_apply_events => run::apply_events;
    pg_finfo_erp_next_xid erp_next_xid => run::next_xid;
}

/// The bytes of the mapping argument. Error: `CONFIGURATION_INVALID` for NULL.
fn mapping_argument<'c>(call: Call, index: usize) -> Result<&'c [u8], Failure> {
    call.jsonb_bytes(index)?
        .ok_or_else(|| Error::new(Code::ConfigurationInvalid, "the mapping is null").into())
}

/// The event name argument. Error: `EVENT_NOT_CONFIGURED` for NULL.
fn event_name_argument(call: Call, index: usize, arena: &Bump) -> Result<&str, Failure> {
    call.text(index, arena)?
        .ok_or_else(|| Error::new(Code::EventNotConfigured, "the event name is null").into())
}

/// The payload argument. Error: `MALFORMED_PAYLOAD`.
fn payload_argument<'a>(call: Call, index: usize, arena: &'a Bump) -> Result<Value<'a>, Failure> {
    let given = call.jsonb(index)?;
    payload(given, arena)
}

/// A payload as it was given: JSON, or a string that holds JSON. Error: `MALFORMED_PAYLOAD`.
fn payload<'a>(given: Option<Value<'a>>, arena: &'a Bump) -> Result<Value<'a>, Failure> {
    match given {
        None => Err(malformed("the payload is null")),
        Some(Value::String(text)) => payload_of_text(text, arena),
        Some(value) => Ok(value),
    }
}

fn payload_of_text<'a>(text: &'a str, arena: &'a Bump) -> Result<Value<'a>, Failure> {
    let bound = Bound::start(settings::max_memory());
    let watch = Watch::start()?;
    let token = watch.token();
    let tree = parse_text_until(text, arena, &|| token.is_cancelled()).or_else(|error| {
        interrupt::check()?;
        Err(match bound.is_exceeded() {
            true => Failure::out_of_memory("reading the payload"),
            false => malformed(&format!("the payload is a string that is not JSON: {}", error.0)),
        })
    });
    let bytes = encode(&tree?).map_err(|_| malformed("the payload is too large"))?;
    Ok(Value::from_datum(arena.alloc_slice_copy(&bytes)))
}

fn malformed(message: &str) -> Failure {
    Error::new(Code::MalformedPayload, message).into()
}
