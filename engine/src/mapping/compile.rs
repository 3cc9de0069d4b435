//! Document → compiled mapping, every problem at once.

mod check;
mod field;
mod refs;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use super::{Entity, Event, Events, Mapping, Mode, Problem, Scope, Severity, nearest};
use crate::expr::{CancelToken, Limits};
use crate::identifier::ENTITY_ID;
use crate::jsonb::{Object, Value};
use check::At;
use field::{Entry, Identifiers};
use types::Types;

/// A document and what is wrong with it.
#[derive(Debug)]
pub struct Compiled {
    /// The mapping, unless a problem is an error.
    pub mapping: Option<Mapping>,
    /// What could be understood of it, if a problem is an error.
    pub understood: Option<Mapping>,
    /// In the order of the document's walk; what concerns several places comes last.
    pub problems: Vec<Problem>,
}

/// Compiles a mapping document: `{"version":"2.0","mapping":{"events":{NAME:{"entities":[…]}}}}`,
/// or the bare `{"entities":[…]}`.
pub fn compile(document: Value<'_>) -> Compiled {
    compile_within(document, &Limits::default(), &CancelToken::new())
}

/// As [`compile`], of a document within `limits`. Once `cancel` is cancelled, the rest of the
/// document is left out: what was compiled is to be thrown away.
pub fn compile_within(document: Value<'_>, limits: &Limits, cancel: &CancelToken) -> Compiled {
    let mut compiler = Compiler {
        problems: Vec::new(),
        types: Types::default(),
        max_length: limits.max_length,
        longest_expression: 0,
        cancel: cancel.clone(),
    };
    if document.size() > limits.max_mapping_size {
        compiler.too_large(limits.max_mapping_size);
        return Compiled { mapping: None, understood: None, problems: compiler.problems };
    }
    let events = compiler.document(document);
    compiler.type_conflicts();
    let problems = compiler.problems;
    let is_usable = problems.iter().all(|problem| problem.severity != Severity::Error);
    let longest_expression = compiler.longest_expression;
    let understood = events.map(|events| Mapping { events, longest_expression });
    match is_usable {
        true => Compiled { mapping: understood, understood: None, problems },
        false => Compiled { mapping: None, understood, problems },
    }
}

const DOCUMENT_KEYS: &[&str] = &["version", "mapping"];
const MAPPING_KEYS: &[&str] = &["events"];
const EVENT_KEYS: &[&str] = &["entities"];
const ENTITY_KEYS: &[&str] =
    &["entity_schema", "unique_ids", "fields", "jsonataExpression", "enabled", "mode", "scope"];
const RELATIONS_SCOPE_KEYS: &[&str] = &["scope_mode", "schema", "unique_ids"];
const QUERY_SCOPE_KEYS: &[&str] = &["scope_mode", "query"];

struct Compiler {
    problems: Vec<Problem>,
    types: Types,
    /// Bytes of an expression.
    max_length: usize,
    longest_expression: usize,
    cancel: CancelToken,
}

impl Compiler {
    fn too_large(&mut self, most: usize) {
        let message = format!("the mapping is larger than {most} bytes");
        let hint = "The setting erp_toolkit.max_mapping_size decides.";
        self.error_with_hint("TOO_LARGE", &At::ROOT, message, Some(hint.into()));
    }

    fn document(&mut self, document: Value<'_>) -> Option<Events> {
        let at = At::ROOT;
        let object = self.object(document, &at, "the mapping")?;
        if object.get("entities").is_some() && object.get("mapping").is_none() {
            return self.event(Value::Object(object), &at).map(Events::Any);
        }
        self.unknown_keys(object, DOCUMENT_KEYS, &at);
        self.version(object, &at);
        let mapping = self.required(object, "mapping", &at)?;
        let at_mapping = at.key("mapping");
        let mapping = self.object(mapping, &at_mapping, "\"mapping\"")?;
        self.unknown_keys(mapping, MAPPING_KEYS, &at_mapping);
        let events = self.required(mapping, "events", &at_mapping)?;
        let at_events = at_mapping.key("events");
        let events = self.object(events, &at_events, "\"events\"")?;
        let compiled: BTreeMap<String, Event> = events
            .iter()
            .filter_map(|(name, event)| {
                Some((name.to_owned(), self.event(event, &at_events.key(name))?))
            })
            .collect();
        Some(Events::Named(compiled))
    }

    fn version(&mut self, object: Object<'_>, at: &At<'_>) {
        match self.required(object, "version", at) {
            None | Some(Value::String("2.0")) => {}
            Some(_) => self.error_with_hint(
                "VERSION_INVALID",
                &at.key("version"),
                "\"version\" must be the string \"2.0\"",
                Some("Write \"version\": \"2.0\".".into()),
            ),
        }
    }

    fn event(&mut self, event: Value<'_>, at: &At<'_>) -> Option<Event> {
        let object = self.object(event, at, "an event")?;
        self.unknown_keys(object, EVENT_KEYS, at);
        let entities = self.required(object, "entities", at)?;
        let at_entities = at.key("entities");
        let entities = self.array(entities, &at_entities, "\"entities\"")?;
        let compiled = entities
            .into_iter()
            .enumerate()
            .filter_map(|(i, entity)| self.entity(entity, &at_entities.index(i)))
            .collect();
        Some(Event { entities: compiled })
    }

