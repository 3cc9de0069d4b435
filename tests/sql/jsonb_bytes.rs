//! What the extension writes has the very bytes that PostgreSQL writes for the same document: so
//! equal rows are the same rows, dumps and upgrades see nothing foreign, and every operator works.
//!
//! record_image_eq compares the bytes of two rows' values, whatever their types say is equal.

use erp_tests::{Database, Random};
use postgres::Client;

/// Attributes `doc` by a plain field, `path` by a path, `kept` and `nested` by expressions.
const MAPPING: &str = r#"{"entities": [{"entity_schema": "thing", "unique_ids": ["id"], "fields": [
    {"attribute": "id", "constant": "1"},
    {"attribute": "doc", "field": "doc"},
    {"attribute": "path", "field": "$.doc"},
    {"attribute": "kept", "jsonataExpression": "doc"},
    {"attribute": "nested", "jsonataExpression": "{\"z\": [doc, 0, doc], \"\": {\"b\": doc}, \"aa\": \"ü\"}"}]}]}"#;

/// The same attributes, by PostgreSQL.
const MAPPED: &str = r#"jsonb_build_object('id', '1', 'doc', d, 'path', d, 'kept', d,
    'nested', jsonb_build_object('z', jsonb_build_array(d, 0, d), '', jsonb_build_object('b', d), 'aa', 'ü'))"#;

#[test]
fn the_comparison_tells_bytes_apart() {
    let mut bytes = Bytes::new("bytes_operator");
    let texts = ["1"].map(String::from);
    let differ = |bytes: &mut Bytes, a, b| bytes.differing(&texts, a, b).len() == 1;
    assert!(differ(&mut bytes, "'{\"a\": 1.1}'::jsonb", "'{\"a\": 1.10}'::jsonb"));
    assert!(!differ(&mut bytes, "'{\"a\": 1, \"b\": 2}'::jsonb", "'{\"b\": 2,  \"a\": 1}'::jsonb"));
}

#[test]
fn merged_documents() {
    let mut bytes = Bytes::new("bytes_merge");
    let objects = objects();
    bytes.same(&objects, "erp_merge('{}', d)", "d");
    bytes.same(&objects, "erp_merge(NULL, d)", "d");
    bytes.same(&objects, "erp_merge(d, '{}')", "d");
    bytes.same(&objects, "erp_merge(d, d)", "d");
    bytes.same(&objects, "erp_merge(d, '{\"ky\": [1.10]}')", "d || '{\"ky\": [1.10]}'");
    bytes.same(&objects, "erp_merge('{\"ky\": 1, \"\": {}}', d)", "'{\"ky\": 1, \"\": {}}' || d");
    bytes.same(
        &objects,
        "erp_merge(jsonb_build_object('l', jsonb_build_array(d)), jsonb_build_object('l', jsonb_build_object('_append', jsonb_build_array(d))))",
        "jsonb_build_object('l', jsonb_build_array(d, d))",
    );
}

#[test]
fn mapped_documents() {
    let mut bytes = Bytes::new("bytes_map");
    let mapped = format!(
        "(SELECT attributes FROM erp_map({}, 'e', jsonb_build_object('doc', d)))",
        literal(MAPPING)
    );
    bytes.same(&objects(), &mapped, MAPPED);
}

#[test]
fn documents_given_as_strings() {
    let mut bytes = Bytes::new("bytes_string");
    let mapping = r#"{"entities": [{"entity_schema": "thing", "unique_ids": ["doc"],
        "fields": [{"attribute": "doc", "field": "doc"}]}]}"#;
    let mapped = format!(
        r#"(SELECT attributes FROM erp_map({}, 'e', to_jsonb(format(E'\t{{"doc" :\n%s\r }} ', t))))"#,
        literal(mapping)
    );
    bytes.same(&[objects(), scalars()].concat(), &mapped, "jsonb_build_object('doc', d)");
}

#[test]
fn scalars_that_expressions_hand_through() {
    let mut bytes = Bytes::new("bytes_scalars");
    let mapped = format!(
        "(SELECT attributes FROM erp_map({}, 'e', jsonb_build_object('doc', d)))",
        literal(MAPPING)
    );
    bytes.same(&scalars_in_double_range(), &mapped, MAPPED);
}

#[test]
fn numbers_that_expressions_compute() {
    let mut bytes = Bytes::new("bytes_computed");
    let mapping = r#"{"entities": [{"entity_schema": "thing", "unique_ids": ["id"],
        "fields": [{"attribute": "sum", "jsonataExpression": "doc + 0"}]}]}"#;
    let mapped = format!(
        "(SELECT attributes FROM erp_map({}, 'e', jsonb_build_object('doc', d)))",
        literal(mapping)
    );
    // From 2^53 on doubles skip integers, and what is computed is marked in its header.
    let is_plain =
        |text: &String| text.parse().is_ok_and(|number: f64| number.abs() < 2f64.powi(53));
    let numbers: Vec<String> = scalars_in_double_range().into_iter().filter(is_plain).collect();
    bytes.same(&numbers, &mapped, "jsonb_build_object('sum', d::float8)");
}

