//! What the relation items that an expression yields read beside it: an item may name a `field`
//! or a `jsonataExpression` for an identifier, which is evaluated once the item is there.

use jlens_core::ast::Stage;
use jlens_core::{Node, NodeKind, stack};

use super::jsonata::visit;
use super::{Jsonata, Path, Reads};

/// What the items that `root` yields read; everything, unless the expression writes them out.
pub(super) fn reads(root: &Node) -> Reads {
    let items = Items { may_call: !binds_function_names(root) };
    items.reads(root).unwrap_or_else(Reads::everything)
}

/// The members of an object constructor.
type Members<'n> = &'n [(Node, Node)];

/// Looks for the objects that are written out. `None` where others may be yielded.
struct Items {
    /// The functions that are looked into are the built-in ones.
    may_call: bool,
}

impl Items {
    fn reads(&self, root: &Node) -> Option<Reads> {
        let mut reads = Reads::default();
        for item in self.written(root)? {
            let Some(unique_ids) = member(item, "unique_ids")? else { continue };
            for identifier in self.written(unique_ids)? {
                if let Some(field) = member(identifier, "field")? {
                    reads = reads.and(of_field(literal(field)?));
                }
                if let Some(expression) = member(identifier, "jsonataExpression")? {
                    reads = reads.and(of_expression(literal(expression)?));
                }
            }
        }
        Some(reads)
    }

    fn written<'n>(&self, node: &'n Node) -> Option<Vec<Members<'n>>> {
        let mut found = Vec::new();
        self.collect(node, &mut found)?;
        Some(found)
    }

    /// Adds the constructors of the objects that `node` yields.
    fn collect<'n>(&self, node: &'n Node, found: &mut Vec<Members<'n>>) -> Option<()> {
        if node.attrs.group.is_some() || node.attrs.focus.is_some() {
            return None;
        }
        stack::grow(|| self.collect_kind(node, found))
    }

    fn collect_kind<'n>(&self, node: &'n Node, found: &mut Vec<Members<'n>>) -> Option<()> {
        match &node.kind {
            NodeKind::Object { pairs } => {
                found.push(pairs);
                Some(())
            }
            NodeKind::Array { items } => self.collect_all(items, found),
            NodeKind::Path { steps, .. } => {
                let is_sort = |step: &&Node| matches!(step.kind, NodeKind::Sort { .. });
                self.collect(steps.iter().rev().find(|step| !is_sort(step))?, found)
            }
            NodeKind::Condition { then, otherwise, .. } => {
                self.collect(then, found)?;
                otherwise.as_deref().map_or(Some(()), |otherwise| self.collect(otherwise, found))
            }
            NodeKind::Fallback { lhs, rhs, .. } => {
                self.collect(lhs, found)?;
                self.collect(rhs, found)
            }
            NodeKind::Block { exprs, .. } => {
                exprs.last().map_or(Some(()), |last| self.collect(last, found))
            }
            NodeKind::Function { procedure, args } if self.may_call => match &procedure.kind {
                NodeKind::Variable { name } => self.collect_call(name, args, found),
                _ => None,
            },
            // What yields no objects.
            NodeKind::String { .. }
            | NodeKind::Number { .. }
            | NodeKind::Bool { .. }
            | NodeKind::Null => Some(()),
            _ => None,
        }
    }

    fn collect_call<'n>(
        &self,
        name: &str,
        args: &'n [Node],
        found: &mut Vec<Members<'n>>,
    ) -> Option<()> {
        match (name, args) {
            ("append", args) => self.collect_all(args, found),
            ("filter", [list, _]) => self.collect(list, found),
            ("map", [_, Node { kind: NodeKind::Lambda(function), .. }]) => {
                self.collect(&function.body, found)
            }
            _ => None,
        }
    }

    fn collect_all<'n>(&self, nodes: &'n [Node], found: &mut Vec<Members<'n>>) -> Option<()> {
        nodes.iter().try_for_each(|node| self.collect(node, found))
    }
}

/// Whether a variable may hide a function that is looked into.
fn binds_function_names(root: &Node) -> bool {
    let mut binds = false;
    let mut bound = |name: &str| binds |= matches!(name, "append" | "filter" | "map");
    visit(root, &mut |node| {
        match &node.kind {
            NodeKind::Bind { lhs, .. } => {
                if let NodeKind::Variable { name } = &lhs.kind {
                    bound(name);
                }
            }
            NodeKind::Lambda(function) => function.params.iter().for_each(|name| bound(name)),
            _ => {}
        }
        node.attrs.focus.iter().chain(&node.attrs.index).for_each(|name| bound(name));
        for stage in &node.attrs.stages {
            if let Stage::Index { var, .. } = stage {
                bound(var);
            }
        }
    });
    binds
}

/// The member `name`, if there is one. `None`: a key is not written out.
fn member<'n>(members: Members<'n>, name: &str) -> Option<Option<&'n Node>> {
    let mut found = None;
    for (key, value) in members {
        if literal(key)? == name {
            found = Some(value);
        }
    }
    Some(found)
}

fn literal(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::String { value } => Some(value),
        _ => None,
    }
}

/// A path that is none fails, and reads nothing; so does an expression.
fn of_field(field: &str) -> Reads {
    match field.starts_with('$') {
        true => Path::compile(field).map(|path| path.reads()).unwrap_or_default(),
        false => Reads::field(field),
    }
}

fn of_expression(source: &str) -> Reads {
    Jsonata::compile(source).map(|expression| expression.reads()).unwrap_or_default()
}
