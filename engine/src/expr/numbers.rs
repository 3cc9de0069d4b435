//! Which numbers of its input an expression computes with, and which it only hands through.
//!
//! JSONata's numbers are doubles, and a double does not tell where it came from. A number that
//! a double cannot hold (a 20-digit id, `1.10`) is therefore given to the evaluation as a token
//! where it can only be copied, and as a double where the expression computes with it. What is
//! done with a number is seen by the name of the field it stands under: an expression reaches
//! numbers by names. What stands below a field that is computed with is a double throughout; where
//! numbers are reached otherwise (a wildcard, a variable, a function's context), all are.
//!
//! A number that is written into a string is a double as well, which most numbers can be. Where
//! digits would be lost the expression is evaluated once more, with calls put in that turn tokens
//! into text where they are written ([`host`](super::host)).

use std::collections::BTreeSet;

use jlens_core::ast::{BinaryOp, FallbackOp, Stage};
use jlens_core::{Node, NodeKind, stack};

/// Doubles from here on stand for numbers; an expression with such a literal gets none.
const FIRST_TOKEN: f64 = 1.0e308;

/// Names that are given to names that are given to … a field: more are not followed.
const MAX_PASSES: usize = 10;

/// What an expression does with numbers, by the names of their fields.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberUse {
    computed: BTreeSet<String>,
    written: BTreeSet<String>,
    copied: BTreeSet<String>,
    /// Whether anything is computed with, or written, at all.
    something: Used,
    /// Whether all that is read may be.
    everything: Used,
    /// Whether what is written is handed to a function of ours, which takes tokens.
    takes_tokens: bool,
    /// Whether the node looked at next is a function that works on the step before it.
    is_step_of_function: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    computed: bool,
    written: bool,
    copied: bool,
}

impl Used {
    fn add(&mut self, purpose: For) {
        match purpose {
            For::Reaching => {}
            For::Copying => self.copied = true,
            For::Writing => self.written = true,
            For::Computing => self.computed = true,
        }
    }
}

/// How a number that a double cannot hold is given to an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// As a token: it is only copied.
    Token,
    /// As a double that is written into a string, and may be copied as well.
    Written {
        is_copied: bool,
    },
    Double,
}

/// What the result of a part of an expression is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// What is below it.
    Reaching,
    Copying,
    Writing,
    Computing,
}

impl For {
    /// What a result is for that is made, not reached.
    fn of_result(self) -> For {
        if self == For::Reaching { For::Copying } else { self }
    }

    fn or(self, other: For) -> For {
        if self == For::Copying { other } else { self }
    }
}

impl NumberUse {
    /// What `root` does with numbers, as it was written.
    pub fn of(root: &Node) -> NumberUse {
        NumberUse::default().found_in(root)
    }

    /// What `root` does with numbers where what is written may be a token.
    pub fn with_digits(root: &Node) -> NumberUse {
        NumberUse { takes_tokens: true, ..NumberUse::default() }.found_in(root)
    }

    fn found_in(mut self, root: &Node) -> NumberUse {
        // What is computed with under the name that an object gives it is found once the name
        // is known to be computed with: looked at again, until nothing is new.
        for _ in 0..MAX_PASSES {
            let before = self.found();
            self.node(root, For::Copying);
            if self.everything.computed || self.found() == before {
                return self;
            }
        }
        self.everything.computed = true;
        self
    }

    /// What grows with all that is found.
    fn found(&self) -> (usize, Used, Used) {
        let names = [&self.computed, &self.written, &self.copied].map(BTreeSet::len);
        (names.iter().sum(), self.something, self.everything)
    }

    /// How a number under the field `name` is given; `None`: it stands under no field.
    pub fn given(&self, name: Option<&str>) -> Given {
        let is_in = |names: &BTreeSet<String>| name.is_some_and(|name| names.contains(name));
        let something = if name.is_none() { self.something } else { Used::default() };
        if self.everything.computed || something.computed || is_in(&self.computed) {
            Given::Double
        } else if self.everything.written || something.written || is_in(&self.written) {
            Given::Written { is_copied: self.everything.copied || is_in(&self.copied) }
        } else {
            Given::Token
        }
    }

    /// Whether numbers are doubles wherever they stand.
    pub fn is_everything_computed(&self) -> bool {
        self.everything.computed
    }

    /// Whether what is written into strings is handed to a function of ours, tokens and all.
    pub fn takes_tokens(&self) -> bool {
        self.takes_tokens
    }

