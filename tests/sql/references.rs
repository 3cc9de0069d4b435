//! Links to items of lists, values with a `_type` and entities by id: random events in a batch do
//! what they do one after the other, and sessions that add items to the same lists at once lose
//! none, make none twice, and link to items that are there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Barrier;

use erp_tests::{Database, Random, db_error, in_sessions};
use postgres::{Client, Row};
use serde_json::{Map, Value, json};

/// Contacts are found by number, by e-mail address and by id; contracts and the contacts
/// themselves link to items of contacts' lists, also to items of the list of addresses by which
/// contacts are found. People are upserted by their address.
const MAPPING: &str = r##"{"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
{"entity_schema": "contract", "unique_ids": ["number"], "jsonataExpression": "contracts", "fields": [
    {"attribute": "number", "field": "number"},
    {"attribute": "place", "relation_refs": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "contact"}], "path": "first",
         "value": {"attribute": "addresses", "operation": "_append", "field": "item"}},
        {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "other"}], "path": "second",
         "value": {"attribute": "addresses", "field": "item"}}]}},
    {"attribute": "places", "relation_refs": {"operation": "_append", "items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "mail", "_type": "email"}], "path": "addresses",
         "value": {"attribute": "addresses", "operation": "_append_unique", "field": "item"}}]}},
    {"attribute": "by_id", "relation_refs": {"operation": "_append_unique", "items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "_id", "field": "id"}], "path": "addresses",
         "value": {"attribute": "addresses", "operation": "_append", "field": "item"}}]}},
    {"attribute": "reached", "relation_refs": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "_id", "field": "reach"}], "path": "email",
         "value": {"attribute": "email", "field": "at"}}]}},
    {"attribute": "owner", "relations": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "email", "field": "owner", "_type": "email"}]},
        {"entity_schema": "contact", "unique_ids": [{"attribute": "_id", "field": "owner_id"}]}]}},
    {"attribute": "signer", "relations": {"items": [
        {"entity_schema": "person", "unique_ids": [{"attribute": "email", "field": "signer", "_type": "email"}]}]}}]},
{"entity_schema": "contact", "unique_ids": ["number"], "jsonataExpression": "contacts", "fields": [
    {"attribute": "number", "field": "number"},
    {"attribute": "email", "field": "mail", "_type": "email"},
    {"attribute": "name", "field": "name"},
    {"attribute": "addresses", "field": "addresses"},
    {"attribute": "home", "relation_refs": {"items": [
        {"entity_schema": "contact", "unique_ids": [{"attribute": "number", "field": "number"}], "path": "addresses",
         "value": {"attribute": "addresses", "operation": "_append", "field": "home"}}]}}]},
{"entity_schema": "contact", "unique_ids": ["_id"], "jsonataExpression": "by_id", "fields": [
    {"attribute": "_id", "field": "id"},
    {"attribute": "email", "field": "mail", "_type": "email"},
    {"attribute": "addresses", "field": "addresses"}]},
{"entity_schema": "person", "unique_ids": ["email"], "jsonataExpression": "people", "fields": [
    {"attribute": "email", "field": "mail", "_type": "email"},
    {"attribute": "name", "field": "name"}]}
]}}}}"##;

/// Contacts with ids that events can name, of which one is deleted and one a stub.
const BEFORE: &str = r#"
    INSERT INTO contact (id, attributes, stub, deleted_at) VALUES
        ('00000000-0000-4000-8000-000000000001', '{"number": 1, "addresses": [{"street": "a"}, "b"]}', false, NULL),
        ('00000000-0000-4000-8000-000000000002', '{"number": "2", "email": [{"email": "a@x"}]}', true, NULL),
        ('00000000-0000-4000-8000-000000000003', '{"number": "3", "addresses": null}', false, now());"#;

