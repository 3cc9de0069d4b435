//! Random calls on the few entities of a round, as payloads and as the naive store has them.

use erp_tests::Random;

use super::store::{Event, Name, Of, Operation, Scope, Upsert, is_known_by_email};

/// How many there are of each: contracts, contacts linked to by number, those by address, towns.
const KEYS: usize = 3;

/// What one call applies, in one transaction.
#[derive(Debug, Clone)]
pub struct Call {
    pub events: Vec<Event>,
}

/// Which calls are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    All,
    /// All, but each event writes one entity more, that all of the round write. Events that prune or
    /// purge are calls of their own: in a batch each looks for itself what is there.
    Meeting,
    /// Those that remove nothing.
    Upserts,
}

/// A random call; its events' tokens begin with `token`, which no other call has.
pub fn call(random: &mut Random, kind: Kind, round: usize, token: &str) -> Call {
    let name = random.pick(&[
        "Sync",
        "Sync",
        "Sync",
        "Sync",
        "Purge",
        "PruneOwner",
        "PruneOwner",
        "PruneTown",
        "PurgeOwner",
        "PurgeTown",
    ]);
    let name = if kind == Kind::Upserts { "Sync" } else { name };
    let is_single = random.chance(65) || kind == Kind::Meeting && name != "Sync";
    let events = if is_single { 1 } else { 2 + random.below(2) };
    let mut draw = Draw { random, kind, round };
    Call { events: (0..events).map(|n| draw.event(name, format!("{token}.{n}"))).collect() }
}

struct Draw<'r> {
    random: &'r mut Random,
    kind: Kind,
    round: usize,
}

impl Draw<'_> {
    fn key(&mut self) -> String {
        format!("{}-{}", self.round, self.random.below(KEYS))
    }

    fn contract(&mut self) -> Name {
        format!("contract {}", self.key())
    }

    /// A contact that is linked to by number.
    fn numbered(&mut self) -> Name {
        format!("contact n{}", self.key())
    }

    /// A contact that is linked to by address.
    fn addressed(&mut self) -> Name {
        format!("contact {}", self.key())
    }

    fn any(&mut self) -> Name {
        match self.random.below(4) {
            0 => self.addressed(),
            1 => self.numbered(),
            _ => self.contract(),
        }
    }

    fn event(&mut self, name: &'static str, token: String) -> Event {
        let mut event = Event { name, token, ..Event::default() };
        let removed = match name {
            "Sync" if self.kind != Kind::Upserts && self.random.chance(35) => self.names(1, 3),
            "Purge" => self.names(1, 2),
            _ => Vec::new(),
        };
        for name in self.names(0, 3) {
            // What goes is neither written nor linked to by the event.
            if !removed.contains(&name) {
                let upsert = self.upsert(name, &removed);
                event.upserts.push(upsert);
            }
        }
        if self.kind == Kind::Meeting {
            let name = format!("contact n{}-all", self.round);
            event.upserts.push(Upsert { name, has_email: false, town: None, links: Vec::new() });
        }
        // The order of the mapping's entries.
        event.upserts.sort_by_key(|upsert| upsert.name.starts_with("contract "));
        event.scope = self.scope(name);
        match name {
            "Purge" => event.purges = removed,
            _ => event.deletes = removed,
        }
        event
    }

    /// About so many names, each once.
    fn names(&mut self, least: usize, most: usize) -> Vec<Name> {
        let count = least + self.random.below(most - least + 1);
        let mut names: Vec<Name> = (0..count).map(|_| self.any()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn scope(&mut self, name: &str) -> Option<Scope> {
        let of = match name {
            "PruneOwner" | "PurgeOwner" => Of::Contact(match self.random.below(3) {
                0 => self.addressed(),
                _ => self.numbered(),
            }),
            "PruneTown" | "PurgeTown" => Of::Town(self.key()),
            _ => return None,
        };
        Some(Scope { of, purges: name.starts_with("Purge") })
    }

    fn upsert(&mut self, name: Name, removed: &[Name]) -> Upsert {
        let has_email = is_known_by_email(&name);
        let is_contract = name.starts_with("contract ");
        let town = if is_contract && self.random.chance(60) { Some(self.key()) } else { None };
        let mut links = Vec::new();
        let mut add = |attribute, operation, mut targets: Vec<Name>| {
            targets.retain(|target| !removed.contains(target));
            if operation != Operation::Append {
                targets.sort();
                targets.dedup();
            }
            if !targets.is_empty() {
                links.push((attribute, operation, targets));
            }
        };
        match is_contract {
            true => {
                if self.random.chance(60) {
                    add("owner", Operation::Set, vec![self.numbered()]);
                }
                let people = (0..self.random.below(3)).map(|_| self.addressed()).collect();
                add("people", Operation::Append, people);
            }
            false => {
                if self.random.chance(30) {
                    add("manager", Operation::Set, vec![self.numbered()]);
                }
                let operation =
                    if self.random.chance(50) { Operation::Set } else { Operation::AppendUnique };
                let attribute =
                    if operation == Operation::Set { "contracts" } else { "more_contracts" };
                let contracts = (0..self.random.below(3)).map(|_| self.contract()).collect();
                add(attribute, operation, contracts);
            }
        }
        Upsert { name, has_email, town, links }
    }
}

/// The event's payload.
pub fn payload(event: &Event) -> String {
    let of = |kind: &str, names: &[Name]| {
        let keys = names.iter().filter(|name| name.starts_with(kind)).map(|name| quoted_key(name));
        keys.collect::<Vec<_>>().join(", ")
    };
    let upserts = |kind: &str| {
        let those = event.upserts.iter().filter(|upsert| upsert.name.starts_with(kind));
        those.map(|upsert| item(upsert, &event.token)).collect::<Vec<_>>().join(", ")
    };
    let (of_contact, of_town) = match event.scope.as_ref().map(|scope| &scope.of) {
        Some(Of::Contact(name)) => (quoted_key(name), "null".to_owned()),
        Some(Of::Town(town)) => ("null".to_owned(), format!("\"{town}\"")),
        None => ("null".to_owned(), "null".to_owned()),
    };
    let gone = if event.purges.is_empty() { &event.deletes } else { &event.purges };
    format!(
        r#"{{"contacts": [{}], "contracts": [{}], "gone_contacts": [{}], "gone_contracts": [{}], "of": {of_contact}, "town": {of_town}}}"#,
        upserts("contact "),
        upserts("contract "),
        of("contact ", gone),
        of("contract ", gone),
    )
}

fn quoted_key(name: &str) -> String {
    format!("\"{}\"", name.split_once(' ').unwrap().1)
}

fn item(upsert: &Upsert, token: &str) -> String {
    let number = quoted_key(&upsert.name);
    let mut members = vec![format!("\"number\": {number}"), format!("\"token\": \"{token}\"")];
    if upsert.has_email {
        members.push(format!("\"email\": {}", email(&upsert.name)));
    }
    members.extend(upsert.town.as_ref().map(|town| format!("\"town\": \"{town}\"")));
    for (attribute, operation, targets) in &upsert.links {
        let by_email = *operation == Operation::Append;
        let keys: Vec<String> = targets
            .iter()
            .map(|target| if by_email { email(target) } else { quoted_key(target) })
            .collect();
        members.push(format!("\"{attribute}\": [{}]", keys.join(", ")));
    }
    format!("{{{}}}", members.join(", "))
}

fn email(name: &str) -> String {
    format!("\"{}@x\"", name.split_once(' ').unwrap().1)
}
