//! The ways in which a sequence is applied to the database, and what each leaves.

use std::collections::{HashMap, HashSet};

use erp_tests::{Database, Random, db_error};
use postgres::{Client, Row, Statement};

use super::json::Json;
use super::sequence::Sequence;
use super::store::{self, CHANGED_BACK, Store};
use super::updates::{DELETES, updates};

#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// Event by event.
    Single,
    /// The same, each payload a string that holds JSON.
    Text,
    /// All in one batch.
    Batch,
    /// In batches cut anywhere, by the seed.
    Cut(u64),
    /// `erp_import`, in batches of so many events.
    Import(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tables {
    Managed,
    /// A user's own, in which identifiers have columns.
    Registered,
}

/// No statistics, ever.
const MANAGED: &str = "
    UPDATE erp.entity_type SET on_missing = 'skip' WHERE slug = 'site';
    UPDATE erp.entity_type SET on_missing = 'error' WHERE slug = 'vendor';
    ALTER TABLE contact SET (autovacuum_enabled = off);
    ALTER TABLE contract SET (autovacuum_enabled = off);
    ALTER TABLE account SET (autovacuum_enabled = off);";

/// Keys have columns, everything else is in a document.
const REGISTERED: &str = include_str!("registered.sql");

/// The most events that are written together.
const CHUNK: usize = 1_000;

/// Settings that change how PostgreSQL plans and runs statements; nothing else may change.
const SETTINGS: [&str; 9] = [
    "enable_indexscan = off",
    "enable_bitmapscan = off",
    "enable_seqscan = off",
    "enable_hashjoin = off",
    "enable_nestloop = off",
    "plan_cache_mode = force_generic_plan",
    "plan_cache_mode = force_custom_plan",
    "work_mem = '64kB'",
    "enable_sort = off",
];

const SLUGS: [&str; 5] = ["contact", "contract", "account", "site", "vendor"];

/// Attributes that have a column in [`REGISTERED`]: nothing else tells them from null, and numbers
/// are the text of their keys.
const COLUMNS: [&str; 6] =
    ["customer_number", "email", "contract_number", "external_id", "kind", "site_number"];

pub struct Applier {
    session: Client,
    tables: Tables,
    mapping: String,
    single: Statement,
    batch: Statement,
    pub settings: Vec<&'static str>,
}

/// The store's ids of the entities of the database, by slug and id.
type Ids = HashMap<(String, String), usize>;

/// What a sequence did: a line a row of an event or its failure, and a line an entity.
#[derive(Default)]
struct Outcome {
    rows: Vec<String>,
    entities: Vec<String>,
}

/// The store, and what each event so far came to.
struct Model {
    /// Whether the mapping has the entries that delete.
    deletes: bool,
    store: Store,
    results: Vec<Result<Vec<store::Row>, &'static str>>,
}

impl Model {
    fn new(deletes: bool) -> Model {
        Model { deletes, store: Store::default(), results: Vec::new() }
    }

    fn apply(&mut self, payloads: &[String]) {
        for payload in payloads {
            let updates = updates(&Json::parse(payload), self.deletes);
            self.results.push(updates.and_then(|updates| self.store.apply(&updates)));
        }
    }
}

impl Applier {
    pub fn new(database: &Database, tables: Tables, entries: &[&str]) -> Applier {
        let entries = entries.join(", ");
        let mapping = format!(
            r#"{{"version": "2.0", "mapping": {{"events": {{"Sync": {{"entities": [{entries}]}}}}}}}}"#
        );
        let mut session = database.connect();
        match tables {
            Tables::Managed => {
                session.query("SELECT erp_prepare($1::text::jsonb)", &[&mapping]).unwrap();
                session.batch_execute(MANAGED).unwrap();
            }
            Tables::Registered => session.batch_execute(REGISTERED).unwrap(),
        }
        let single = "
            SELECT entity_slug, entity_id, action, unique_identifiers::text
            FROM erp_apply($1::text::jsonb, 'Sync', CASE WHEN $3 THEN to_jsonb($2::text) ELSE $2::text::jsonb END)";
        let batch = "
            SELECT entity_slug, entity_id, action, unique_identifiers::text, event, error ->> 'sqlstate'
            FROM erp_apply_batch($1::text::jsonb, 'Sync', $2::text[]::jsonb[], 'continue')";
        let [single, batch] = [single, batch].map(|query| session.prepare(query).unwrap());
        Applier { session, tables, mapping, single, batch, settings: Vec::new() }
    }

    /// Some settings, in a session of which some plans are kept from before.
    pub fn set(&mut self, random: &mut Random) {
        self.session.batch_execute("RESET ALL").unwrap();
        self.settings = SETTINGS.into_iter().filter(|_| random.chance(15)).collect();
        // Compiling makes the statements of the test slow, and what is disabled is costly.
        self.settings.push(if random.chance(3) { "jit_above_cost = 0" } else { "jit = off" });
        for setting in &self.settings {
            self.session.batch_execute(&format!("SET {setting}")).unwrap();
        }
        if random.chance(20) {
            self.session.batch_execute("DISCARD PLANS").unwrap();
        }
    }

    /// Applies the sequence and compares it with the store. Error: what differs.
    pub fn compare(&mut self, sequence: &Sequence, way: Way) -> Result<(), String> {
        let payloads: Vec<String> =
            sequence.before.iter().chain(&sequence.events).map(ToString::to_string).collect();
        let mut model = Model::new(self.mapping.contains(DELETES));
        if let Way::Import(size) = way {
            model.apply(&payloads);
            let entities = self.import(&payloads, size);
            return same(&self.expected_by_name(&model.store), &entities);
        }
        self.session.batch_execute("BEGIN").unwrap();
        let mut got = Outcome::default();
        let mut ids = Ids::new();
        let mut from = 0;
        let mut wrong = Ok(());
        for to in cuts(way, payloads.len()) {
            let (was, before) = (self.written(), model.store.clone());
            model.apply(&payloads[from..to]);
            got.rows.extend(self.step(way, &payloads[from..to], from, &model.results, &mut ids));
            let done = &model.results[from..to];
            let is_plain = !model.deletes && done.iter().all(Result::is_ok);
            if is_plain && to - from <= CHUNK && wrong.is_ok() {
                wrong =
                    self.check_written(was, &before, &model.store, done.iter().flatten().flatten());
            }
            from = to;
        }
        got.entities = self.entities(&ids);
        self.session.batch_execute("ROLLBACK").unwrap();
        let expected = self.expected(&model.results, &model.store);
        same(&expected.rows, &got.rows)?;
        same(&expected.entities, &got.entities)?;
        wrong
    }

    /// How many rows were inserted and updated in this transaction.
    fn written(&mut self) -> [i64; 2] {
        let query = "
            SELECT sum(pg_stat_get_xact_tuples_inserted(t))::bigint, sum(pg_stat_get_xact_tuples_updated(t))::bigint
            FROM unnest($1::text[]::regclass[]) AS t";
        let row = self.session.query_one(query, &[&SLUGS.map(String::from).to_vec()]).unwrap();
        [row.get(0), row.get(1)]
    }

    /// What is new was inserted once, what changed updated once, what did not change not written;
    /// what changed and changed back may be.
    fn check_written<'r>(
        &mut self,
        was: [i64; 2],
        before: &Store,
        after: &Store,
        rows: impl Iterator<Item = &'r store::Row>,
    ) -> Result<(), String> {
        let now = self.written();
        let new = after.entities.len() - before.entities.len();
        let is_same = |id: usize| before.entities[id].is_same(&after.entities[id]);
        let changed = (0..before.entities.len()).filter(|id| !is_same(*id)).count();
        let touched =
            rows.filter(|row| row.action != "unchanged" && row.id < before.entities.len());
        let back: HashSet<usize> = touched.map(|row| row.id).filter(|id| is_same(*id)).collect();
        let [inserted, updated] = [now[0] - was[0], now[1] - was[1]].map(|count| count as usize);
        let may_be = changed..=changed + back.len();
        if inserted == new && may_be.contains(&updated) {
            return Ok(());
        }
        Err(format!("- rows written: {new} new, {may_be:?} changed\n+ {inserted}, {updated}\n"))
    }

    /// Applies some events at once; notes which ids there are the store's.
    fn step(
        &mut self,
        way: Way,
        payloads: &[String],
        before: usize,
        results: &[Result<Vec<store::Row>, &'static str>],
        ids: &mut Ids,
    ) -> Vec<String> {
        let applied = match way {
            Way::Single | Way::Text => self.apply_alone(before, &payloads[0], way),
            _ => self.apply_batch(before, payloads),
        };
        let ours = results.iter().skip(before).flatten().flatten();
        let made = |action: &str| matches!(action, "created" | "stubbed");
        let new = applied.iter().filter(|row| made(&row.action));
        for (row, ours) in new.zip(ours.filter(|row| made(row.action))) {
            ids.insert((row.slug.clone(), row.id.clone()), ours.id);
        }
        applied.iter().map(|row| row.line(ids)).collect()
    }

    fn apply_alone(&mut self, n: usize, payload: &str, way: Way) -> Vec<Applied> {
        self.session.batch_execute("SAVEPOINT event").unwrap();
        let is_text = matches!(way, Way::Text);
        match self.session.query(&self.single, &[&self.mapping, &payload, &is_text]) {
            Ok(rows) => rows.iter().map(|row| Applied::of(n as i64 + 1, row)).collect(),
            Err(error) => {
                self.session.batch_execute("ROLLBACK TO event").unwrap();
                vec![Applied::failed(n as i64 + 1, db_error(&error).code().code())]
            }
        }
    }

    fn apply_batch(&mut self, before: usize, payloads: &[String]) -> Vec<Applied> {
        let rows = self.session.query(&self.batch, &[&self.mapping, &payloads]).unwrap();
        let applied = |row: &Row| {
            let event = before as i64 + row.get::<_, i64>("event");
            match row.get("action") {
                "failed" => Applied::failed(event, row.get(5)),
                _ => Applied::of(event, row),
            }
        };
        rows.iter().map(applied).collect()
    }

    /// The SQLSTATE that the event fails with, if it does.
    pub fn state_of_failure(&mut self, payload: &str) -> Option<String> {
        let error = self.session.query(&self.single, &[&self.mapping, &payload, &false]).err()?;
        Some(db_error(&error).code().code().to_owned())
    }

    // What there is

    fn expected(
        &self,
        results: &[Result<Vec<store::Row>, &'static str>],
        store: &Store,
    ) -> Outcome {
        let mut rows = Vec::new();
        for (event, result) in results.iter().enumerate() {
            match result {
                Err(state) => rows.push(format!("{} failed {state}", event + 1)),
                Ok(done) => rows.extend(done.iter().map(|row| {
                    let store::Row { slug, id, action, .. } = row;
                    let identifiers = self.normal(row.identifiers.clone());
                    format!("{} {action} {slug} <{id}> {identifiers}", event + 1)
                })),
            }
        }
        let entities = store.entities.iter().enumerate().map(|(id, entity)| {
            self.line(id, entity.slug, entity.document(), entity.is_stub, entity.is_deleted)
        });
        let mut entities: Vec<String> = entities.collect();
        entities.sort();
        Outcome { rows, entities }
    }

    fn line(&self, id: usize, slug: &str, attributes: Json, stub: bool, deleted: bool) -> String {
        let attributes = self.normal(attributes);
        let stub = if stub { " stub" } else { "" };
        let deleted = if deleted { " deleted" } else { "" };
        format!("{slug} <{id}> {attributes}{stub}{deleted}")
    }

    /// In registered tables, what columns keep is text or null.
    fn normal(&self, attributes: Json) -> Json {
        match attributes {
            Json::Object(members) if self.tables == Tables::Registered => {
                let members = members.into_iter().filter_map(|(name, value)| {
                    if !COLUMNS.contains(&&*name) && name != "vendor_number" {
                        return Some((name, value));
                    }
                    (!value.is_null()).then(|| (name, Json::string(&value.key())))
                });
                Json::object(members)
            }
            other => other,
        }
    }

    fn entities(&mut self, ids: &Ids) -> Vec<String> {
        let mut lines = Vec::new();
        for slug in SLUGS {
            let (stub, id) = match (self.tables, slug) {
                (Tables::Managed, _) => ("t.stub", "id"),
                (Tables::Registered, "site") => ("false", "site_number"),
                (Tables::Registered, "vendor") => ("false", "no"),
                (Tables::Registered, _) => ("t.stub", "no"),
            };
            let query = format!(
                "SELECT f.entity_id, (f.attributes - 'no')::text, {stub}, f.deleted_at IS NOT NULL
                 FROM erp_find('{slug}') AS f JOIN {slug} AS t ON t.{id}::text = f.entity_id"
            );
            for row in self.session.query(&query, &[]).unwrap() {
                let id = (slug.to_owned(), row.get(0));
                let id = ids.get(&id).copied().unwrap_or(usize::MAX);
                let attributes = with_ids(Json::parse(row.get(1)), ids);
                lines.push(self.line(id, slug, attributes, row.get(2), row.get(3)));
            }
        }
        lines.sort();
        lines
    }

    // Imports

    /// Imports the payloads into empty tables, and leaves them empty.
    fn import(&mut self, payloads: &[String], size: usize) -> Vec<String> {
        let query = "CREATE TEMP TABLE payloads AS
            SELECT ordinality, payload::jsonb FROM unnest($1::text[]) WITH ORDINALITY AS p(payload, ordinality)";
        self.session.execute(query, &[&payloads]).unwrap();
        let mapping = self.mapping.replace('\'', "''");
        let import = format!(
            "CALL erp_import('{mapping}', 'Sync', 'SELECT payload FROM payloads ORDER BY ordinality',
                             batch_size => {size}, on_error => 'continue')"
        );
        self.session.batch_execute(&import).unwrap();
        let entities = self.entities_by_name();
        let tables = SLUGS.join(", ");
        self.session.batch_execute(&format!("DROP TABLE payloads; TRUNCATE {tables}")).unwrap();
        entities
    }

    /// An import tells no ids: entities are told apart by what identifies them.
    fn entities_by_name(&mut self) -> Vec<String> {
        let mut ids = HashMap::new();
        let mut names = Vec::new();
        for slug in SLUGS {
            let query = format!("SELECT entity_id, attributes::text FROM erp_find('{slug}')");
            for row in self.session.query(&query, &[]).unwrap() {
                ids.insert((slug.to_owned(), row.get(0)), names.len());
                names.push(name(slug, &Json::parse(row.get(1))));
            }
        }
        let lines = self.entities(&ids);
        named(lines, &names)
    }

    fn expected_by_name(&self, store: &Store) -> Vec<String> {
        let name = |entity: &store::Entity| name(entity.slug, &entity.document());
        let names: Vec<String> = store.entities.iter().map(name).collect();
        named(self.expected(&[], store).entities, &names)
    }
}

/// Where the events are cut.
fn cuts(way: Way, count: usize) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut random = match way {
        Way::Cut(seed) => Random::new(seed),
        _ => Random::new(0),
    };
    let mut at = 0;
    while at < count {
        at += match way {
            Way::Single | Way::Text => 1,
            Way::Cut(_) => 1 + random.below((count - at).min(6)),
            _ => count,
        };
        cuts.push(at);
    }
    cuts
}

