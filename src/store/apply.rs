//! A call as a whole: events in chunks, in one subtransaction that is tried again when another
//! session got in the way, and events that fail set aside if that is wanted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::jsonb::Value;
use erp_engine::map::Mapped;
use erp_engine::mapping::Event;
use hashbrown::HashSet;
use pgrx::pg_sys::Datum;

use super::cast::cast;
use super::changes::{Unlinked, as_written};
use super::entity::{Action, Change, Entity, Outcome};
use super::guard::{Lock, link_locks, link_locks_of_batch};
use super::recheck::{check_absent, lock_anchors};
use super::remove::remove;
use super::request::{Request, Types, request};
use super::resolve::{Found, Seen, check_linked, check_unseen, lock_found, resolve};
use super::working_set::WorkingSet;
use super::write::{Written, write};
use crate::error::Failure;
use crate::pg::lock::Group;
use crate::pg::spi::{Moment, keeps_one_snapshot};
use crate::pg::subtransaction::subtransaction;
use crate::pg::{PgError, interrupt, lock};

/// Events that are resolved and written together, unless each removes entities by a look at the
/// tables.
pub const CHUNK: usize = 1_000;

/// How often a call is tried.
const TRIES: u32 = 10;

/// What is done about an event that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The call fails.
    Raise,
    /// The event is set aside, and the others are applied.
    Continue,
    /// The event is set aside; those before it are applied, those after it are not.
    Stop,
    /// The same, and an event is also to blame for what rolls its transaction back at every try
    /// (class 40), unless it comes of another session or an old snapshot.
    Blame,
}

impl OnError {
    /// Whether no event after one that fails is applied.
    pub fn stops(self) -> bool {
        matches!(self, OnError::Stop | OnError::Blame)
    }
}

/// Why the writing of a chunk stopped.
pub enum Stop {
    Failed(Failure),
    /// What was decided no longer fits the tables.
    Restart,
    /// The events can only be written one after the other.
    Entangled,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Stop {
        Stop::Failed(error.into())
    }
}

/// How events are applied.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub on_error: OnError,
    /// Whether errors tell which event failed.
    pub is_batch: bool,
    /// A timestamptz.
    pub now: Datum,
    /// How many entities an event may remove at most.
    pub max_prune: Option<usize>,
    /// Whether rows tell what changed: then what is there is locked before it is decided on.
    pub tells_changes: bool,
}

/// What one event did to one entity, or why it failed.
pub enum Applied<'r> {
    Row {
        event: usize,
        slug: &'r str,
        id: &'r str,
        action: &'static str,
        identifiers: &'r [(&'r str, Value<'r>)],
        /// Of rows that changed, if it is wanted.
        change: Option<Change<'r>>,
    },
    /// Not what the event is about: an entity whose relations named what it purged.
    Unlinked {
        event: usize,
        slug: &'r str,
        id: &'r str,
        change: Change<'r>,
    },
    Failed {
        event: usize,
        error: &'r Failure,
    },
}

/// Runs `call` in a subtransaction, again when it was in another session's way: after a
/// deadlock, after a unique violation that the next look may resolve, or when what was found
/// has changed since. Between tries it waits a little, so that the same sessions do not meet
/// again. `call` is told the number of the try.
pub fn with_retries<T>(
    deadlocks: Deadlocks,
    mut call: impl FnMut(u32) -> Result<T, Stop>,
) -> Result<T, Failure> {
    for tried in 1.. {
        let stop = match subtransaction(|| call(tried)) {
            Ok(done) => return Ok(done),
            Err(stop) => stop,
        };
        let most = match &stop {
            Stop::Failed(failure) if deadlocks == Deadlocks::Told && is_deadlock(failure) => 1,
            Stop::Failed(failure) => tries(failure),
            Stop::Entangled => 1,
            Stop::Restart => TRIES,
        };
        if tried >= most {
            return Err(failed(stop));
        }
        wait(tried)?;
    }
    unreachable!("tries end")
}

/// What a call does after a deadlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadlocks {
    /// It tries again.
    Retried,
    /// It fails: the caller, who holds locks of calls before it, tries all of them again.
    Told,
}

fn is_deadlock(failure: &Failure) -> bool {
    failure.pg_sqlstate().as_ref() == Some(b"40P01")
}

/// How often a call is tried that ends with this failure.
fn tries(failure: &Failure) -> u32 {
    match failure.pg_sqlstate().as_ref() {
        Some(b"40P01") => TRIES,
        // Another session's entity or stub, seen by the next look; or a real violation.
        Some(b"23505") => 3,
        _ => 1,
    }
}

/// How often an event alone is tried that fails so.
fn tries_alone(failure: &Failure) -> u32 {
    if is_rollback(failure) { TRIES } else { tries(failure) }
}

