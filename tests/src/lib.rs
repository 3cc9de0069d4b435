//! What the tests share: databases of their own on the server that PGHOST names, sessions at
//! once, random numbers that are the same in every run.

pub mod server;

use std::env;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::DbError;
use postgres::{Client, Config, NoTls};

/// An empty database with the extension, dropped when the test ends.
pub struct Database {
    name: String,
}

impl Database {
    /// Makes the database `erp_test_NAME`; what an earlier run left of it goes first.
    pub fn new(name: &str) -> Database {
        let database = Database { name: format!("erp_test_{name}") };
        let mut server = connect(None);
        let name = &database.name;
        server.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        server
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
            .unwrap();
        database.connect().batch_execute("CREATE EXTENSION erp_toolkit").unwrap();
        database
    }

    /// A new session.
    pub fn connect(&self) -> Client {
        connect(Some(&self.name))
    }

    /// A new session, whose notices are told.
    pub fn connect_told(&self, tell: impl Fn(String) + Send + Sync + 'static) -> Client {
        let mut config = config(Some(&self.name));
        config.notice_callback(move |notice| tell(notice.message().to_owned()));
        open(&config)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that fails must be seen to fail by its own message.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = connect(None).batch_execute(&drop) {
            eprintln!("{drop}: {error}");
        }
    }
}

fn connect(database: Option<&str>) -> Client {
    open(&config(database))
}

fn open(config: &Config) -> Client {
    config.connect(NoTls).unwrap_or_else(|error| panic!("no connection: {error}"))
}

fn config(database: Option<&str>) -> Config {
    let Ok(host) = env::var("PGHOST") else {
        panic!("PGHOST is not set: run this by `make test-sql` or scripts/with-cluster.sh");
    };
    let set = |name| env::var(name).ok();
    let mut config = Config::new();
    config
        .host(&host)
        .user(&set("PGUSER").unwrap_or_else(|| "postgres".into()))
        .dbname(database.unwrap_or(&set("PGDATABASE").unwrap_or_else(|| "postgres".into())))
        .application_name("erp_tests");
    if let Some(port) = set("PGPORT") {
        config.port(port.parse().expect("PGPORT is a number"));
    }
    if let Some(options) = set("PGOPTIONS") {
        config.options(&options);
    }
    if let Some(password) = set("PGPASSWORD") {
        config.password(password);
    }
    config
}

/// Runs `work` in `count` sessions at once; it is told the number of its session, from 0, and
/// starts when all are connected.
pub fn in_sessions<T: Send>(
    database: &Database,
    count: usize,
    work: impl Fn(usize, &mut Client) -> T + Sync,
) -> Vec<T> {
    let connected = Barrier::new(count);
    let one = |number| {
        let mut session = database.connect();
        connected.wait();
        work(number, &mut session)
    };
    thread::scope(|scope| {
        let one = &one;
        let running: Vec<_> = (0..count).map(|number| scope.spawn(move || one(number))).collect();
        running.into_iter().map(|session| session.join().expect("a session failed")).collect()
    })
}

/// Whether the long forms of the tests are wanted, which try more, and other things each time.
pub fn is_long() -> bool {
    env::var_os("ERP_LONG").is_some_and(|long| long == "1")
}

/// Tells how much was tried, on a line of its own that `scripts/soak.sh` looks for.
pub fn tell_figures(figures: &str) {
    println!("\nfigures: {figures}");
}

/// The number of the session's backend.
pub fn backend(session: &mut Client) -> i32 {
    session.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0)
}

/// Waits until the backend waits for a lock that another session holds.
pub fn wait_until_blocked(observer: &mut Client, backend: i32) {
    let query = "SELECT cardinality(pg_blocking_pids($1)) > 0";
    let statement = observer.prepare(query).unwrap();
    wait_until("the session is blocked", || {
        observer.query_one(&statement, &[&backend]).unwrap().get(0)
    });
}

/// Waits until `holds`, for a minute at most.
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_long(what, Duration::from_secs(60), holds);
}

/// Waits until `holds`, for `limit` at most.
pub fn wait_long(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What the server says of a statement that fails.
pub fn db_error(error: &postgres::Error) -> &DbError {
    error.as_db_error().unwrap_or_else(|| panic!("not an error of the server: {error:?}"))
}

/// Random numbers, the same in every run (SplitMix64).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            items.swap(self.below(end), end - 1);
        }
    }
}
