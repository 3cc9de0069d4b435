//! Every SQL example of README.md and docs/ runs, and prints what the page says.
//!
//! - A page has a database of its own and one psql session (`-X -q`), which runs its blocks in
//!   order and goes on after errors. The extension is there, unless the page creates it itself.
//! - What a block fenced as `sql` prints, errors included, is in the block that follows it, fenced
//!   as `text` or as nothing; without one it prints nothing. Spaces at the ends of lines do not
//!   count.
//! - A block fenced as `sql ignore` is not run: for what is destructive, or not SQL alone.
//! - Ids are random. The first uuid that a page prints is shown as
//!   `019a0c06-0000-7000-8000-000000000001`, the second as `…2`, and so on.
//! - A block fenced as `json` is JSON; if it is a mapping, `erp_validate` finds no error in it.
//!
//! `UPDATE_DOCS=1` writes what was printed into the pages. Read it before you commit it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block of a page.
#[derive(Debug, PartialEq)]
struct Block {
    /// What stands behind the opening fence.
    kind: String,
    /// The lines between the fences: first, and the one after the last, from 0.
    lines: std::ops::Range<usize>,
}

#[test]
fn examples_print_what_the_pages_say() {
    let wrong: Vec<String> = pages().iter().flat_map(|page| check_examples(page)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn json_examples_are_json_and_mappings_valid() {
    let database = Database::new("json", true);
    let wrong: Vec<String> = pages().iter().flat_map(|page| check_json(page, &database)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn uuids_are_numbered() {
    let ids = ["01a1ff8d-c0a5-7359-8c51-131ee1fb07ba", "01a1ff8d-c0a5-7359-8c51-131f963740e4"];
    let printed = format!("ä {} {} {} 01a1ff8d-c0a5", ids[1], ids[0], ids[1]);
    let shown = "ä 019a0c06-0000-7000-8000-000000000001 019a0c06-0000-7000-8000-000000000002 \
                 019a0c06-0000-7000-8000-000000000001 01a1ff8d-c0a5";
    assert_eq!(number_uuids(&printed), shown);
}

/// README.md and everything below docs/.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("docs/ can be read") {
            let path = entry.expect("docs/ can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn blocks(lines: &[&str]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize)> = None;
    for (at, line) in lines.iter().enumerate() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        open = match open.take() {
            None => Some((kind.trim().to_owned(), at + 1)),
            Some((kind, first)) => {
                blocks.push(Block { kind, lines: first..at });
                None
            }
        };
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// What is wrong with the SQL examples of a page.
fn check_examples(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page can be read");
    let lines: Vec<&str> = text.lines().collect();
    let blocks = blocks(&lines);
    let run: Vec<usize> = (0..blocks.len()).filter(|at| blocks[*at].kind == "sql").collect();
    let mut wrong = Vec::new();
    if run.is_empty() && blocks.iter().any(|block| block.kind.starts_with("sql")) {
        wrong.push(format!("{}: has SQL, and none of it is run", page.display()));
    }
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| is_output(block)) {
        if !run.iter().any(|sql| output_of(&blocks, &lines, *sql) == Some(at)) {
            let line = block.lines.start;
            wrong.push(format!("{}:{line}: an output without an example", page.display()));
        }
    }
    if run.is_empty() {
        return wrong;
    }
    let sources: Vec<String> = run.iter().map(|at| body(&blocks[*at], &lines)).collect();
    let creates = sources.iter().any(|source| source.contains("CREATE EXTENSION"));
    let stem = page.file_stem().and_then(|stem| stem.to_str()).expect("a page has a name");
    let printed = Database::new(stem, !creates).run(&sources);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = with_outputs(&lines, &blocks, &run, &printed);
        fs::write(page, updated).expect("a page can be written");
        return wrong;
    }
    for (at, printed) in run.iter().zip(&printed) {
        let expected = output_of(&blocks, &lines, *at).map(|at| body(&blocks[at], &lines));
        let expected = trimmed(&expected.unwrap_or_default());
        if expected != *printed {
            let place = format!("{}:{}", page.display(), blocks[*at].lines.start + 1);
            wrong.push(format!("{place}: the page says\n{expected}\n--- but it prints\n{printed}"));
        }
    }
    wrong
}

fn is_output(block: &Block) -> bool {
    matches!(block.kind.as_str(), "text" | "")
}

fn body(block: &Block, lines: &[&str]) -> String {
    lines[block.lines.clone()].join("\n")
}

/// The output block that follows the SQL block `sql`, with nothing between them.
fn output_of(blocks: &[Block], lines: &[&str], sql: usize) -> Option<usize> {
    let next = blocks.get(sql + 1).filter(|next| is_output(next))?;
    let between = &lines[blocks[sql].lines.end + 1..next.lines.start - 1];
    between.iter().all(|line| line.trim().is_empty()).then_some(sql + 1)
}

/// The page with what was printed in the place of its outputs.
fn with_outputs(lines: &[&str], blocks: &[Block], run: &[usize], printed: &[String]) -> String {
    let mut updated = String::new();
    let mut from = 0;
    for (at, printed) in run.iter().zip(printed) {
        let end = blocks[*at].lines.end + 1;
        for line in &lines[from..end] {
            updated.push_str(&format!("{line}\n"));
        }
        if !printed.is_empty() {
            updated.push_str(&format!("\n```text\n{printed}\n```\n"));
        }
        from = output_of(blocks, lines, *at).map_or(end, |output| blocks[output].lines.end + 1);
    }
    for line in &lines[from..] {
        updated.push_str(&format!("{line}\n"));
    }
    updated
}

/// What is wrong with the JSON examples of a page.
fn check_json(page: &Path, database: &Database) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page can be read");
    let lines: Vec<&str> = text.lines().collect();
    let mut wrong = Vec::new();
    for block in blocks(&lines).iter().filter(|block| block.kind == "json") {
        let place = format!("{}:{}", page.display(), block.lines.start + 1);
        let source = body(block, &lines);
        match serde_json::from_str::<serde_json::Value>(&source) {
            Err(error) => wrong.push(format!("{place}: not JSON: {error}")),
            Ok(json) if json.get("mapping").or(json.get("entities")).is_some() => {
                let errors = database.run(&[format!(
                    "\\t on\nSELECT path, message FROM erp_validate($doc${source}$doc$) \
                     WHERE severity = 'error';"
                )]);
                if !errors[0].is_empty() {
                    wrong.push(format!("{place}: {}", errors[0]));
                }
            }
            Ok(_) => {}
        }
    }
    wrong
}

/// A database that is dropped in the end, on the server that PGHOST names.
struct Database {
    name: String,
}

impl Database {
    fn new(what: &str, with_extension: bool) -> Database {
        let name = format!("docs_{}_{}", what.replace('-', "_"), std::process::id());
        let database = Database { name };
        psql("postgres", &format!("CREATE DATABASE \"{}\" TEMPLATE template0;", database.name));
        if with_extension {
            database.run(&["CREATE EXTENSION erp_toolkit;".to_owned()]);
        }
        database
    }

    /// What each of `sources` prints, in one session.
    fn run(&self, sources: &[String]) -> Vec<String> {
        // An unfinished statement must not swallow the next block: \r drops it.
        const END: &str = "-- the end of this block --";
        let script: String =
            sources.iter().map(|source| format!("{source}\n\\r\n\\echo {END}\n")).collect();
        let printed = number_uuids(&psql(&self.name, &script));
        let mut outputs: Vec<String> = printed.split(&format!("{END}\n")).map(trimmed).collect();
        let rest = outputs.pop();
        assert_eq!(rest.as_deref(), Some(""), "psql ended early:\n{printed}");
        assert_eq!(outputs.len(), sources.len(), "psql ended early:\n{printed}");
        outputs
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql("postgres", &format!("DROP DATABASE IF EXISTS \"{}\";", self.name));
    }
}

/// What psql prints for `script`: results and errors in one stream, in the order they come.
fn psql(database: &str, script: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-c", "exec psql -X -q -d \"$0\" 2>&1", database])
        .envs([("PGCLIENTENCODING", "UTF8"), ("PGTZ", "UTC"), ("LC_ALL", "C.UTF-8")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql can be run");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let script = script.to_owned();
    // From a thread of its own: psql may print more than a pipe holds before it reads on.
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(script.as_bytes());
    });
    let output = child.wait_with_output().expect("psql can be waited for");
    writer.join().expect("the script was written");
    String::from_utf8(output.stdout).expect("psql prints UTF-8")
}

/// Without spaces at the ends of lines, and without empty lines around.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Each uuid by its number, in the order in which they first appear.
fn number_uuids(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut seen: Vec<&str> = Vec::new();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match rest.get(..LENGTH).filter(|candidate| is_uuid(candidate)) {
            Some(uuid) => {
                let number = seen.iter().position(|known| *known == uuid).unwrap_or_else(|| {
                    seen.push(uuid);
                    seen.len() - 1
                });
                shown.push_str(&format!("019a0c06-0000-7000-8000-{:012}", number + 1));
                rest = &rest[LENGTH..];
            }
            None => {
                shown.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    shown
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}