const VIEW: &str = "
    CREATE VIEW entity AS
        SELECT id, attributes, stub, deleted_at,
               'contact ' || coalesce('#' || number, '@' || email, '?') AS name FROM contact
        UNION ALL SELECT id, attributes, stub, deleted_at, 'contract #' || number FROM contract
        UNION ALL SELECT id, attributes, stub, deleted_at, 'person @' || email FROM person;";

fn prepared(database: &str, mapping: &str) -> Database {
    let database = Database::new(database);
    let mut session = database.connect();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping]).unwrap();
    database
}

// Batches

#[test]
fn a_batch_links_to_the_items_that_its_events_link_to_one_by_one() {
    const SEQUENCES: u64 = 100;
    let database = prepared("references_batches", MAPPING);
    let mut session = database.connect();
    session.batch_execute(VIEW).unwrap();
    for n in 0..SEQUENCES {
        let mut random = Random::new(5 << 32 | n);
        let mut events: Vec<String> =
            (0..2 + random.below(8)).map(|_| event(&mut random).to_string()).collect();
        let Err(mut why) = compare(&mut session, &events) else { continue };
        // What does not matter is left out.
        let mut at = 0;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.remove(at);
            match compare(&mut session, &fewer) {
                Err(found) => (events, why) = (fewer, found),
                Ok(()) => at += 1,
            }
        }
        panic!("sequence {n}: one by one -, as a batch +\n{why}\nevents:\n{}", events.join("\n"));
    }
}

fn event(random: &mut Random) -> Value {
    let mut payload = Map::new();
    for (name, percent, entity) in [
        ("contracts", 75, contract as fn(&mut Random) -> Value),
        ("contacts", 50, contact),
        ("by_id", 20, by_id),
        ("people", 25, person),
    ] {
        if random.chance(percent) {
            let list = (0..1 + random.below(2)).map(|_| entity(random)).collect();
            payload.insert(name.into(), Value::Array(list));
        }
    }
    Value::Object(payload)
}

fn contract(random: &mut Random) -> Value {
    let mut contract = Map::new();
    contract.insert("number".into(), number(random));
    maybe(&mut contract, "contact", 50, random, number);
    maybe(&mut contract, "other", 20, random, number);
    maybe(&mut contract, "item", 80, random, items);
    maybe(&mut contract, "mail", 25, random, mail);
    maybe(&mut contract, "id", 20, random, id);
    // Who is no stub: no two stubs have the same address.
    maybe(&mut contract, "reach", 20, random, |random| contact_id(random.pick(&[1, 3])));
    maybe(&mut contract, "at", 70, random, reached);
    maybe(&mut contract, "owner", 20, random, mail);
    maybe(&mut contract, "owner_id", 15, random, id);
    maybe(&mut contract, "signer", 20, random, mail);
    contract.into()
}

fn contact(random: &mut Random) -> Value {
    let mut contact = Map::new();
    contact.insert("number".into(), number(random));
    maybe(&mut contact, "mail", 50, random, mails);
    maybe(&mut contact, "name", 30, random, |random| json!(random.pick(&["Ann", "Ben"])));
    maybe(&mut contact, "addresses", 40, random, list);
    maybe(&mut contact, "home", 25, random, items);
    contact.into()
}

fn by_id(random: &mut Random) -> Value {
    let mut contact = Map::new();
    contact.insert("id".into(), id(random));
    maybe(&mut contact, "mail", 50, random, mails);
    maybe(&mut contact, "addresses", 50, random, list);
    contact.into()
}

fn person(random: &mut Random) -> Value {
    let mut person = Map::new();
    person.insert("mail".into(), mails(random));
    maybe(&mut person, "name", 50, random, |random| json!(random.pick(&["Ann", "Ben"])));
    person.into()
}

/// In `percent` of a hundred cases a member `key`.
fn maybe(
    object: &mut Map<String, Value>,
    key: &str,
    percent: usize,
    random: &mut Random,
    value: impl Fn(&mut Random) -> Value,
) {
    if random.chance(percent) {
        let value = value(random);
        object.insert(key.into(), value);
    }
}

