//! JSONata, by `jlens-core`: the only file that knows which engine evaluates it.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::Instant;

use jlens_core::input::{Sink, Source, Sources};
use jlens_core::output::{Builder, Member};
use jlens_core::{Ast, CancelToken, Expression, Node, NodeKind, Options, stack};

use super::direct::Direct;
use super::failure::{failure, of_syntax};
use super::numbers::{Given, NumberUse, looks_like_token, token, token_index};
use super::rewrite::Rewritten;
use super::{Context, Failure, FailureKind, Limits, Reads, host, items};
use crate::jsonb::{Array, EXACT_INTEGERS, Number, Tree, Value};

/// The longest expression whose reads are told apart, in bytes. The analysis cannot be stopped,
/// and takes up to two seconds at this length.
const MAX_ANALYSED: usize = 16 << 10;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Jsonata {
    expression: Expression,
    /// What is evaluated first, if the expression is of that kind.
    direct: Option<Rc<Direct>>,
    evaluated: Rc<Evaluated>,
    /// What is evaluated where digits would be lost that are written into strings.
    with_digits: Rc<OnceCell<Result<Evaluated, Failure>>>,
}

/// An expression as it is evaluated, and what it does with numbers.
#[derive(Debug)]
struct Evaluated {
    text: Rewritten,
    numbers: Rc<NumberUse>,
}

impl Jsonata {
    /// Compiles `source`, of the default length at most.
    pub fn compile(source: &str) -> Result<Jsonata, Failure> {
        Jsonata::compile_within(source, Limits::default().max_length)
    }

    /// Compiles `source`, of `max_length` bytes at most. The failure is of kind `Syntax` and has a
    /// position.
    pub fn compile_within(source: &str, max_length: usize) -> Result<Jsonata, Failure> {
        if source.len() > max_length {
            let message = format!("the expression is longer than {max_length} bytes");
            let limit = Some("max_length");
            return Err(Failure { limit, ..Failure::new(FailureKind::Syntax, message) });
        }
        let expression = Expression::compile(source)
            .map_err(|error| Failure { position: error.position(), ..of_syntax(&error) })?;
        let evaluated = Rc::new(Evaluated {
            text: Rewritten::of(&expression).map_err(|error| of_syntax(&error))?,
            numbers: Rc::new(NumberUse::of(&expression.ast().root)),
        });
        let direct = Direct::of(&expression.ast().root).map(Rc::new);
        Ok(Jsonata { expression, direct, evaluated, with_digits: Rc::default() })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        self.expression.source()
    }

    /// The expression's value on `input` (`None`: no input); `None` when it is nothing.
    ///
    /// Arrays and objects that the expression hands through unchanged stay in place, numbers it
    /// hands through stay exact; numbers it computes with are doubles.
    pub fn evaluate<'a>(
        &self,
        input: Option<Value<'a>>,
        context: &Context<'a>,
    ) -> Result<Option<Tree<'a>>, Failure> {
        if let Some(direct) = &self.direct
            && let Ok(found) = direct.evaluate(input, context)
        {
            context.check()?;
            return Ok(found);
        }
        self.evaluate_by_engine(input, context)
    }

    pub(super) fn evaluate_by_engine<'a>(
        &self,
        input: Option<Value<'a>>,
        context: &Context<'a>,
    ) -> Result<Option<Tree<'a>>, Failure> {
        let begun = Instant::now();
        match self.evaluated.run(input, context, &context.options) {
            Err(Stop::LosesDigits) => {}
            Err(Stop::Failed(failure)) => return Err(failure),
            Ok(result) => return Ok(result),
        }
        let left = context.limits.timeout.saturating_sub(begun.elapsed());
        let options = context.options.clone().timeout(left);
        match self.with_digits()?.run(input, context, &options) {
            Ok(result) => Ok(result),
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::LosesDigits) => unreachable!("what it writes is given as tokens"),
        }
    }

    fn with_digits(&self) -> Result<&Evaluated, Failure> {
        let rewritten = || {
            Ok(Evaluated {
                text: Rewritten::with_digits(&self.expression)
                    .map_err(|error| of_syntax(&error))?,
                numbers: Rc::new(NumberUse::with_digits(&self.expression.ast().root)),
            })
        };
        self.with_digits.get_or_init(rewritten).as_ref().map_err(Failure::clone)
    }

    #[cfg(test)]
    pub(super) fn ast(&self) -> &Ast {
        self.expression.ast()
    }

    /// What the expression may read of its input; everything, if it is very long.
    pub fn reads(&self) -> Reads {
        if self.source().len() > MAX_ANALYSED {
            return Reads::everything();
        }
        Reads::of_jsonata(self.expression.reads().input())
    }

    /// As [`Jsonata::reads`], with what the relation items that it yields read in turn.
    pub fn relation_reads(&self) -> Reads {
        self.reads().and(items::reads(&self.expression.ast().root))
    }

    /// The literal sets of `(entity_schema, unique_ids)` that the expression's object
    /// constructors name: what a dynamic relation can be seen to link to without running it.
    pub fn relation_targets(&self) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::new();
        collect_targets(self.expression.ast(), &mut found);
        found
    }
}

