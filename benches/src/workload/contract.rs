//! A contract and its three meters, which an expression makes of a list in the payload.

use serde_json::{Value, json};

use super::{Workload, amount, sql};
use crate::random::Random;

pub const CONTRACT: Workload = Workload {
    name: "contract",
    summary: "A contract of 7 fields, 1 of them JSONata; three meters by an entity-level expression",
    event_name: "ContractChanged",
    mapping: sql!("contract", "mapping.json"),
    batch: sql!("contract", "batch.sql"),
    row: sql!("contract", "row.sql"),
    map: sql!("contract", "map.sql"),
    payload,
};

const LOCATIONS: [&str; 4] = ["Keller", "Hausanschlussraum", "Treppenhaus 2. OG", "Außenwand"];
const PRODUCTS: [&str; 3] = ["Ökostrom 24", "Grundversorgung", "Gas Fix \"12\""];

fn payload(n: usize, mut stays: Random, mut changes: Random) -> Value {
    let meters = (1..=3).map(|place| {
        // One of the three moves.
        let location = if place == 1 { changes.pick(&LOCATIONS) } else { stays.pick(&LOCATIONS) };
        meter(format!("M-{n:08}-{place}"), location, &mut stays)
    });
    let meters: Vec<Value> = meters.collect();
    json!({
        "contractNumber": format!("CTR-{n:08}"),
        "startDate": format!("2023-{:02}-01", 1 + stays.below(12)),
        "endDate": null,
        "active": changes.chance(80),
        "product": {"id": stays.below(500), "name": stays.pick(&PRODUCTS), "bonus": null},
        "consumption": {
            "yearly": amount(&mut changes, 9_000),
            "unit": "kWh",
            "estimated": false,
        },
        "meters": meters,
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

fn meter(number: String, location: &str, random: &mut Random) -> Value {
    json!({
        "meterNumber": number,
        "meterType": random.pick(&["E", "G", "W"]),
        "location": location,
        "installedOn": "2019-05-20",
        "registers": [{"obis": "1-0:1.8.0", "digits": 6, "reading": random.below(100_000)}],
    })
}
