//! What the fuzzer runs (`fuzz/`, `make fuzz`), on the inputs it began with, those it kept, and all
//! that it ever found. Needs no fuzzer. A failing test prints the file it was at last.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");

#[test]
fn jsonb() {
    replay("jsonb");
}

#[test]
fn json_text() {
    replay("json_text");
}

#[test]
fn mapping() {
    replay("mapping");
}

#[test]
fn path() {
    replay("path");
}

#[test]
fn merge() {
    replay("merge");
}

#[test]
fn map() {
    replay("map");
}

#[test]
fn every_target_is_replayed() {
    let names = |folder: &str| -> BTreeSet<String> {
        let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
        files(&Path::new(FOLDER).join(folder)).iter().map(stem).collect()
    };
    let known: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("corpus"), known);
    assert!(names("seeds").is_subset(&known) && names("findings").is_subset(&known));
}

fn replay(name: &str) {
    let (_, run) = fuzz::TARGETS.iter().find(|(known, _)| *known == name).expect(name);
    let inputs = |folder: &str| files(&Path::new(FOLDER).join(folder).join(name));
    assert!(!inputs("corpus").is_empty(), "the corpus of {name} is empty");
    for file in ["seeds", "corpus", "findings"].into_iter().flat_map(inputs) {
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

/// What is in a folder, if there is one.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
