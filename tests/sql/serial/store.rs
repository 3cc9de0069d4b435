//! What events do, one after the other: a naive store of the entities of one round, by name.
//! Written from the rules alone.

use std::collections::{BTreeMap, BTreeSet};

/// `contact n3-1`: what an entity is, and its key.
pub type Name = String;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    /// Whether it has a number: a contact's stub may have its address alone.
    pub is_numbered: bool,
    pub has_email: bool,
    pub is_stub: bool,
    pub is_deleted: bool,
    /// The event that wrote it last, and all that did.
    pub last: Option<String>,
    pub log: Vec<String>,
    pub town: Option<String>,
    /// By attribute: whom it links to, and the tag.
    pub links: BTreeMap<&'static str, Vec<(Name, Option<String>)>>,
}

pub type Entities = BTreeMap<Name, Entity>;

#[derive(Debug, Clone, Default)]
pub struct Event {
    pub name: &'static str,
    pub token: String,
    pub upserts: Vec<Upsert>,
    pub deletes: Vec<Name>,
    pub purges: Vec<Name>,
    pub scope: Option<Scope>,
}

#[derive(Debug, Clone)]
pub struct Upsert {
    pub name: Name,
    pub has_email: bool,
    pub town: Option<String>,
    pub links: Vec<(&'static str, Operation, Vec<Name>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Set,
    /// With the event as tag.
    Append,
    AppendUnique,
}

/// Contracts that an event does not upsert go.
#[derive(Debug, Clone)]
pub struct Scope {
    pub of: Of,
    pub purges: bool,
}

#[derive(Debug, Clone)]
pub enum Of {
    /// Those related to the contact.
    Contact(Name),
    Town(String),
}

/// What is known by its address alone until an event brings its number.
pub fn is_known_by_email(name: &str) -> bool {
    name.starts_with("contact ") && !name.starts_with("contact n")
}

/// Applies the event.
pub fn apply(entities: &mut Entities, event: &Event) {
    let before = entities.clone();
    for upsert in &event.upserts {
        let entity = entities.entry(upsert.name.clone()).or_default();
        (entity.is_numbered, entity.is_stub, entity.is_deleted) = (true, false, false);
        entity.has_email |= upsert.has_email;
        entity.last = Some(event.token.clone());
        entity.log.push(event.token.clone());
        if upsert.town.is_some() {
            entity.town.clone_from(&upsert.town);
        }
    }
    for name in &event.deletes {
        if let Some(entity) = entities.get_mut(name).filter(|entity| entity.is_numbered) {
            entity.is_deleted = true;
        }
    }
    for upsert in &event.upserts {
        for (attribute, operation, targets) in &upsert.links {
            for target in targets {
                entities.entry(target.clone()).or_insert_with(|| stub(target));
            }
            let links = entities.get_mut(&upsert.name).unwrap().links.entry(attribute);
            link(links.or_default(), *operation, targets, &event.token);
        }
    }
    let numbered = |name: &&Name| entities.get(*name).is_some_and(|entity| entity.is_numbered);
    let mut purged: BTreeSet<Name> = event.purges.iter().filter(numbered).cloned().collect();
    if let Some(scope) = &event.scope {
        let pruned = in_scope(&before, entities, event, scope);
        if scope.purges {
            purged.extend(pruned);
        } else {
            pruned.iter().for_each(|name| entities.get_mut(name).unwrap().is_deleted = true);
        }
    }
    entities.retain(|name, _| !purged.contains(name));
    let lists = entities.values_mut().flat_map(|entity| entity.links.values_mut());
    lists.for_each(|list| list.retain(|(name, _)| !purged.contains(name)));
}

fn stub(name: &str) -> Entity {
    let has_email = is_known_by_email(name);
    Entity { is_numbered: !has_email, has_email, is_stub: true, ..Entity::default() }
}

fn link(list: &mut Vec<(Name, Option<String>)>, how: Operation, targets: &[Name], token: &str) {
    if how == Operation::Set {
        list.clear();
    }
    for target in targets {
        let is_there = list.iter().any(|(name, _)| name == target);
        if how != Operation::AppendUnique || !is_there {
            list.push((target.clone(), (how == Operation::Append).then(|| token.to_owned())));
        }
    }
}

/// The contracts that the event prunes.
fn in_scope(before: &Entities, now: &Entities, event: &Event, scope: &Scope) -> Vec<Name> {
    let names = |entity: &Entity, name: &str| {
        entity.links.values().flatten().any(|(target, _)| target == name)
    };
    let is_in_scope = |name: &str, entity: &Entity| match &scope.of {
        Of::Town(town) => entity.town.as_ref() == Some(town),
        Of::Contact(contact) => {
            now.get(contact).is_some_and(|anchor| anchor.is_numbered)
                && (names(entity, contact)
                    || before.get(contact).is_some_and(|anchor| names(anchor, name)))
        }
    };
    let is_upserted = |name: &str| event.upserts.iter().any(|upsert| upsert.name == name);
    let contracts = now.iter().filter(|(name, _)| name.starts_with("contract "));
    contracts
        .filter(|(name, entity)| is_in_scope(name, entity) && !is_upserted(name))
        .filter(|(_, entity)| scope.purges || !entity.is_deleted)
        .map(|(name, _)| name.clone())
        .collect()
}