fn number(random: &mut Random) -> Value {
    json!(random.pick(&["1", "2", "3", "4", "5"]))
}

fn mail(random: &mut Random) -> Value {
    json!(random.pick(&["a@x", "b@x", "c@x"]))
}

/// What becomes a list of addresses.
fn mails(random: &mut Random) -> Value {
    let (one, other) = (mail(random), mail(random));
    match random.below(8) {
        0 => json!([one, other]),
        1 => json!({"_append": one}),
        2 => json!({"_append_unique": [one, other]}),
        3 => json!({"_set": [other]}),
        4 => json!([{"email": one, "kind": "work"}]),
        5 => json!([]),
        _ => one,
    }
}

fn id(random: &mut Random) -> Value {
    let known = if random.chance(10) { 9 } else { 3 };
    contact_id(1 + random.below(known))
}

fn contact_id(number: usize) -> Value {
    json!(format!("00000000-0000-4000-8000-{number:012}"))
}

fn item(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!({"street": random.pick(&["a", "b"]), "_id": random.pick(&["1", "2"])}),
        1 => json!({"street": "a", "number": random.pick(&[1, 2])}),
        _ => json!({"street": random.pick(&["a", "b", "c", "d"])}),
    }
}

/// What is linked to; now and then nothing that can be.
fn items(random: &mut Random) -> Value {
    let (one, other) = (item(random), item(random));
    match random.below(12) {
        0 => json!([one, other]),
        1 => json!([]),
        2 => json!({"_append": [one]}),
        3 => json!({"_set": [one, other]}),
        4 => json!({"_append_unique": one}),
        5 => json!(random.pick(&["text", ""])),
        _ => one,
    }
}

fn reached(random: &mut Random) -> Value {
    let address = json!({"email": mail(random)});
    match random.below(3) {
        0 => json!({"_append": address}),
        1 => json!([address, {"email": mail(random)}]),
        _ => address,
    }
}

/// What other SQL may put into such a list.
fn list(random: &mut Random) -> Value {
    let (one, other) = (item(random), item(random));
    match random.below(7) {
        0 => json!([one, other]),
        1 => json!({"_append": [one]}),
        2 => json!({"_append_unique": [one, "text"]}),
        3 => json!({"_set": []}),
        4 => json!("no list"),
        5 => Value::Null,
        _ => json!({"_append": [one, other]}),
    }
}

/// Applies the events one by one, as one batch, and as two. Error: what differs.
fn compare(session: &mut Client, events: &[String]) -> Result<(), String> {
    let one_by_one = in_transaction(session, |session| {
        events.iter().enumerate().flat_map(|(n, event)| alone(session, n + 1, event)).collect()
    });
    let whole = in_transaction(session, |session| batch(session, 0, events));
    same("whole", &one_by_one, &whole)?;
    let (first, second) = events.split_at(events.len() / 2);
    let halves = in_transaction(session, |session| {
        [batch(session, 0, first), batch(session, first.len(), second)].concat()
    });
    same("halves", &one_by_one, &halves)
}

/// The lines that `apply` gives, and a line an entity; nothing stays.
fn in_transaction(
    session: &mut Client,
    apply: impl FnOnce(&mut Client) -> Vec<String>,
) -> Vec<String> {
    session.batch_execute("BEGIN").unwrap();
    session.batch_execute(BEFORE).unwrap();
    let mut lines = apply(session);
    lines.extend(lines_of(
        session,
        "SELECT concat_ws(' ', name, attributes, CASE WHEN stub THEN 'stub' END,
                CASE WHEN deleted_at IS NOT NULL THEN 'deleted' END) FROM entity",
    ));
    let names = names(session);
    session.batch_execute("ROLLBACK").unwrap();
    let entities = lines.iter().map(|line| with_names(line, &names));
    let mut entities: Vec<String> = entities.collect();
    entities.sort();
    entities
}

