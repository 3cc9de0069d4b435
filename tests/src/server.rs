//! Servers that a test starts for itself, beside the one that PGHOST names and in its folder.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use postgres::{Client, Config, Error, NoTls};

/// A server that ends when dropped, with all that it had.
pub struct Server {
    home: PathBuf,
    user: String,
}

impl Server {
    /// An empty one, not started yet.
    pub fn new(name: &str) -> Server {
        let server = Server::at(name);
        let data = server.data();
        let locale = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"];
        run("initdb", &[&["-D", &*data, "-U", &server.user], &locale[..]].concat());
        server
    }

    /// A copy of the one that PGHOST names, which follows it once it is started.
    pub fn standby(name: &str) -> Server {
        let server = Server::at(name);
        let (data, user) = (server.data(), &*server.user);
        run(
            "pg_basebackup",
            &["-U", user, "-D", &data, "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        );
        server
    }

    fn at(name: &str) -> Server {
        let home = PathBuf::from(env::var("PGHOST").expect("PGHOST is set")).join(name);
        let server = Server { home, user: env::var("PGUSER").unwrap_or("postgres".into()) };
        let _ = as_owner("rm", &["-rf", server.home.to_str().unwrap()]);
        run("mkdir", &[server.home.to_str().unwrap()]);
        server
    }

    /// Starts it with `settings`, as postgres takes them, and waits until it can be connected to.
    pub fn start(&self, settings: &str) {
        let (data, log) = (self.data(), self.home.join("log"));
        let socket = self.home.display();
        let settings = format!(
            "-c unix_socket_directories='{socket}' -c listen_addresses='' -c shared_buffers=16MB {settings}"
        );
        let log = log.to_str().unwrap();
        run("pg_ctl", &["start", "-w", "-t", "60", "-D", &data, "-l", log, "-o", &settings]);
    }

    /// Ends it at once, without a word to its clients or a checkpoint.
    pub fn stop_immediately(&self) {
        run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]);
    }

    /// Kills one of its processes.
    pub fn kill(&self, process: i32) {
        run("sh", &["-c", &format!("kill -KILL {process}")]);
    }

    pub fn connect(&self, database: &str) -> Result<Client, Error> {
        let mut config = Config::new();
        config.host(self.home.to_str().unwrap()).user(&self.user).dbname(database);
        config.application_name("erp_tests");
        if let Ok(port) = env::var("PGPORT") {
            config.port(port.parse().expect("PGPORT is a number"));
        }
        config.connect(NoTls)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let output = as_owner("cat", &[self.home.join("log").to_str().unwrap()]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn data(&self) -> String {
        self.home.join("data").to_str().unwrap().to_owned()
    }
}

impl Drop for Server {
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
    let is_read = program != "pg_ctl";
    let pipe = || if is_read { Stdio::piped() } else { Stdio::null() };
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(pipe()).stderr(pipe());
    let child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    child.wait_with_output().expect("the program ends")
}
