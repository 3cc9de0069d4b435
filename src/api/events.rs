//! Events that are applied in one call, in order: in chunks, and in one subtransaction that is tried
//! again.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use bumpalo::Bump;
use erp_engine::jsonb::Value;
use erp_engine::map::Mapped;
use erp_engine::mapping::{Event, Mode};
use pgrx::pg_sys::{self, Datum};

use super::map::Mapper;
use super::payload;
use crate::error::Failure;
use crate::pg::call::Results;
use crate::pg::spi::connected;
use crate::settings;
use crate::store::apply::{
    Applied, CHUNK, Deadlocks, How, OnError, Stop, apply_chunk, lock_batch, with_retries,
};
use crate::store::history::History;

/// Events, to be applied in order.
pub struct Events<'c> {
    mappings: Vec<Source<'c>>,
    names: Names<'c>,
    payloads: Payloads<'c>,
    /// Microseconds since 2000.
    now: i64,
    /// Bytes of the values that the events have yielded.
    yielded: Rc<Cell<usize>>,
}

/// A mapping, compiled when the first of its events is mapped.
struct Source<'c> {
    document: &'c [u8],
    mapper: OnceCell<Mapper>,
}

pub enum Names<'c> {
    /// All events have this name, and the first mapping.
    One(&'c str),
    /// For each event its mapping and its name.
    Many(Vec<(usize, &'c str)>),
}

pub enum Payloads<'c> {
    One(Value<'c>),
    /// As they were given: a string may hold JSON.
    Many(Vec<Option<Value<'c>>>),
}

impl<'c> Events<'c> {
    /// Events of one name.
    pub fn of_one_name(mapping: &'c [u8], name: &'c str, payloads: Payloads<'c>) -> Events<'c> {
        Events::new(vec![mapping], Names::One(name), payloads)
    }

    pub fn new(mappings: Vec<&'c [u8]>, names: Names<'c>, payloads: Payloads<'c>) -> Events<'c> {
        let source = |document| Source { document, mapper: OnceCell::new() };
        Events {
            mappings: mappings.into_iter().map(source).collect(),
            names,
            payloads,
            // SAFETY: no arguments.
            now: unsafe { pg_sys::GetCurrentTransactionStartTimestamp() },
            yielded: Rc::default(),
        }
    }

    /// Applies the events; `found` is told what became of them, and `history` keeps what changed.
    pub fn apply(
        &self,
        on_error: OnError,
        rows: &Results,
        history: Option<&History>,
        mut found: impl FnMut(Applied<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Names::One(name) = self.names {
            self.mapper(0)?.mapping.event(name)?;
        }
        let how = How {
            on_error,
            is_batch: self.len() > 1 || matches!(self.names, Names::One(_)) && self.is_many(),
            now: Datum::from(self.now),
            max_prune: settings::max_prune(),
            tells_changes: history.is_some(),
        };
        let deadlocks = match on_error {
            OnError::Stop | OnError::Blame => Deadlocks::Told,
            OnError::Raise | OnError::Continue => Deadlocks::Retried,
        };
        connected(|| {
            with_retries(deadlocks, |tried| {
                if tried > 1 {
                    rows.clear()?;
                    history.inspect(|history| history.forget());
                }
                self.apply_once(how, history, &mut found)
            })
        })
    }

    fn apply_once(
        &self,
        how: How,
        history: Option<&History>,
        found: &mut dyn FnMut(Applied<'_>) -> Result<(), Failure>,
    ) -> Result<(), Stop> {
        let is_ended = Cell::new(false);
        let mut found = |applied: Applied<'_>| {
            if how.on_error.stops() && matches!(applied, Applied::Failed { .. }) {
                is_ended.set(true);
            }
            history.map_or(Ok(()), |history| history.add(&applied))?;
            found(applied)
        };
        let events: Vec<usize> = (0..self.len()).collect();
        self.lock_batch()?;
        let mut rest = &events[..];
        while !rest.is_empty() {
            let arena = Bump::new();
            let map = |event| self.map(event, &arena);
            let is_full = Mapper::fills(&self.yielded, settings::max_memory());
            let chunk = &rest[..self.chunk_size(rest)];
            rest = &rest[apply_chunk(chunk, how, &map, &is_full, &arena, &mut found)?..];
            if let Some(history) = history {
                history.write()?;
            }
            if is_ended.get() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the locks of a call with several chunks whose events purge.
    fn lock_batch(&self) -> Result<(), Stop> {
        if self.len() < 2 {
            return Ok(());
        }
        let mut seen: Vec<(usize, &str)> = Vec::new();
        for at in 0..self.len() {
            let of = self.name(at);
            if seen.last() == Some(&of) || seen.contains(&of) {
                continue;
            }
            seen.push(of);
            match self.event(at) {
                Some(event) if event.entities.iter().any(|it| it.mode.purges()) => {
                    lock_batch(event)?;
                }
                _ => {}
            }
            if let Names::One(_) = self.names {
                break;
            }
        }
        Ok(())
    }

    fn is_many(&self) -> bool {
        matches!(self.payloads, Payloads::Many(_))
    }

    fn len(&self) -> usize {
        match &self.payloads {
            Payloads::One(_) => 1,
            Payloads::Many(payloads) => payloads.len(),
        }
    }

    /// The mapping and the name of an event.
    fn name(&self, event: usize) -> (usize, &'c str) {
        match &self.names {
            Names::One(name) => (0, name),
            Names::Many(names) => names[event],
        }
    }

    fn mapper(&self, mapping: usize) -> Result<&Mapper, Failure> {
        let Source { document, mapper } = &self.mappings[mapping];
        if mapper.get().is_none() {
            let new = Mapper::new(document, self.now)?.counting(&self.yielded);
            let _ = mapper.set(new);
        }
        Ok(mapper.get().expect("it was set"))
    }

    /// What the mapping says about an event; `None` if it says nothing, or cannot be used: then
    /// mapping the event tells why.
    fn event(&self, event: usize) -> Option<&Event> {
        let (mapping, name) = self.name(event);
        self.mapper(mapping).ok()?.mapping.event(name).ok()
    }

    fn map<'a>(&'a self, event: usize, arena: &'a Bump) -> Result<Vec<Mapped<'a>>, Failure>
    where
        'c: 'a,
    {
        let payload = match &self.payloads {
            Payloads::One(payload) => *payload,
            Payloads::Many(payloads) => payload(payloads[event], arena)?,
        };
        let (mapping, name) = self.name(event);
        self.mapper(mapping)?.map(name, payload, arena)
    }

    /// How many of the next events are resolved and written together: one, if it looks at tables to
    /// remove entities.
    fn chunk_size(&self, rest: &[usize]) -> usize {
        let looks = |event: &usize| {
            let looks = |mode| !matches!(mode, Mode::Upsert | Mode::Delete);
            self.event(*event).is_some_and(|it| it.entities.iter().any(|it| looks(it.mode)))
        };
        let most = CHUNK.min(rest.len());
        let alone = match self.names {
            Names::One(_) => rest[..1].iter().position(looks),
            Names::Many(_) => rest[..most].iter().position(looks),
        };
        alone.map_or(most, |alone| alone.max(1))
    }
}