    fn node(&mut self, node: &Node, purpose: For) {
        stack::grow(|| self.kind(node, purpose));
        for stage in node.attrs.stages.iter().chain(&node.attrs.predicate) {
            // A predicate that is a number is an index.
            if let Stage::Filter { expr, .. } = stage {
                self.node(expr, For::Computing);
            }
        }
        if let Some(group) = &node.attrs.group {
            self.members(&group.pairs, purpose.of_result());
        }
    }

    fn kind(&mut self, node: &Node, purpose: For) {
        let purpose = if is_reference(node) { purpose } else { purpose.of_result() };
        match &node.kind {
            NodeKind::Name { name } => self.name(name, purpose),
            NodeKind::Path { steps, .. } => {
                let writing = self.writing();
                let of_context = |step: &Node| of_context(step, writing);
                let purposes = steps.iter().skip(1).map(of_context).chain([Some(purpose)]);
                for (step, purpose) in steps.iter().zip(purposes) {
                    self.is_step_of_function = of_context(step).is_some();
                    self.node(step, purpose.unwrap_or(For::Reaching));
                }
            }
            // A function that is handed on: what it is called with cannot be seen.
            NodeKind::Variable { name } if is_built_in(name) => self.everything.computed = true,
            NodeKind::Variable { .. }
            | NodeKind::Wildcard
            | NodeKind::Descendant
            | NodeKind::Parent { .. } => self.everything.add(purpose),
            NodeKind::Number { value } => self.everything.computed |= *value >= FIRST_TOKEN,
            NodeKind::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs),
            NodeKind::Negate { expr } => self.node(expr, For::Computing),
            NodeKind::Array { items } => items.iter().for_each(|item| self.node(item, purpose)),
            NodeKind::Object { pairs } => self.members(pairs, purpose),
            NodeKind::Condition { condition, then, otherwise } => {
                self.node(condition, For::Computing);
                self.node(then, purpose);
                otherwise.iter().for_each(|otherwise| self.node(otherwise, purpose));
            }
            NodeKind::Fallback { op, lhs, rhs } => {
                if *op == FallbackOp::Default {
                    self.node(lhs, For::Computing);
                }
                self.node(lhs, purpose);
                self.node(rhs, purpose);
            }
            NodeKind::Block { exprs, .. } => {
                if let Some((last, before)) = exprs.split_last() {
                    before.iter().for_each(|expr| self.node(expr, For::Copying));
                    self.node(last, purpose);
                }
            }
            // Where a variable is computed with, all numbers are doubles.
            NodeKind::Bind { rhs, .. } => {
                self.node(rhs, For::Copying);
                self.everything.add(purpose);
            }
            NodeKind::Function { procedure, args } => self.call(procedure, args, purpose),
            NodeKind::Lambda(definition) => self.node(&definition.body, purpose),
            NodeKind::Sort { terms } => {
                terms.iter().for_each(|term| self.node(&term.expr, For::Computing));
                self.everything.add(purpose);
            }
            NodeKind::Apply { .. } | NodeKind::Partial { .. } | NodeKind::Transform(_) => {
                self.everything.computed = true;
            }
            NodeKind::String { .. }
            | NodeKind::Bool { .. }
            | NodeKind::Null
            | NodeKind::Regex { .. }
            | NodeKind::Placeholder
            | NodeKind::Error { .. } => {}
        }
    }

    fn name(&mut self, name: &str, purpose: For) {
        self.something.add(purpose);
        let names = match purpose {
            For::Reaching => return,
            For::Copying => &mut self.copied,
            For::Writing => &mut self.written,
            For::Computing => &mut self.computed,
        };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }

    fn members(&mut self, pairs: &[(Node, Node)], purpose: For) {
        for (key, value) in pairs {
            self.node(key, For::Copying);
            let named = match &key.kind {
                NodeKind::String { value: name } if self.computed.contains(name) => For::Computing,
                NodeKind::String { value: name } if self.written.contains(name) => For::Writing,
                NodeKind::String { .. } => For::Copying,
                // Under a name that only the evaluation knows.
                _ if self.something.computed => For::Computing,
                _ if self.something.written => For::Writing,
                _ => For::Copying,
            };
            let is_computed = purpose == For::Computing || named == For::Computing;
            self.node(value, if is_computed { For::Computing } else { purpose.or(named) });
        }
    }

    fn writing(&self) -> For {
        if self.takes_tokens { For::Copying } else { For::Writing }
    }

    fn binary(&mut self, op: BinaryOp, lhs: &Node, rhs: &Node) {
        let purpose = match op {
            BinaryOp::Concat => self.writing(),
            // Beside a string a number is never equal, less or more, whatever it is.
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::In
                if is_no_number(lhs) || is_no_number(rhs) =>
            {
                For::Copying
            }
            _ => For::Computing,
        };
        self.node(lhs, purpose);
        self.node(rhs, purpose);
    }

    fn call(&mut self, procedure: &Node, args: &[Node], purpose: For) {
        let is_step = std::mem::take(&mut self.is_step_of_function);
        let name = called(procedure);
        // What the text it is given does cannot be seen.
        self.everything.computed |= name == "eval";
        let of_arguments = match Function::named(name) {
            Function::Looks => For::Copying,
            // What they hand on, and what a function of the author's own gives, is only seen
            // where it is copied.
            Function::HandsOn | Function::Own => {
                self.everything.add(purpose);
                For::Copying
            }
            // Written with indents, which takes no tokens.
            Function::Writes if args.len() > 1 && self.takes_tokens => For::Computing,
            Function::Writes => self.writing(),
            Function::Computes => For::Computing,
        };
        self.something.add(of_arguments);
        // As a step of a path it works on the step before.
        if !is_step && works_on_context(name, args) {
            self.everything.add(of_arguments);
        }
        if !matches!(procedure.kind, NodeKind::Variable { .. }) {
            self.node(procedure, For::Copying);
        }
        args.iter().for_each(|arg| self.node(arg, of_arguments));
    }
}

