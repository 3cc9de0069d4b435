//! Document → compiled mapping, every problem at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Constant, Enabled, Entity, Event, Events, Field, FieldValue, Identifier, Mapping, Mode,
    Operation, Problem, RelationItem, RelationItems, Relations, Scope, Severity, Source, nearest,
};
use crate::expr::{Failure, Jsonata, Path};
use crate::jsonb::{Object, Value};

/// A document and what is wrong with it.
#[derive(Debug)]
pub struct Compiled {
    /// The mapping, unless a problem is an error.
    pub mapping: Option<Mapping>,
    /// What could be understood of it, if a problem is an error.
    pub understood: Option<Mapping>,
    /// In the order of the document's walk.
    pub problems: Vec<Problem>,
}

/// Compiles a mapping document: `{"version":"2.0","mapping":{"events":{NAME:{"entities":[…]}}}}`,
/// or the bare `{"entities":[…]}`.
pub fn compile(document: Value<'_>) -> Compiled {
    let mut compiler = Compiler { problems: Vec::new() };
    let events = compiler.document(document);
    let problems = compiler.problems;
    let is_usable = problems.iter().all(|problem| problem.severity != Severity::Error);
    let understood = events.map(|events| Mapping { events });
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
const FIELD_KEYS: &[&str] =
    &["attribute", "constant", "jsonataExpression", "field", "relations", "enabled"];
const RELATIONS_KEYS: &[&str] = &["operation", "items", "jsonataExpression"];
const ITEM_KEYS: &[&str] = &["entity_schema", "unique_ids", "_tags"];
const IDENTIFIER_KEYS: &[&str] = &["attribute", "constant", "jsonataExpression", "field"];
const RELATIONS_SCOPE_KEYS: &[&str] = &["scope_mode", "schema", "unique_ids"];
const QUERY_SCOPE_KEYS: &[&str] = &["scope_mode", "query"];

/// Where in the document the compiler is: a JSON Pointer.
#[derive(Clone, Copy)]
struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl At<'_> {
    const ROOT: At<'static> = At { parent: None, step: Step::Root };

    fn key<'p>(&'p self, key: &'p str) -> At<'p> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    fn pointer(&self) -> String {
        let before = self.parent.map(At::pointer).unwrap_or_default();
        match self.step {
            Step::Root => before,
            Step::Key(key) => format!("{before}/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("{before}/{index}"),
        }
    }
}

struct Compiler {
    problems: Vec<Problem>,
}

impl Compiler {
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
        let fields = self.fields(object, at);
        if let Some(ids) = &unique_ids {
            self.unmapped_identifiers(ids, object, at);
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
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let at = at.index(i);
            let Some(name) = self.name(item, &at, "an entry of \"unique_ids\"") else { continue };
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
        let mapped: Vec<&str> = fields
            .iter()
            .filter_map(|field| field.as_object()?.get("attribute")?.as_str())
            .collect();
        let at_ids = at.key("unique_ids");
        for (i, id) in ids.iter().enumerate() {
            if !mapped.contains(&id.as_str()) {
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
            let unique_ids = self.identifiers(object, "unique_ids", at);
            Some(Scope::Relations { schema: schema?, unique_ids: unique_ids? })
        } else {
            self.unknown_keys(object, QUERY_SCOPE_KEYS, at);
            self.identifiers(object, "query", at).map(Scope::Query)
        }
    }

    fn fields(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Vec<Field>> {
        let value = self.required(object, "fields", at)?;
        let at = at.key("fields");
        let fields = self.array(value, &at, "\"fields\"")?;
        let compiled = fields
            .into_iter()
            .enumerate()
            .filter_map(|(i, field)| self.field(field, &at.index(i)))
            .collect();
        Some(compiled)
    }

    fn field(&mut self, field: Value<'_>, at: &At<'_>) -> Option<Field> {
        let object = self.object(field, at, "an entry of \"fields\"")?;
        self.unknown_keys(object, FIELD_KEYS, at);
        let attribute = self.required_name(object, "attribute", at);
        let enabled = self.enabled(object, at);
        let value = match object.get("relations") {
            Some(relations) => {
                self.shadowed(object, "relations", IDENTIFIER_KEYS, at);
                self.relations(relations, &at.key("relations")).map(FieldValue::Relations)
            }
            None => self.source(object, at, "relations").map(FieldValue::Source),
        };
        let pointer = at.pointer();
        Some(Field { attribute: attribute?, enabled: enabled?, value: value?, pointer })
    }

    /// The source that counts when several stand there: `constant`, then `jsonataExpression`,
    /// then `field`.
    fn source(&mut self, object: Object<'_>, at: &At<'_>, other: &str) -> Option<Source> {
        if let Some(constant) = object.get("constant") {
            self.shadowed(object, "constant", &["jsonataExpression", "field"], at);
            return self.constant(constant, &at.key("constant")).map(Source::Constant);
        }
        if object.get("jsonataExpression").is_some() {
            self.shadowed(object, "jsonataExpression", &["field"], at);
            return self.optional_jsonata(object, at).map(Source::Jsonata);
        }
        let Some(field) = object.get("field") else {
            let or_other = if other.is_empty() { String::new() } else { format!(", \"{other}\"") };
            let message = format!(
                "a value needs one of \"field\", \"jsonataExpression\", \"constant\"{or_other}"
            );
            self.error("SOURCE_MISSING", at, message);
            return None;
        };
        let at = at.key("field");
        let field = self.string(field, &at, "\"field\"")?;
        if !field.starts_with('$') {
            return Some(Source::Key(field.to_owned()));
        }
        match Path::compile(field) {
            Ok(path) => Some(Source::Path(path)),
            Err(failure) => {
                self.error("PATH_INVALID", &at, failure.message);
                None
            }
        }
    }

    fn shadowed(&mut self, object: Object<'_>, winner: &str, losers: &[&str], at: &At<'_>) {
        for loser in losers.iter().filter(|loser| **loser != "attribute") {
            if object.get(loser).is_some() {
                let message = format!("\"{loser}\" is ignored beside \"{winner}\"");
                self.warning("KEY_UNUSED", &at.key(loser), message, None);
            }
        }
    }

    fn relations(&mut self, relations: Value<'_>, at: &At<'_>) -> Option<Relations> {
        let object = self.object(relations, at, "\"relations\"")?;
        self.unknown_keys(object, RELATIONS_KEYS, at);
        let operation = match object.get("operation") {
            None => Some(Operation::Set),
            Some(value) => self.word(value, &at.key("operation"), "\"operation\"", &Operation::ALL),
        };
        let items = match (object.get("items"), object.get("jsonataExpression")) {
            (Some(items), expression) => {
                if expression.is_some() {
                    self.shadowed(object, "items", &["jsonataExpression"], at);
                }
                self.relation_items(items, &at.key("items"))
            }
            (None, Some(_)) => self.optional_jsonata(object, at).map(RelationItems::Expression),
            (None, None) => {
                let message = "relations need \"items\" or \"jsonataExpression\"";
                self.error("SOURCE_MISSING", at, message);
                None
            }
        };
        Some(Relations { operation: operation?, items: items? })
    }

    fn relation_items(&mut self, items: Value<'_>, at: &At<'_>) -> Option<RelationItems> {
        let items = self.array(items, at, "\"items\"")?;
        let compiled = items
            .into_iter()
            .enumerate()
            .filter_map(|(i, item)| self.relation_item(item, &at.index(i)))
            .collect();
        Some(RelationItems::Listed(compiled))
    }

    fn relation_item(&mut self, item: Value<'_>, at: &At<'_>) -> Option<RelationItem> {
        let object = self.object(item, at, "an entry of \"items\"")?;
        self.unknown_keys(object, ITEM_KEYS, at);
        let schema = self.required_name(object, "entity_schema", at);
        let unique_ids = self.identifiers(object, "unique_ids", at);
        let tags = match object.get("_tags") {
            None => None,
            Some(tags) => {
                let at = at.key("_tags");
                for (i, tag) in self.array(tags, &at, "\"_tags\"")?.into_iter().enumerate() {
                    self.string(tag, &at.index(i), "a tag");
                }
                Some(self.constant(tags, &at)?)
            }
        };
        Some(RelationItem { schema: schema?, tags, unique_ids: unique_ids? })
    }

    /// A list of `{"attribute", "field" | "jsonataExpression" | "constant"}`, not empty.
    fn identifiers(
        &mut self,
        object: Object<'_>,
        key: &str,
        at: &At<'_>,
    ) -> Option<Vec<Identifier>> {
        let value = self.required(object, key, at)?;
        let at = at.key(key);
        let items = self.array(value, &at, &format!("\"{key}\""))?;
        if items.is_empty() {
            let message = format!("\"{key}\" must name at least one attribute");
            self.error("VALUE_INVALID", &at, message);
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut identifiers = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let at = at.index(i);
            let Some(identifier) = self.identifier(item, &at) else { continue };
            if !seen.insert(identifier.attribute.clone()) {
                let message = format!("\"{}\" is named twice", identifier.attribute);
                self.error("VALUE_INVALID", &at, message);
                continue;
            }
            identifiers.push(identifier);
        }
        Some(identifiers)
    }

    fn identifier(&mut self, identifier: Value<'_>, at: &At<'_>) -> Option<Identifier> {
        let object = self.object(identifier, at, "a unique identifier")?;
        self.unknown_keys(object, IDENTIFIER_KEYS, at);
        let attribute = self.required_name(object, "attribute", at);
        let source = self.source(object, at, "");
        Some(Identifier { attribute: attribute?, source: source? })
    }

    fn enabled(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Enabled> {
        let at = at.key("enabled");
        match object.get("enabled") {
            None | Some(Value::Bool(true)) => Some(Enabled::Always),
            Some(Value::Bool(false)) => Some(Enabled::Never),
            Some(Value::String(source)) => self.jsonata(source, &at).map(Enabled::When),
            Some(other) => {
                let message = format!(
                    "\"enabled\" must be true, false or a JSONata expression, not {}",
                    other.type_name()
                );
                self.error("TYPE_MISMATCH", &at, message);
                None
            }
        }
    }

    /// The object's `jsonataExpression`, if there is one.
    fn optional_jsonata(&mut self, object: Object<'_>, at: &At<'_>) -> Option<Jsonata> {
        let at = at.key("jsonataExpression");
        let source = self.string(object.get("jsonataExpression")?, &at, "\"jsonataExpression\"")?;
        self.jsonata(source, &at)
    }

    fn jsonata(&mut self, source: &str, at: &At<'_>) -> Option<Jsonata> {
        match Jsonata::compile(source) {
            Ok(expression) => Some(expression),
            Err(failure) => {
                self.error("EXPRESSION_INVALID", at, syntax_message(&failure));
                None
            }
        }
    }

    fn constant(&mut self, value: Value<'_>, at: &At<'_>) -> Option<Constant> {
        let constant = Constant::new(value);
        if constant.is_err() {
            self.error("VALUE_INVALID", at, "the value is too large");
        }
        constant.ok()
    }

    // Types and words

    fn object<'v>(&mut self, value: Value<'v>, at: &At<'_>, what: &str) -> Option<Object<'v>> {
        let object = value.as_object();
        if object.is_none() {
            self.wrong_type(value, at, what, "an object");
        }
        object
    }

    fn array<'v>(&mut self, value: Value<'v>, at: &At<'_>, what: &str) -> Option<Vec<Value<'v>>> {
        let array = value.as_array();
        if array.is_none() {
            self.wrong_type(value, at, what, "an array");
        }
        array.map(|array| array.iter().collect())
    }

    fn string<'v>(&mut self, value: Value<'v>, at: &At<'_>, what: &str) -> Option<&'v str> {
        let string = value.as_str();
        if string.is_none() {
            self.wrong_type(value, at, what, "a string");
        }
        string
    }

    fn wrong_type(&mut self, value: Value<'_>, at: &At<'_>, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}, not {}", value.type_name());
        self.error("TYPE_MISMATCH", at, message);
    }

    /// A string that is not empty.
    fn name(&mut self, value: Value<'_>, at: &At<'_>, what: &str) -> Option<String> {
        let name = self.string(value, at, what)?;
        if name.is_empty() {
            self.error("VALUE_INVALID", at, format!("{what} must not be empty"));
            return None;
        }
        Some(name.to_owned())
    }

    fn required_name(&mut self, object: Object<'_>, key: &str, at: &At<'_>) -> Option<String> {
        let value = self.required(object, key, at)?;
        self.name(value, &at.key(key), &format!("\"{key}\""))
    }

    fn required<'v>(&mut self, object: Object<'v>, key: &str, at: &At<'_>) -> Option<Value<'v>> {
        let value = object.get(key);
        if value.is_none() {
            self.error("KEY_MISSING", at, format!("\"{key}\" is missing"));
        }
        value
    }

    fn word<T: Copy>(
        &mut self,
        value: Value<'_>,
        at: &At<'_>,
        what: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        let word = self.string(value, at, what)?;
        let found = known.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let hint = match nearest(word, known.iter().map(|(name, _)| *name)) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("Use one of {}.", names.join(", ")),
            };
            let message = format!("{what} cannot be \"{word}\"");
            self.error_with_hint("VALUE_INVALID", at, message, Some(hint));
        }
        found.map(|(_, value)| *value)
    }

    fn unknown_keys(&mut self, object: Object<'_>, known: &[&str], at: &At<'_>) {
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(key)) {
            let hint =
                nearest(key, known.iter().copied()).map(|near| format!("Did you mean \"{near}\"?"));
            let message = format!("unknown key \"{key}\" is ignored");
            self.warning("KEY_UNKNOWN", &at.key(key), message, hint);
        }
    }

    // Reporting

    fn error(&mut self, code: &'static str, at: &At<'_>, message: impl Into<String>) {
        self.error_with_hint(code, at, message, None);
    }

    fn error_with_hint(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problem(Severity::Error, code, at, message.into(), hint);
    }

    fn warning(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problem(Severity::Warning, code, at, message.into(), hint);
    }

    fn problem(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: &At<'_>,
        message: String,
        hint: Option<String>,
    ) {
        self.problems.push(Problem { severity, code, path: at.pointer(), message, hint });
    }
}

fn syntax_message(failure: &Failure) -> String {
    let code = failure.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
    let position = failure.position.map(|at| format!(" (at position {at})")).unwrap_or_default();
    format!("{code}{}{position}", failure.message)
}
