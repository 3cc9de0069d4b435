//! A naive store: entities in a list, events applied one at a time, everything looked for by
//! looking at everything. Written from the rules alone.

use super::json::Json;
use super::updates::{Change, Link, Update};

#[derive(Debug, Clone, Default)]
pub struct Store {
    /// An entity's id is its place.
    pub entities: Vec<Entity>,
}

#[derive(Debug, Clone)]
pub struct Entity {
    pub slug: &'static str,
    pub attributes: Vec<(String, Json)>,
    pub is_stub: bool,
    pub is_deleted: bool,
}

/// A row of an event's outcome.
#[derive(Debug)]
pub struct Row {
    pub slug: &'static str,
    pub id: usize,
    pub action: &'static str,
    pub identifiers: Json,
}

/// An event changes an entity and changes it back: tables of ours tell and write it, a user's own
/// do not.
pub const CHANGED_BACK: &str = "updated or unchanged";

/// An SQLSTATE, or several of which any may be told.
pub type Failure = &'static str;

impl Entity {
    fn get(&self, name: &str) -> Option<&Json> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn set(&mut self, name: &str, value: Json) {
        self.attributes.retain(|(key, _)| key != name);
        self.attributes.push((name.to_owned(), value));
    }

    pub fn is_same(&self, other: &Entity) -> bool {
        let state = |entity: &Entity| (entity.document(), entity.is_stub, entity.is_deleted);
        state(self) == state(other)
    }

    pub fn document(&self) -> Json {
        Json::object(self.attributes.iter().cloned())
    }

    fn has(&self, identifiers: &[(&str, Json)]) -> bool {
        identifiers.iter().all(|(name, value)| {
            let own =
                self.get(name).filter(|own| matches!(own, Json::Scalar(_)) && !own.is_blank());
            own.is_some_and(|own| own.key() == value.key())
        })
    }
}

impl Store {
    /// Applies one event, or nothing of it.
    pub fn apply(&mut self, updates: &[Update]) -> Result<Vec<Row>, Failure> {
        let mut after = self.clone();
        let rows = after.apply_all(updates)?;
        *self = after;
        Ok(rows)
    }

    fn apply_all(&mut self, updates: &[Update]) -> Result<Vec<Row>, Failure> {
        self.apply_in_turn(updates).map_err(|failure| match failure {
            "MP006" if self.cannot_append(updates) => "MP006 MP009",
            "MP007" if self.cannot_append(updates) => "MP007 MP009",
            other => other,
        })
    }

    /// Whether something is appended to what is no list.
    fn cannot_append(&self, updates: &[Update]) -> bool {
        let mut store = self.clone();
        updates.iter().filter_map(|update| Some((update, identifiers(update).ok()?))).any(
            |(update, identifiers)| {
                let Ok(Some(id)) = store.locate(update, &identifiers) else { return false };
                let entity = &mut store.entities[id];
                let mut values =
                    update.attributes.iter().filter_map(|(name, change)| match change {
                        Change::Value(value) => Some((name, value)),
                        Change::Links(..) => None,
                    });
                values.any(|(name, value)| write_value(entity, &identifiers, name, value).is_err())
            },
        )
    }

    fn apply_in_turn(&mut self, updates: &[Update]) -> Result<Vec<Row>, Failure> {
        let identifiers: Vec<_> = updates.iter().map(identifiers).collect::<Result<_, _>>()?;
        // Who there is at the end of the event, and what they are found by: links find them so.
        let mut found = self.clone();
        let mut about = Vec::new();
        for (update, identifiers) in updates.iter().zip(&identifiers) {
            about.push(found.locate(update, identifiers)?);
        }
        let first_stub = found.entities.len();
        let mut links = Vec::new();
        for update in updates {
            links.push(found.resolve_all(update)?);
        }
        let before = self.entities.clone();
        let mut rows: Vec<Row> = Vec::new();
        for (((update, identifiers), id), links) in
            updates.iter().zip(identifiers).zip(about).zip(links)
        {
            if let Some(id) = id {
                let action = self.write(update, &identifiers, id, links)?;
                rows.push(Row { slug: update.slug, id, action, identifiers: object(&identifiers) });
            }
        }
        for row in rows.iter_mut().filter(|row| row.action == "updated") {
            if before.get(row.id).is_some_and(|before| before.is_same(&self.entities[row.id])) {
                row.action = CHANGED_BACK;
            }
        }
        for (id, stub) in found.entities.into_iter().enumerate().skip(first_stub) {
            let (slug, identifiers) = (stub.slug, stub.document());
            rows.push(Row { slug, id, action: "stubbed", identifiers });
            self.entities.push(stub);
        }
        Ok(rows)
    }