/// Whether it gives what is there already, and makes nothing.
fn is_reference(node: &Node) -> bool {
    matches!(
        node.kind,
        NodeKind::Name { .. }
            | NodeKind::Variable { .. }
            | NodeKind::Wildcard
            | NodeKind::Descendant
            | NodeKind::Parent { .. }
    )
}

/// What a function does with the numbers it is given.
enum Function {
    /// Looks at what there is, not at what it says.
    Looks,
    /// Hands its arguments on.
    HandsOn,
    Writes,
    Computes,
    /// The author's own: what it does is seen in its body.
    Own,
}

impl Function {
    fn named(name: &str) -> Function {
        match name {
            "exists" | "count" | "keys" | "type" | "now" | "millis" | "random" => Function::Looks,
            "append" | "merge" | "reverse" | "lookup" | "spread" | "map" | "filter" | "each"
            | "single" => Function::HandsOn,
            "string" => Function::Writes,
            name if is_built_in(name) => Function::Computes,
            _ => Function::Own,
        }
    }
}

/// The name of the function that is called, without `$`.
fn called(procedure: &Node) -> &str {
    match &procedure.kind {
        NodeKind::Variable { name } => name,
        _ => "",
    }
}

/// Whether a built-in function takes the context for an argument that is not given.
fn works_on_context(name: &str, args: &[Node]) -> bool {
    let all = if matches!(name, "power" | "formatNumber" | "formatInteger") { 2 } else { 1 };
    args.len() < all
}

/// What a step of a path does with the step before it, as far as it is a function's context.
fn of_context(step: &Node, writing: For) -> Option<For> {
    let NodeKind::Function { procedure, args } = &step.kind else { return None };
    let name = called(procedure);
    match Function::named(name) {
        Function::Writes if works_on_context(name, args) => Some(writing),
        Function::Computes if works_on_context(name, args) => Some(For::Computing),
        _ => None,
    }
}

fn is_built_in(name: &str) -> bool {
    jlens_core::function_catalog().iter().any(|function| function.name == name)
}

/// Whether a comparison with the value cannot depend on digits.
fn is_no_number(node: &Node) -> bool {
    match &node.kind {
        NodeKind::String { .. } | NodeKind::Bool { .. } | NodeKind::Null => true,
        NodeKind::Array { items } => items.iter().all(is_no_number),
        _ => false,
    }
}

/// The token that is handed out as the `count`th, from 0.
pub(super) fn token(count: usize) -> f64 {
    f64::from_bits(f64::MAX.to_bits() - count as u64)
}

/// Which token a double is, if it is one of `count`.
pub(super) fn token_index(double: f64, count: usize) -> Option<usize> {
    let index = usize::try_from(f64::MAX.to_bits().checked_sub(double.to_bits())?).ok()?;
    (index < count).then_some(index)
}

/// Whether a number of the input could be taken for a token.
pub(super) fn looks_like_token(double: f64) -> bool {
    double >= FIRST_TOKEN
}
