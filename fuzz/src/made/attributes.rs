//! Attributes of entities, and patches of them.

use erp_engine::jsonb::{Object, Tree, Value};

use super::{Maker, keep, word};

const ATTRIBUTES: [&str; 6] = ["a", "b", "c", "list", "link", "ref"];
const OPERATIONS: [&str; 6] =
    ["_set", "_append", "_append_unique", "_append_all", "$relation", "$relation_ref"];

impl<'a> Maker<'a, '_> {
    /// An object of attributes, or a patch of them.
    pub fn attributes(&mut self) -> Object<'a> {
        let members = self.list(5, |maker| (maker.pick(&ATTRIBUTES), maker.attribute()));
        keep(&Tree::Object(members), self.arena).as_object().expect("it is an object")
    }

    fn attribute(&mut self) -> Tree<'a> {
        match self.below(10) {
            0 => self.document(3),
            1 => Value::Null.into(),
            2 | 3 => self.operation(|maker| maker.document(2)),
            4 => self.linked("$relation"),
            5 => self.linked("$relation_ref"),
            6 => Tree::Array(self.list(4, Maker::item)),
            7 => Tree::Array(self.list(4, |maker| maker.document(1))),
            8 => self.operation(Maker::item),
            _ => Tree::Object(vec![
                (self.pick(&OPERATIONS), self.document(2)),
                (self.pick(&OPERATIONS), self.document(2)),
            ]),
        }
    }

    fn operation(&mut self, item: impl FnMut(&mut Self) -> Tree<'a>) -> Tree<'a> {
        let name = self.pick(&OPERATIONS[..4]);
        let items = self.list(4, item);
        let list = match items.first() {
            Some(one) if self.once_in(8) => one.clone(),
            _ => Tree::Array(items),
        };
        Tree::Object(vec![(name, list)])
    }

    fn linked(&mut self, key: &'static str) -> Tree<'a> {
        let inner = match self.once_in(2) {
            true => self.operation(Maker::link),
            false => Tree::Array(self.list(4, Maker::link)),
        };
        Tree::Object(vec![(key, inner)])
    }

    fn link(&mut self) -> Tree<'a> {
        let mut members = vec![("entity_id", word(self.pick(&["1", "2", "3"])))];
        match self.below(4) {
            0 => members.push(("_schema", word(self.pick(&["s", "t"])))),
            1 => members.push(("_tags", Tree::Array(vec![word("T")]))),
            2 => members.push(("path", word("p"))),
            _ => return self.document(1),
        }
        if self.once_in(2) {
            members.push(("_id", word(self.pick(&["1", "2"]))));
        }
        Tree::Object(members)
    }

    fn item(&mut self) -> Tree<'a> {
        let mut members = vec![(self.pick(&["a", "email", "phone"]), self.document(0))];
        if self.once_in(2) {
            members.push(("_id", self.document(0)));
        }
        Tree::Object(members)
    }
}
