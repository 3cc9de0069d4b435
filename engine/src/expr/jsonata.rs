//! JSONata, by `jlens-core`: the only file that knows which engine evaluates it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use jlens_core::input::{Sink, Source, Sources};
use jlens_core::output::{Builder, Member};
use jlens_core::{Ast, Expression, NodeKind};

use super::{Context, Failure, FailureKind, MAX_EXPRESSION_LENGTH};
use crate::jsonb::{Number, Tree, Value};

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Jsonata(Expression);

impl Jsonata {
    /// Compiles `source`. The failure is of kind `Syntax` and has a position.
    pub fn compile(source: &str) -> Result<Jsonata, Failure> {
        if source.len() > MAX_EXPRESSION_LENGTH {
            let message = format!("the expression is longer than {MAX_EXPRESSION_LENGTH} bytes");
            return Err(Failure::new(FailureKind::Syntax, message));
        }
        let expression = Expression::compile(source).map_err(|error| Failure {
            kind: FailureKind::Syntax,
            code: Some(error.code().to_owned()),
            message: lower_case(error.message()),
            position: error.position(),
            limit: None,
        })?;
        Ok(Jsonata(expression))
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        self.0.source()
    }

    /// The expression's value on `input` (`None`: no input); `None` when it is nothing.
    ///
    /// Arrays and objects that the expression hands through unchanged stay in place, numbers it
    /// hands through stay exact; numbers it computes are doubles.
    pub fn evaluate<'a>(
        &self,
        input: Option<Value<'a>>,
        context: &Context<'a>,
    ) -> Result<Option<Tree<'a>>, Failure> {
        let document = Rc::new_cyclic(|me| Document {
            me: me.clone(),
            containers: RefCell::default(),
            inexact: RefCell::default(),
        });
        let root = Root { document: &document, value: input };
        let mut writer = Writer { document: &document, context, holds_nul: Cell::new(false) };
        let result = self
            .0
            .evaluate_source_to(&root, context.bindings, &context.options, |out| {
                out.write(&mut writer)
            })
            .map_err(|error| failure(&error))?;
        if writer.holds_nul.get() {
            let message = "the result holds \\u0000, which jsonb cannot store";
            return Err(Failure::new(FailureKind::Evaluation, message));
        }
        Ok(result)
    }

    /// The literal sets of `(entity_schema, unique_ids)` that the expression's object
    /// constructors name: what a dynamic relation can be seen to link to without running it.
    pub fn relation_targets(&self) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::new();
        collect_targets(self.0.ast(), &mut found);
        found
    }
}

/// JSONata's cast to a boolean (`$boolean`); nothing is false.
pub fn truthy(value: Option<Value<'_>>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => value,
        Some(Value::Number(number)) => number.to_f64() != 0.0,
        Some(Value::String(string)) => !string.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::Array(array)) => array.iter().any(|item| truthy(Some(item))),
    }
}

/// The arrays and objects of one evaluation's input that the evaluation has met.
struct Document<'a> {
    me: Weak<Document<'a>>,
    containers: RefCell<Vec<Value<'a>>>,
    /// Numbers read whose double does not write back as the same digits, by the double's bits;
    /// `None` when two different numbers share the double.
    inexact: RefCell<HashMap<u64, Option<Number<'a>>>>,
}

impl<'a> Document<'a> {
    fn put(&self, value: Value<'a>, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        match value {
            Value::Null => sink.null(),
            Value::Bool(value) => sink.bool(value),
            Value::String(string) => sink.string(string),
            Value::Number(number) => sink.number(self.double(number)?),
            Value::Array(_) => sink.array_of(&self.this(), self.member(value)),
            Value::Object(_) => sink.object_of(&self.this(), self.member(value)),
        }
        Ok(())
    }

    fn double(&self, number: Number<'a>) -> Result<f64, String> {
        let double = number.to_f64();
        if double.is_infinite() {
            return Err("a number is beyond double precision".into());
        }
        if !number.is_exact_f64() {
            self.inexact
                .borrow_mut()
                .entry(double.to_bits())
                .and_modify(|kept| {
                    if kept.is_some_and(|kept| kept.bytes() != number.bytes()) {
                        *kept = None;
                    }
                })
                .or_insert(Some(number));
        }
        Ok(double)
    }

    fn member(&self, container: Value<'a>) -> u32 {
        let mut containers = self.containers.borrow_mut();
        containers.push(container);
        (containers.len() - 1) as u32
    }

    fn this(&self) -> Rc<Document<'a>> {
        self.me.upgrade().expect("a document outlives the evaluation that reads it")
    }

    fn container(&self, index: u32) -> Value<'a> {
        self.containers.borrow()[index as usize]
    }
}

