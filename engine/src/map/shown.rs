//! The form in which mapping results are shown.

use super::{Attribute, EntityUpdate, Mapped, Prune, RefTarget, Relation, RelationRefList, Target};
use crate::jsonb::{Tree, Value};
use crate::mapping::{Mode, Scope};
use crate::merge::{RELATION, RELATION_REF};

impl<'a> Mapped<'a> {
    /// The slug of the entities concerned.
    pub fn schema(&self) -> &'a str {
        match self {
            Mapped::Update(update) => &update.entity.schema,
            Mapped::Prune(prune) => &prune.entity.schema,
        }
    }

    /// What is done: a mode's name, `prune-delete` or `prune-purge`.
    pub fn mode(&self) -> &'static str {
        match self {
            Mapped::Update(update) => update.entity.mode.of_updates().name(),
            Mapped::Prune(prune) if prune.entity.mode == Mode::UpsertPruneScopeDelete => {
                "prune-delete"
            }
            Mapped::Prune(_) => "prune-purge",
        }
    }
}

impl<'a> EntityUpdate<'a> {
    /// `{attribute: value}` of the unique identifiers.
    pub fn identifiers_tree(&self) -> Tree<'a> {
        members(&self.unique_identifiers)
    }

    /// `{attribute: value}`, relations as `{"$relation": {OP: [{"$entity_unique_ids", "_schema",
    /// "_tags"?}]}}`, references as `{"$relation_ref": {OP: [{"$entity_unique_ids", "_schema",
    /// "path", "value": {"attribute", OP}}]}}`.
    pub fn attributes_tree(&self) -> Tree<'a> {
        let attribute = |(name, attribute): &(&'a str, Attribute<'a>)| match attribute {
            Attribute::Value(value) => (*name, Tree::Value(*value)),
            Attribute::Relation(relation) => (*name, relation.tree(Target::tree)),
            Attribute::RelationRef(refs) => (*name, refs.tree(RefTarget::items)),
        };
        Tree::Object(self.attributes.iter().map(attribute).collect())
    }
}

impl<'a> Relation<'a> {
    /// `{"$relation": {OP: […]}}` with each target as `item` writes it.
    pub fn tree(&self, item: impl FnMut(&Target<'a>) -> Tree<'a>) -> Tree<'a> {
        let list = Tree::Array(self.targets.iter().map(item).collect());
        let operation = Tree::Object(vec![(self.operation.name(), list)]);
        Tree::Object(vec![(RELATION, operation)])
    }
}

impl<'a> Target<'a> {
    fn tree(&self) -> Tree<'a> {
        self.item("$entity_unique_ids", members(&self.identifiers))
    }

    /// The attributes of a stub made for the target: its identifiers, in the form in which they
    /// are stored.
    pub fn stub_attributes(&self) -> Tree<'a> {
        let attribute = |(name, value): &(&'a str, Value<'a>)| {
            let ty = self.types.iter().find(|(typed, _)| typed == name);
            let stored = match ty {
                Some((_, ty)) => ty.stored_one(*value),
                None => Tree::Value(*value),
            };
            (*name, stored)
        };
        Tree::Object(self.identifiers.iter().map(attribute).collect())
    }

    /// The item of a relation that names the target by `key`.
    pub fn item(&self, key: &'static str, value: Tree<'a>) -> Tree<'a> {
        let mut item = vec![(key, value), ("_schema", Value::String(self.schema).into())];
        if let Some(tags) = self.tags {
            item.push(("_tags", tags.into()));
        }
        Tree::Object(item)
    }
}

impl<'a> RelationRefList<'a> {
    /// `{"$relation_ref": {OP: […]}}` with the items that `items` makes of each target.
    pub fn tree(&self, items: impl FnMut(&RefTarget<'a>) -> Vec<Tree<'a>>) -> Tree<'a> {
        let list = Tree::Array(self.targets.iter().flat_map(items).collect());
        let operation = Tree::Object(vec![(self.operation.name(), list)]);
        Tree::Object(vec![(RELATION_REF, operation)])
    }
}

impl<'a> RefTarget<'a> {
    fn items(&self) -> Vec<Tree<'a>> {
        let items = self.value.items.iter().map(|item| Tree::Value(*item)).collect();
        let value = Tree::Object(vec![
            ("attribute", Value::String(self.value.attribute).into()),
            (self.value.operation.name(), Tree::Array(items)),
        ]);
        vec![Tree::Object(vec![
            ("$entity_unique_ids", members(&self.target.identifiers)),
            ("_schema", Value::String(self.target.schema).into()),
            ("path", Value::String(self.path).into()),
            ("value", value),
        ])]
    }

    /// The link to the item `id` of the target, whose own id is `entity_id`.
    pub fn link(&self, entity_id: Value<'a>, id: Value<'a>) -> Tree<'a> {
        Tree::Object(vec![
            ("entity_id", entity_id.into()),
            ("path", Value::String(self.path).into()),
            ("_id", id.into()),
        ])
    }
}

impl<'a> Prune<'a> {
    /// The scope with its values: `{"scope_mode": "relations", "schema", "unique_identifiers"}`
    /// or `{"scope_mode": "query", "attributes"}`.
    pub fn scope_tree(&self) -> Tree<'a> {
        let word = |word: &'a str| Tree::Value(Value::String(word));
        match &self.entity.scope {
            Some(Scope::Relations { schema, .. }) => Tree::Object(vec![
                ("scope_mode", word("relations")),
                ("schema", word(schema)),
                ("unique_identifiers", members(&self.values)),
            ]),
            _ => Tree::Object(vec![
                ("scope_mode", word("query")),
                ("attributes", members(&self.values)),
            ]),
        }
    }
}

/// An object of `pairs`.
pub fn members<'a>(pairs: &[(&'a str, Value<'a>)]) -> Tree<'a> {
    Tree::Object(pairs.iter().map(|(name, value)| (*name, Tree::Value(*value))).collect())
}