#[test]
fn stored_documents() {
    let mut bytes = Bytes::new("bytes_stored");
    let session = &mut bytes.0;
    session.query("SELECT erp_prepare($1::text::jsonb)", &[&MAPPING]).unwrap();
    let apply = "
        SELECT action FROM erp_apply($1::text::jsonb, 'e', jsonb_build_object('doc', $2::text::jsonb))";
    let apply = session.prepare(apply).unwrap();
    let check = format!(
        "SELECT record_image_eq(ROW(t.attributes), ROW({MAPPED})) FROM CAST($1::text AS jsonb) AS d, thing AS t"
    );
    let check = session.prepare(&check).unwrap();
    // The first is created, the others are merged into it.
    for (n, text) in objects().iter().enumerate() {
        let action: String = session.query_one(&apply, &[&MAPPING, text]).unwrap().get(0);
        assert!(n > 0 || action == "created", "{action}");
        let same: bool = session.query_one(&check, &[text]).unwrap().get(0);
        assert!(same, "{action}: {text}");
    }
}

#[test]
fn strings_hold_json_as_postgresql_reads_it() {
    let mut bytes = Bytes::new("bytes_malformed");
    let mapped = format!("SELECT 1 FROM erp_map({}, 'e', to_jsonb($1::text))", literal(MAPPING));
    let (mapped, read) =
        (bytes.0.prepare(&mapped).unwrap(), bytes.0.prepare("SELECT $1::text::jsonb").unwrap());
    for text in MALFORMED {
        let refused = bytes.0.query(&mapped, &[&text]).expect_err(text);
        assert_eq!(refused.code().map(|code| code.code()), Some("MP003"), "{text}: {refused:?}");
        assert!(bytes.0.query(&read, &[&text]).is_err(), "PostgreSQL reads {text}");
    }
}

/// What is no JSON, or none that jsonb can hold.
const MALFORMED: [&str; 43] = [
    "",
    " ",
    "01",
    "-",
    "-01",
    "+1",
    "1.",
    ".5",
    "1.e5",
    "1e",
    "1e+",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "1 2",
    "nul",
    "True",
    "'a'",
    "\"a",
    "\"\t\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u00g0\"",
    "\"\\u0000\"",
    "{\"\\u0000\": 1}",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "[",
    "[1,]",
    "[1 2]",
    "[,]",
    "]",
    "{",
    "{\"a\"}",
    "{\"a\": 1,}",
    "{a: 1}",
    "{1: 1}",
    "1e131072",
    "1e-16384",
    "{} []",
];