    /// The entity that the update is about, made if it is not there; of links nothing is written.
    fn locate(
        &mut self,
        update: &Update,
        identifiers: &[(&str, Json)],
    ) -> Result<Option<usize>, Failure> {
        let found = self.find(update.slug, identifiers)?;
        if update.is_delete {
            found.iter().for_each(|id| self.entities[*id].is_deleted = true);
            return Ok(found);
        }
        let id = match found {
            Some(id) => id,
            None => self.stub_to_complete(update)?.unwrap_or_else(|| self.create(update.slug)),
        };
        let entity = &mut self.entities[id];
        (entity.is_stub, entity.is_deleted) = (false, false);
        for (name, change) in &update.attributes {
            if let Change::Value(value) = change {
                // What cannot be appended to fails when it is written.
                let _ = merge(entity, name, value);
            }
        }
        Ok(Some(id))
    }

    fn create(&mut self, slug: &'static str) -> usize {
        let attributes = Vec::new();
        self.entities.push(Entity { slug, attributes, is_stub: false, is_deleted: false });
        self.entities.len() - 1
    }

    /// Of several, those that are deleted do not count.
    fn find(&self, slug: &str, identifiers: &[(&str, Json)]) -> Result<Option<usize>, Failure> {
        let all = self.entities.iter().enumerate();
        let found: Vec<_> =
            all.filter(|(_, entity)| entity.slug == slug && entity.has(identifiers)).collect();
        let live: Vec<_> = found.iter().filter(|(_, entity)| !entity.is_deleted).collect();
        match (&found[..], &live[..]) {
            ([], _) => Ok(None),
            ([(id, _)], _) | (_, [(id, _)]) => Ok(Some(*id)),
            _ => Err("MP006"),
        }
    }

    /// A contact's stub may be known by its address alone.
    fn stub_to_complete(&self, update: &Update) -> Result<Option<usize>, Failure> {
        let address = update.attributes.iter().find_map(|(name, change)| match change {
            Change::Value(value) if *name == "email" && !value.is_blank() => Some(value),
            _ => None,
        });
        let Some(address) = address.filter(|_| update.slug == "contact") else { return Ok(None) };
        let stubs = self.entities.iter().enumerate().filter(|(_, entity)| {
            entity.is_stub
                && entity.slug == "contact"
                && entity.get("customer_number").is_none()
                && entity.has(&[("email", address.clone())])
        });
        let stubs: Vec<usize> = stubs.map(|(id, _)| id).collect();
        if stubs.len() > 1 { Err("MP006") } else { Ok(stubs.first().copied()) }
    }

    // Links

    /// The ids that the links of each attribute lead to.
    fn resolve_all(&mut self, update: &Update) -> Result<Vec<Vec<(usize, Link)>>, Failure> {
        let mut all = Vec::new();
        for (_, change) in &update.attributes {
            let mut found = Vec::new();
            if let Change::Links(_, links) = change {
                for link in links {
                    found.extend(self.resolve(link)?.map(|id| (id, link.clone())));
                }
            }
            all.push(found);
        }
        Ok(all)
    }

    fn resolve(&mut self, link: &Link) -> Result<Option<usize>, Failure> {
        if let Some(id) = self.find(link.slug, &link.identifiers)? {
            return Ok(Some(id));
        }
        match link.slug {
            "site" => Ok(None),
            "vendor" => Err("MP007"),
            slug => {
                let id = self.create(slug);
                self.entities[id].is_stub = true;
                for (name, value) in &link.identifiers {
                    self.entities[id].set(name, value.clone());
                }
                Ok(Some(id))
            }
        }
    }

    // Writing

