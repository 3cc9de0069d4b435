//! A customer of thirteen fields, two of them JSONata, four JSONPath, one a relation to a billing
//! account that two customers share.

use serde_json::{Value, json};

use super::{Workload, amount, sql};
use crate::random::Random;

pub const CUSTOMER: Workload = Workload {
    name: "customer",
    summary: "13 fields, 2 by JSONata, 4 by JSONPath, 1 relation; two customers to a billing account",
    event_name: "CustomerChanged",
    mapping: sql!("customer", "mapping.json"),
    batch: sql!("customer", "batch.sql"),
    row: sql!("customer", "row.sql"),
    map: sql!("customer", "map.sql"),
    payload,
};

const FIRST_NAMES: [&str; 8] =
    ["Anna", "Jörg", "Zoë", "Mehmet", "Sofía", "Łukasz", "Ingrid", "Pierre"];
const LAST_NAMES: [&str; 8] =
    ["Schmidt", "Müller", "Nowak", "Yılmaz", "García", "O'Connor", "Østergård", "Lefèvre"];
const CITIES: [&str; 6] = ["Köln", "Hamburg", "Leipzig", "München", "Aachen", "Bad Oldesloe"];
const STREETS: [&str; 5] =
    ["Hauptstraße", "Am Alten Markt", "Bahnhofstraße", "Lindenallee", "Dorfweg"];

fn payload(n: usize, mut stays: Random, mut changes: Random) -> Value {
    let (first, last) = (stays.pick(&FIRST_NAMES), stays.pick(&LAST_NAMES));
    json!({
        "customerId": format!("CUST-{n:08}"),
        "name": {"title": null, "first": first, "last": last, "initial": first.chars().next()},
        "email": format!("customer.{n}@example.com"),
        "phone": format!("+49 221 {:07}", changes.below(10_000_000)),
        "language": stays.pick(&["de", "en", "fr", "pl"]),
        "active": changes.chance(80),
        "creditLimit": amount(&mut changes, 20_000),
        "billingAccountId": format!("BA-{:08}", n.div_ceil(2)),
        "address": {
            "street": stays.pick(&STREETS),
            "houseNumber": stays.below(200).to_string(),
            "postalCode": format!("{:05}", stays.below(99_999)),
            "city": changes.pick(&CITIES),
            "country": "DE",
            "geo": {
                "lat": 47.0 + stays.below(700_000) as f64 / 1e5,
                "lon": 6.0 + stays.below(800_000) as f64 / 1e5,
            },
        },
        "bankAccounts": (0..2).map(|_| bank_account(&mut stays)).collect::<Vec<_>>(),
        "dunning": {
            "level": stays.below(4),
            "blocked": false,
            "lastRun": "2024-02-29",
            "procedure": "0001",
        },
        "salesAreas": (0..3).map(|_| sales_area(&mut stays)).collect::<Vec<_>>(),
        "remarks": "Bitte vor Lieferung anrufen; Hinweis: \"Hintereingang\" benutzen.",
        "taxNumbers": [format!("DE{:09}", stays.below(1_000_000_000)), null],
        "_meta": {
            "client": "100",
            "changedBy": stays.pick(&["BATCH_JOB", "MSCHULZ", "RFC_ERP"]),
            "changedAt": format!("2024-03-{:02}T08:15:00Z", 1 + changes.below(28)),
            "changeNumber": changes.below(1_000_000_000),
            "schemaVersion": 7,
        },
    })
}

fn bank_account(random: &mut Random) -> Value {
    json!({
        "iban": format!("DE{:020}", random.below(1_000_000_000_000)),
        "bic": random.pick(&["COLSDE33XXX", "DEUTDEFFXXX", "GENODEF1XXX"]),
        "mandate": {
            "reference": format!("M-{}", random.below(1_000_000)),
            "signedOn": "2021-06-01",
            "type": "CORE",
        },
    })
}

fn sales_area(random: &mut Random) -> Value {
    json!({
        "organisation": random.pick(&["1000", "2000", "3000"]),
        "channel": "10",
        "division": random.pick(&["ELEC", "GAS", "HEAT"]),
        "paymentTerms": "Z014",
        "currency": "EUR",
    })
}
