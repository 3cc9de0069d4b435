//! JSONPaths.

use erp_engine::expr::Path;

use super::Maker;

impl Maker<'_, '_> {
    /// A path, mostly a good one.
    pub fn path(&mut self) -> String {
        let made = match self.once_in(16) {
            true => format!("${}", self.text(40)),
            false => format!("${}", self.segments(3)),
        };
        match self.is_checked && Path::compile(&made).is_err() {
            true => "$.list[*].a".into(),
            false => made,
        }
    }

    fn segments(&mut self, levels: usize) -> String {
        (0..self.below(5)).map(|_| self.segment(levels)).collect()
    }

    fn segment(&mut self, levels: usize) -> String {
        match self.below(8) {
            0 => format!(".{}", self.pick(&["a", "b", "c", "id", "list", "_id", "\u{e9}"])),
            1 => format!("[{}]", self.selector(levels)),
            2 => ".*".into(),
            3 => format!("..{}", self.pick(&["a", "*", "b", "[0]", "['a']"])),
            4 => format!("[{},{}]", self.selector(levels), self.selector(levels)),
            5 => format!("..[{}]", self.selector(levels)),
            6 => format!("[?{}]", self.filter(levels)),
            _ => format!(" [ {} ]", self.selector(levels)),
        }
    }

    fn selector(&mut self, levels: usize) -> String {
        match self.below(8) {
            0 => format!("'{}'", self.name()),
            1 => format!("\"{}\"", self.name()),
            2 => self
                .pick(&["0", "1", "-1", "-0", "01", "9007199254740991", "9223372036854775808"])
                .into(),
            3 => format!("{}:{}", self.bound(), self.bound()),
            4 => format!("{}:{}:{}", self.bound(), self.bound(), self.bound()),
            5 => "*".into(),
            _ if levels > 0 => format!("?{}", self.filter(levels)),
            _ => "'a b.c'".into(),
        }
    }

    fn bound(&mut self) -> &'static str {
        self.pick(&["", "0", "1", "-1", "3", "-3", "9007199254740991", "-9007199254740991"])
    }

    fn filter(&mut self, levels: usize) -> String {
        if levels == 0 {
            return "@.a".into();
        }
        let levels = levels - 1;
        match self.below(9) {
            0 | 1 => format!("@{}", self.segments(levels)),
            2 => format!("${}", self.segments(levels)),
            3 => {
                let by = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
                format!("{} {by} {}", self.compared(levels), self.compared(levels))
            }
            4 => format!("{} && {}", self.filter(levels), self.filter(levels)),
            5 => format!("({} || {})", self.filter(levels), self.filter(levels)),
            6 => format!("!{}", self.filter(levels)),
            7 => {
                let name = self.pick(&["match", "search"]);
                format!("{name}({}, {})", self.compared(levels), self.pattern())
            }
            _ => self.compared(levels),
        }
    }

    fn compared(&mut self, levels: usize) -> String {
        match self.below(8) {
            0 => "@.a".into(),
            1 => "@['b'][0]".into(),
            2 => "$.a".into(),
            3 => self.pick(&["1", "1.10", "-0", "1e400", "true", "null", "'a'", "\"S\""]).into(),
            4 => format!("length(@{})", self.segments(0)),
            5 => format!("count(@{})", self.segments(levels)),
            6 => format!("value(@{})", self.segments(levels)),
            _ => "@".into(),
        }
    }

    fn pattern(&mut self) -> String {
        match self.below(32) {
            0..8 => format!("'{}'", self.text(12)),
            8..16 => "@.b".into(),
            // It takes a millisecond to compile.
            31 => "'\\\\p{L}{50}'".into(),
            _ => self.pick(&["'a.*'", "'[a-c]{1,20}'", "'(a|b)+$'", "'('"]).into(),
        }
    }
}