/// Why an evaluation has no result.
enum Stop {
    /// Digits of a number that it writes into a string, and may copy, would be lost.
    LosesDigits,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl Evaluated {
    fn run<'a>(
        &self,
        input: Option<Value<'a>>,
        context: &Context<'a>,
        options: &Options,
    ) -> Result<Option<Tree<'a>>, Stop> {
        let document = Rc::new_cyclic(|me| Document {
            me: me.clone(),
            numbers: self.numbers.clone(),
            containers: RefCell::default(),
            tokens: RefCell::default(),
            loses_digits: Cell::new(false),
            cancel: context.cancel.clone(),
        });
        let root = Root { document: &document, value: input };
        let room = context.limits.max_result_size;
        let mut writer = Writer { document: &document, context, room, failed: None };
        let evaluate = || {
            let expression = &self.text.expression;
            let bindings = self.text.bindings();
            expression.evaluate_source_to(&root, bindings, options, |out| out.write(&mut writer))
        };
        // What it panics about (a picture of 65,536 decimals) is a failure of the expression.
        let result = catch_unwind(AssertUnwindSafe(evaluate))
            .map_err(|_| Failure::new(FailureKind::Evaluation, PANICKED));
        host::forget_tokens();
        let result = result?;
        context.check()?;
        if document.loses_digits.get() {
            return Err(Stop::LosesDigits);
        }
        let result = result.map_err(|error| failure(&error, &self.text))?;
        match writer.failed {
            None => Ok(result),
            Some(TOO_LARGE) => Err(Failure::limit(TOO_LARGE, Some("max_result_size")).into()),
            Some(other) => Err(Failure::new(FailureKind::Evaluation, other).into()),
        }
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
        Some(Value::Array(array)) => any_truthy(array),
    }
}

/// Not recursive: takes any nesting.
fn any_truthy(array: Array<'_>) -> bool {
    let mut pending = vec![array];
    while let Some(array) = pending.pop() {
        for item in array.iter() {
            match item {
                Value::Array(inner) => pending.push(inner),
                other if truthy(Some(other)) => return true,
                _ => {}
            }
        }
    }
    false
}

/// The arrays and objects of one evaluation's input that the evaluation has met.
struct Document<'a> {
    me: Weak<Document<'a>>,
    numbers: Rc<NumberUse>,
    containers: RefCell<Vec<Container<'a>>>,
    /// Numbers that were given as tokens, in turn.
    tokens: RefCell<Vec<Number<'a>>>,
    /// A number that is written is more than a double.
    loses_digits: Cell<bool>,
    cancel: CancelToken,
}

#[derive(Clone, Copy)]
struct Container<'a> {
    value: Value<'a>,
    /// How the numbers in it are given; `None`: by the names of its fields, or as what stands
    /// under no field.
    given: Option<Given>,
}

impl<'a> Document<'a> {
    /// What stands under no field: fields below have names, numbers are given by the whole.
    fn put_unnamed(&self, value: Value<'a>, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        if !self.numbers.is_everything_computed() {
            match value {
                Value::Array(_) => {
                    sink.array_of(&self.this(), self.member(value, None));
                    return Ok(());
                }
                Value::Object(_) => return self.put(value, Given::Token, sink),
                _ => {}
            }
        }
        self.put(value, self.numbers.given(None), sink)
    }

    fn put_item(
        &self,
        container: Container<'a>,
        item: Value<'a>,
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), String> {
        match container.given {
            Some(given) => self.put(item, given, sink),
            None => self.put_unnamed(item, sink),
        }
    }

    fn put(&self, value: Value<'a>, given: Given, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        match value {
            Value::Null => sink.null(),
            Value::Bool(value) => sink.bool(value),
            Value::String(string) => sink.string(string),
            Value::Number(number) => self.put_number(number, given, sink)?,
            Value::Array(_) => {
                sink.array_of(&self.this(), self.member(value, Some(given)));
            }
            Value::Object(_) => {
                let inside = (given != Given::Token).then_some(given);
                sink.object_of(&self.this(), self.member(value, inside));
            }
        }
        Ok(())
    }

    fn put_number(
        &self,
        number: Number<'a>,
        given: Given,
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), String> {
        let double = number.to_f64();
        if number.is_exact_f64() && double.abs() < EXACT_INTEGERS {
            sink.number(double);
            return Ok(());
        }
        match given {
            Given::Token => {
                let mut tokens = self.tokens.borrow_mut();
                sink.number(token(tokens.len()));
                tokens.push(number);
                if self.numbers.takes_tokens() {
                    host::note_token(number);
                }
            }
            Given::Written { is_copied } if is_copied || number.is_integer() => {
                self.loses_digits.set(true);
                return Err("digits would be lost".into());
            }
            Given::Written { .. } | Given::Double if looks_like_token(double.abs()) => {
                return Err("a number is beyond what can be computed with".into());
            }
            Given::Written { .. } | Given::Double => sink.number(double),
        }
        Ok(())
    }

    fn member(&self, value: Value<'a>, given: Option<Given>) -> u32 {
        let mut containers = self.containers.borrow_mut();
        containers.push(Container { value, given });
        (containers.len() - 1) as u32
    }

    /// Fails once the call is to stop; looks at some of the `index`es that are read in turn.
    fn check(&self, index: usize) -> Result<(), String> {
        match index % 1_024 == 1_023 && self.cancel.is_cancelled() {
            true => Err("the call was cancelled".into()),
            false => Ok(()),
        }
    }

    fn this(&self) -> Rc<Document<'a>> {
        self.me.upgrade().expect("a document outlives the evaluation that reads it")
    }

    fn container(&self, index: u32) -> Container<'a> {
        self.containers.borrow()[index as usize]
    }

    /// How the number, or what is in the container, under the field `name` is given.
    fn of_field(&self, container: Container<'a>, name: &str) -> Given {
        container.given.unwrap_or_else(|| self.numbers.given(Some(name)))
    }
}