    fn write(
        &mut self,
        update: &Update,
        identifiers: &[(&str, Json)],
        id: usize,
        links: Vec<Vec<(usize, Link)>>,
    ) -> Result<&'static str, Failure> {
        let is_new = id >= self.entities.len();
        if is_new {
            assert_eq!(self.create(update.slug), id);
        }
        let entity = &mut self.entities[id];
        let before = entity.clone();
        if update.is_delete {
            entity.is_deleted = true;
            return Ok(if before.is_deleted { "unchanged" } else { "deleted" });
        }
        for ((name, change), links) in update.attributes.iter().zip(links) {
            match change {
                Change::Value(value) => write_value(entity, identifiers, name, value)?,
                Change::Links(operation, _) => merge_links(entity, name, operation, &links),
            }
        }
        (entity.is_stub, entity.is_deleted) = (false, false);
        Ok(match before {
            _ if is_new => "created",
            before if before.is_stub => "completed",
            before if before.is_deleted => "restored",
            before if before.document() != entity.document() => "updated",
            _ => "unchanged",
        })
    }
}

/// What identifies stays in the form that is there.
fn write_value(
    entity: &mut Entity,
    identifiers: &[(&str, Json)],
    name: &str,
    value: &Json,
) -> Result<(), Failure> {
    let identifies = identifiers.iter().any(|(id, _)| *id == name);
    if identifies && entity.has(&[(name, value.clone())]) {
        return Ok(());
    }
    merge(entity, name, value)
}

fn identifiers(update: &Update) -> Result<Vec<(&'static str, Json)>, Failure> {
    let identifier = |name: &&'static str| {
        let change = update.attributes.iter().find(|(attribute, _)| attribute == name);
        match change {
            Some((_, Change::Value(value))) if !value.is_blank() => match value {
                Json::Scalar(_) => Ok((*name, value.clone())),
                _ => Err("MP009"),
            },
            _ => Err("MP005"),
        }
    };
    update.unique_ids.iter().map(identifier).collect()
}

fn object(identifiers: &[(&str, Json)]) -> Json {
    Json::object(identifiers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
}

// What values become

fn merge(entity: &mut Entity, name: &str, value: &Json) -> Result<(), Failure> {
    let Some((operation, list)) = operation(value) else {
        entity.set(name, value.clone());
        return Ok(());
    };
    let added = match list {
        Json::Array(items) => items.clone(),
        null if null.is_null() => Vec::new(),
        one => vec![one.clone()],
    };
    if added.is_empty() && operation != "_set" {
        return Ok(());
    }
    let there = match entity.get(name) {
        _ if operation == "_set" => Vec::new(),
        None => Vec::new(),
        Some(Json::Array(items)) => items.clone(),
        Some(null) if null.is_null() => Vec::new(),
        Some(_) => return Err("MP009"),
    };
    let mut merged = there;
    for item in added {
        if operation != "_append_unique" || !merged.contains(&item) {
            merged.push(item);
        }
    }
    entity.set(name, Json::Array(merged));
    Ok(())
}

fn operation(value: &Json) -> Option<(&str, &Json)> {
    match value {
        Json::Object(members) => match &members[..] {
            [(name, list)]
                if ["_set", "_append", "_append_all", "_append_unique"].contains(&&**name) =>
            {
                Some((name, list))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A link is written as the id in braces, in the place of the entity's id.
fn merge_links(entity: &mut Entity, name: &str, operation: &str, links: &[(usize, Link)]) {
    if links.is_empty() {
        return;
    }
    let mut list = match entity.get(name) {
        Some(relation) if operation != "_set" => relation.list("$relation"),
        _ => Vec::new(),
    };
    for (id, link) in links {
        let id = Json::string(&format!("<{id}>"));
        let is_there = list.iter().any(|item| item.get("entity_id") == Some(&id));
        if operation == "_append_unique" && is_there {
            continue;
        }
        let mut item =
            vec![("entity_id".to_owned(), id), ("_schema".to_owned(), Json::string(link.slug))];
        item.extend(link.tag.map(|tag| ("_tags".to_owned(), Json::Array(vec![Json::string(tag)]))));
        list.push(Json::object(item));
    }
    entity.set(name, Json::object([("$relation".to_owned(), Json::Array(list))]));
}