impl<'a> Sources<'a> for Document<'a> {
    fn read(&self, index: u32, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        match self.container(index) {
            Value::Array(array) => {
                sink.reserve(array.len());
                array.iter().try_for_each(|item| self.put(item, sink))
            }
            Value::Object(object) => {
                sink.reserve(object.len());
                object.iter().try_for_each(|(key, value)| {
                    sink.key(key);
                    self.put(value, sink)
                })
            }
            _ => Ok(()),
        }
    }

    fn read_field(&self, index: u32, key: &str, sink: &mut Sink<'_, 'a>) -> Result<bool, String> {
        if let Some(field) = self.container(index).as_object().and_then(|object| object.get(key)) {
            self.put(field, sink)?;
        }
        Ok(true)
    }

    fn length(&self, index: u32) -> Option<usize> {
        self.container(index).as_array().map(|array| array.len())
    }

    fn read_item(&self, index: u32, item: usize, sink: &mut Sink<'_, 'a>) -> Result<bool, String> {
        if let Some(item) = self.container(index).as_array().and_then(|array| array.get(item)) {
            self.put(item, sink)?;
        }
        Ok(true)
    }
}

struct Root<'r, 'a> {
    document: &'r Document<'a>,
    value: Option<Value<'a>>,
}

impl<'a> Source<'a> for Root<'_, 'a> {
    fn read(&self, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        self.value.map_or(Ok(()), |value| self.document.put(value, sink))
    }
}

/// Writes a result as a [`Tree`].
struct Writer<'w, 'a> {
    document: &'w Rc<Document<'a>>,
    context: &'w Context<'a>,
    holds_nul: Cell<bool>,
}

impl<'a> Writer<'_, 'a> {
    fn string(&self, value: &str) -> &'a str {
        if value.contains('\0') {
            self.holds_nul.set(true);
        }
        self.context.arena.alloc_str(value)
    }

    fn number(&self, value: f64) -> Tree<'a> {
        let read = self.document.inexact.borrow().get(&value.to_bits()).copied().flatten();
        if let Some(number) = read {
            return Value::Number(number).into();
        }
        let Some(bytes) = Number::from_f64(value) else { return Value::Null.into() };
        let number = Number::from_datum(self.context.arena.alloc_slice_copy(&bytes));
        if number.is_beyond_exact_integers() {
            self.context.computed.borrow_mut().push(value.to_bits());
        }
        Value::Number(number).into()
    }
}

impl<'a> Builder for Writer<'_, 'a> {
    type Value = Tree<'a>;
    type Array = Vec<Tree<'a>>;
    type Object = Vec<(&'a str, Tree<'a>)>;

    fn null(&mut self) -> Tree<'a> {
        Value::Null.into()
    }

    fn bool(&mut self, value: bool) -> Tree<'a> {
        Value::Bool(value).into()
    }

    fn number(&mut self, value: f64) -> Tree<'a> {
        Writer::number(self, value)
    }

    fn string(&mut self, value: &str) -> Tree<'a> {
        Value::String(Writer::string(self, value)).into()
    }

    fn array(&mut self, len: usize) -> Self::Array {
        Vec::with_capacity(len)
    }

    fn push(&mut self, array: &mut Self::Array, item: Tree<'a>) {
        array.push(item);
    }

    fn end_array(&mut self, array: Self::Array) -> Tree<'a> {
        Tree::Array(array)
    }

    fn object(&mut self, len: usize) -> Self::Object {
        Vec::with_capacity(len)
    }

    fn insert(&mut self, object: &mut Self::Object, key: &str, value: Tree<'a>) {
        object.push((Writer::string(self, key), value));
    }

    fn end_object(&mut self, object: Self::Object) -> Tree<'a> {
        Tree::Object(object)
    }

    fn input(&mut self, member: Member) -> Option<Tree<'a>> {
        member.of(self.document).then(|| self.document.container(member.index()).into())
    }
}

