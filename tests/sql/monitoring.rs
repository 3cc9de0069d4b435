//! What others read of monitoring: the exporter's queries, the dashboard, the report as HTML; and
//! workers that are seen at work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use erp_tests::{Database, wait_until};
use postgres::Client;
use roxmltree::{Document, ParsingOptions};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

/// A use case of which one event is done, one is dead and one waits; the names are hostile.
const SETUP: &str = r#"
    CREATE FUNCTION mapping() RETURNS jsonb LANGUAGE sql RETURN $$ {"version": "2.0", "mapping": {"events": {"Changed": {"entities": [
        {"entity_schema": "customer", "unique_ids": ["no"], "fields": [{"attribute": "no", "field": "no"}]}]}}}} $$::jsonb;
    SELECT erp_create_entity('customer', '{no}');
    SELECT erp_create_integration('crm');
    SELECT erp_set_use_case('crm/customer', mapping());
    SELECT erp_ingest('crm/customer', '{"event_name": "Changed", "payload": {"no": 1}}');
    SELECT erp_ingest('crm/customer', '{"event_name": "<script>alert(1)</script>&amp;\"''", "payload": {}}', on_error => 'dead_letter');
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '<img src=x onerror=alert(2)>%]]> & </td>', chr(1); END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION refuse();
    SELECT erp_ingest('crm/customer', '{"event_name": "Changed", "payload": {"no": 2}}', on_error => 'dead_letter');
    SELECT erp_enqueue('crm/customer', '{"event_name": "Changed", "payload": {"no": 3}}');"#;

/// What a query of the exporter gives: its name, the SQL, and whether each column is a label.
struct Query {
    name: String,
    sql: String,
    labels: BTreeSet<String>,
    metrics: BTreeSet<String>,
}

#[test]
fn queries_give_the_metrics_that_they_declare() {
    let database = Database::new("monitoring_queries");
    let mut session = database.connect();
    session.batch_execute(SETUP).unwrap();
    session.batch_execute("SET ROLE pg_monitor").unwrap();
    for query in queries() {
        let rows = format!("SELECT to_jsonb(q)::text FROM ({}) AS q", query.sql);
        let rows = session.query(&rows, &[]).unwrap_or_else(|e| panic!("{}: {e}", query.name));
        assert!(!rows.is_empty(), "{} gives no row", query.name);
        for row in rows {
            let row: BTreeMap<String, Value> = serde_json::from_str(row.get(0)).unwrap();
            let declared: BTreeSet<_> = query.labels.union(&query.metrics).collect();
            assert_eq!(row.keys().collect::<BTreeSet<_>>(), declared, "{}", query.name);
            for label in &query.labels {
                assert!(!row[label].is_null(), "{}: {label} is null", query.name);
            }
            for metric in &query.metrics {
                let value = &row[metric];
                assert!(value.is_number() || value.is_null(), "{}: {metric}: {value}", query.name);
            }
        }
    }
}

#[test]
fn the_dashboard_shows_metrics_and_labels_that_there_are() {
    let mut given = BTreeMap::new();
    for query in queries() {
        for metric in &query.metrics {
            given.insert(format!("{}_{metric}", query.name), query.labels.clone());
        }
    }
    let mut shown = BTreeSet::new();
    let mut targets = Vec::new();
    collect(&serde_json::from_str(&file("grafana-dashboard.json")).unwrap(), &mut targets);
    assert!(targets.len() > 10, "the dashboard has {} targets", targets.len());
    for (expression, legend) in &targets {
        let metrics: Vec<&str> =
            words(expression).filter(|word| word.starts_with("erp_")).collect();
        assert!(!metrics.is_empty(), "no metric in {expression}");
        for metric in metrics {
            let labels = given.get(metric).unwrap_or_else(|| panic!("no query gives {metric}"));
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                assert!(labels.contains(label), "{metric} has no label {label}");
            }
            shown.insert(metric.to_owned());
        }
    }
    assert_eq!(shown, given.into_keys().collect(), "metrics that are shown, and that there are");
}