/// A row of an event's outcome, or its failure.
struct Applied {
    event: i64,
    action: String,
    slug: String,
    id: String,
    identifiers: String,
}

impl Applied {
    fn of(event: i64, row: &Row) -> Applied {
        let [slug, id, action, identifiers] = [0, 1, 2, 3].map(|column| row.get(column));
        Applied { event, action, slug, id, identifiers }
    }

    fn failed(event: i64, state: &str) -> Applied {
        let none = String::new;
        Applied {
            event,
            action: format!("failed {state}"),
            slug: none(),
            id: none(),
            identifiers: none(),
        }
    }

    fn line(&self, ids: &Ids) -> String {
        let Applied { event, action, slug, id, identifiers } = self;
        if slug.is_empty() {
            return format!("{event} {action}");
        }
        let id = shown(slug, id, ids);
        format!("{event} {action} {slug} {id} {identifiers}")
    }
}

/// The document with the store's ids in its links.
fn with_ids(document: Json, ids: &Ids) -> Json {
    match document {
        Json::Array(items) => {
            Json::Array(items.into_iter().map(|item| with_ids(item, ids)).collect())
        }
        Json::Object(members) => {
            let whole = Json::Object(members.clone());
            let slug = whole.get("_schema").map(Json::key);
            let members = members.into_iter().map(|(name, value)| match &slug {
                Some(slug) if name == "entity_id" => {
                    let id = shown(slug, &value.key(), ids);
                    (name, Json::string(&id))
                }
                _ => (name, with_ids(value, ids)),
            });
            Json::object(members)
        }
        scalar => scalar,
    }
}

