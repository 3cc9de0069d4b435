//! What runs by itself: jobs of pg_cron, workers, removing what is old.

mod operations {
    mod retention;
    mod schedule;
    mod worker;

    use erp_tests::Database;
    use postgres::Client;

    /// A use case, sap/customers, and its table.
    pub const SETUP: &str = r#"
        SELECT erp_create_integration('sap');
        SELECT erp_create_entity('customer', '{no}');
        SELECT erp_set_use_case('sap/customers', '{"entities": [
            {"entity_schema": "customer", "unique_ids": ["no"],
             "fields": [{"attribute": "no", "field": "no"}]}]}');"#;

    pub fn with_use_case(name: &str) -> Database {
        let database = Database::new(name);
        database.connect().batch_execute(SETUP).unwrap();
        database
    }

    /// Puts an event into the inbox; its id.
    pub fn enqueue(session: &mut Client, no: &str, deduplication_id: Option<&str>) -> i64 {
        let event = "jsonb_build_object('event_name', 'Changed', 'deduplication_id', $2::text,
            'payload', jsonb_build_object('no', $1::text))";
        let enqueue = format!("SELECT erp_enqueue('sap/customers', {event})");
        session.query_one(&enqueue, &[&no, &deduplication_id]).unwrap().get(0)
    }

    /// What became of an event: `None`, it waits or is not there.
    pub fn outcome(session: &mut Client, event: i64) -> Option<String> {
        let outcome = "SELECT state FROM erp.outcome WHERE event = $1";
        session.query_opt(outcome, &[&event]).unwrap().map(|row| row.get(0))
    }

    pub fn count(session: &mut Client, query: &str) -> i64 {
        session.query_one(query, &[]).unwrap().get(0)
    }
}
