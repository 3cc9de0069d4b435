//! What only reads works on a hot standby.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use erp_tests::{Database, db_error};
use postgres::{Client, Config, NoTls};

const MAPPING: &str = r#"{"version": "2.0", "mapping": {"events": {"Changed": {"entities": [
    {"entity_schema": "customer", "unique_ids": ["no"], "mode": "upsert-prune-scope-delete",
     "scope": {"scope_mode": "query", "query": [{"attribute": "town", "field": "town"}]},
     "fields": [{"attribute": "no", "field": "no"}, {"attribute": "town", "field": "town"},
        {"attribute": "account", "relations": {"items": [
            {"entity_schema": "account", "unique_ids": [{"attribute": "number", "field": "account"}]}]}}]}]}}}}"#;

/// A table of each kind.
const SETUP: &str = r#"
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no text UNIQUE, town text, data jsonb, deleted_at timestamptz);
    SELECT erp_register_entity('customer', 'customers', '{no}', attributes_column => 'data', deleted_at_column => 'deleted_at');
    SELECT erp_create_entity('account', '{number}');"#;

#[test]
fn a_hot_standby_simulates_finds_maps_and_validates() {
    let database = Database::new("standby");
    let mut primary = database.connect();
    primary.batch_execute(SETUP).unwrap();
    let apply = "SELECT action FROM erp_apply($1::text::jsonb, 'Changed', $2::text::jsonb)";
    let first = r#"{"no": "C-1", "town": "Bonn", "account": "A-1"}"#;
    primary.query(apply, &[&MAPPING, &first]).unwrap();

    let standby = Standby::start();
    let name: String = primary.query_one("SELECT current_database()", &[]).unwrap().get(0);
    let mut session = standby.connect(&name);
    let follows = "SELECT pg_is_in_recovery()";
    assert!(session.query_one(follows, &[]).unwrap().get::<_, bool>(0));
    // It follows what happens after the copy was made.
    primary.batch_execute("SET synchronous_commit = on").unwrap();
    let second = r#"{"no": "C-2", "town": "Köln"}"#;
    primary.query(apply, &[&MAPPING, &second]).unwrap();
    wait_for_replay(&mut primary, &mut session);

    let simulate = "SELECT concat_ws(' ', entity_slug, action, coalesce(after, before) ->> 'no')
        FROM erp_simulate($1::text::jsonb, 'Changed', $2::text::jsonb)";
    let third = r#"{"no": "C-3", "town": "Bonn", "account": "A-2"}"#;
    assert_eq!(
        lines(&mut session, simulate, &[&MAPPING, &third]),
        ["customer created C-3", "account stubbed", "customer deleted C-1"]
    );
    assert_eq!(lines(&mut session, simulate, &[&MAPPING, &second]), ["customer unchanged C-2"]);
    let found = "SELECT attributes ->> 'number' FROM erp_find('account')";
    assert_eq!(lines(&mut session, found, &[]), ["A-1"]);
    let mapped = "SELECT mode FROM erp_map($1::text::jsonb, 'Changed', $2::text::jsonb)";
    assert_eq!(lines(&mut session, mapped, &[&MAPPING, &third]), ["upsert", "prune-delete"]);
    let problems = "SELECT message FROM erp_validate($1::text::jsonb)";
    assert_eq!(
        lines(&mut session, problems, &[&MAPPING]),
        [r#""customer" has no index for its scope by (town): each event reads the whole table"#]
    );
    // What writes says so, in PostgreSQL's words.
    let error = session.query(apply, &[&MAPPING, &third]).unwrap_err();
    assert_eq!(db_error(&error).code().code(), "25006");
    // What is simulated there is what is done here.
    assert_eq!(lines(&mut primary, apply, &[&MAPPING, &third]), ["created", "stubbed", "deleted"]);
}

/// Waits until the standby has what is written now. It replays what other tests write as well.
fn wait_for_replay(primary: &mut Client, standby: &mut Client) {
    let written = "SELECT pg_current_wal_lsn()::text";
    let written: String = primary.query_one(written, &[]).unwrap().get(0);
    let replayed = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    let start = Instant::now();
    while !standby.query_one(replayed, &[&written]).unwrap().get::<_, bool>(0) {
        assert!(start.elapsed() < Duration::from_secs(60), "the standby does not follow");
        thread::sleep(Duration::from_millis(10));
    }
}

fn lines(
    session: &mut Client,
    query: &str,
    arguments: &[&(dyn postgres::types::ToSql + Sync)],
) -> Vec<String> {
    session.query(query, arguments).unwrap().iter().map(|row| row.get(0)).collect()
}

/// A copy of the cluster that PGHOST names, which follows it; it lives in the cluster's own
/// folder, and ends when dropped.
struct Standby {
    home: PathBuf,
}

impl Standby {
    fn start() -> Standby {
        let home = PathBuf::from(env::var("PGHOST").expect("PGHOST is set")).join("standby");
        let standby = Standby { home };
        run("mkdir", &[standby.home.to_str().unwrap()]);
        let data = standby.data();
        let (user, socket) = (env::var("PGUSER").unwrap_or("postgres".into()), &standby.home);
        run(
            "pg_basebackup",
            &["-U", &user, "-D", &data, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        );
        let settings = format!(
            "-c unix_socket_directories='{}' -c shared_buffers=16MB -c max_standby_streaming_delay=-1",
            socket.display()
        );
        let log = standby.home.join("log");
        let log = log.to_str().unwrap();
        run("pg_ctl", &["start", "-w", "-t", "60", "-D", &data, "-l", log, "-o", &settings]);
        standby
    }

    fn data(&self) -> String {
        self.home.join("data").to_str().unwrap().to_owned()
    }

    fn connect(&self, database: &str) -> Client {
        let user = env::var("PGUSER").unwrap_or("postgres".into());
        let mut config = Config::new();
        config.host(self.home.to_str().unwrap()).user(&user).dbname(database);
        if let Ok(port) = env::var("PGPORT") {
            config.port(port.parse().expect("PGPORT is a number"));
        }
        config.connect(NoTls).unwrap()
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // A test that fails must be seen to fail by its own message.
        let data = self.data();
        let _ = as_owner("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &data]);
        let _ = as_owner("rm", &["-rf", self.home.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = as_owner(program, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {told}");
}

/// Runs a program of the server's as the user whom the cluster belongs to, as
/// `scripts/with-cluster.sh` does: servers refuse to run as root.
fn as_owner(program: &str, arguments: &[&str]) -> Output {
    let is_root = Command::new("id").arg("-u").output().expect("id runs").stdout == b"0\n";
    let bin = env::var("PGBIN").unwrap_or_default();
    let path = PathBuf::from(bin).join(program);
    let path = if path.exists() { path } else { PathBuf::from(program) };
    let mut command = match is_root {
        true => {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        }
        false => Command::new(path),
    };
    // A server keeps open what it inherits.
    let errors = if program == "pg_ctl" { Stdio::null() } else { Stdio::piped() };
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    let child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    child.wait_with_output().expect("the program ends")
}