/// What ids stand for: entities by name, items by what is in them.
fn names(session: &mut Client) -> HashMap<String, String> {
    let query = "
        SELECT id::text, name FROM entity
        UNION ALL
        SELECT i.item ->> '_id', concat('item ', i.item - '_id', ' of ', e.name)
        FROM entity AS e, jsonb_path_query(e.attributes, 'lax $.*[*] ? (exists(@._id))') AS i(item)
        WHERE jsonb_typeof(i.item) = 'object' AND NOT i.item ? 'entity_id'";
    session.query(query, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn with_names(line: &str, names: &HashMap<String, String>) -> String {
    let mut line = line.to_owned();
    for (id, name) in names.iter().filter(|(id, _)| id.len() == 36) {
        line = line.replace(id.as_str(), name);
    }
    // Ids of what is gone.
    let mut at = 0;
    while at + 36 <= line.len() {
        match line.get(at..at + 36).filter(|text| is_uuid(text)) {
            Some(_) => line.replace_range(at..at + 36, "…"),
            None => at += 1,
        }
    }
    line
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

fn alone(session: &mut Client, n: usize, event: &str) -> Vec<String> {
    session.batch_execute("SAVEPOINT event").unwrap();
    match session.query(APPLY, &[&MAPPING, &event]) {
        Ok(rows) => rows.iter().map(|row| applied(n as i64, row)).collect(),
        Err(error) => {
            session.batch_execute("ROLLBACK TO event").unwrap();
            let error = db_error(&error);
            vec![format!("{n} failed {} {}", error.code().code(), error.message())]
        }
    }
}

fn batch(session: &mut Client, before: usize, events: &[String]) -> Vec<String> {
    session.batch_execute("SAVEPOINT batch").unwrap();
    let rows = match session.query(APPLY_BATCH, &[&MAPPING, &events]) {
        Ok(rows) => rows,
        Err(error) => {
            session.batch_execute("ROLLBACK TO batch").unwrap();
            return vec![format!("the call failed: {}", db_error(&error))];
        }
    };
    let line = |row: &Row| {
        let n = before as i64 + row.get::<_, i64>("event");
        match row.get::<_, &str>("action") {
            "failed" => format!("{n} failed {}", row.get::<_, &str>("error")),
            _ => applied(n, row),
        }
    };
    rows.iter().map(line).collect()
}

fn applied(n: i64, row: &Row) -> String {
    let [slug, id, action, identifiers] =
        ["entity_slug", "entity_id", "action", "identifiers"].map(|name| row.get::<_, &str>(name));
    format!("{n} {action} {slug} {id} {identifiers}")
}

const APPLY: &str = "
    SELECT entity_slug, entity_id, action, unique_identifiers::text AS identifiers
    FROM erp_apply($1::text::jsonb, 'Sync', $2::text::jsonb)";
const APPLY_BATCH: &str = "
    SELECT event, entity_slug, entity_id, action, unique_identifiers::text AS identifiers,
           (error ->> 'sqlstate') || ' ' || (error ->> 'message') AS error
    FROM erp_apply_batch($1::text::jsonb, 'Sync', $2::text[]::jsonb[], 'continue')";

/// Error: the lines that only one of them has.
fn same(way: &str, expected: &[String], got: &[String]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let only = |sign: &str, these: &[String], those: &[String]| -> String {
        let missing = these.iter().filter(|line| !those.contains(line));
        missing.take(6).map(|line| format!("{sign} {line:.600}\n")).collect()
    };
    Err(format!("{way}\n{}{}", only("-", expected, got), only("+", got, expected)))
}

fn lines_of(session: &mut Client, query: &str) -> Vec<String> {
    session.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

// Sessions at once

/// Notes link to items of lists that customers have (upserted as well), sites (which only links
/// find) and depots (a table of the user's own).
const LISTS: &str = r##"{"version": "2.0", "mapping": {"events": {"Sync": {"entities": [
{"entity_schema": "note", "unique_ids": ["number"], "jsonataExpression": "notes", "fields": [
    {"attribute": "number", "field": "number"},
    {"attribute": "at", "relation_refs": {"items": [
        {"entity_schema": "customer", "unique_ids": [{"attribute": "code", "field": "customer"}], "path": "items",
         "value": {"attribute": "items", "operation": "_append", "field": "items"}},
        {"entity_schema": "site", "unique_ids": [{"attribute": "code", "field": "site"}], "path": "items",
         "value": {"attribute": "items", "operation": "_append", "field": "items"}},
        {"entity_schema": "depot", "unique_ids": [{"attribute": "code", "field": "depot"}], "path": "items",
         "value": {"attribute": "items", "operation": "_append_unique", "field": "items"}}]}}]},
{"entity_schema": "customer", "unique_ids": ["code"], "jsonataExpression": "customers", "fields": [
    {"attribute": "code", "field": "code"}, {"attribute": "name", "field": "name"},
    {"attribute": "items", "jsonataExpression": "{\"_append\": items}"}]},
{"entity_schema": "depot", "unique_ids": ["code"], "jsonataExpression": "depots", "fields": [
    {"attribute": "code", "field": "code"}, {"attribute": "name", "field": "name"},
    {"attribute": "items", "jsonataExpression": "{\"_append\": items}"}]}
]}}}}"##;

