//! What must hold after a recovery, and while the sessions go on.

use std::collections::HashMap;

use postgres::{Client, IsolationLevel, Transaction};

use super::work::{IMPORT, Work};

/// Everything in one snapshot, in which all is to be seen that was acknowledged before.
pub fn all(session: &mut Client, work: &Work) {
    let acknowledged = work.acknowledged();
    let level = IsolationLevel::RepeatableRead;
    let mut snapshot = session.build_transaction().isolation_level(level).start().unwrap();
    let tokens = tokens(&mut snapshot);
    for (token, times) in &tokens {
        assert_eq!(times, &[1, 1, 1], "{token}: how often contact, contract, account have it");
    }
    for token in &acknowledged.tokens {
        assert!(tokens.contains_key(token), "{token} was acknowledged and is not there");
    }
    imports(&mut snapshot, &tokens);
    links(&mut snapshot);
    snapshot.commit().unwrap();
    indexes(session);
}

/// When all sessions have come to their end: every event of every import is there.
pub fn complete(session: &mut Client, work: &Work) {
    let acknowledged = work.acknowledged();
    let mut snapshot = session.transaction().unwrap();
    let tokens = tokens(&mut snapshot);
    let unfinished = "SELECT count(*) FROM erp.import WHERE finished_at IS NULL";
    assert_eq!(snapshot.query_one(unfinished, &[]).unwrap().get::<_, i64>(0), 0);
    for stream in &acknowledged.imports {
        for n in 1..=IMPORT {
            assert!(tokens.contains_key(&format!("{stream}-{n}")), "{stream}-{n} is not there");
        }
    }
    let all = acknowledged.tokens.len() + acknowledged.imports.len() * IMPORT as usize;
    assert!(all > 0);
    assert_eq!(tokens.len(), all);
}

/// No process died but by our hand.
pub fn log(log: &str) {
    let died = |line: &&str| {
        line.contains("PANIC:  ")
            || line.contains("was terminated by signal") && !line.contains("by signal 9:")
    };
    let lines: Vec<&str> = log.lines().filter(died).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

/// Each event's token, and how many contacts, contracts and accounts have it.
fn tokens(snapshot: &mut Transaction) -> HashMap<String, [i32; 3]> {
    let mut tokens: HashMap<String, [i32; 3]> = HashMap::new();
    for (kind, table) in ["contact", "contract", "account"].iter().enumerate() {
        let query = format!("SELECT jsonb_array_elements_text(attributes -> 'log') FROM {table}");
        for row in snapshot.query(&query, &[]).unwrap() {
            tokens.entry(row.get(0)).or_default()[kind] += 1;
        }
    }
    tokens
}

/// What an import says is done is done, and nothing behind it.
fn imports(snapshot: &mut Transaction, tokens: &HashMap<String, [i32; 3]>) {
    let query = "SELECT substring(source_query FROM 'import[0-9]+\\.[0-9]+'), done FROM erp.import";
    for row in snapshot.query(query, &[]).unwrap() {
        let (stream, done): (&str, i64) = (row.get(0), row.get(1));
        for n in 1..=IMPORT as i64 {
            let is_there = tokens.contains_key(&format!("{stream}-{n}"));
            assert_eq!(is_there, n <= done, "{stream}-{n}, {done} are done");
        }
    }
}

fn links(snapshot: &mut Transaction) {
    let query = "
        WITH entity AS (SELECT id, attributes FROM contract UNION ALL SELECT id, attributes FROM account)
        SELECT count(*) FROM entity, jsonb_path_query(attributes, '$.*.\"$relation\"[*].entity_id') AS to_id
        WHERE NOT EXISTS (SELECT FROM contact WHERE id = (to_id #>> '{}')::uuid)
          AND NOT EXISTS (SELECT FROM contract WHERE id = (to_id #>> '{}')::uuid)";
    assert_eq!(snapshot.query_one(query, &[]).unwrap().get::<_, i64>(0), 0, "links lead nowhere");
}

/// Every row is in every B-tree, those in order, and rows are whole.
fn indexes(session: &mut Client) {
    let query = "
        SELECT count(bt_index_check(c.oid, heapallindexed => true)::text)
        FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
        WHERE c.relkind = 'i' AND a.amname = 'btree' AND c.relnamespace IN ('public'::regnamespace, 'erp'::regnamespace)";
    let indexes: i64 = session.query_one(query, &[]).unwrap().get(0);
    assert!(indexes >= 6, "{indexes} indexes were checked");
    let query = "
        SELECT c.relname::text, v.msg FROM pg_class AS c CROSS JOIN LATERAL verify_heapam(c.oid) AS v
        WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'erp'::regnamespace)";
    let found = session.query(query, &[]).unwrap();
    let broken: Vec<(&str, &str)> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(broken.is_empty(), "{broken:?}");
}