fn failure(error: &jlens_core::Error) -> Failure {
    let kind = match error.code() {
        "D1011" | "D1012" | "D2014" | "D2015" | "D2016" | "U1001" | "U1006" => FailureKind::Limit,
        "U1003" => FailureKind::Cancelled,
        _ => FailureKind::Evaluation,
    };
    Failure {
        kind,
        code: Some(error.code().to_owned()),
        message: lower_case(message_without_values(error)),
        position: error.position(),
        limit: exceeded(error),
    }
}

/// The limit that an error tells of.
fn exceeded(error: &jlens_core::Error) -> Option<&'static str> {
    let told = error.message();
    match error.code() {
        "D1012" => Some("timeout"),
        "U1006" => Some("max_steps"),
        "D1011" => Some("max_depth"),
        "U1001" if told.contains("string") => Some("max_string_length"),
        "U1001" if told.contains("result") => Some("max_result_size"),
        "U1001" if told.contains("array") || told.contains("sequence") => Some("max_array_length"),
        _ => None,
    }
}

/// The engine's messages begin with a capital, ours do not.
fn lower_case(message: String) -> String {
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message,
    }
}

/// The engine's message without the values of the input that it quotes. What `$error` and
/// `$assert` say is the mapping author's own text and stays.
fn message_without_values(error: &jlens_core::Error) -> String {
    let entry = jlens_core::error::catalog().iter().find(|entry| entry.code == error.code());
    let template = match (entry, error.code()) {
        (Some(entry), code) if !matches!(code, "U1001" | "U1004" | "D3137" | "D3141") => {
            entry.template
        }
        _ => return error.message(),
    };
    let token = error.token().unwrap_or_default();
    let mut text =
        template.replace("{{{token}}}", &token).replace("{{token}}", &format!("{token:?}"));
    for name in ["index", "type", "exp", "functionName"] {
        let shown = match error.detail(name) {
            Some(serde_json::Value::String(string)) => string.clone(),
            Some(other) => other.to_string(),
            None => continue,
        };
        text = text.replace(&format!("{{{{{{{name}}}}}}}"), &shown);
        text = text.replace(&format!("{{{{{name}}}}}"), &shown);
    }
    if matches!(error.code(), "D1012" | "U1006")
        && let Some(limit) = error.value()
    {
        text = text.replace("{{value}}", &limit.to_string());
    }
    for name in ["value2", "value"] {
        text = text.replace(&format!("{{{{{name}}}}}"), "(a value)");
    }
    text
}

fn collect_targets(ast: &Ast, found: &mut Vec<(String, Vec<String>)>) {
    ast.root.walk(&mut |node| {
        let NodeKind::Object { pairs } = &node.kind else { return };
        let member = |name: &str| {
            pairs.iter().find_map(|(key, value)| match &key.kind {
                NodeKind::String { value: key } if key == name => Some(value),
                _ => None,
            })
        };
        let Some(NodeKind::String { value: schema }) = member("entity_schema").map(|n| &n.kind)
        else {
            return;
        };
        let Some(NodeKind::Array { items }) = member("unique_ids").map(|n| &n.kind) else {
            return;
        };
        let attributes: Option<Vec<String>> = items.iter().map(literal_attribute).collect();
        if let Some(attributes) = attributes {
            found.push((schema.clone(), attributes));
        }
    });
}

/// The `attribute` that an identifier's object constructor names as a literal.
fn literal_attribute(node: &jlens_core::Node) -> Option<String> {
    let NodeKind::Object { pairs } = &node.kind else { return None };
    pairs.iter().find_map(|(key, value)| match (&key.kind, &value.kind) {
        (NodeKind::String { value: key }, NodeKind::String { value }) if key == "attribute" => {
            Some(value.clone())
        }
        _ => None,
    })
}