impl<'a> Sources<'a> for Document<'a> {
    fn read(&self, index: u32, sink: &mut Sink<'_, 'a>) -> Result<(), String> {
        let container = self.container(index);
        match container.value {
            Value::Array(array) => {
                sink.reserve(array.len());
                array.iter().enumerate().try_for_each(|(i, item)| {
                    self.check(i)?;
                    self.put_item(container, item, sink)
                })
            }
            Value::Object(object) => {
                sink.reserve(object.len());
                object.iter().enumerate().try_for_each(|(i, (key, value))| {
                    self.check(i)?;
                    sink.key(key);
                    self.put(value, self.of_field(container, key), sink)
                })
            }
            _ => Ok(()),
        }
    }

    fn read_field(&self, index: u32, key: &str, sink: &mut Sink<'_, 'a>) -> Result<bool, String> {
        let container = self.container(index);
        if let Some(field) = container.value.as_object().and_then(|object| object.get(key)) {
            self.put(field, self.of_field(container, key), sink)?;
        }
        Ok(true)
    }

    fn length(&self, index: u32) -> Option<usize> {
        self.container(index).value.as_array().map(|array| array.len())
    }

    fn read_item(&self, index: u32, item: usize, sink: &mut Sink<'_, 'a>) -> Result<bool, String> {
        let container = self.container(index);
        if let Some(item) = container.value.as_array().and_then(|array| array.get(item)) {
            self.put_item(container, item, sink)?;
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
        self.value.map_or(Ok(()), |value| self.document.put_unnamed(value, sink))
    }
}

/// Writes a result as a [`Tree`].
struct Writer<'w, 'a> {
    document: &'w Rc<Document<'a>>,
    context: &'w Context<'a>,
    /// Bytes of the input that the result may still repeat.
    room: usize,
    failed: Option<&'static str>,
}

const HOLDS_NUL: &str = "the result holds \\u0000, which jsonb cannot store";
const TOO_LARGE: &str = "the result would exceed the size limit of a result";
const PANICKED: &str = "the expression engine cannot compute this";

impl<'a> Writer<'_, 'a> {
    fn string(&mut self, value: &str) -> &'a str {
        if value.contains('\0') {
            self.failed = Some(HOLDS_NUL);
        }
        self.context.arena.alloc_str(value)
    }

    fn number(&self, value: f64) -> Tree<'a> {
        let tokens = self.document.tokens.borrow();
        if let Some(index) = token_index(value, tokens.len()) {
            return Value::Number(tokens[index]).into();
        }
        let Some(bytes) = Number::computed(value) else { return Value::Null.into() };
        Value::Number(Number::from_datum(self.context.arena.alloc_slice_copy(&bytes))).into()
    }

    fn repeat(&mut self, value: Value<'a>) -> Tree<'a> {
        match self.room.checked_sub(value.size()) {
            Some(room) => {
                self.room = room;
                value.into()
            }
            None => {
                self.failed = Some(TOO_LARGE);
                Value::Null.into()
            }
        }
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
        // It is thrown away then.
        if !self.context.is_cancelled() {
            array.push(item);
        }
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
        let container = member.of(self.document).then(|| self.document.container(member.index()));
        container.map(|container| self.repeat(container.value))
    }
}

/// Calls `f` for a node and all below it. Expressions nest deeper than a stack is.
pub(super) fn visit<'n>(node: &'n Node, f: &mut impl FnMut(&'n Node)) {
    f(node);
    stack::grow(|| node.for_each_child(|child| visit(child, f)));
}

fn collect_targets(ast: &Ast, found: &mut Vec<(String, Vec<String>)>) {
    visit(&ast.root, &mut |node| {
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
fn literal_attribute(node: &Node) -> Option<String> {
    let NodeKind::Object { pairs } = &node.kind else { return None };
    pairs.iter().find_map(|(key, value)| match (&key.kind, &value.kind) {
        (NodeKind::String { value: key }, NodeKind::String { value }) if key == "attribute" => {
            Some(value.clone())
        }
        _ => None,
    })
}
