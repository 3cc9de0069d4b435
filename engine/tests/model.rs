//! Random mappings on random payloads give what a naive reference gives, which was written from the
//! rules of the mapping language: whole documents instead of the parts that are read, JSONPath step
//! by step instead of by look-up, every expression compiled for each evaluation. And however the
//! same thing is said, the result is the same.

mod support;

#[path = "model/expression.rs"]
mod expression;
#[path = "model/json.rs"]
mod json;
#[path = "model/mapping.rs"]
mod mapping;
#[path = "model/path.rs"]
mod path;
#[path = "model/reference.rs"]
mod reference;

use std::collections::BTreeSet;
use std::fmt;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::expr::{CancelToken, Context, Limits};
use erp_engine::map::{Mapped, map};
use erp_engine::mapping::{Mapping, compile};
use json::Json;
use mapping::Entry;
use proptest::collection::vec;
use proptest::prelude::*;
use reference::{Failure, Update};
use support::properties::config;
use support::{NOW, attributes, cases, keep};

proptest! {
    #![proptest_config(config(700))]

    #[test]
    fn mapping_gives_what_the_reference_gives(case in case()) {
        gives_what_the_reference_gives(&case)?;
    }

    /// Of payloads that hold what it asks for.
    #[test]
    fn an_expression_gives_what_it_gives_on_the_whole_payload(
        entries in mapping::one_expression(), payload in json::flat(),
    ) {
        gives_what_the_reference_gives(&Case { entries, payload })?;
    }
}

