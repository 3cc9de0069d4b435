//! The events of a workload, as jsonb and as text.

use bumpalo::Bump;
use erp_engine::jsonb::Value;
use jlens_core::Document;

use crate::random::Random;
use crate::support::json;
use crate::workload::Workload;

/// Enough that no run of the measured code knows its input from the run before.
const EVENTS: usize = 64;

const SEED: u64 = 20_240_101;

pub struct Event<'a> {
    pub payload: Value<'a>,
    pub text: String,
    /// For the expression engine alone.
    pub document: Document,
}

pub fn events<'a>(workload: &Workload, arena: &'a Bump) -> Vec<Event<'a>> {
    let event = |n: usize| {
        let random = |salt: u64| Random::new(SEED.wrapping_mul(n as u64) ^ salt);
        let text = (workload.payload)(n, random(0), random(1)).to_string();
        let document = Document::parse(&text).expect("a payload is JSON");
        Event { payload: json(&text, arena), text, document }
    };
    (1..=EVENTS).map(event).collect()
}
