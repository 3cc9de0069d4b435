//! What a mapping reads and writes, told from its compiled form: a row for each source of a
//! value. Nothing is evaluated and no payload is looked at.

mod diagram;

use std::borrow::Cow;

use crate::error::{Code, Error, Result};
use crate::expr::{CancelToken, Jsonata, Reads};
use crate::mapping::{
    Enabled, Entity, Event, Field, FieldValue, Identifier, Mapping, Mode, Operation, RelationItems,
    RelationRefs, Relations, Scope, Source,
};

pub use diagram::diagram;

/// One source, and what it is for.
#[derive(Debug, Clone)]
pub struct Row<'m> {
    /// `None` in the bare form, which fits any event.
    pub event_name: Option<&'m str>,
    /// The entry's position in the event, from 1.
    pub entry: usize,
    pub entity_slug: &'m str,
    pub mode: Mode,
    pub role: Role,
    /// The attribute concerned; `None` where it is the entry as a whole.
    pub attribute: Option<&'m str>,
    pub kind: Kind,
    /// The source as it is written; a constant as JSON.
    pub expression: Cow<'m, str>,
    pub reads_from: ReadsFrom,
    pub reads: Reads,
    /// How a relation's items join those there are.
    pub operation: Option<Operation>,
    /// The slug and attribute that entities are looked up by, where they are known.
    pub target: Option<(Cow<'m, str>, Cow<'m, str>)>,
    /// Where it stands in the document, as a JSON Pointer.
    pub pointer: String,
}

/// What a source is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Yields the entry's items.
    Items,
    /// Decides whether the entry, or the field of an attribute, counts.
    Enabled,
    /// The value of an attribute that identifies the entity.
    Identifier,
    /// The value of another attribute.
    Attribute,
    /// Identifies a target of a relation, or yields the relation's items.
    Relation,
    /// Says which entities a prune looks at.
    Scope,
}

impl Role {
    /// The role in one word.
    pub fn name(self) -> &'static str {
        match self {
            Role::Items => "items",
            Role::Enabled => "enabled",
            Role::Identifier => "identifier",
            Role::Attribute => "attribute",
            Role::Relation => "relation",
            Role::Scope => "scope",
        }
    }
}

/// The language a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Constant,
    /// One literal key.
    Field,
    JsonPath,
    Jsonata,
}

impl Kind {
    /// The kind in one word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Constant => "constant",
            Kind::Field => "field",
            Kind::JsonPath => "jsonpath",
            Kind::Jsonata => "jsonata",
        }
    }
}

/// What the paths of a source begin at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadsFrom {
    Payload,
    /// What the entry's own expression yields.
    Item,
}

impl ReadsFrom {
    /// The place in one word.
    pub fn name(self) -> &'static str {
        match self {
            ReadsFrom::Payload => "payload",
            ReadsFrom::Item => "item",
        }
    }
}

/// The rows of the event named `event_name`, or of all events, in the order of the mapping.
/// Errors: `EVENT_NOT_CONFIGURED`, `EXPRESSION_LIMIT_EXCEEDED` once `cancel` is cancelled.
pub fn explain<'m>(
    mapping: &'m Mapping,
    event_name: Option<&'m str>,
    cancel: &CancelToken,
) -> Result<Vec<Row<'m>>> {
    let events: Vec<(Option<&str>, &Event)> = match event_name {
        Some(name) => vec![(event_name, mapping.event(name)?)],
        None => mapping.events().collect(),
    };
    let mut rows = Vec::new();
    for (event_name, event) in events {
        for (i, entity) in event.entities.iter().enumerate() {
            Entry { event_name, entry: i + 1, entity, cancel, rows: &mut rows }.explain()?;
        }
    }
    Ok(rows)
}