#[test]
fn the_report_is_a_document_of_its_own_that_escapes_everything() {
    let database = Database::new("monitoring_report");
    let mut session = database.connect();
    session.batch_execute(SETUP).unwrap();
    let page: String = session.query_one("SELECT erp_report('html')", &[]).unwrap().get(0);
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&page, options)
        .unwrap_or_else(|error| panic!("the report is not well-formed: {error}\n{page}"));
    let text: String = document.descendants().filter_map(|node| node.text()).collect();
    assert!(
        text.contains(r#"the mapping has no event "<script>alert(1)</script>&amp;"'""#),
        "{text}"
    );
    assert!(text.contains("<img src=x onerror=alert(…)> ]]> & </td>"), "{text}");

    let elements = || document.descendants().filter(|node| node.is_element());
    for element in elements() {
        let name = element.tag_name().name();
        assert!(!["script", "img", "link", "iframe", "object", "a"].contains(&name), "<{name}>");
        for attribute in element.attributes() {
            assert!(!attribute.name().starts_with("on"), "<{name} {}>", attribute.name());
            assert!(!attribute.value().contains("//"), "{}", attribute.value());
        }
    }
    assert!(!page.contains("url(") && !page.contains("@import"), "a style from elsewhere");
    // Charts have a name for those who do not see them, and there are some.
    let charts: Vec<_> = elements().filter(|node| node.has_tag_name("svg")).collect();
    assert_eq!(charts.len(), 3);
    for chart in charts {
        assert_eq!(chart.attribute("role"), Some("img"));
        assert!(
            chart
                .attribute("aria-label")
                .is_some_and(|label| label.contains("applied") || label.contains("failed"))
        );
    }
    let columns = elements().filter(|node| node.has_tag_name("rect")).count();
    assert!(
        columns >= 3,
        "an hour in which events were applied, twice, and one in which they failed"
    );
}

#[test]
fn workers_are_seen_in_their_lanes() {
    let database = Database::new("monitoring_workers");
    let mut worker = database.connect();
    worker.batch_execute(SETUP).unwrap();
    let mut watcher = database.connect();
    assert_eq!(at_work(&mut watcher), (0, 0));
    let mut transaction = worker.transaction().unwrap();
    transaction.execute("SELECT erp_process()", &[]).unwrap();
    assert_eq!(at_work(&mut watcher), (1, 1));
    transaction.commit().unwrap();
    assert_eq!(at_work(&mut watcher), (0, 0));

    // What happens since a savepoint has a number of its own.
    worker.execute("SELECT erp_retry()", &[]).unwrap();
    worker.batch_execute("BEGIN; SAVEPOINT s").unwrap();
    worker.execute("SELECT erp_process()", &[]).unwrap();
    assert_eq!(at_work(&mut watcher), (1, 1));
    worker.batch_execute("COMMIT").unwrap();
    assert_eq!(at_work(&mut watcher), (0, 0));
}

fn at_work(watcher: &mut Client) -> (i64, i64) {
    let row = watcher.query_one("SELECT workers, lanes_busy FROM erp.queue_status", &[]).unwrap();
    (row.get(0), row.get(1))
}

fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    fs::read_to_string(root.join("monitoring").join(name)).expect("the file can be read")
}

fn queries() -> Vec<Query> {
    let source = file("queries.yaml");
    let documents = Yaml::load_from_str(&source).expect("queries.yaml is YAML");
    let queries = documents[0].as_mapping().expect("queries by their names");
    assert!(!queries.is_empty());
    queries.iter().map(|(name, query)| read_query(name.as_str().unwrap(), query)).collect()
}

fn read_query(name: &str, query: &Yaml) -> Query {
    let mut read = Query {
        name: name.to_owned(),
        sql: query["query"].as_str().expect("a query").to_owned(),
        labels: BTreeSet::new(),
        metrics: BTreeSet::new(),
    };
    for column in query["metrics"].as_sequence().expect("a list of columns") {
        for (column, meaning) in column.as_mapping().expect("a column") {
            assert!(!meaning["description"].as_str().expect("a description").is_empty());
            let columns = match meaning["usage"].as_str() {
                Some("LABEL") => &mut read.labels,
                Some("GAUGE") => &mut read.metrics,
                usage => panic!("{name}: usage {usage:?}"),
            };
            assert!(columns.insert(column.as_str().expect("a name").to_owned()));
        }
    }
    read
}

