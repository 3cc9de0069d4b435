//! What an event's links to other entities come to: relations, and items of lists that others
//! have. A target that is missing is made a stub, if it may be.

use erp_engine::error::{Code, Error};
use erp_engine::items::change;
use erp_engine::jsonb::{Tree, Value};
use erp_engine::map::{RefTarget, Relation, RelationRefList};
use erp_engine::mapping::Operation;
use erp_engine::merge::{merge, relation_patch, relation_ref_patch};
use hashbrown::HashSet;

use super::entity::{Action, Outcome};
use super::entity_type::OnMissing;
use super::layout::{Column, Kind};
use super::request::{BY_ID, Link, Request};
use super::working_set::WorkingSet;

impl<'a> WorkingSet<'a> {
    /// A relation with the ids of its targets, missing ones made stubs; `None` when every
    /// target is missing and left out.
    pub(super) fn resolve(
        &mut self,
        from: usize,
        attribute: &str,
        relation: &Relation<'a>,
        targets: &[Link<'a>],
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<Option<Tree<'a>>, Error> {
        let mut items = Vec::with_capacity(targets.len());
        for link in targets {
            let Some(to) = self.target(from, attribute, link, stubs)? else { continue };
            let id = Value::String(self.entities[to].id);
            items.push(link.target.item("entity_id", id.into()));
        }
        if items.is_empty() && !targets.is_empty() {
            return Ok(None);
        }
        let column = self.types[self.entities[from].ty].layout.column(attribute);
        if let Some(Column { kind: Kind::Reference(_), .. }) = column {
            let value = items.pop().map(|item| relation_patch(Operation::Set, vec![item]));
            return Ok(Some(value.unwrap_or(Tree::Value(Value::Null))));
        }
        Ok(Some(relation_patch(relation.operation, items)))
    }

    /// The entity that a link is to, made a stub if it may be; `None` when it is left out.
    fn target(
        &mut self,
        from: usize,
        attribute: &str,
        link: &Link<'a>,
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<Option<usize>, Error> {
        let address = (link.ty, link.set, link.key);
        let found =
            self.find(address).map_err(|error| self.in_attribute(from, attribute, error))?;
        let to = match (found, self.types[link.ty].on_missing) {
            (Some(index), _) => index,
            (None, OnMissing::Skip) => return Ok(None),
            (None, OnMissing::Create) if link.set != BY_ID => self.add_stub(link, stubs)?,
            (None, _) => return Err(self.missing(from, attribute, link)),
        };
        if !self.entities[from].links.contains(&to) {
            self.entities[from].links.push(to);
        }
        Ok(Some(to))
    }

    /// Links to items of lists that other entities have, which get the items; `None` when every
    /// target is missing and left out.
    pub(super) fn resolve_refs(
        &mut self,
        from: usize,
        attribute: &str,
        refs: &RelationRefList<'a>,
        targets: &[Link<'a>],
        stubs: &mut Vec<Outcome<'a>>,
    ) -> Result<Option<Tree<'a>>, Error> {
        let mut items = Vec::new();
        let mut is_left_out = !refs.targets.is_empty();
        for (item, link) in refs.targets.iter().zip(targets) {
            let Some(to) = self.target(from, attribute, link, stubs)? else { continue };
            is_left_out = false;
            let id = Value::String(self.entities[to].id);
            let ids = self.set_items(to, item, link, stubs)?;
            items.extend(ids.into_iter().map(|item_id| item.link(id, item_id)));
        }
        if is_left_out {
            return Ok(None);
        }
        Ok(Some(relation_ref_patch(refs.operation, items)))
    }

    /// Gives an entity's list the items that are linked to. Returns their `_id`s.
    fn set_items(
        &mut self,
        to: usize,
        item: &RefTarget<'a>,
        link: &Link<'a>,
        outcomes: &mut Vec<Outcome<'a>>,
    ) -> Result<Vec<Value<'a>>, Error> {
        let (value, arena) = (&item.value, self.arena());
        let current = self.entities[to].attributes;
        let mut new_id = || &*arena.alloc_str(&uuid::Uuid::new_v4().to_string());
        let list = current.and_then(|attributes| attributes.get(value.attribute));
        let slug = self.types[link.ty].slug.clone();
        let in_place =
            |error: Error| Error { message: format!("{slug}: {}", error.message), ..error };
        let changed = change(value.attribute, list, value.operation, &value.items, &mut new_id)
            .map_err(in_place)?;
        if let Some(list) = changed.list {
            self.touch(to);
            let patch = self.keep(&Tree::Object(vec![(value.attribute, list)]))?;
            let merged = merge(self.entities[to].attributes, patch)?;
            if let Some(merged) = merged {
                self.entities[to].attributes = Some(self.keep(&merged)?);
            }
            self.add_patch(to, patch)?;
            // A list with a `_type` may identify.
            self.rename_as_merged(to, |name| name == value.attribute);
            self.entities[to].write = true;
            self.entities[to].has_items = true;
            if !outcomes.iter().any(|outcome| outcome.entity == to) {
                let identifiers = self.arena().alloc_slice_copy(&link.target.identifiers);
                outcomes.push(Outcome {
                    entity: to,
                    action: Action::Updated,
                    identifiers,
                    change: None,
                });
            }
        }
        Ok(changed.ids)
    }

    fn add_stub(&mut self, link: &Link<'a>, stubs: &mut Vec<Outcome<'a>>) -> Result<usize, Error> {
        let index = self.add_new(link.ty, true, (link.ty, link.set, link.key));
        let attributes = self.keep(&link.target.stub_attributes())?;
        self.entities[index].attributes = Some(attributes);
        self.entities[index].patches.push(attributes);
        let identifiers = self.arena().alloc_slice_copy(&link.target.identifiers);
        stubs.push(Outcome { entity: index, action: Action::Stubbed, identifiers, change: None });
        Ok(index)
    }

    fn in_attribute(&self, from: usize, attribute: &str, error: Error) -> Error {
        let slug = &self.types[self.entities[from].ty].slug;
        Error { message: format!("{slug}.{attribute}: {}", error.message), ..error }
    }

    /// The error of an entity that is named by its id and is not there.
    pub(super) fn no_entity(&self, ty: usize) -> Error {
        let message = format!("no entity of \"{}\" has this id", self.types[ty].slug);
        Error::new(Code::EntityReferenceNotFound, message)
            .hint("An entity that \"_id\" names is never created; erp_find shows those there are.")
    }

    fn missing(&self, from: usize, attribute: &str, link: &Link<'a>) -> Error {
        if link.set == BY_ID {
            return self.in_attribute(from, attribute, self.no_entity(link.ty));
        }
        let ty = &self.types[link.ty];
        let message = format!(
            "no entity of \"{}\" matches ({})",
            ty.slug,
            ty.key_sets[link.set].attributes.join(", ")
        );
        let error = Error::new(Code::EntityReferenceNotFound, message);
        self.in_attribute(from, attribute, error).hint(format!(
            "Apply the event that creates it first, or let relations create it: UPDATE \
             erp.entity_type SET on_missing = 'create' WHERE slug = '{}';",
            ty.slug.replace('\'', "''")
        ))
    }

    /// The entities that a value names by id are to exist.
    pub fn check_given(
        &self,
        request: &Request<'a>,
        existing: &HashSet<(usize, &'a str)>,
    ) -> Result<(), Error> {
        for update in &request.updates {
            for given in &update.given {
                if !existing.contains(&(given.ty, given.id)) {
                    let message = format!(
                        "{}.{}: an item of a relation names an entity of \"{}\" that does not exist",
                        self.types[update.ty].slug, given.attribute, self.types[given.ty].slug
                    );
                    return Err(Error::new(Code::EntityReferenceNotFound, message)
                        .hint("Let the mapping find it by its identifiers, with \"relations\"."));
                }
            }
        }
        Ok(())
    }
}
