//! What the sessions did to the entities: every version of every row, in the order of the locks
//! under which they were written, and by which transaction. Triggers tell it, or the server's log:
//! tables with triggers are written by statements alone.

use std::collections::{BTreeMap, HashMap};

use postgres::Client;
use serde_json::Value;

use super::store::{Entity, Name};

const VERSIONS: &str = "
    CREATE TABLE version (
        seq bigint GENERATED ALWAYS AS IDENTITY, xid xid8 DEFAULT pg_current_xact_id(),
        slug text, id uuid, attributes jsonb, stub boolean, is_deleted boolean);";

/// A row trigger of the entity tables runs while its transaction holds the row. It tarries now and
/// then, so that others come in between.
const TRIGGERS: &str = r#"
    CREATE FUNCTION keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < 0.05 THEN PERFORM pg_sleep(random() * 0.004); END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO public.version (slug, id) VALUES (TG_TABLE_NAME, OLD.id);
        ELSE
            INSERT INTO public.version (slug, id, attributes, stub, is_deleted)
            VALUES (TG_TABLE_NAME, NEW.id, NEW.attributes, NEW.stub, NEW.deleted_at IS NOT NULL);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON contact FOR EACH ROW EXECUTE FUNCTION keep_version();
    CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON contract FOR EACH ROW EXECUTE FUNCTION keep_version();"#;

/// What the log tells of rows, transactions in the order in which they were committed.
const LOGGED: &str = r"
    INSERT INTO version (xid, slug, id, attributes, stub, is_deleted)
    SELECT c.xid::text::xid8, t[1], substring(c.data FROM ' id\[uuid\]:''([^'']+)')::uuid,
           replace(substring(c.data FROM ' attributes\[jsonb\]:''((?:[^'']|'''')*)'''), '''''', '''')::jsonb,
           substring(c.data FROM ' stub\[boolean\]:(\w+)')::boolean,
           c.data !~ ' deleted_at\[timestamp with time zone\]:null' AND t[2] <> 'DELETE'
    FROM pg_logical_slot_get_changes(current_database(), NULL, NULL) AS c,
         regexp_match(c.data, '^table public\.(contact|contract): (INSERT|UPDATE|DELETE):') AS t
    WHERE t IS NOT NULL";

/// Who tells of the versions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Teller {
    Triggers,
    Log,
}

impl Teller {
    /// Has the versions told from now on.
    pub fn prepare(self, session: &mut Client) {
        session.batch_execute(VERSIONS).unwrap();
        match self {
            Teller::Triggers => session.batch_execute(TRIGGERS).unwrap(),
            Teller::Log => {
                let slot = "SELECT pg_create_logical_replication_slot(current_database(), 'test_decoding')";
                session.query(slot, &[]).unwrap();
            }
        }
    }

    /// The versions since the last time.
    pub fn history(self, session: &mut Client) -> History {
        if self == Teller::Log {
            // What is committed comes to the log some time later, unless somebody waits for it.
            session
                .batch_execute(
                    "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'test', '')",
                )
                .unwrap();
            session.execute(LOGGED, &[]).unwrap();
        }
        read(session)
    }
}

/// What a transaction made of an entity; `None`: it is there no longer.
#[derive(Debug, Clone)]
pub struct Version {
    pub xid: String,
    pub entity: Option<Entity>,
}

/// The versions of each entity that transactions left, in order.
pub type History = BTreeMap<Name, Vec<Version>>;

/// Reads the versions. A transaction that leaves an entity as it was is not told of.
fn read(session: &mut Client) -> History {
    let query = "SELECT xid::text, slug, id::text, attributes::text, stub, is_deleted FROM version ORDER BY seq";
    let rows = session.query(query, &[]).unwrap();
    let documents: Vec<Option<Value>> = rows
        .iter()
        .map(|row| row.get::<_, Option<&str>>(3).map(|text| serde_json::from_str(text).unwrap()))
        .collect();
    let mut names: HashMap<&str, Name> = HashMap::new();
    for (row, document) in rows.iter().zip(&documents) {
        if let Some(document) = document {
            names.entry(row.get(2)).or_insert_with(|| name(row.get(1), document));
        }
    }
    let mut history = History::new();
    for (row, document) in rows.iter().zip(&documents) {
        let (xid, id): (String, &str) = (row.get(0), row.get(2));
        let entity =
            document.as_ref().map(|document| entity(document, row.get(4), row.get(5), &names));
        let versions = history.entry(names[id].clone()).or_default();
        if versions.last().is_some_and(|last| last.xid == xid) {
            versions.pop();
        }
        if versions.last().and_then(|last| last.entity.as_ref()) != entity.as_ref() {
            versions.push(Version { xid, entity });
        }
    }
    history
}

fn name(slug: &str, document: &Value) -> Name {
    let text = |attribute: &str| document[attribute].as_str();
    let key = match slug {
        "contract" => text("contract_number"),
        _ => text("customer_number").or_else(|| text("email")?.strip_suffix("@x")),
    };
    format!("{slug} {}", key.expect("an entity has an identifier"))
}

fn entity(
    document: &Value,
    is_stub: bool,
    is_deleted: bool,
    names: &HashMap<&str, Name>,
) -> Entity {
    let text = |attribute: &str| document[attribute].as_str().map(str::to_owned);
    let mut entity = Entity {
        is_numbered: document.get("customer_number").or(document.get("contract_number")).is_some(),
        has_email: document.get("email").is_some(),
        is_stub,
        is_deleted,
        last: text("last"),
        log: strings(&document["log"]),
        town: text("town"),
        links: BTreeMap::new(),
    };
    for attribute in ["owner", "people", "manager", "contracts", "more_contracts"] {
        if let Some(relation) = document.get(attribute) {
            let items = relation["$relation"].as_array().expect("a relation is a list");
            let link = |item: &Value| {
                let id = item["entity_id"].as_str().expect("an item has an id");
                let name = names.get(id).cloned().unwrap_or_else(|| format!("nobody, {id}"));
                (name, strings(&item["_tags"]).pop())
            };
            entity.links.insert(attribute, items.iter().map(link).collect());
        }
    }
    entity
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("a string").to_owned()).collect()
}
