//! Documents and expressions made of the fuzzer's bytes: of few names and values, so that what
//! reads and what is read meet, and of everything that the languages have.

mod attributes;
mod expression;
mod mapping;
mod path;

pub use self::mapping::Wrong;

use arbitrary::Unstructured;
use bumpalo::Bump;
use erp_engine::jsonb::{Tree, Value};

use super::sound::{keep, parse};

/// A word that payloads hold, and mappings do not: no message may tell it.
pub const SECRET: &str = "S3CRET";

const NAMES: [&str; 8] = ["a", "b", "c", "id", "list", "_id", "", "a b.c"];
const STRINGS: [&str; 12] = [
    "",
    "a",
    "b",
    "A;b c",
    "7",
    "1.10",
    "2024-01-15T08:00:00Z",
    "\u{e9}\u{1f600}",
    "x@example.org",
    "$.a[0]",
    SECRET,
    "S3CRET + ",
];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "1.10",
    "0.1",
    "100",
    "9007199254740993",
    "12345678901234567890",
    "-1e-7",
    "1e400",
    "179769313486231570000000000000000000000",
    "4503599627370497.5",
];

/// Makes things of bytes; once there are none left, the first of what there is to choose from.
pub struct Maker<'a, 'b> {
    bytes: Unstructured<'b>,
    arena: &'a Bump,
    /// Whether what is written in a language must be of it.
    is_checked: bool,
}

impl<'a, 'b> Maker<'a, 'b> {
    pub fn new(bytes: &'b [u8], arena: &'a Bump) -> Maker<'a, 'b> {
        Maker { bytes: Unstructured::new(bytes), arena, is_checked: false }
    }

    /// Whose expressions and paths all compile.
    pub fn checked(bytes: &'b [u8], arena: &'a Bump) -> Maker<'a, 'b> {
        Maker { is_checked: true, ..Maker::new(bytes, arena) }
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.bytes.int_in_range(0..=count - 1).unwrap_or(0)
    }

    /// Whether something that happens once in `count` times does.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn name(&mut self) -> &'a str {
        if self.once_in(16) { self.text(8) } else { self.pick(&NAMES) }
    }

    /// Any text of at most `length` bytes.
    pub fn text(&mut self, length: usize) -> &'a str {
        let length = self.below(length + 1).min(self.bytes.len());
        let bytes = self.bytes.bytes(length).unwrap_or_default();
        self.arena.alloc_str(&String::from_utf8_lossy(bytes).replace('\0', ""))
    }

    fn string(&mut self) -> &'a str {
        if self.once_in(8) { self.text(12) } else { self.pick(&STRINGS) }
    }

    fn number(&mut self) -> Value<'a> {
        let text = match self.once_in(8) {
            true => self.bytes.arbitrary::<i64>().unwrap_or_default().to_string(),
            false => self.pick(&NUMBERS).to_owned(),
        };
        parse(&text, self.arena).expect("it is a number")
    }

    /// Any document that nests at most `levels`.
    pub fn document(&mut self, levels: usize) -> Tree<'a> {
        match self.below(if levels == 0 { 6 } else { 10 }) {
            0 => Value::Null.into(),
            1 => Value::Bool(self.once_in(2)).into(),
            2 | 3 => self.number().into(),
            4 | 5 => Value::String(self.string()).into(),
            6 | 7 => self.array(levels),
            _ => self.object(levels),
        }
    }

    fn array(&mut self, levels: usize) -> Tree<'a> {
        let count = if self.once_in(16) { 40 } else { self.below(5) };
        Tree::Array((0..count).map(|_| self.document(levels - 1)).collect())
    }

    fn object(&mut self, levels: usize) -> Tree<'a> {
        let count = self.below(6);
        Tree::Object((0..count).map(|_| (self.name(), self.document(levels - 1))).collect())
    }

    /// A payload, mostly an object.
    pub fn payload(&mut self) -> Value<'a> {
        let made = if self.once_in(8) { self.document(4) } else { self.object(4) };
        keep(&made, self.arena)
    }

    fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    /// As `list`, of one at least.
    fn some<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..=self.below(most)).map(|_| item(self)).collect()
    }
}

fn word(word: &str) -> Tree<'_> {
    Value::String(word).into()
}
