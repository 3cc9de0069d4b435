//! An expression with calls of our own functions put into its text, and where in the text as it
//! was written an error of it lies. The functions are in [`host`](super::host).

use std::sync::LazyLock;

use jlens_core::ast::BinaryOp;
use jlens_core::{Bindings, Error, Expression, Node, NodeKind};

use super::host::{self, FIRST, WRITTEN};
use super::jsonata::visit;

/// What an expression is evaluated as.
#[derive(Debug, Clone)]
pub(super) struct Rewritten {
    pub expression: Expression,
    /// Where text was put in, in the text as it was written, and how much.
    insertions: Vec<(usize, usize)>,
}

impl Rewritten {
    /// The expression itself, or, where it may call `$distinct`, with a `$distinct` that takes
    /// linear time.
    pub fn of(written: &Expression) -> Result<Rewritten, Error> {
        let mut text = Text::new(written.source());
        text.replace_distinct(&written.ast().root);
        text.compile(written)
    }

    /// As [`Rewritten::of`], and all that it writes into strings is handed to [`WRITTEN`] before.
    pub fn with_digits(written: &Expression) -> Result<Rewritten, Error> {
        let mut text = Text::new(written.source());
        text.replace_distinct(&written.ast().root);
        visit(&written.ast().root, &mut |node| text.hand_to_written(node));
        text.compile(written)
    }

    /// The functions that were put in.
    pub fn bindings(&self) -> &'static Bindings {
        static NONE: LazyLock<Bindings> = LazyLock::new(Bindings::new);
        if self.insertions.is_empty() { &NONE } else { host::bindings() }
    }

    /// The position in the text as it was written.
    pub fn position(&self, position: usize) -> usize {
        let mut shift = 0;
        for (at, length) in &self.insertions {
            if position <= at + shift {
                break;
            }
            if position <= at + shift + length {
                return *at;
            }
            shift += length;
        }
        position - shift
    }
}

/// A text and what is to be put into it.
struct Text<'s> {
    source: &'s str,
    /// By the bytes before them.
    insertions: Vec<(usize, String)>,
}

impl<'s> Text<'s> {
    fn new(source: &'s str) -> Text<'s> {
        Text { source, insertions: Vec::new() }
    }

    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.insertions.push((at, text.into()));
    }

    /// Puts a function of the same name before the expression, which asks [`FIRST`] which items to
    /// keep where comparing each with each takes long. The names that it uses are taken before the
    /// expression can give them another meaning. What `$eval` is given may call it as well.
    fn replace_distinct(&mut self, root: &Node) {
        let mut may_call = false;
        visit(root, &mut |node| {
            may_call |= matches!(&node.kind, NodeKind::Variable { name } if matches!(&**name, "distinct" | "eval"));
        });
        if !may_call {
            return;
        }
        self.insert(
            0,
            format!(
                "($distinct:=($d:=$distinct;$f:=$filter;$l:=$lookup;$s:=$string;$k:=${FIRST};\
                 function($x)<x:x>{{($m:=$k($x);$m?$f($x,function($v,$i){{$l($m,$s($i))}}):$d($x))}});"
            ),
        );
        // Behind a comment that ends with the text.
        self.insert(self.source.len(), "\n)");
    }

    fn hand_to_written(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Binary { op: BinaryOp::Concat, lhs, rhs } => {
                [lhs, rhs].into_iter().for_each(|operand| self.wrap(operand));
            }
            NodeKind::Function { procedure, args } if is_string(procedure) => match &args[..] {
                [] => self.insert(node.span.end - 1, format!("${WRITTEN}($)")),
                [arg] => self.wrap(arg),
                _ => {}
            },
            _ => {}
        }
    }

    fn wrap(&mut self, node: &Node) {
        // What is a string anyway.
        if !matches!(
            node.kind,
            NodeKind::String { .. } | NodeKind::Binary { op: BinaryOp::Concat, .. }
        ) {
            self.insert(node.span.start, format!("${WRITTEN}("));
            self.insert(node.span.end, ")");
        }
    }

    /// Fails where only the expression itself is nested so little that it can be compiled.
    fn compile(mut self, written: &Expression) -> Result<Rewritten, Error> {
        if self.insertions.is_empty() {
            return Ok(Rewritten { expression: written.clone(), insertions: Vec::new() });
        }
        self.insertions.sort_by_key(|(at, _)| *at);
        let (mut text, mut insertions) = (String::new(), Vec::new());
        // How far the source is copied, in bytes and in UTF-16 code units, which positions count.
        let (mut copied, mut position) = (0, 0);
        for (at, inserted) in &self.insertions {
            let part = &self.source[copied..*at];
            text.push_str(part);
            text.push_str(inserted);
            copied = *at;
            position += part.encode_utf16().count();
            insertions.push((position, inserted.len()));
        }
        text.push_str(&self.source[copied..]);
        Ok(Rewritten { expression: Expression::compile(&text)?, insertions })
    }
}

fn is_string(procedure: &Node) -> bool {
    matches!(&procedure.kind, NodeKind::Variable { name } if name == "string")
}
