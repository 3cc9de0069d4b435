//! Which numbers of its input an expression computes with, and which it only hands through.
//!
//! JSONata's numbers are doubles, and a double does not tell where it came from. A number that
//! a double cannot hold (a 20-digit id, `1.10`) is therefore given to the evaluation as a token
//! where it can only be copied, and as a double where the expression computes with it. What is
//! done with a number is seen by the name of the field it stands under: an expression reaches
//! numbers by names. What stands below a field that is computed with, or written into a string,
//! is a double throughout; where numbers are reached otherwise (a wildcard, a variable, a
//! function's context), all are.

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
    everything_computed: bool,
    /// Whether anything is computed or written at all.
    something_computed: bool,
    /// Whether the node looked at next is a function that works on the step before it.
    is_step_of_function: bool,
}

/// How a number that a double cannot hold is given to an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// As a token: it is only copied.
    Token,
    /// As text, if it is an integer: it is only written into strings.
    Text,
    Double,
}

/// What the result of a part of an expression is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Copying,
    Writing,
    Computing,
}

impl For {
    fn or(self, other: For) -> For {
        if self == For::Copying { other } else { self }
    }
}

impl NumberUse {
    /// What `root` does with numbers.
    pub fn of(root: &Node) -> NumberUse {
        let mut found = NumberUse::default();
        // What is computed with under the name that an object gives it is found once the name
        // is known to be computed with: looked at again, until nothing is new.
        for _ in 0..MAX_PASSES {
            let before = found.size();
            found.node(root, For::Copying);
            if found.everything_computed || found.size() == before {
                return found;
            }
        }
        found.everything_computed = true;
        found
    }

    fn size(&self) -> usize {
        self.computed.len() + self.written.len() + usize::from(self.something_computed)
    }

    /// How a number under the field `name` is given; `None`: it stands under no field.
    pub fn given(&self, name: Option<&str>) -> Given {
        match name {
            _ if self.everything_computed => Given::Double,
            None if self.something_computed => Given::Double,
            None => Given::Token,
            Some(name) if self.computed.contains(name) => Given::Double,
            Some(name) if self.written.contains(name) => Given::Text,
            Some(_) => Given::Token,
        }
    }

    /// Whether numbers are doubles wherever they stand.
    pub fn is_everything_computed(&self) -> bool {
        self.everything_computed
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
            self.members(&group.pairs, purpose);
        }
    }

    fn kind(&mut self, node: &Node, purpose: For) {
        match &node.kind {
            NodeKind::Name { name } => self.name(name, purpose),
            NodeKind::Path { steps, .. } => {
                let purposes = steps.iter().skip(1).map(of_context).chain([Some(purpose)]);
                for (step, purpose) in steps.iter().zip(purposes) {
                    self.is_step_of_function = of_context(step).is_some();
                    self.node(step, purpose.unwrap_or(For::Copying));
                }
            }
            // A function that is handed on: what it is called with cannot be seen.
            NodeKind::Variable { name } if is_built_in(name) => self.everything_computed = true,
            NodeKind::Variable { .. }
            | NodeKind::Wildcard
            | NodeKind::Descendant
            | NodeKind::Parent { .. } => self.everything_computed |= purpose != For::Copying,
            NodeKind::Number { value } => self.everything_computed |= *value >= FIRST_TOKEN,
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
                self.everything_computed |= purpose != For::Copying;
            }
            NodeKind::Function { procedure, args } => self.call(procedure, args, purpose),
            NodeKind::Lambda(definition) => self.node(&definition.body, purpose),
            NodeKind::Sort { terms } => {
                terms.iter().for_each(|term| self.node(&term.expr, For::Computing));
                self.everything_computed |= purpose != For::Copying;
            }
            NodeKind::Apply { .. } | NodeKind::Partial { .. } | NodeKind::Transform(_) => {
                self.everything_computed = true;
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
        self.something_computed |= purpose != For::Copying;
        match purpose {
            For::Copying => {}
            For::Writing => {
                self.written.insert(name.to_owned());
            }
            For::Computing => {
                self.computed.insert(name.to_owned());
            }
        }
    }

    fn members(&mut self, pairs: &[(Node, Node)], purpose: For) {
        for (key, value) in pairs {
            self.node(key, For::Writing);
            let named = match &key.kind {
                NodeKind::String { value: name } if self.computed.contains(name) => For::Computing,
                NodeKind::String { value: name } if self.written.contains(name) => For::Writing,
                NodeKind::String { .. } => For::Copying,
                // Under a name that only the evaluation knows.
                _ if self.something_computed => For::Computing,
                _ => For::Copying,
            };
            let is_computed = purpose == For::Computing || named == For::Computing;
            self.node(value, if is_computed { For::Computing } else { purpose.or(named) });
        }
    }

    fn binary(&mut self, op: BinaryOp, lhs: &Node, rhs: &Node) {
        let purpose = match op {
            BinaryOp::Concat => For::Writing,
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
        self.everything_computed |= name == "eval";
        let of_arguments = match Function::named(name) {
            Function::Looks => For::Copying,
            // What they hand on, and what a function of the author's own gives, is only seen
            // where it is copied.
            Function::HandsOn | Function::Own => {
                self.everything_computed |= purpose != For::Copying;
                For::Copying
            }
            Function::Writes => For::Writing,
            Function::Computes => For::Computing,
        };
        if of_arguments != For::Copying {
            self.something_computed = true;
            // As a step of a path it works on the step before.
            self.everything_computed |= !is_step && works_on_context(name, args);
        }
        if !matches!(procedure.kind, NodeKind::Variable { .. }) {
            self.node(procedure, For::Copying);
        }
        args.iter().for_each(|arg| self.node(arg, of_arguments));
    }
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
fn of_context(step: &Node) -> Option<For> {
    let NodeKind::Function { procedure, args } = &step.kind else { return None };
    let name = called(procedure);
    match Function::named(name) {
        Function::Writes if works_on_context(name, args) => Some(For::Writing),
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
