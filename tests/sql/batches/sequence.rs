//! Random sequences of payloads, made smaller when they fail.

use std::fmt;

use erp_tests::Random;

/// Payloads: some to have entities, of which some are then soft-deleted, and those compared.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub before: Vec<Node>,
    pub deleted: Vec<&'static str>,
    pub events: Vec<Node>,
}

const KEYS: [&str; 3] = ["\"1\"", "\"2\"", "\"3\""];
const MAILS: [&str; 4] = ["\"a@x\"", "\"b@x\"", "\"c@x\"", "\"d@x\""];
const LISTS: [&str; 11] = [
    "null",
    "[]",
    r#"["a"]"#,
    r#"["b", 1.10]"#,
    r#"{"_set": ["s", null]}"#,
    r#"{"_append": ["a", "c"]}"#,
    r#"{"_append": "a"}"#,
    r#"{"_append_all": [1.1, {"k": []}]}"#,
    r#"{"_append_unique": ["a", "b", "a"]}"#,
    r#"{"_append_unique": 1.1}"#,
    // Nothing can be appended to what these leave, until something else is set.
    r#"{"_append": ["x"], "more": 1}"#,
];

impl Sequence {
    pub fn new(random: &mut Random, bad: usize) -> Sequence {
        let before = if random.chance(50) { 0 } else { 1 + random.below(3) };
        let deleted = ["contact", "contract", "account"];
        Sequence {
            before: (0..before).map(|_| event(random, 0)).collect(),
            deleted: deleted.into_iter().filter(|_| random.chance(20)).collect(),
            events: (0..2 + random.below(9)).map(|_| event(random, bad)).collect(),
        }
    }

    pub fn payloads(&self) -> Vec<String> {
        self.events.iter().map(Node::to_string).collect()
    }

    /// The sequence without parts of it, larger parts first.
    pub fn smaller(&self) -> impl Iterator<Item = Sequence> {
        let events = Node::without_children(&self.events);
        let before = Node::without_children(&self.before);
        let deleted = (!self.deleted.is_empty()).then(Vec::new);
        events
            .map(|events| Sequence { events, ..self.clone() })
            .chain(before.map(|before| Sequence { before, ..self.clone() }))
            .chain(deleted.into_iter().map(|deleted| Sequence { deleted, ..self.clone() }))
    }
}

/// A payload, or a part of it, that can be made smaller.
#[derive(Debug, Clone)]
pub struct Node {
    /// In the object that it is part of.
    key: Option<&'static str>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Scalar(&'static str),
    List(Vec<Node>),
    Object(Vec<Node>),
}

impl Node {
    fn scalar(text: &'static str) -> Node {
        Node { key: None, content: Content::Scalar(text) }
    }

    fn object(members: Vec<Node>) -> Node {
        Node { key: None, content: Content::Object(members) }
    }

    /// The node without parts of it.
    fn smaller(&self) -> Vec<Node> {
        match &self.content {
            Content::Scalar(_) => Vec::new(),
            Content::List(items) => Node::without_children(items)
                .map(|items| Node { content: Content::List(items), ..*self })
                .collect(),
            Content::Object(members) => Node::without_children(members)
                .map(|members| Node { content: Content::Object(members), ..*self })
                .collect(),
        }
    }

    /// Lists that lack a run of these nodes, long runs first, or in which one node is smaller.
    fn without_children(nodes: &[Node]) -> impl Iterator<Item = Vec<Node>> {
        let lengths = std::iter::successors(Some(nodes.len()), |length| Some(length / 2));
        let runs = lengths.take_while(|length| *length > 0).flat_map(move |length| {
            (0..nodes.len()).step_by(length).map(move |from| {
                let (start, rest) = nodes.split_at(from);
                [start, &rest[length.min(rest.len())..]].concat()
            })
        });
        let each = nodes.iter().enumerate().flat_map(move |(at, node)| {
            node.smaller().into_iter().map(move |node| {
                let mut nodes = nodes.to_vec();
                nodes[at] = node;
                nodes
            })
        });
        runs.chain(each)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key {
            write!(out, "\"{key}\": ")?;
        }
        let join =
            |nodes: &[Node]| nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", ");
        match &self.content {
            Content::Scalar(text) => out.write_str(text),
            Content::List(items) => write!(out, "[{}]", join(items)),
            Content::Object(members) => write!(out, "{{{}}}", join(members)),
        }
    }
}

/// A payload that fails in about `bad` of a hundred cases.
pub fn event(random: &mut Random, bad: usize) -> Node {
    let mut payload = Members(random, Vec::new());
    payload.list("contacts", 55, |random| contact(random, bad));
    payload.list("contracts", 45, |random| contract(random, bad));
    payload.list("accounts", 35, account);
    payload.list("sites", 10, |random| Node::scalar(random.pick(&KEYS)));
    payload.list("vendors", 15, |random| Node::scalar(random.pick(&KEYS)));
    removals(&mut payload);
    Node::object(payload.1)
}