/// Compares documents `d`, made of texts `t`, in the database.
struct Bytes(Client, #[allow(dead_code, reason = "dropped after the session")] Database);

impl Bytes {
    fn new(database: &str) -> Bytes {
        let database = Database::new(database);
        Bytes(database.connect(), database)
    }

    fn same(&mut self, texts: &[String], got: &str, expected: &str) {
        let differing = self.differing(texts, got, expected);
        let shown: String = differing.iter().take(5).map(String::as_str).collect();
        assert!(differing.is_empty(), "{got}: {} differ\n{shown}", differing.len());
    }

    /// The texts for which the expressions differ in a byte.
    fn differing(&mut self, texts: &[String], got: &str, expected: &str) -> Vec<String> {
        let query = format!(
            "SELECT t, left(({got})::text, 1000), left(({expected})::text, 1000)
             FROM unnest($1::text[]) AS t, CAST(t AS jsonb) AS d
             WHERE record_image_eq(ROW({got}), ROW({expected})) IS NOT TRUE"
        );
        let rows =
            self.0.query(&query, &[&texts]).unwrap_or_else(|error| panic!("{got}: {error:?}"));
        let [text, got, expected] = [0, 1, 2];
        let column =
            |row: &postgres::Row, column| row.get::<_, Option<String>>(column).unwrap_or_default();
        rows.iter()
            .map(|row| {
                format!(
                    "{}\n got {}\n not {}\n",
                    column(row, text),
                    column(row, got),
                    column(row, expected)
                )
            })
            .collect()
    }
}

fn literal(text: &str) -> String {
    format!("'{}'::jsonb", text.replace('\'', "''"))
}

// Documents

const NUMBERS: [&str; 38] = [
    "0",
    "-0",
    "0.0",
    "-0.00",
    "1",
    "-1",
    "7.0",
    "10",
    "100",
    "9999",
    "10000",
    "100000000",
    "1.1",
    "1.10",
    "1.100000000",
    "0.1",
    "0.00001",
    "0.0001",
    "0.00010",
    "123456.789",
    "-0.5",
    "1e3",
    "1E+3",
    "1e-3",
    "1.50e1",
    "12345678901234567890",
    "-12345678901234567890.12345678901234567890",
    "0.1234567890123456789",
    "9007199254740993",
    "9007199254740992.0",
    "1e15",
    "1e22",
    "123e20",
    "1e300",
    "1.7976931348623157e308",
    "5e-324",
    "2.2250738585072014e-308",
    "0.000000000000000000000000000000000000001",
];

const BEYOND_DOUBLES: [&str; 4] = ["1e400", "-1e400", "1.5e1000", "1e131071"];

const STRINGS: [&str; 14] = [
    r#""""#,
    r#""a""#,
    r#""ab""#,
    r#""abc""#,
    r#""abcd""#,
    r#""ü""#,
    r#""日本語""#,
    r#""\ud83d\ude00""#,
    r#""\u00e9\"\\\/\b\f\n\r\t""#,
    r#""\u007f\u0001""#,
    r#""'$1 %s""#,
    r#""null""#,
    r#""1.10""#,
    r#""_append""#,
];

fn scalars_in_double_range() -> Vec<String> {
    NUMBERS
        .iter()
        .chain(&STRINGS)
        .chain(&["true", "false", "null"])
        .map(|text| (*text).into())
        .collect()
}

fn scalars() -> Vec<String> {
    let beyond = BEYOND_DOUBLES.map(String::from).into_iter().chain(["1e-16383".into()]);
    scalars_in_double_range().into_iter().chain(beyond).collect()
}

/// Objects of all shapes.
fn objects() -> Vec<String> {
    let mut random = Random::new(5);
    let mut objects: Vec<String> = [
        "{}",
        r#"{"": ""}"#,
        r#"{"a": {}, "b": [], "c": [[]], "d": [{}]}"#,
        // Keys come in the order of their lengths; of two that are the same the last counts.
        r#"{"b": 1, "aa": 2, "a": 3, "": 4, "ü": 5, "zz": 6, "a": 7, "b": {"a": 1, "a": 2}}"#,
        r#"{"\u0061": 1, "\ud83d\ude00": 2, "a\"b": 3}"#,
    ]
    .map(String::from)
    .into();
    for scalar in scalars() {
        objects.push(format!("{{\"k\": {scalar}}}"));
    }
    // An entry's end is kept as its length, every 32nd as an offset.
    for count in [31, 32, 33, 34, 63, 64, 65, 200] {
        let items: Vec<String> = (0..count).map(|_| value(&mut random, 1)).collect();
        let members: Vec<String> =
            items.iter().enumerate().map(|(n, item)| format!("\"k{n}\": {item}")).collect();
        objects.push(format!("{{\"list\": [{}]}}", items.join(", ")));
        objects.push(format!("{{{}}}", members.join(", ")));
    }
    objects.push(format!("{{\"long\": \"{}\", \"{}\": 1}}", "x".repeat(100_000), "k".repeat(300)));
    objects.push(format!("{{\"deep\": {}1.10{}}}", "[".repeat(100), "]".repeat(100)));
    objects.extend((0..300).map(|_| object(&mut random, 4)));
    objects
}

fn object(random: &mut Random, depth: usize) -> String {
    let members = if random.chance(5) { 45 } else { random.below(6) };
    let member = |random: &mut Random| {
        let key = match random.chance(30) {
            true => random.pick(&STRINGS[..9]).to_owned(),
            false => format!("\"k{}\"", random.below(100)),
        };
        format!("{key}: {}", value(random, depth - 1))
    };
    let members: Vec<String> = (0..members).map(|_| member(random)).collect();
    format!("{{{}}}", members.join(","))
}

fn value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 4 } else { 8 }) {
        0 => (*random.pick(&["true", "false", "null"])).to_owned(),
        1 => (*random.pick(&STRINGS)).to_owned(),
        2 => (*random.pick(&NUMBERS)).to_owned(),
        3 => number(random),
        4 | 5 => object(random, depth),
        _ => {
            let items = if random.chance(5) { 40 } else { random.below(5) };
            let items: Vec<String> = (0..items).map(|_| value(random, depth - 1)).collect();
            format!("[ {} ]", items.join(" , "))
        }
    }
}

/// A number with up to 40 digits on either side of the point.
fn number(random: &mut Random) -> String {
    let digits = |random: &mut Random, most| {
        (0..random.below(most))
            .map(|_| char::from(b'0' + random.below(10) as u8))
            .collect::<String>()
    };
    let mut number = if random.chance(30) { "-".to_owned() } else { String::new() };
    number += &format!("{}{}", 1 + random.below(9), digits(random, 40));
    if random.chance(50) {
        number += &format!(".{}{}", digits(random, 40), random.below(10));
    }
    if random.chance(20) {
        number += &format!("e{}", random.below(80) as i64 - 40);
    }
    number
}
