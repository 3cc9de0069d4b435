//! Looks for an order in which the calls of a round, one after the other, do what they did.
//!
//! What a call changed, and between which other changes, is known. So an order is built call by
//! call: the next one is any session's next call that, by the naive store, makes of the entities
//! as they are then exactly what it made of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::calls::Call;
use super::history::History;
use super::store::{Entities, Entity, Name, apply};

/// A call that was committed, by the transaction `xid` if it wrote anything.
#[derive(Debug)]
pub struct Committed {
    pub call: Call,
    pub xid: Option<String>,
}

/// The calls of each session of a round, in their order.
pub type Sessions = Vec<Vec<Committed>>;

/// Error: how far the longest order comes.
pub fn serial(sessions: &Sessions, history: &History) -> Result<(), String> {
    let mut search = Search { sessions, writes: writes(history), dead: HashSet::new(), best: None };
    let start = Place {
        calls: vec![0; sessions.len()],
        versions: BTreeMap::new(),
        entities: Entities::new(),
    };
    match search.from(&start) {
        true => Ok(()),
        false => Err(search.told()),
    }
}

/// What a transaction made of an entity: as which of its versions.
type Writes<'h> = BTreeMap<&'h Name, (usize, Option<&'h Entity>)>;

fn writes(history: &History) -> HashMap<&str, Writes<'_>> {
    let mut writes: HashMap<&str, Writes<'_>> = HashMap::new();
    for (name, versions) in history {
        for (at, version) in versions.iter().enumerate() {
            let of = writes.entry(&version.xid).or_default();
            let earlier = of.insert(name, (at, version.entity.as_ref()));
            assert!(earlier.is_none(), "others changed {name} while {} held it", version.xid);
        }
    }
    writes
}

struct Search<'s> {
    sessions: &'s Sessions,
    writes: HashMap<&'s str, Writes<'s>>,
    /// Places that no order leads on from.
    dead: HashSet<Vec<usize>>,
    best: Option<Place>,
}

/// How many calls of each session have been put in order, and what has come of them.
#[derive(Debug, Clone)]
struct Place {
    calls: Vec<usize>,
    versions: BTreeMap<Name, usize>,
    entities: Entities,
}

impl Search<'_> {
    fn from(&mut self, place: &Place) -> bool {
        let done = |place: &Place| place.calls.iter().sum::<usize>();
        if self.best.as_ref().is_none_or(|best| done(best) < done(place)) {
            self.best = Some(place.clone());
        }
        let mut is_end = true;
        for session in 0..self.sessions.len() {
            let Some(next) = self.sessions[session].get(place.calls[session]) else { continue };
            is_end = false;
            let Ok(mut after) = self.after(place, next) else { continue };
            after.calls[session] += 1;
            if !self.dead.contains(&after.calls) && self.from(&after) {
                return true;
            }
        }
        if !is_end {
            self.dead.insert(place.calls.clone());
        }
        is_end
    }

    /// The place behind the call. Error: why it cannot be the next one.
    fn after(&self, place: &Place, next: &Committed) -> Result<Place, String> {
        let mut after = place.clone();
        next.call.events.iter().for_each(|event| apply(&mut after.entities, event));
        let none = Writes::new();
        let wrote = next.xid.as_deref().and_then(|xid| self.writes.get(xid)).unwrap_or(&none);
        for (name, (at, entity)) in wrote {
            let seen = after.versions.entry((*name).clone()).or_default();
            if *seen != *at {
                return Err(format!("others wrote {name} before it ({} times)", *at - *seen));
            }
            *seen += 1;
            if after.entities.get(*name) != *entity {
                let expected = after.entities.get(*name);
                return Err(format!("{name} became {entity:?}, not {expected:?}"));
            }
        }
        let names: HashSet<&Name> = place.entities.keys().chain(after.entities.keys()).collect();
        for name in names {
            let (was, is) = (place.entities.get(name), after.entities.get(name));
            if was != is && !wrote.contains_key(name) {
                return Err(format!("it left {name} as it was, {was:?}, and it is to be {is:?}"));
            }
        }
        Ok(after)
    }

    fn told(&self) -> String {
        let place = self.best.as_ref().expect("the search began");
        let mut told = format!("no serial order; {:?} calls fit, then\n", place.calls);
        for (session, calls) in self.sessions.iter().enumerate() {
            for (at, next) in calls.iter().enumerate().skip(place.calls[session]) {
                let why = match self.after(place, next) {
                    Err(why) if at == place.calls[session] => why,
                    _ => "…".to_owned(),
                };
                let events = next.call.events.iter().map(|event| format!("    {event:?}\n"));
                let events: String = events.collect();
                told += &format!("  session {session}, {:?}: {why}\n{events}", next.xid);
            }
        }
        told
    }
}