const DEPOTS: &str = "
    CREATE TABLE depots (id bigserial PRIMARY KEY, code text UNIQUE, data jsonb NOT NULL DEFAULT '{}');
    SELECT erp_register_entity('depot', 'depots', ARRAY['code'], attributes_column => 'data');";

const LIST_VIEWS: &str = r#"
    CREATE VIEW owner AS
        SELECT id::text, 'customer' AS slug, code, attributes FROM customer
        UNION ALL SELECT id::text, 'site', code, attributes FROM site
        UNION ALL SELECT id::text, 'depot', code, data FROM depots;
    CREATE VIEW item AS
        SELECT o.id, o.slug, o.code, i.item ->> 'text' AS text, i.item ->> '_id' AS item_id
        FROM owner AS o, jsonb_array_elements(o.attributes -> 'items') AS i(item);
    CREATE VIEW link AS
        SELECT n.number, l.link ->> 'entity_id' AS id, l.link ->> '_id' AS item_id
        FROM note AS n, jsonb_path_query(n.attributes, '$.at."$relation_ref"[*]') AS l(link);"#;

#[test]
fn sessions_that_add_items_to_the_same_lists_lose_none() {
    const SESSIONS: usize = 8;
    const ROUNDS: usize = 40;
    let database = Database::new("references_sessions");
    let mut session = database.connect();
    session.batch_execute(DEPOTS).unwrap();
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&LISTS]).unwrap();
    session.batch_execute(LIST_VIEWS).unwrap();

    let together = Barrier::new(SESSIONS);
    let results = in_sessions(&database, SESSIONS, |number, session| {
        let mut random = Random::new(6 << 32 | number as u64);
        let (mut caller, mut errors) =
            (Caller { session: number, calls: 0, done: Done::default() }, Vec::new());
        for round in 0..ROUNDS {
            together.wait();
            for _ in 0..6 {
                let payloads: Vec<String> = (0..if random.chance(60) { 1 } else { 3 })
                    .map(|_| caller.payload(&mut random, round).to_string())
                    .collect();
                let applied = match &payloads[..] {
                    [payload] => session.query(APPLY, &[&LISTS, payload]),
                    payloads => session.query(RAISING, &[&LISTS, &payloads]),
                };
                errors.extend(applied.err().map(|error| format!("{error:?}")));
            }
        }
        (caller.done, errors)
    });

    let errors: Vec<&String> = results.iter().flat_map(|(_, errors)| errors).collect();
    assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
    let mut done = Done::default();
    for (of_session, _) in results {
        done.items.extend(of_session.items);
        done.links.extend(of_session.links);
    }
    check(&mut session, done);
}