/// A source of the mapping, in whichever form it is kept there.
enum Given<'m> {
    Never,
    Expression(&'m Jsonata),
    /// An expression that yields relation items.
    Items(&'m Jsonata),
    NoItems,
    Source(&'m Source),
}

impl<'m> Given<'m> {
    fn kind(&self) -> Kind {
        match self {
            Given::Never | Given::NoItems | Given::Source(Source::Constant(_)) => Kind::Constant,
            Given::Expression(_) | Given::Items(_) | Given::Source(Source::Jsonata(_)) => {
                Kind::Jsonata
            }
            Given::Source(Source::Key(_)) => Kind::Field,
            Given::Source(Source::Path(_)) => Kind::JsonPath,
        }
    }

    fn text(&self) -> Cow<'m, str> {
        match self {
            Given::Never => "false".into(),
            Given::NoItems => "[]".into(),
            Given::Expression(expression) | Given::Items(expression) => expression.source().into(),
            Given::Source(Source::Constant(constant)) => constant.value().to_string().into(),
            Given::Source(source) => source.text().unwrap_or_default().into(),
        }
    }

    fn reads(&self) -> Reads {
        match self {
            Given::Never | Given::NoItems | Given::Source(Source::Constant(_)) => Reads::default(),
            Given::Expression(expression) => expression.reads(),
            Given::Source(Source::Jsonata(expression)) => expression.reads(),
            Given::Items(expression) => expression.relation_reads(),
            Given::Source(Source::Key(key)) => Reads::field(key),
            Given::Source(Source::Path(path)) => path.reads(),
        }
    }
}

/// One entry, and the rows so far.
struct Entry<'m, 'r> {
    event_name: Option<&'m str>,
    entry: usize,
    entity: &'m Entity,
    cancel: &'r CancelToken,
    rows: &'r mut Vec<Row<'m>>,
}

impl<'m> Entry<'m, '_> {
    fn explain(mut self) -> Result<()> {
        let entity = self.entity;
        let is_enabled = !matches!(entity.enabled, Enabled::Never);
        if let Some(expression) = entity.items.as_ref().filter(|_| is_enabled) {
            let at = format!("{}/jsonataExpression", entity.pointer);
            let row = self.row(Role::Items, None, Given::Expression(expression), at)?;
            row.reads_from = ReadsFrom::Payload;
        }
        if !self.enabled(None, &entity.enabled, &entity.pointer)? {
            return Ok(());
        }
        entity.fields.iter().try_for_each(|field| self.field(field))?;
        entity.scope.as_ref().map_or(Ok(()), |scope| self.scope(scope))
    }

    /// False if it never counts: then nothing else is read or written.
    fn enabled(&mut self, attribute: Option<&'m str>, is: &'m Enabled, at: &str) -> Result<bool> {
        let condition = match is {
            Enabled::Always => return Ok(true),
            Enabled::Never => Given::Never,
            Enabled::When(expression) => Given::Expression(expression),
        };
        self.row(Role::Enabled, attribute, condition, format!("{at}/enabled"))?;
        Ok(!matches!(is, Enabled::Never))
    }

    fn field(&mut self, field: &'m Field) -> Result<()> {
        let attribute = Some(&*field.attribute);
        if !self.enabled(attribute, &field.enabled, &field.pointer)? {
            return Ok(());
        }
        match &field.value {
            FieldValue::Source(source) => {
                let identifies = self.entity.unique_ids.contains(&field.attribute);
                let role = if identifies { Role::Identifier } else { Role::Attribute };
                self.row(role, attribute, Given::Source(source), field.pointer.clone())?;
                Ok(())
            }
            FieldValue::Relations(relations) => {
                let at = format!("{}/relations", field.pointer);
                self.relations(&field.attribute, relations, &at)
            }
            FieldValue::RelationRefs(refs) => {
                let at = format!("{}/relation_refs", field.pointer);
                self.relation_refs(&field.attribute, refs, &at)
            }
        }
    }

    fn relations(&mut self, attribute: &'m str, is: &'m Relations, at: &str) -> Result<()> {
        let attribute = Some(attribute);
        let first = self.rows.len();
        match &is.items {
            RelationItems::Listed(items) => {
                for (i, item) in items.iter().enumerate() {
                    let at = format!("{at}/items/{i}/unique_ids");
                    let schema = item.schema.as_str();
                    self.identifiers(Role::Relation, attribute, schema, &item.unique_ids, &at)?;
                }
                if items.is_empty() {
                    self.row(Role::Relation, attribute, Given::NoItems, format!("{at}/items"))?;
                }
            }
            RelationItems::Expression(expression) => {
                let at = format!("{at}/jsonataExpression");
                self.row(Role::Relation, attribute, Given::Items(expression), at)?;
                self.named_targets(expression);
            }
        }
        for row in &mut self.rows[first..] {
            row.operation = Some(is.operation);
        }
        Ok(())
    }

    /// What identifies each target, and what its attribute gets.
    fn relation_refs(&mut self, attribute: &'m str, is: &'m RelationRefs, at: &str) -> Result<()> {
        let attribute = Some(attribute);
        let first = self.rows.len();
        for (i, item) in is.items.iter().enumerate() {
            let ids = format!("{at}/items/{i}/unique_ids");
            self.identifiers(Role::Relation, attribute, &item.schema, &item.unique_ids, &ids)?;
            let value = format!("{at}/items/{i}/value");
            let row = self.row(Role::Relation, attribute, Given::Source(&item.source), value)?;
            row.target = Some((item.schema.as_str().into(), item.attribute.as_str().into()));
        }
        for row in &mut self.rows[first..] {
            row.operation = Some(is.operation);
        }
        Ok(())
    }

    /// Repeats the last row for each target that its expression names literally.
    fn named_targets(&mut self, expression: &Jsonata) {
        let named = expression.relation_targets();
        let mut targets: Vec<(String, String)> = named
            .into_iter()
            .flat_map(|(slug, names)| names.into_iter().map(move |name| (slug.clone(), name)))
            .collect();
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() {
            return;
        }
        let Some(row) = self.rows.pop() else { return };
        self.rows.extend(targets.into_iter().map(|(slug, attribute)| Row {
            target: Some((slug.into(), attribute.into())),
            ..row.clone()
        }));
    }

    /// The scope reads the payload, whatever the items are.
    fn scope(&mut self, scope: &'m Scope) -> Result<()> {
        let (slug, identifiers, list) = match scope {
            Scope::Relations { schema, unique_ids } => (schema, unique_ids, "unique_ids"),
            Scope::Query(query) => (&self.entity.schema, query, "query"),
        };
        let first = self.rows.len();
        let at = format!("{}/scope/{list}", self.entity.pointer);
        self.identifiers(Role::Scope, None, slug, identifiers, &at)?;
        for row in &mut self.rows[first..] {
            row.reads_from = ReadsFrom::Payload;
        }
        Ok(())
    }

    fn identifiers(
        &mut self,
        role: Role,
        attribute: Option<&'m str>,
        slug: &'m str,
        identifiers: &'m [Identifier],
        at: &str,
    ) -> Result<()> {
        for (i, identifier) in identifiers.iter().enumerate() {
            let source = Given::Source(&identifier.source);
            let row = self.row(role, attribute, source, format!("{at}/{i}"))?;
            row.target = Some((slug.into(), identifier.attribute.as_str().into()));
        }
        Ok(())
    }

    fn row(
        &mut self,
        role: Role,
        attribute: Option<&'m str>,
        source: Given<'m>,
        pointer: String,
    ) -> Result<&mut Row<'m>> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(Code::ExpressionLimitExceeded, "explaining was cancelled"));
        }
        let reads_item = self.entity.items.is_some();
        self.rows.push(Row {
            event_name: self.event_name,
            entry: self.entry,
            entity_slug: &self.entity.schema,
            mode: self.entity.mode,
            role,
            attribute,
            kind: source.kind(),
            expression: source.text(),
            reads_from: if reads_item { ReadsFrom::Item } else { ReadsFrom::Payload },
            reads: source.reads(),
            operation: None,
            target: None,
            pointer,
        });
        Ok(self.rows.last_mut().expect("a row was just added"))
    }
}
