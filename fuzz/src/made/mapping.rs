//! Mapping documents.

use erp_engine::jsonb::{Tree, Value};

use super::{Maker, word};

const SCHEMAS: [&str; 3] = ["s", "t", "contact"];
const MODES: [&str; 5] =
    ["upsert", "delete", "purge", "upsert-prune-scope-delete", "upsert-prune-scope-purge"];
const OPERATIONS: [&str; 4] = ["_set", "_append", "_append_unique", "_append_all"];
/// Keys that stand in mappings, to be put where they do not belong.
const KEYS: [&str; 12] = [
    "version",
    "mapping",
    "entities",
    "mode",
    "fields",
    "enabled",
    "constant",
    "field",
    "relations",
    "relation_refs",
    "unique_ids",
    "jsonataExpresion",
];

/// How often something is wrong in a document.
#[derive(Clone, Copy)]
pub enum Wrong {
    Never,
    Sometimes,
}

impl<'a> Maker<'a, '_> {
    /// A mapping document, bare or with an event `e`.
    pub fn mapping(&mut self, wrong: Wrong) -> Tree<'a> {
        let is_bare = self.once_in(2);
        let entities = self.some(2, |maker| maker.entity(wrong));
        let event = self.members(wrong, vec![("entities", Tree::Array(entities))]);
        if is_bare {
            return event;
        }
        let mut events = vec![("e", event)];
        if self.once_in(4) {
            events.push((self.name(), self.document(2)));
        }
        let events = match wrong {
            Wrong::Never => Tree::Object(events.into_iter().take(1).collect()),
            Wrong::Sometimes => Tree::Object(events),
        };
        let mapping = self.members(wrong, vec![("events", events)]);
        self.members(wrong, vec![("version", word("2.0")), ("mapping", mapping)])
    }

    /// An object, in which something may be wrong: a member missing, another value, a key that
    /// does not belong there.
    fn members(&mut self, wrong: Wrong, mut members: Vec<(&'a str, Tree<'a>)>) -> Tree<'a> {
        if matches!(wrong, Wrong::Sometimes) && self.once_in(8) {
            let at = self.below(members.len());
            match self.below(4) {
                0 => drop(members.swap_remove(at)),
                1 => members[at].1 = self.document(2),
                2 => members.push((self.pick(&KEYS), self.document(1))),
                _ => members.push((self.name(), self.document(1))),
            }
        }
        Tree::Object(members)
    }

    fn written(&mut self, text: String) -> Tree<'a> {
        word(self.arena.alloc_str(&text.replace('\0', "")))
    }

    fn entity(&mut self, wrong: Wrong) -> Tree<'a> {
        let id = self.pick(&["id", "_id", "a"]);
        let mut fields = self.list(4, |maker| maker.field(wrong));
        fields.push(self.members(wrong, vec![("attribute", word(id)), ("field", word("id"))]));
        let mut members = vec![
            ("entity_schema", word(self.pick(&SCHEMAS))),
            ("unique_ids", Tree::Array(vec![word(id)])),
            ("fields", Tree::Array(fields)),
        ];
        if self.once_in(3) {
            let expression = self.expression();
            members.push(("jsonataExpression", self.written(expression)));
        }
        if self.once_in(4) {
            members.push(("enabled", self.enabled()));
        }
        if self.once_in(3) {
            let mode = self.pick(&MODES);
            members.push(("mode", word(mode)));
            if mode.starts_with("upsert-") {
                members.push(("scope", self.scope(wrong)));
            }
        }
        self.members(wrong, members)
    }

    fn scope(&mut self, wrong: Wrong) -> Tree<'a> {
        let unique_ids = Tree::Array(vec![self.identifier("a", wrong)]);
        let members = match self.once_in(2) {
            true => vec![("scope_mode", word("query")), ("query", unique_ids)],
            false => vec![
                ("scope_mode", word("relations")),
                ("schema", word("s")),
                ("unique_ids", unique_ids),
            ],
        };
        self.members(wrong, members)
    }

    fn enabled(&mut self) -> Tree<'a> {
        match self.below(4) {
            0 => Value::Bool(true).into(),
            1 => Value::Bool(false).into(),
            _ => {
                let expression = self.expression();
                self.written(expression)
            }
        }
    }

    fn field(&mut self, wrong: Wrong) -> Tree<'a> {
        let mut members = vec![("attribute", word(self.pick(&["b", "c", "d", "list", "e"])))];
        match self.below(8) {
            0 => members.push(("relations", self.relations(wrong))),
            1 => members.push(("relation_refs", self.relation_refs(wrong))),
            _ => {
                members.push(self.source());
                if self.once_in(8) {
                    members.push(("_type", word(self.pick(&["email", "phone"]))));
                }
            }
        }
        if self.once_in(6) {
            members.push(("enabled", self.enabled()));
        }
        self.members(wrong, members)
    }

    fn source(&mut self) -> (&'static str, Tree<'a>) {
        match self.below(8) {
            0 => ("constant", self.document(2)),
            1 => ("field", word(self.pick(&["a", "b", "list", "a b.c"]))),
            2 | 3 => {
                let path = self.path();
                ("field", self.written(path))
            }
            _ => {
                let expression = self.expression();
                ("jsonataExpression", self.written(expression))
            }
        }
    }

    fn identifier(&mut self, attribute: &'static str, wrong: Wrong) -> Tree<'a> {
        let mut members = vec![("attribute", word(attribute)), self.source()];
        if attribute == "mail" && self.once_in(2) {
            members.push(("_type", word("email")));
        }
        self.members(wrong, members)
    }

    fn relations(&mut self, wrong: Wrong) -> Tree<'a> {
        let mut members = vec![("operation", word(self.pick(&OPERATIONS)))];
        if self.once_in(2) {
            let expression = self.relation_items();
            members.push(("jsonataExpression", self.written(expression)));
        } else {
            let items = self.list(3, |maker| {
                let attribute = maker.pick(&["key", "_id", "number"]);
                let mut members = vec![
                    ("entity_schema", word(maker.pick(&["u", "v"]))),
                    ("unique_ids", Tree::Array(vec![maker.identifier(attribute, wrong)])),
                ];
                if maker.once_in(4) {
                    members.push(("_tags", Tree::Array(vec![word("T")])));
                }
                maker.members(wrong, members)
            });
            members.push(("items", Tree::Array(items)));
        }
        self.members(wrong, members)
    }

    fn relation_refs(&mut self, wrong: Wrong) -> Tree<'a> {
        let items = self.list(2, |maker| {
            let value = vec![
                ("attribute", word("lines")),
                ("operation", word(maker.pick(&OPERATIONS))),
                maker.source(),
            ];
            let value = maker.members(wrong, value);
            let members = vec![
                ("entity_schema", word("w")),
                ("unique_ids", Tree::Array(vec![maker.identifier("key", wrong)])),
                ("path", word("lines")),
                ("value", value),
            ];
            maker.members(wrong, members)
        });
        let operation = word(self.pick(&OPERATIONS));
        self.members(wrong, vec![("operation", operation), ("items", Tree::Array(items))])
    }
}