    fn entity(&mut self, entity: Value<'_>, at: &At<'_>) -> Option<Entity> {
        let object = self.object(entity, at, "an entry of \"entities\"")?;
        self.unknown_keys(object, ENTITY_KEYS, at);
        let schema = self.required_name(object, "entity_schema", at);
        let unique_ids = self.unique_ids(object, at);
        let mode = self.mode(object, at);
        let scope = self.scope(object, mode, at);
        let items = self.optional_jsonata(object, at);
        let enabled = self.enabled(object, at);
        let entry = Entry {
            schema: schema.as_deref(),
            is_by_id: unique_ids.as_ref().map(|ids| ids.iter().any(|id| id == ENTITY_ID)),
        };
        let fields = self.fields(object, entry, at);
        if let Some(ids) = &unique_ids {
            self.unmapped_identifiers(ids, object, at);
            if let Some(mode @ (Mode::Delete | Mode::Purge)) = mode {
                self.unused_fields(ids, mode, object, at);
            }
        }
        Some(Entity {
            schema: schema?,
            unique_ids: unique_ids?,
            mode: mode?,
            scope,
            items,
            enabled: enabled?,
            fields: fields?,
            pointer: at.pointer(),
        })
    }

    /// The attributes that identify the entity: a list of distinct names, not empty.
    fn unique_ids(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Vec<String>> {
        let value = self.required(object, "unique_ids", at)?;
        let at = at.key("unique_ids");
        let items = self.array(value, &at, "\"unique_ids\"")?;
        if items.is_empty() {
            self.error("VALUE_INVALID", &at, "\"unique_ids\" must name at least one attribute");
            return None;
        }
        let stands_alone = items.len() == 1;
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let at = at.index(i);
            let Some(name) = self.name(item, &at, "an entry of \"unique_ids\"") else { continue };
            if name == ENTITY_ID && !stands_alone {
                self.not_alone(&at);
            }
            if seen.insert(name.clone()) {
                names.push(name);
            } else {
                self.error("VALUE_INVALID", &at, format!("\"{name}\" is named twice"));
            }
        }
        Some(names)
    }

    fn unmapped_identifiers(&mut self, ids: &[String], object: Object<'_>, at: &At<'_>) {
        // As they stand: a field with a mistake maps its attribute all the same.
        let Some(fields) = object.get("fields").and_then(Value::as_array) else { return };
        let mapped: BTreeSet<&str> = fields
            .iter()
            .filter_map(|field| field.as_object()?.get("attribute")?.as_str())
            .collect();
        let at_ids = at.key("unique_ids");
        for (i, id) in ids.iter().enumerate() {
            if !mapped.contains(id.as_str()) && !self.cancel.is_cancelled() {
                let near = nearest(id, mapped.iter().copied());
                self.warning(
                    "UNIQUE_ID_UNMAPPED",
                    &at_ids.index(i),
                    format!("no field maps the unique identifier \"{id}\""),
                    Some(near.map_or_else(
                        || format!("Add a field with \"attribute\": \"{id}\"."),
                        |near| format!("Did you mean \"{near}\"?"),
                    )),
                );
            }
        }
    }

    /// What is deleted is found by its identifiers; nothing else of it matters.
    fn unused_fields(&mut self, ids: &[String], mode: Mode, object: Object<'_>, at: &At<'_>) {
        let Some(fields) = object.get("fields").and_then(Value::as_array) else { return };
        let at = at.key("fields");
        let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        for (i, field) in fields.iter().enumerate() {
            let attribute = field.as_object().and_then(|field| field.get("attribute")?.as_str());
            if let Some(attribute) = attribute.filter(|name| !ids.contains(name)) {
                let message = format!("\"{attribute}\" is not written in mode \"{}\"", mode.name());
                self.warning("FIELD_UNUSED", &at.index(i), message, None);
            }
        }
    }

    fn mode(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Mode> {
        let Some(value) = object.get("mode") else { return Some(Mode::Upsert) };
        self.word(value, &at.key("mode"), "\"mode\"", &Mode::ALL)
    }

    fn scope(&mut self, object: Object<'_>, mode: Option<Mode>, at: &At<'_>) -> Option<Scope> {
        let prunes = matches!(mode?, Mode::UpsertPruneScopeDelete | Mode::UpsertPruneScopePurge);
        let at_scope = at.key("scope");
        match (object.get("scope"), prunes) {
            (None, false) => None,
            (None, true) => {
                self.required(object, "scope", at);
                None
            }
            (Some(_), false) => {
                let message = format!("\"scope\" has no meaning in mode \"{}\"", mode?.name());
                self.warning("KEY_UNUSED", &at_scope, message, None);
                None
            }
            (Some(scope), true) => self.scope_of(scope, &at_scope),
        }
    }

    fn scope_of(&mut self, scope: Value<'_>, at: &At<'_>) -> Option<Scope> {
        let object = self.object(scope, at, "\"scope\"")?;
        let mode = self.required(object, "scope_mode", at)?;
        let known = [("relations", true), ("query", false)];
        if self.word(mode, &at.key("scope_mode"), "\"scope_mode\"", &known)? {
            self.unknown_keys(object, RELATIONS_SCOPE_KEYS, at);
            let schema = self.required_name(object, "schema", at);
            let unique_ids = self.identifiers(object, "unique_ids", Identifiers::Scope, at);
            Some(Scope::Relations { schema: schema?, unique_ids: unique_ids? })
        } else {
            self.unknown_keys(object, QUERY_SCOPE_KEYS, at);
            self.identifiers(object, "query", Identifiers::Query, at).map(Scope::Query)
        }
    }
}