/// What the event removes, and what it upserts so that it stays.
fn removals(payload: &mut Members<'_>) {
    let key = |random: &mut Random| Node::scalar(random.pick(&KEYS));
    let mail = |random: &mut Random| Node::scalar(random.pick(&MAILS));
    payload.list("deleted_contacts", 25, key);
    payload.list("deleted_mails", 10, mail);
    payload.list("deleted_contracts", 20, key);
    payload.list("purged_contacts", 20, key);
    payload.list("purged_mails", 10, mail);
    payload.maybe("contracts_of", 25, &["\"1\"", "2", "\"3\"", "null", "\"9\""]);
    payload.list("only_contracts", 15, key);
    payload.maybe("contacts_of", 25, &KEYS);
    payload.list("only_contacts", 15, key);
    payload.maybe("accounts_of_kind", 20, &["\"BILLING\"", "\"OTHER\"", "\"\""]);
    payload.list("only_accounts", 15, |random| {
        let mut account = Members(random, Vec::new());
        account.maybe("id", 100, &["1", "\"2\""]);
        account.maybe("kind", 100, &["\"BILLING\"", "\"OTHER\""]);
        Node::object(account.1)
    });
}

fn contact(random: &mut Random, bad: usize) -> Node {
    let is_bad = random.chance(bad);
    let mut contact = Members(random, Vec::new());
    match is_bad {
        true => contact.maybe("number", 70, &["null", "\"\"", "[1]", "{}"]),
        false => contact.maybe("number", 100, &["\"1\"", "2", "2.0", "\"3\""]),
    }
    // Shared and changing addresses; a link by one that several contacts have is an error.
    contact.maybe("email", 50, &[MAILS[0], MAILS[1], MAILS[2], "null", "\"\""]);
    contact.maybe("name", 40, &["\"Ann\"", "\"Bob\"", "null", "{\"first\": \"Ann\"}"]);
    contact.maybe("score", 40, &["1.1", "1.10", "12345678901234567890.5", "0", "null"]);
    contact.maybe("limit", bad, &["-1", "-2.50"]);
    contact.maybe("tags", 40, &LISTS);
    contact.maybe("marks", 30, &["[\"m\"]", "[\"m\", \"n\", \"m\"]", "\"o\"", "[]"]);
    contact.maybe("upper", bad, &["1", "\"fine\""]);
    contact.maybe("manager", 25, &["\"1\"", "2", "\"3\"", "\"9\"", "null", "\"\""]);
    contact.list("friends", 25, |random| Node::scalar(random.pick(&MAILS)));
    Node::object(contact.1)
}

fn contract(random: &mut Random, bad: usize) -> Node {
    let mut contract = Members(random, Vec::new());
    contract.maybe("number", 100, &KEYS);
    contract.maybe("status", 50, &["\"on\"", "\"off\"", "null", "true"]);
    contract.maybe("owner", 35, &KEYS);
    contract.maybe("payer", 20, &MAILS);
    contract.maybe("site", 30, &KEYS);
    contract.maybe("other_site", 30, &KEYS);
    contract.maybe("vendor", bad, &KEYS);
    contract.maybe("account", 35, &["1", "\"1\"", "1.0", "\"2\""]);
    Node::object(contract.1)
}

fn account(random: &mut Random) -> Node {
    let mut account = Members(random, Vec::new());
    account.maybe("id", 100, &["1", "\"1\"", "1.00", "\"2\""]);
    account.maybe("kind", 100, &["\"BILLING\"", "\"BILLING\"", "\"OTHER\""]);
    account.maybe("tags", 40, &LISTS);
    account.maybe("contract", 40, &KEYS);
    account.maybe("parent", 40, &["1", "\"2\"", "\"3\"", "null"]);
    account.list("holders", 30, |random| Node::scalar(random.pick(&MAILS)));
    Node::object(account.1)
}

/// An object in the making.
struct Members<'r>(&'r mut Random, Vec<Node>);

impl Members<'_> {
    /// In `percent` of a hundred cases a member `key`, one of `values`.
    fn maybe(&mut self, key: &'static str, percent: usize, values: &[&'static str]) {
        if self.0.chance(percent) {
            self.1.push(Node { key: Some(key), ..Node::scalar(self.0.pick(values)) });
        }
    }

    /// In `percent` of a hundred cases a member `key`, a list of up to three items.
    fn list(&mut self, key: &'static str, percent: usize, item: impl Fn(&mut Random) -> Node) {
        if self.0.chance(percent) {
            let items = (0..self.0.below(4)).map(|_| item(self.0)).collect();
            self.1.push(Node { key: Some(key), content: Content::List(items) });
        }
    }
}
