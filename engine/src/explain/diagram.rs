//! The rows as a Mermaid flowchart, in the form that GitHub draws: the payload's fields, the
//! entries with their attributes, and the entities that are looked up.

use std::collections::{HashMap, HashSet};

use super::{Kind, ReadsFrom, Role, Row};

/// Characters of a label, and of a name that is a part of one.
const MAX_LABEL: usize = 100;
const MAX_PART: usize = 40;

/// The flowchart of `rows`, which are in the order of the mapping.
pub fn diagram(rows: &[Row<'_>]) -> String {
    let mut chart = Chart::default();
    for rows in rows.chunk_by(|a, b| a.event_name == b.event_name) {
        chart.event(rows);
    }
    chart.written()
}

/// Numbers that ids are made of.
type Group = usize;
type Node = usize;

/// What a node stands for in its group, where it is drawn once.
#[derive(PartialEq, Eq, Hash)]
enum Thing {
    /// A path from the payload.
    Field(String),
    Items,
    Condition,
    Scope,
    Attribute(String),
}

/// What surrounds a node's label.
type Shape = (&'static str, &'static str);
const BOX: Shape = ("[", "]");
const ROUND: Shape = ("([", "])");
const SLANTED: Shape = ("[/", "/]");
const RHOMBUS: Shape = ("{", "}");

#[derive(Default)]
struct Chart {
    /// Title and lines of each.
    groups: Vec<(String, Vec<String>)>,
    nodes: HashMap<(Group, Thing), Node>,
    edges: Vec<String>,
    drawn: HashSet<(Node, Node, String)>,
}

impl Chart {
    fn event(&mut self, rows: &[Row<'_>]) {
        let payload = self.group(rows[0].event_name.unwrap_or("any event"));
        let entries: Vec<&[Row<'_>]> = rows.chunk_by(|a, b| a.entry == b.entry).collect();
        // All entries first: an attribute that relations look up may be written by a later one.
        let groups: Vec<Group> = entries.iter().map(|rows| self.entry(rows)).collect();
        let mut looked_up: HashMap<&str, Group> = HashMap::new();
        for (entry, group) in entries.iter().zip(&groups) {
            for row in *entry {
                let node = self.node_of(row, *group);
                self.sources(row, payload, *group, node);
                let Some((slug, attribute)) = &row.target else { continue };
                let of_slug = |entry: &&[Row<'_>]| entry[0].entity_slug == slug;
                let written = entries.iter().zip(&groups).filter(|(entry, _)| of_slug(entry));
                let written: Vec<Group> = written.map(|(_, group)| *group).collect();
                let key = self.written_by(&written, attribute).unwrap_or_else(|| {
                    let title = format!("{} (looked up)", shortened(slug, MAX_PART));
                    let group = *looked_up.entry(slug).or_insert_with(|| self.group(&title));
                    self.node(group, Thing::Attribute(attribute.to_string()), attribute, ROUND)
                });
                let operation = row.operation.map_or("prunes", |operation| operation.name());
                self.edge(node, "-.->", operation, key);
            }
        }
    }

    /// The group of an entry, with a node for each of its rows.
    fn entry(&mut self, rows: &[Row<'_>]) -> Group {
        let slug = shortened(rows[0].entity_slug, MAX_PART);
        let group = self.group(&format!("{slug} ({})", rows[0].mode.name()));
        // What an attribute is says the row of its value, not that of its condition.
        let is_condition = |row: &&Row<'_>| row.role == Role::Enabled && row.attribute.is_some();
        let (conditions, values): (Vec<_>, Vec<_>) = rows.iter().partition(is_condition);
        for row in values.into_iter().chain(conditions) {
            self.node_of(row, group);
        }
        group
    }

    /// The node of what a row is about.
    fn node_of(&mut self, row: &Row<'_>, group: Group) -> Node {
        let is_constant = row.kind == Kind::Constant;
        let Some(attribute) = row.attribute else {
            return match row.role {
                Role::Items => self.node(group, Thing::Items, "items", SLANTED),
                Role::Scope => self.node(group, Thing::Scope, "scope", SLANTED),
                _ if is_constant => self.node(group, Thing::Condition, "disabled", RHOMBUS),
                _ => self.node(group, Thing::Condition, "enabled", RHOMBUS),
            };
        };
        let thing = Thing::Attribute(attribute.to_owned());
        match row.role {
            Role::Identifier => self.node(group, thing, attribute, ROUND),
            Role::Enabled if is_constant => {
                let label = format!("{} (disabled)", shortened(attribute, MAX_PART));
                self.node(group, thing, &label, BOX)
            }
            Role::Attribute if is_constant => {
                let name = shortened(attribute, MAX_PART);
                let label = format!("{name} = {}", shortened(&row.expression, MAX_PART));
                self.node(group, thing, &label, BOX)
            }
            _ => self.node(group, thing, attribute, BOX),
        }
    }

    /// The node of an attribute in the first of `groups` that has it.
    fn written_by(&self, groups: &[Group], attribute: &str) -> Option<Node> {
        let written = |group: &Group| {
            self.nodes.get(&(*group, Thing::Attribute(attribute.to_owned()))).copied()
        };
        groups.iter().find_map(written)
    }

    /// The edges from what a row reads.
    fn sources(&mut self, row: &Row<'_>, payload: Group, group: Group, node: Node) {
        let (arrow, label) = match (row.role, row.attribute) {
            (Role::Enabled, Some(_)) => ("-.->", "enables"),
            _ => ("-->", ""),
        };
        let paths = row.reads.paths().map(|path| path.to_string());
        match row.reads_from {
            ReadsFrom::Payload => paths.for_each(|path| {
                let shown = if path == "*" { "any field" } else { &path };
                let field = self.node(payload, Thing::Field(path.clone()), shown, BOX);
                self.edge(field, arrow, label, node);
            }),
            ReadsFrom::Item if row.reads.is_nothing() => {}
            ReadsFrom::Item => {
                let names = paths.collect::<Vec<_>>().join(", ");
                let items = self.node(group, Thing::Items, "items", SLANTED);
                self.edge(items, arrow, format!("{label} {names}").trim(), node);
            }
        }
    }

    fn group(&mut self, title: &str) -> Group {
        self.groups.push((label(title), Vec::new()));
        self.groups.len() - 1
    }

    /// The node of `thing`; `shown` and its shape count when it is new.
    fn node(&mut self, group: Group, thing: Thing, shown: &str, (open, close): Shape) -> Node {
        let next = self.nodes.len() + 1;
        *self.nodes.entry((group, thing)).or_insert_with(|| {
            self.groups[group].1.push(format!("n{next}{open}{}{close}", label(shown)));
            next
        })
    }

    fn edge(&mut self, from: Node, arrow: &str, text: &str, to: Node) {
        let text = if text.is_empty() { String::new() } else { format!("|{}|", label(text)) };
        if self.drawn.insert((from, to, text.clone())) {
            self.edges.push(format!("n{from} {arrow}{text} n{to}"));
        }
    }

    fn written(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (i, (title, lines)) in self.groups.iter().enumerate() {
            text.push_str(&format!("  subgraph g{}[{title}]\n", i + 1));
            lines.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
            text.push_str("  end\n");
        }
        self.edges.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text
    }
}

/// At most `most` characters of `text`.
fn shortened(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// `text` in quotes and on one line. What Mermaid, Markdown or HTML might take for theirs is
/// written as the number of the character.
fn label(text: &str) -> String {
    let text = shortened(text, MAX_LABEL).replace(char::is_control, " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return "\"#160;\"".into();
    }
    let letters: Vec<char> = words.join(" ").chars().collect();
    let at = |i: Option<usize>| i.and_then(|i| letters.get(i)).copied().unwrap_or(' ');
    let plain = |(i, letter): (usize, &char)| {
        let (before, after) = (at(i.checked_sub(1)), at(Some(i + 1)));
        let is_inside = before.is_alphanumeric() && after.is_alphanumeric();
        let is_kept = match letter {
            ' ' | ',' | '(' | '=' | '…' => true,
            // "1) " begins a list, "www." a link.
            ')' => !before.is_ascii_digit(),
            '.' => is_inside && !matches!(before, 'w' | 'W'),
            '_' | '-' => is_inside,
            // Mermaid's own sign for the number of a character.
            'ﬂ' => false,
            other => other.is_alphanumeric(),
        };
        if is_kept { letter.to_string() } else { format!("#{};", u32::from(*letter)) }
    };
    let shown: String = letters.iter().enumerate().map(plain).collect();
    // Where Mermaid finds the words "direction TB" they set a direction, quoted or not.
    format!("\"{}\"", shown.replace("direction ", "direction#32;"))
}