const RAISING: &str =
    "SELECT action FROM erp_apply_batch($1::text::jsonb, 'Sync', $2::text[]::jsonb[])";

/// What has to be there: the text of each item, by its list, and of each link, by its note.
#[derive(Default)]
struct Done {
    items: Vec<String>,
    links: Vec<String>,
}

/// A session's calls: each adds items that no other does, and some that all share.
struct Caller {
    session: usize,
    calls: usize,
    done: Done,
}

impl Caller {
    fn payload(&mut self, random: &mut Random, round: usize) -> Value {
        self.calls += 1;
        let text = format!("{}/{}", self.session, self.calls);
        let slug = random.pick(&["customer", "customer", "site", "depot"]);
        let code = format!("{round}-{}", random.below(2));
        match random.below(4) {
            // Added by itself, which gives it no _id yet.
            0 if slug != "site" => {
                self.done.items.push(format!("{slug} {code} {text}"));
                json!({format!("{slug}s"): [{"code": code, "items": [{"text": text}], "name": text}]})
            }
            // Nothing is added, but who comes first creates it.
            1 if slug != "site" => json!({format!("{slug}s"): [{"code": code, "items": []}]}),
            _ => {
                let shared = format!("shared {}", random.below(2));
                let texts =
                    if random.chance(40) { vec![text.clone(), shared] } else { vec![text.clone()] };
                for item in &texts {
                    self.done.items.push(format!("{slug} {code} {item}"));
                    self.done.links.push(format!("{text} {slug} {code} {item}"));
                }
                let items: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
                json!({"notes": [{"number": text, slug: code, "items": items}]})
            }
        }
    }
}

fn check(session: &mut Client, mut done: Done) {
    let twice = lines_of(
        session,
        "SELECT concat_ws(' ', slug, code) FROM owner GROUP BY slug, code HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "several entities of one key: {twice:?}");
    let nowhere = lines_of(
        session,
        "SELECT number FROM link AS l
         WHERE NOT EXISTS (SELECT FROM item AS i WHERE i.id = l.id AND i.item_id = l.item_id)",
    );
    assert!(
        nowhere.is_empty(),
        "{} links lead nowhere: {:?}",
        nowhere.len(),
        &nowhere[..nowhere.len().min(5)]
    );
    done.items.sort();
    // What several share is one item.
    done.items.dedup();
    let items = lines_of(session, "SELECT concat_ws(' ', slug, code, text) FROM item");
    assert_same("items", items, done.items);
    let links = lines_of(
        session,
        "SELECT concat_ws(' ', l.number, i.slug, i.code, i.text)
         FROM link AS l JOIN item AS i ON i.id = l.id AND i.item_id = l.item_id",
    );
    assert_same("links", links, done.links);
    let ids = lines_of(
        session,
        "SELECT item_id FROM item WHERE item_id IS NOT NULL GROUP BY slug, id, item_id HAVING count(*) > 1",
    );
    assert!(ids.is_empty(), "an _id twice in a list: {ids:?}");
}

/// Both hold the same lines, each as often.
fn assert_same(what: &str, got: Vec<String>, expected: Vec<String>) {
    let mut surplus: BTreeMap<String, i32> = BTreeMap::new();
    got.into_iter().for_each(|line| *surplus.entry(line).or_default() += 1);
    expected.into_iter().for_each(|line| *surplus.entry(line).or_default() -= 1);
    surplus.retain(|_, count| *count != 0);
    let some: BTreeMap<_, _> = surplus.iter().take(10).collect();
    assert!(surplus.is_empty(), "{what}: {} differ, how often too often: {some:#?}", surplus.len());
}
