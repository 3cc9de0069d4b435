//! JSONata expressions.

use erp_engine::expr::Jsonata;

use super::{Maker, NUMBERS};

/// Every built-in function of the language.
const FUNCTIONS: [&str; 64] = [
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "contains",
    "count",
    "decodeUrl",
    "decodeUrlComponent",
    "distinct",
    "each",
    "encodeUrl",
    "encodeUrlComponent",
    "error",
    "eval",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parseInteger",
    "power",
    "random",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "zip",
];
const OPERATORS: [&str; 19] = [
    "=", "&", "+", "-", "*", "/", "%", "<", ">", "<=", ">=", "!=", "and", "or", "in", "..", "~>",
    "?:", "??",
];
const FIELDS: [&str; 11] = ["a", "b", "c", "id", "list", "$", "_id", "`a b.c`", "$$", "*", "**"];

impl Maker<'_, '_> {
    /// An expression, mostly a good one.
    pub fn expression(&mut self) -> String {
        let made = match self.below(16) {
            15 => self.text(60).to_owned(),
            14 => self.pick(&["list.{'a': a, 'id': id}", "list[a]", "$", "[list, list]"]).into(),
            _ => self.term(4),
        };
        self.usable(made)
    }

    fn usable(&self, made: String) -> String {
        match self.is_checked && Jsonata::compile(&made).is_err() {
            true => "list.{'a': a, 'id': id, 'b': $$.b}".into(),
            false => made,
        }
    }

    /// Items of a relation.
    pub fn relation_items(&mut self) -> String {
        if self.once_in(4) {
            return self.expression();
        }
        let (from, name, source) =
            (self.term(1), self.pick(&["id", "_id", "a"]), self.item_source());
        let tags = self.pick(&["", ", '_tags': ['T']", ", '_tags': a", ", '_tags': []"]);
        let ty = self.pick(&["", "", ", '_type': 'email'", ", '_type': a"]);
        self.usable(format!(
            "[{from}].{{'entity_schema': 's', 'unique_ids': [{{'attribute': '{name}', {source}{ty}}}]{tags}}}"
        ))
    }

    fn item_source(&mut self) -> String {
        match self.below(5) {
            0 => format!("'constant': {}", self.term(1)),
            1 => "'field': 'a'".into(),
            2 => "'field': b".into(),
            3 => "'jsonataExpression': 'a & b'".into(),
            _ => format!("'jsonataExpression': {}", self.term(1)),
        }
    }

    fn term(&mut self, levels: usize) -> String {
        if levels == 0 {
            return self.leaf();
        }
        let levels = levels - 1;
        match self.below(24) {
            0..=3 => self.leaf(),
            4 | 5 => {
                let by = self.pick(&OPERATORS);
                format!("({} {by} {})", self.term(levels), self.term(levels))
            }
            6..=9 => self.call(levels),
            10 => format!("{}.{}", self.term(levels), self.term(levels)),
            11 => format!("{}[{}]", self.term(levels), self.term(levels)),
            12 => {
                format!("({} ? {} : {})", self.term(levels), self.term(levels), self.term(levels))
            }
            13 => {
                let items = self.list(3, |maker| maker.term(levels));
                format!("[{}]", items.join(", "))
            }
            14 | 15 => format!("{{{}}}", self.pairs(levels)),
            16 => format!("{}{{{}}}", self.term(levels), self.pairs(levels)),
            17 => format!("{}^({}{})", self.term(levels), self.pick(&["", ">", "<"]), self.leaf()),
            18 => {
                format!("(${0} := {1}; {2})", self.variable(), self.term(levels), self.term(levels))
            }
            19 => format!("{}[]", self.term(levels)),
            20 => format!("{}.%.{}", self.term(levels), self.leaf()),
            21 => {
                let bind = self.pick(&["#", "@"]);
                format!("{}{bind}${}.{}", self.leaf(), self.variable(), self.term(levels))
            }
            22 => {
                let deleted = self.pick(&["", ", 'a'", ", ['a', 'b']"]);
                format!("({} ~> |{}|{}{deleted}|)", self.leaf(), self.leaf(), self.term(levels))
            }
            _ => format!("-{}", self.term(levels)),
        }
    }

    fn pairs(&mut self, levels: usize) -> String {
        let pairs = self.list(3, |maker| {
            let name = match maker.below(4) {
                0 => maker.term(levels),
                1 => maker.pick(&["'_append'", "'_set'", "'_append_unique'", "'$relation'"]).into(),
                _ => maker.pick(&["'a'", "'b'", "'id'"]).into(),
            };
            format!("{name}: {}", maker.term(levels))
        });
        pairs.join(", ")
    }

    fn call(&mut self, levels: usize) -> String {
        let name = self.pick(&FUNCTIONS);
        let arguments = self.list(3, |maker| maker.argument(levels));
        format!("${name}({})", arguments.join(", "))
    }

    fn argument(&mut self, levels: usize) -> String {
        match self.below(8) {
            0 => {
                let names = self.pick(&["", "$v", "$v, $i", "$v, $i, $a", "$a, $b"]);
                format!("function({names}) {{ {} }}", self.term(levels))
            }
            1 => format!("${}", self.pick(&FUNCTIONS)),
            2 => format!("/{}/{}", self.pattern_body(), self.pick(&["", "i", "m"])),
            3 => self.pick(&["'#,##0.00'", "'[Y0001]-[M01]-[D01]'", "'w'", "'?'", "';'"]).into(),
            _ => self.term(levels),
        }
    }

    fn pattern_body(&mut self) -> String {
        match self.once_in(4) {
            true => self.text(12).replace('/', ""),
            false => {
                self.pick(&["a", "[a-c]+", "(a|b)*c", "(a+)+$", "[a-c]{1,20}", "^(.*)x"]).into()
            }
        }
    }

    fn variable(&mut self) -> &'static str {
        self.pick(&["v", "w", "i"])
    }

    fn leaf(&mut self) -> String {
        match self.below(8) {
            0..=3 => self.pick(&FIELDS).into(),
            4 => self.pick(&NUMBERS).into(),
            5 => self.pick(&["''", "'a'", "'A;b c'", "'x{{'", "true", "false", "null"]).into(),
            6 => format!("${}", self.variable()),
            _ => {
                let (a, b) = (self.pick(&FIELDS), self.pick(&FIELDS));
                format!("{a}.{b}")
            }
        }
    }
}