/// Every expression of a dashboard, with the legend that is made of its labels.
fn collect(value: &Value, targets: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            let legend = members.get("legendFormat").and_then(Value::as_str).unwrap_or_default();
            for name in ["expr", "definition"] {
                if let Some(expression) = members.get(name).and_then(Value::as_str) {
                    targets.push((expression.to_owned(), legend.to_owned()));
                }
            }
            members.values().for_each(|member| collect(member, targets));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, targets)),
        _ => {}
    }
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Whole hours are added up by `erp_maintain`: the views tell what the runs themselves would.
#[test]
fn runs_that_are_added_up_are_told_once() {
    let database = Database::new("monitoring_hours");
    let (mut session, mut late) = (database.connect(), database.connect());
    // Ids are not in the order of time.
    let runs =
        "INSERT INTO erp.run (use_case, version, started_at, finished_at, done, failed, dead, ms)
        SELECT n % 3, n % 2, now(), now() - n * 7 % 97 * interval '17 min', n % 5, 1, n % 2, n % 11
        FROM generate_series(1, 1000) AS n";
    let differences = "
        WITH told AS (
            SELECT use_case, version, hour, sum(runs) AS runs, sum(done) AS done, sum(failed) AS failed, sum(dead) AS dead,
                   sum(ms) AS ms, max(most_ms) AS most_ms, max(last_at) AS last_at
            FROM erp._day_runs GROUP BY use_case, version, hour
        ), are AS (
            SELECT use_case, version, date_bin('1 h', finished_at, '2000-01-01 00:00:00+00') AS hour, count(*) AS runs,
                   sum(done) AS done, sum(failed) AS failed, sum(dead) AS dead, sum(ms) AS ms, max(ms / (done + failed)), max(finished_at)
            FROM erp.run WHERE finished_at > statement_timestamp() - interval '24 h'
            GROUP BY use_case, version, date_bin('1 h', finished_at, '2000-01-01 00:00:00+00')
        )
        SELECT count(*) FROM ((TABLE told EXCEPT TABLE are) UNION ALL (TABLE are EXCEPT TABLE told)) AS d";
    let same = |session: &mut Client, when: &str| {
        assert_eq!(session.query_one(differences, &[]).unwrap().get::<_, i64>(0), 0, "{when}");
    };
    let added = |session: &mut Client| -> (i64, i64) {
        let query = "SELECT z.added, coalesce((SELECT sum(runs) FROM erp.run_hour), 0)::bigint FROM erp.run_horizon AS z";
        let row = session.query_one(query, &[]).unwrap();
        (row.get(0), row.get(1))
    };
    // Other databases of the server may have older transactions at work.
    let add_up = |session: &mut Client, expected: (i64, i64)| {
        wait_until("runs are added up", || {
            session.batch_execute("CALL erp_maintain()").unwrap();
            added(session) == expected
        });
    };
    session.batch_execute(runs).unwrap();
    same(&mut session, "nothing is added up");
    add_up(&mut session, (1_000, 1_000));
    same(&mut session, "the first are added up");

    // Runs that come in late, behind others.
    let mut open = late.transaction().unwrap();
    open.batch_execute(runs).unwrap();
    session.batch_execute(runs).unwrap();
    for _ in 0..3 {
        session.batch_execute("CALL erp_maintain()").unwrap();
        same(&mut session, "a transaction is open");
        assert_eq!(added(&mut session), (1_000, 1_000));
    }
    open.commit().unwrap();
    same(&mut session, "it has ended");
    add_up(&mut session, (3_000, 3_000));
    same(&mut session, "its runs are added up");
    session.batch_execute(runs).unwrap();
    same(&mut session, "some are, some are not");
    // What is too old to be told goes.
    session.batch_execute("UPDATE erp.run_hour SET hour = hour - interval '3 days'").unwrap();
    add_up(&mut session, (4_000, 1_000));
}