/// Whether a failure is one after which a transaction is to be tried again: class 40.
fn is_rollback(failure: &Failure) -> bool {
    matches!(failure, Failure::Contended { .. })
        || failure.pg_sqlstate().is_some_and(|state| state.starts_with(b"40"))
}

fn wait(tried: u32) -> Result<(), Failure> {
    let random = uuid::Uuid::new_v4().as_u128() as u64 % 5_000;
    std::thread::sleep(Duration::from_micros(500 + random * u64::from(tried)));
    Ok(interrupt::check()?)
}

/// Applies the events of a chunk, in order, as many as `is_full` lets be mapped together: tells how
/// many. `map` gives what an event maps to; `found` is told what became of it. Under
/// [`OnError::Raise`] the first event that fails fails the call; otherwise a chunk whose writing
/// fails is halved, until the event that is to blame is alone.
pub fn apply_chunk<'a>(
    events: &[usize],
    how: How,
    map: &dyn Fn(usize) -> Result<Vec<Mapped<'a>>, Failure>,
    is_full: &dyn Fn() -> bool,
    arena: &'a Bump,
    found: &mut dyn FnMut(Applied<'_>) -> Result<(), Failure>,
) -> Result<usize, Stop> {
    let chunk = Chunk { how, arena, is_ended: Cell::new(false) };
    let mut types = Types::default();
    let mut mapped = Vec::with_capacity(events.len());
    for event in events {
        interrupt::check()?;
        let result = match map(*event) {
            Err(failure) if ends_the_call(&failure, how.on_error) => return Err(failure.into()),
            result => result,
        };
        if let Ok(mapped) = &result {
            types.gather(mapped)?;
        }
        // Those after an event that ends the call do not matter.
        let is_last = is_full() || result.is_err() && how.on_error != OnError::Continue;
        mapped.push((*event, result));
        if is_last {
            break;
        }
    }
    let taken = mapped.len();
    cast(&types, &mut mapped, arena)?;
    let mut asked = Vec::with_capacity(mapped.len());
    for (event, mapped) in mapped {
        match mapped.and_then(|mapped| request(mapped, &mut types, arena)) {
            Err(failure) if ends_the_call(&failure, how.on_error) => return Err(failure.into()),
            Err(failure) if how.on_error == OnError::Raise => {
                return Err(chunk.first_failure(&types, &asked, event, failure));
            }
            request => {
                let is_last = request.is_err() && how.on_error.stops();
                asked.push((event, request));
                if is_last {
                    break;
                }
            }
        }
    }
    chunk.apply(&types, &asked, found)?;
    Ok(taken)
}

/// Takes the locks that are needed and not held. Whether there were any: then what was
/// decided before may no longer be so.
fn hold(held: &mut BTreeMap<(u32, u32), Group>, locks: Vec<Lock>) -> Result<bool, Stop> {
    let mut needed = held.clone();
    for (lock, group) in locks {
        let joined = needed.get(&lock).map_or(group, |held| held.and(group));
        needed.insert(lock, joined);
    }
    if needed == *held {
        return Ok(false);
    }
    for ((table, key), group) in &needed {
        lock::acquire(*table, *key, *group)?;
    }
    *held = needed;
    Ok(true)
}

/// Takes the locks that the events of a batch may need together, where each is decided alone.
pub fn lock_batch(event: &Event) -> Result<(), Stop> {
    hold(&mut BTreeMap::new(), link_locks_of_batch(event)?).map(|_| ())
}

/// An event and what it asks for, or why it cannot be mapped.
type Asked<'a> = (usize, Result<Request<'a>, Failure>);

struct Chunk<'a> {
    how: How,
    arena: &'a Bump,
    /// Whether an event has failed after which no other is applied.
    is_ended: Cell<bool>,
}