fn shown(slug: &str, id: &str, ids: &Ids) -> String {
    match ids.get(&(slug.to_owned(), id.to_owned())) {
        Some(id) => format!("<{id}>"),
        None => format!("unknown {id}"),
    }
}

fn name(slug: &str, attributes: &Json) -> String {
    let keys =
        ["customer_number", "contract_number", "external_id", "site_number", "vendor_number"];
    let own = keys.iter().find_map(|key| attributes.get(key)).or_else(|| attributes.get("email"));
    let kind = attributes.get("kind").map(Json::key).unwrap_or_default();
    format!("{slug} {}{kind}", own.map(Json::key).unwrap_or_default())
}

fn named(lines: Vec<String>, names: &[String]) -> Vec<String> {
    let replace = |line: String| {
        let all = names.iter().enumerate();
        all.fold(line, |line, (id, name)| line.replace(&format!("<{id}>"), &format!("<{name}>")))
    };
    let mut lines: Vec<String> = lines.into_iter().map(replace).collect();
    lines.sort();
    lines
}

/// Error: some of the lines that differ.
fn same(expected: &[String], got: &[String]) -> Result<(), String> {
    let is_same = |(expected, got): (&String, &String)| expected == got || may_be(expected, got);
    if expected.len() == got.len() && expected.iter().zip(got).all(is_same) {
        return Ok(());
    }
    let only = |sign, these: &[String], those: &[String]| -> String {
        let missing = these.iter().filter(|line| !those.contains(line));
        missing.take(6).map(|line| format!("{sign} {line:.600}\n")).collect()
    };
    Err(only('-', expected, got) + &only('+', got, expected))
}

/// Of several reasons to fail, any may be told; so may either action of [`CHANGED_BACK`].
fn may_be(expected: &str, got: &str) -> bool {
    if expected.contains(CHANGED_BACK) {
        return CHANGED_BACK.split(" or ").any(|one| expected.replace(CHANGED_BACK, one) == got);
    }
    let (Some((event, states)), Some((other, state))) =
        (expected.split_once(" failed "), got.split_once(" failed "))
    else {
        return false;
    };
    event == other && states.split(' ').any(|expected| expected == state)
}
