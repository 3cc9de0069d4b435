//! Work in a process of its own, so that its end can be told from a result.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::{Engine, TIMEOUT};
use crate::{hostile, memory};

/// How long a child may run that evaluates with limits on time.
const PATIENCE: Duration = TIMEOUT.saturating_mul(5);

/// What a child may have of memory, in KB, and of stack: as a server's backend has it.
const LIMITS: &str = "ulimit -v 4000000; ulimit -s 8192; ulimit -c 0; exec \"$0\" \"$@\"";

pub struct Outcome {
    /// How it ended; nothing when it had to be killed.
    pub status: Option<ExitStatus>,
    pub said: String,
}

impl Outcome {
    pub fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }
}

/// Runs this program again for `task`, until it ends or is taking too long.
pub fn start(task: &[&str]) -> Outcome {
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut child = Command::new("sh")
        .args(["-c", LIMITS])
        .arg(program)
        .arg("--child")
        .args(task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child can be started");
    let status = wait(&mut child, if task[0] == "memory" { 60 * PATIENCE } else { PATIENCE });
    let mut said = String::new();
    // What was said before a crash may end in the middle of a letter: then it does not count.
    let _ = child.stdout.take().expect("stdout is piped").read_to_string(&mut said);
    Outcome { status, said }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        sleep(Duration::from_millis(5));
    }
    child.kill().and_then(|()| child.wait()).expect("a child can be killed");
    None
}

/// In the child.
pub fn run(task: &[&str]) -> ExitCode {
    let engine = |name: &str| Engine::ALL.into_iter().find(|engine| engine.name() == name);
    match task {
        ["memory", name] if let Some(engine) = engine(name) => memory::measure(engine),
        ["hostile", name, input] if let Some(engine) = engine(name) => {
            hostile::evaluate(engine, input);
        }
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