impl<'a> Chunk<'a> {
    fn apply(
        &self,
        types: &Types<'a>,
        asked: &[Asked<'a>],
        found: &mut dyn FnMut(Applied<'_>) -> Result<(), Failure>,
    ) -> Result<(), Stop> {
        let on_error = self.how.on_error;
        for tried in 1.. {
            let written = match on_error {
                OnError::Raise => self.decide_and_write(types, asked),
                _ => subtransaction(|| self.decide_and_write(types, asked)),
            };
            let failure = match (written, asked) {
                (Ok(decided), _) => return self.report(decided, asked, found),
                (Err(Stop::Entangled), [_]) => entangled().into(),
                (Err(Stop::Entangled), _) => break,
                (Err(Stop::Restart), _) if on_error == OnError::Blame => failed(Stop::Restart),
                (Err(Stop::Failed(failure)), _)
                    if on_error != OnError::Raise && !ends_the_call(&failure, on_error) =>
                {
                    failure
                }
                (Err(stop), _) => return Err(stop),
            };
            match asked {
                [_] if on_error == OnError::Raise => return Err(failure.into()),
                [(event, _)] if tried >= tries_alone(&failure) => {
                    self.is_ended.set(on_error.stops());
                    return Ok(found(Applied::Failed { event: *event, error: &failure })?);
                }
                [_] if is_rollback(&failure) => wait(tried)?,
                [_] => {}
                _ => break,
            }
        }
        let (first, second) = asked.split_at(asked.len() / 2);
        self.apply(types, first, found)?;
        match self.is_ended.get() {
            true => Ok(()),
            false => self.apply(types, second, found),
        }
    }

    /// Decides, takes the locks that the decision needs, looks again, decides again if something
    /// else is there then, and writes.
    fn decide_and_write(
        &self,
        types: &Types<'a>,
        asked: &[Asked<'a>],
    ) -> Result<Decided<'a>, Stop> {
        let requests: Vec<&Request<'a>> =
            asked.iter().filter_map(|(_, request)| request.as_ref().ok()).collect();
        let mut held = BTreeMap::new();
        hold(&mut held, link_locks(types, &requests))?;
        let mut locked = HashSet::new();
        let mut found = resolve(types, &requests, self.arena)?;
        loop {
            let Found { entities, mut seen } = found;
            let mut decided = self.decide(types, asked, entities, &seen)?;
            let changed = loop {
                // Rows are locked once the locks are held.
                let is_new = hold(&mut held, decided.entities.locks())?
                    || lock_found(&decided.entities, &mut locked, self.how.now, self.arena)?
                    || lock_anchors(&requests, &decided.entities, &mut locked, self.arena)
                        .map_err(|failure| self.of_event(failure.into(), asked))?;
                if !is_new {
                    break None;
                }
                let mut now = resolve(types, &requests, self.arena)?;
                if !now.seen.is_same(&mut seen) {
                    break Some(now);
                }
            };
            if let Some(changed) = changed {
                found = changed;
                continue;
            }
            check_unseen(&decided.entities, self.arena)?;
            check_linked(&decided.entities, &requests, self.arena)?;
            if decided.entities.is_entangled() {
                return Err(Stop::Entangled);
            }
            let before = Moment::now()?;
            decided.written = write(&decided.entities, self.how.now, self.arena)?;
            if self.how.tells_changes && !decided.overtaken().is_empty() {
                return Err(Stop::Restart);
            }
            if let ([request], [Ok(outcomes)]) = (&*requests, &mut *decided.outcomes) {
                remove(
                    request,
                    &mut decided.entities,
                    outcomes,
                    &mut decided.written,
                    self.how.max_prune,
                    self.how.now,
                    self.arena,
                )
                .map_err(|stop| self.of_event(stop, asked))?;
            }
            let applied =
                requests.iter().zip(&decided.outcomes).filter(|(_, outcome)| outcome.is_ok());
            let applied: Vec<&Request<'a>> = applied.map(|(request, _)| *request).collect();
            check_absent(&applied, &decided.entities, &decided.written, before, self.arena)?;
            if self.how.tells_changes {
                let Decided { entities, outcomes, written } = &mut decided;
                as_written(entities, outcomes, written, self.arena)?;
            }
            return Ok(decided);
        }
    }

    /// Tells what became of the events.
    fn report(
        &self,
        decided: Decided<'a>,
        asked: &[Asked<'a>],
        found: &mut dyn FnMut(Applied<'_>) -> Result<(), Failure>,
    ) -> Result<(), Stop> {
        let mut overtaken = decided.overtaken();
        let mut changed = decided.written.changed.clone();
        let mut outcomes = decided.outcomes.iter();
        for (event, request) in asked {
            let outcome = match request {
                Err(error) => Err(error),
                Ok(_) => outcomes.next().map_or(Ok(&[][..]), |outcome| match outcome {
                    Ok(rows) => Ok(rows.as_slice()),
                    Err(error) => Err(error),
                }),
            };
            match outcome {
                Err(error) => {
                    found(Applied::Failed { event: *event, error })?;
                    if self.how.on_error.stops() {
                        self.is_ended.set(true);
                        break;
                    }
                }
                Ok(rows) => {
                    for row in rows {
                        found(decided.row(*event, row, &mut overtaken, &mut changed))?;
                    }
                    // An event that purges is alone in its chunk.
                    for Unlinked { slug, id, change } in &decided.written.unlinked {
                        found(Applied::Unlinked { event: *event, slug, id, change: *change })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The failure of an event, unless one of those before it fails in the tables: then that
    /// one came first.
    fn first_failure(
        &self,
        types: &Types<'a>,
        before: &[Asked<'a>],
        event: usize,
        failure: Failure,
    ) -> Stop {
        let failure = self.numbered(failure, event);
        if before.is_empty() {
            return failure.into();
        }
        match self.apply(types, before, &mut |_| Ok(())) {
            Ok(()) => failure.into(),
            Err(earlier) => earlier,
        }
    }

    /// The failure as the call ends with it: that of a batch tells which event it is of.
    fn numbered(&self, failure: Failure, event: usize) -> Failure {
        let ends_the_call = self.how.on_error == OnError::Raise;
        if self.how.is_batch && ends_the_call { failure.of_event(event + 1) } else { failure }
    }

    /// The reason why the one event of `asked` stopped.
    fn of_event(&self, stop: Stop, asked: &[Asked<'a>]) -> Stop {
        match (stop, asked) {
            (Stop::Failed(failure), [(event, _)]) => self.numbered(failure, *event).into(),
            (stop, _) => stop,
        }
    }

    fn decide(
        &self,
        types: &Types<'a>,
        asked: &[Asked<'a>],
        mut entities: WorkingSet<'a>,
        seen: &Seen<'a>,
    ) -> Result<Decided<'a>, Stop> {
        entities.tells_changes = self.how.tells_changes;
        let mut outcomes = Vec::with_capacity(asked.len());
        let requests = asked.iter().filter_map(|(_, request)| request.as_ref().ok());
        for (at, request) in requests.enumerate() {
            let outcome = entities
                .check_given(request, &seen.given)
                .map_err(Failure::from)
                .and_then(|()| entities.apply(request));
            match outcome {
                Err(failure) if ends_the_call(&failure, self.how.on_error) => {
                    return Err(failure.into());
                }
                Err(failure) if self.how.on_error == OnError::Raise => {
                    return Err(self.first_failure(types, &asked[..at], asked[at].0, failure));
                }
                outcome => {
                    let is_last = outcome.is_err() && self.how.on_error.stops();
                    outcomes.push(outcome);
                    if is_last {
                        break;
                    }
                }
            }
        }
        Ok(Decided { entities, outcomes, written: Written::default() })
    }
}

/// The failure for which a call that is not tried again stopped.
pub fn failed(stop: Stop) -> Failure {
    match stop {
        Stop::Failed(failure) => failure,
        Stop::Entangled => entangled().into(),
        Stop::Restart => {
            let message = "the entities kept changing while the event was applied";
            Failure::Contended { message: message.into() }
        }
    }
}

fn entangled() -> Error {
    Error::new(
        Code::UniqueIdMultipleMatches,
        "the event gives two entities the same identifiers, or takes all of one's away",
    )
    .hint("Send what it says of the two entities as two events.")
}

/// Whether the call ends with a failure, instead of the event that is to blame for it.
fn ends_the_call(failure: &Failure, on_error: OnError) -> bool {
    is_of_the_call(failure) || on_error != OnError::Blame && is_rollback(failure)
}

/// Whether a failure is none of a single event: a cancel, a disk that is full, sessions that wait
/// for each other, a snapshot that is too old.
pub(super) fn is_of_the_call(failure: &Failure) -> bool {
    let Failure::Pg(error) = failure else { return false };
    match &error.sqlstate() {
        b"57014" => error.is_interrupt(),
        b"53100" => error.is_full_disk(),
        [b'4', b'0', ..] => error.is_found_deadlock() || keeps_one_snapshot(),
        _ => false,
    }
}

/// What the events of a chunk do, and what became of it.
struct Decided<'a> {
    entities: WorkingSet<'a>,
    /// For each event that could be mapped its rows, or why it fails.
    outcomes: Vec<Result<Vec<Outcome<'a>>, Failure>>,
    written: Written<'a>,
}

impl<'a> Decided<'a> {
    /// New entities that another session created first.
    fn overtaken(&self) -> HashSet<usize> {
        let is_overtaken = |(index, entity): &(usize, &Entity<'_>)| {
            entity.is_new && entity.write && !self.written.created.contains(index)
        };
        let entities = self.entities.entities.iter().enumerate();
        entities.filter(is_overtaken).map(|(index, _)| index).collect()
    }

    fn row<'r>(
        &'r self,
        event: usize,
        row: &'r Outcome<'a>,
        overtaken: &mut HashSet<usize>,
        changed: &mut HashSet<usize>,
    ) -> Applied<'r> {
        let entity = &self.entities.entities[row.entity];
        let action = match row.action {
            _ if self.written.untouched.contains(&row.entity) => Action::Unchanged,
            Action::Unchanged if changed.remove(&row.entity) => Action::Updated,
            Action::Created if overtaken.remove(&row.entity) => Action::Updated,
            action => action,
        };
        Applied::Row {
            event,
            slug: &self.entities.types[entity.ty].slug,
            id: self.written.ids.get(&row.entity).copied().unwrap_or(entity.id),
            action: action.name(),
            identifiers: row.identifiers,
            change: row.change.filter(|_| action != Action::Unchanged),
        }
    }
}
