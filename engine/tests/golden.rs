//! The cases of `tests/golden`: mapping and event in, entity updates out. The same files run
//! through SQL, states before and after included, in the tests of the database.

mod support;

use std::fs;

use bumpalo::Bump;
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::jsonb::{Tree, Value, encode};
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::compile;
use support::{NOW, json, member};

#[test]
fn every_case_maps_as_printed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden");
    let mut cases = 0;
    for entry in fs::read_dir(folder).expect(folder) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).unwrap();
            case(&path.display().to_string(), &text);
            cases += 1;
        }
    }
    assert!(cases >= 50, "only {cases} cases were found in {folder}");
}

fn case(name: &str, text: &str) {
    let arena = Bump::new();
    let case = json(text, &arena);
    let compiled = compile(member(case, "mapping"));
    let mapping = compiled.mapping.unwrap_or_else(|| panic!("{name}: {:?}", compiled.problems));
    let event = mapping.event(member(case, "event_name").as_str().unwrap()).unwrap();
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    let mapped = map(event, member(case, "payload"), &context).expect(name);
    let rows = Tree::Array(mapped.iter().map(row).collect());
    let bytes = encode(&rows).unwrap();
    let got = Value::from_datum(&bytes);
    let expected = member(case, "expected");
    assert!(got.same(expected), "{name}\n     got {got}\nexpected {expected}");
}

/// A row as the cases print it: no mode means upsert.
fn row<'a>(mapped: &Mapped<'a>) -> Tree<'a> {
    let mut row = vec![("entity_slug", Tree::Value(Value::String(mapped.schema())))];
    if mapped.mode() != "upsert" {
        row.push(("mode", Tree::Value(Value::String(mapped.mode()))));
    }
    match mapped {
        Mapped::Update(update) => {
            row.push(("unique_identifiers", update.identifiers_tree()));
            row.push(("attributes", update.attributes_tree()));
        }
        Mapped::Prune(prune) => row.push(("scope", prune.scope_tree())),
    }
    Tree::Object(row)
}
