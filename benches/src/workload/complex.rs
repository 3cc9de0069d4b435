//! A contract with two fixed relations, one of them by two identifiers, and two that expressions
//! yield. Contracts share customers, accounts and contacts.

use serde_json::{Value, json};

use super::{Workload, sql};
use crate::random::Random;

pub const COMPLEX: Workload = Workload {
    name: "complex",
    summary: "A contract with two fixed relations, one by two identifiers, and two by expressions",
    event_name: "ContractCreated",
    mapping: sql!("complex", "mapping.json"),
    batch: sql!("complex", "batch.sql"),
    row: sql!("complex", "row.sql"),
    map: sql!("complex", "map.sql"),
    payload,
};

fn payload(n: usize, mut stays: Random, mut changes: Random) -> Value {
    json!({
        "number": format!("CTR-{n:08}"),
        "displayName": format!("Stromliefervertrag {}", changes.below(1_000_000)),
        "customerId": format!("CUST-{:08}", n.div_ceil(2)),
        "billingAccountId": format!("BA-{:08}", n.div_ceil(2)),
        "product": {"id": stays.below(500), "tariff": changes.pick(&["T1", "T2"]), "bonus": null},
        "contacts": [
            contact("TECHNICAL", n.div_ceil(10), &mut stays),
            contact("BILLING", n.div_ceil(4), &mut stays),
        ],
        "meters": (1..=2).map(|place| json!({
            "meterNumber": format!("M-{n:08}-{place}"),
            "installedOn": "2019-05-20",
            "registers": [{"obis": "1-0:1.8.0", "digits": 6, "reading": stays.below(100_000)}],
        })).collect::<Vec<_>>(),
        "prices": [
            {"kind": "WORK", "net": 0.2731, "gross": 0.325, "unit": "EUR/kWh", "from": "2024-01-01"},
            {"kind": "BASE", "net": 9.9, "gross": 11.8, "unit": "EUR/month", "from": "2024-01-01"},
        ],
        "market": {
            "location": format!("DE{:011}", stays.below(100_000_000_000)),
            "grid": "0-38",
            "supplier": "9900123000008",
        },
        "_meta": {"client": "100", "changeNumber": changes.below(1_000_000_000), "schemaVersion": 7},
    })
}

fn contact(kind: &str, number: usize, random: &mut Random) -> Value {
    json!({
        "contactType": kind,
        "email": format!("{}.{number}@example.com", kind.to_lowercase()),
        "phone": format!("+49 30 {:07}", random.below(10_000_000)),
        "salutation": random.pick(&["Frau", "Herr", ""]),
    })
}