fn gives_what_the_reference_gives(case: &Case) -> Result<(), TestCaseError> {
    let expected = reference::map(&case.entries, &case.payload);
    let given = case.numbers();
    prop_assume!(!is_undecided(&expected, &given));
    let got = mapped(&case.mapping(), &case.payload());
    let same = match (&expected, &got) {
        (Ok(expected), Ok(got)) => {
            expected.len() == got.len()
                && expected.iter().zip(got).all(|(expected, got)| accepts(expected, got, &given))
        }
        (Err(expected), Err(got)) => code(expected) == *got,
        _ => false,
    };
    prop_assert!(same, "the engine: {:?}\nthe reference: {:?}\n{:?}", got, expected, case);
    Ok(())
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn events_mapped_in_turn_with_one_mapping_are_mapped_as_alone(
        case in case(), others in vec(json::payload(), 1..4),
    ) {
        let arena = Bump::new();
        let mapping = compiled(&case.mapping(), &arena);
        let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
        for payload in others.iter().chain([&case.payload]).chain(&others) {
            let payload = payload.to_string();
            let in_turn = map_with(&mapping, &payload, &context).map_err(|error| error.code);
            prop_assert_eq!(in_turn, mapped(&case.mapping(), &payload), "{}", payload);
        }
    }

    /// What is found inside a list of one is found by a look-up, or by looking through the list.
    #[test]
    fn a_path_gives_the_same_however_it_is_written(path in path::path(), payload in json::payload()) {
        let inside = path::text(&path);
        let written = [
            format!("$[0]{}", &inside[1..]),
            format!("$[*]{}", &inside[1..]),
            format!("$[0:1]{}", &inside[1..]),
            format!("$[-1]{}", &path::otherwise(&path)[1..]),
        ];
        let fields = written.each_ref().map(|path| {
            format!(r#"[{{"attribute": "a", "field": {}}}]"#, json::quoted(path))
        });
        let payload = format!("[{payload}]");
        let got = fields.each_ref().map(|fields| attributes(fields, &payload));
        for (way, value) in written.iter().zip(&got) {
            prop_assert_eq!(value, &got[0], "{} and {} of {}", written[0], way, payload);
        }
        let expected = path::value(&path, &Json::parse(&payload[1..payload.len() - 1]));
        let expected = expected.map_or("{}".into(), |value| format!(r#"{{"a": {value}}}"#));
        prop_assert_eq!(&got[0], &Ok(vec![cases::text(&expected)]));
    }

    #[test]
    fn a_value_is_copied_the_same_by_key_path_and_expression(
        key in json::key(), value in json::document(), others in json::payload(),
    ) {
        let mut members = vec![(key.clone(), value)];
        if let Json::Object(others) = others {
            members.splice(0..0, others);
        }
        let payload = Json::object(members);
        let expected = format!(r#"{{"a": {}}}"#, payload.get(&key).unwrap());
        let path = json::quoted(&format!("$['{key}']"));
        let expression = json::quoted(&format!("`{key}`"));
        for source in [
            format!(r#""field": {}"#, json::quoted(&key)),
            format!(r#""field": {path}"#),
            format!(r#""jsonataExpression": {expression}"#),
        ] {
            cases::takes(&source, &payload.to_string(), &expected[6..expected.len() - 1]);
        }
    }
}

/// Whether the rules leave open what the case gives.
fn is_undecided(expected: &Result<Vec<Update>, Failure>, given: &BTreeSet<String>) -> bool {
    match expected {
        Err(Failure::Undecided) => true,
        // The digits are lost, unless they were handed through.
        Err(Failure::LostDigits(double)) => {
            given.iter().any(|digits| digits.parse() == Ok(*double))
        }
        _ => false,
    }
}

fn accepts(expected: &Update, got: &str, given: &BTreeSet<String>) -> bool {
    let [schema, identifiers, attributes] = got.split('\n').collect::<Vec<_>>()[..] else {
        return false;
    };
    schema == expected.schema
        && expected.identifiers.accepts(&Json::parse(identifiers), given)
        && expected.attributes.accepts(&Json::parse(attributes), given)
}

fn code(failure: &Failure) -> Code {
    match failure {
        Failure::Expression => Code::MappingExpressionFailed,
        _ => Code::AttributeTypeMismatch,
    }
}

/// A mapping, and a payload for it.
struct Case {
    entries: Vec<Entry>,
    payload: Json,
}

impl Case {
    fn mapping(&self) -> String {
        mapping::text(&self.entries)
    }

    fn payload(&self) -> String {
        self.payload.to_string()
    }
}

impl Case {
    /// The numbers that may be handed through.
    fn numbers(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.payload.numbers(&mut found);
        found
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\nof {}", self.mapping(), self.payload)
    }
}

fn case() -> impl Strategy<Value = Case> {
    (mapping::entries(), json::payload()).prop_map(|(entries, payload)| Case { entries, payload })
}

/// An update each: schema, identifiers and attributes; or the code of the failure.
type Outcome = Result<Vec<String>, Code>;

/// Compiled and mapped, once.
fn mapped(mapping: &str, payload: &str) -> Outcome {
    let arena = Bump::new();
    let mapping = compiled(mapping, &arena);
    let context = Context::new(&arena, &Limits::default(), NOW, CancelToken::new());
    map_with(&mapping, payload, &context).map_err(|error| error.code)
}

fn compiled(text: &str, arena: &Bump) -> Mapping {
    let compiled = compile(support::json(text, arena));
    compiled.mapping.unwrap_or_else(|| panic!("{text}: {:?}", compiled.problems))
}

fn map_with<'a>(
    mapping: &'a Mapping,
    payload: &str,
    context: &Context<'a>,
) -> Result<Vec<String>, Error> {
    let updates = map(mapping.event("any")?, support::json(payload, context.arena), context)?;
    Ok(updates.iter().map(|mapped| shown(mapped, context.arena)).collect())
}

fn shown(mapped: &Mapped<'_>, arena: &Bump) -> String {
    match mapped {
        Mapped::Update(update) => {
            let identifiers = keep(&update.identifiers_tree(), arena);
            format!(
                "{}\n{identifiers}\n{}",
                mapped.schema(),
                keep(&update.attributes_tree(), arena)
            )
        }
        Mapped::Prune(_) => unreachable!("no entry has a scope"),
    }
}
