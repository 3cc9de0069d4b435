//! A patch merged into an entity, and the result written.

use std::hint::black_box;

use bumpalo::Bump;
use criterion::Criterion;
use erp_engine::jsonb::encode;
use serde_json::{Value, json};

use crate::support;

/// Items of the lists that are appended to.
const ITEMS: usize = 100;

pub fn merge(criterion: &mut Criterion) {
    let arena = Bump::new();
    let object = |document: Value| {
        support::json(&document.to_string(), &arena).as_object().expect("it is an object")
    };
    let current = object(entity());
    let mut group = criterion.benchmark_group("merge");
    for (name, patch) in patches() {
        let patch = object(patch);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let merged = erp_engine::merge::merge(black_box(Some(current)), black_box(patch));
                let merged = merged.expect("the patch fits the entity");
                merged.map(|merged| encode(&merged).expect("an entity fits into jsonb"))
            });
        });
    }
    group.finish();
}

/// Twelve plain attributes, a list and a relation.
fn entity() -> Value {
    let notes: Vec<String> = (0..ITEMS).map(|n| format!("note {n}")).collect();
    let meters: Vec<Value> = (0..ITEMS).map(meter).collect();
    json!({
        "customer_number": "CUST-00000001", "first_name": "Anna", "last_name": "Schmidt",
        "full_name": "Anna Schmidt", "email": "anna@example.com", "phone": "+49 221 1234567",
        "language": "de", "city": "Köln", "postal_code": "50667", "status": "ACTIVE",
        "credit_limit": 1234.56, "source": "ERP",
        "notes": notes,
        "meters": {"$relation": meters},
    })
}

fn meter(n: usize) -> Value {
    json!({"entity_id": format!("01890a5d-ac96-774b-bcce-{n:012}"), "_schema": "meter"})
}

fn patches() -> Vec<(&'static str, Value)> {
    let changed = json!({"phone": "+49 221 7654321", "city": "Aachen", "status": "INACTIVE"});
    let same = json!({"phone": "+49 221 1234567", "city": "Köln", "status": "ACTIVE"});
    vec![
        ("three attributes", changed),
        ("three attributes as they are", same),
        ("_append", json!({"notes": {"_append": ["a new note"]}})),
        ("_append_unique", json!({"notes": {"_append_unique": ["a new note"]}})),
        ("relation, _set", json!({"meters": {"$relation": {"_set": [meter(1), meter(2)]}}})),
        (
            "relation, _append_unique",
            json!({"meters": {"$relation": {"_append_unique": [meter(ITEMS)]}}}),
        ),
    ]
}
