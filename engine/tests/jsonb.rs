//! The binary form of JSON: text parsed, encoded and printed is the same document with the same
//! digits; what is read by key, by index and in turn agrees; parts can be copied; and no bytes
//! make the check panic, nor reading what it let pass.

mod support;

use bumpalo::Bump;
use erp_engine::jsonb::{Number, Tree, Value, check, encode, key_order, parse_text};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::properties::config;
use support::{json, keep};

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn text_comes_back_as_it_was(text in document()) {
        let arena = Bump::new();
        let bytes = encoded(&text);
        prop_assert_eq!(check(&bytes), Ok(()));
        let value = Value::from_datum(&bytes);
        let shown = value.to_string();
        prop_assert_eq!(&encoded(&shown), &bytes, "{}", shown);
        prop_assert_eq!(&encode(&value.into()).unwrap(), &bytes);
        // serde_json reads no numbers beyond all doubles.
        if let Ok(read) = serde_json::from_str(&text) {
            prop_assert!(equal(json(&shown, &arena), &read), "{}", shown);
            let spaced = format!(" \n{}\t", serde_json::to_string_pretty(&read).unwrap());
            prop_assert!(equal(json(&spaced, &arena), &read), "{}", spaced);
        }
    }

    #[test]
    fn reading_by_key_by_index_and_in_turn_agrees(text in document()) {
        let arena = Bump::new();
        agrees(json(&text, &arena))?;
    }

    #[test]
    fn a_part_copied_into_another_document_stays_itself(
        text in document(), other in document(), part in any::<Index>(),
    ) {
        let arena = Bump::new();
        let (value, other) = (json(&text, &arena), json(&other, &arena));
        let part = *part.get(&parts(value));
        let copy = keep(
            &Tree::Array(vec![
                Tree::Object(vec![("copy", part.into()), ("a", other.into())]),
                part.into(),
                Tree::Array(vec![part.into(); 2]),
            ]),
            &arena,
        );
        let copy = copy.as_array().unwrap();
        let object = copy.get(0).unwrap().as_object().unwrap();
        prop_assert!(object.get("copy").unwrap().same(part));
        prop_assert!(object.get("a").unwrap().same(other));
        prop_assert!(copy.get(1).unwrap().same(part));
        prop_assert!(copy.get(2).unwrap().as_array().unwrap().iter().all(|item| item.same(part)));
    }

    #[test]
    fn of_equal_keys_the_last_counts(keys in vec("[ab]{1,2}", 0..80)) {
        let members: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("\"{key}\":{i}")).collect();
        let arena = Bump::new();
        let value = json(&format!("{{{}}}", members.join(",")), &arena).as_object().unwrap();
        for (i, key) in keys.iter().enumerate() {
            let last = keys.iter().rposition(|other| other == key).unwrap();
            prop_assert!(last >= i);
            prop_assert_eq!(value.get(key).unwrap().to_string(), last.to_string());
        }
        let distinct: std::collections::BTreeSet<&String> = keys.iter().collect();
        prop_assert_eq!(value.len(), distinct.len());
    }
}

#[test]
fn every_member_is_found_however_many_there_are() {
    let arena = Bump::new();
    // Keys of one length, of two, and of as many as there are keys.
    let forms: [fn(usize) -> String; 3] =
        [|n| format!("{n:03}"), |n| format!("k{n}"), |n| "x".repeat(n)];
    for (form, count) in forms.into_iter().flat_map(|form| (0..110).map(move |n| (form, n))) {
        let keys: Vec<String> = (0..count).map(|n| form(2 * n + 1)).collect();
        let members = keys.iter().map(|key| (key.as_str(), Value::String(key).into()));
        let object = keep(&Tree::Object(members.collect()), &arena).as_object().unwrap();
        for key in &keys {
            assert_eq!(object.get(key).and_then(Value::as_str), Some(&**key), "of {count}");
            assert!(object.has(key, Value::String(key)), "{key} of {count}");
        }
        for missing in (0..=count).map(|n| form(2 * n)).chain([String::new()]) {
            assert!(object.get(&missing).is_none(), "{missing} of {count}");
        }
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn damaged_bytes_are_refused_or_can_be_read(
        text in document(), damages in vec((any::<Index>(), any::<u8>(), any::<Index>()), 50),
    ) {
        let sound = encoded(&text);
        let mut worn = sound.clone();
        for (at, byte, end) in damages {
            let at = at.index(sound.len());
            let mut bytes = sound.clone();
            bytes[at] = byte;
            worn[at] = byte;
            read_if_sound(&bytes);
            read_if_sound(&worn);
            read_if_sound(&sound[..end.index(sound.len())]);
        }
    }

    #[test]
    fn damaged_headers_are_refused_or_can_be_read(text in document()) {
        let sound = encoded(&text);
        for bit in 0..8 * sound.len().min(16) {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            read_if_sound(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn numbers_keep_their_digits(text in number()) {
        let bytes = Number::parse(&text).unwrap();
        let number = Number::from_datum(&bytes);
        prop_assert_eq!(number.to_text(), written_out(&text));
        let canonical = number.canonical();
        prop_assert_eq!(&canonical, &canonical_digits(&written_out(&text)));
        let again = Number::parse(&canonical).unwrap();
        prop_assert_eq!(Number::from_datum(&again).canonical(), canonical);
        prop_assert_eq!(number.to_f64(), text.parse::<f64>().unwrap());
    }

    #[test]
    fn a_number_is_a_double_s_own_when_that_writes_it_back(text in number()) {
        let bytes = Number::parse(&text).unwrap();
        let number = Number::from_datum(&bytes);
        let written = Number::from_f64(number.to_f64());
        prop_assert_eq!(number.is_exact_f64(), written.is_some_and(|written| written == bytes));
    }

    #[test]
    fn doubles_come_back(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
        let bytes = Number::from_f64(double).unwrap();
        let number = Number::from_datum(&bytes);
        prop_assert_eq!(number.to_f64(), double);
        prop_assert_eq!(number.to_text(), written_out(&double.to_string()));
    }

    #[test]
    fn computed_integers_from_two_to_the_53_on_are_marked(
        double in any::<f64>().prop_filter("finite", |double| double.is_finite()),
        small in -20_000_000_000_000_000i64..20_000_000_000_000_000,
    ) {
        for double in [double, small as f64] {
            let bytes = Number::computed(double).unwrap();
            let number = Number::from_datum(&bytes);
            let plain = Number::from_f64(double).unwrap();
            prop_assert_eq!(number.to_text(), Number::from_datum(&plain).to_text());
            prop_assert_eq!(number.to_f64(), double);
            // Beyond 64 groups of digits PostgreSQL itself uses the long form.
            let is_marked = (9_007_199_254_740_992.0..1e250).contains(&double.abs());
            if double.abs() < 1e250 {
                prop_assert_eq!(number.is_inexact(), is_marked);
            }
            prop_assert!(!Number::from_datum(&plain).is_inexact());
        }
    }

    #[test]
    fn any_bytes_can_be_checked(bytes in vec(any::<u8>(), 0..200)) {
        read_if_sound(&bytes);
    }

    #[test]
    fn any_text_can_be_parsed(text in "[\\[\\]{}:,\"a0-9eE.+\\\\u \\-tfn\u{0}]{0,40}") {
        let arena = Bump::new();
        let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        if let Ok(tree) = parse_text(&text, &arena) {
            prop_assert!(is_json);
            prop_assert_eq!(check(&encode(&tree).unwrap()), Ok(()));
        } else {
            prop_assert!(!is_json || text.contains(['e', 'E']) || text.contains("\\u0000"), "{}", text);
        }
    }
}

// Cases

#[test]
fn more_children_than_a_stride_are_found() {
    let arena = Bump::new();
    for count in [0, 1, 31, 32, 33, 63, 64, 65, 500] {
        let items: Vec<String> =
            (0..count).map(|i| format!("[\"{}\",{i}]", "x".repeat(i % 7))).collect();
        agrees(json(&format!("[{}]", items.join(",")), &arena)).unwrap();
        let members: Vec<String> = (0..count).map(|i| format!("\"k{i}\":{}", items[i])).collect();
        let object = json(&format!("{{{}}}", members.join(",")), &arena);
        agrees(object).unwrap();
        assert_eq!(object.as_object().unwrap().len(), count);
    }
}

#[test]
fn keys_are_ordered_by_length_and_then_by_bytes() {
    let arena = Bump::new();
    for (document, printed) in [
        (r#"{"b": 1, "a": 2, "aa": 3, "": 4}"#, r#"{"":4,"a":2,"b":1,"aa":3}"#),
        (r#"{"ü": 1, "zz": 2, "aa": 3, "z": 4}"#, r#"{"z":4,"aa":3,"zz":2,"ü":1}"#),
        (r#"{"B": 1, "a": 2, "A": 3}"#, r#"{"A":3,"B":1,"a":2}"#),
        (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#),
        (r#"{"a": 1, "\u0061": [2]}"#, r#"{"a":[2]}"#),
    ] {
        assert_eq!(json(document, &arena).to_string(), printed);
    }
}

#[test]
fn text_that_is_no_json_is_refused_without_being_quoted() {
    let arena = Bump::new();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse_text(&deep(127), &arena).is_ok());
    for text in [
        "",
        " ",
        "S3CRET",
        "'S3CRET'",
        "\"S3CRET",
        "{\"S3CRET\"}",
        "[\"S3CRET\",]",
        "{\"S3CRET\":1,}",
        "\"S3CRET\" \"S3CRET\"",
        "[1 \"S3CRET\"]",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "Infinity",
        "-",
        "1e",
        "0x10",
        "tru",
        "nul",
        "\u{feff}\"S3CRET\"",
        "\"S3CRET\\x\"",
        "\"S3CRET\n\"",
        "\"S3CRET\\ud800\"",
        "\"S3CRET\\u0000\"",
        "{\"S3CRET\\u0000\":1}",
        "[[\"S3CRET\\u0000\"]]",
        "1e200000",
        "1e-200000",
        "[1e999999999999999999999]",
        "/*S3CRET*/1",
        &deep(200),
        &deep(1_000),
    ] {
        let error = match parse_text(text, &arena) {
            Err(error) => error.0,
            Ok(tree) => panic!("{text} is {}", keep(&tree, &arena)),
        };
        assert!(!error.contains("S3CRET") && !error.ends_with('.'), "{error}");
    }
}

#[test]
fn values_are_the_same_to_the_last_digit() {
    let same = |a: &str, b: &str| {
        let arena = Bump::new();
        json(a, &arena).same(json(b, &arena))
    };
    for (a, b) in [
        ("1e2", "100"),
        ("-0", "0"),
        ("1.5e0", "1.5"),
        ("\"\\u0041\"", "\"A\""),
        (r#"{"a": 1, "b": [1.10]}"#, r#"{"b": [1.10], "a": 1}"#),
    ] {
        assert!(same(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("1.1", "1.10"),
        ("1", "1.0"),
        ("1", "\"1\""),
        ("null", "false"),
        ("[]", "{}"),
        ("[1.1]", "[1.10]"),
        ("[1, 2]", "[2, 1]"),
        ("\"\\u00e9\"", "\"e\\u0301\""),
    ] {
        assert!(!same(a, b), "{a} {b}");
    }
}

/// Bytes that PostgreSQL writes, on a machine that writes low bytes first.
#[cfg(target_endian = "little")]
#[test]
fn the_layout_is_postgresql_s() {
    for (document, words) in [
        ("{}", &[0x2000_0000][..]),
        ("[]", &[0x4000_0000]),
        ("null", &[0x5000_0001, 0xC000_0000]),
        // One key of one byte; its number starts at the next word: padding counts to its length.
        ("{\"a\": 1}", &[0x2000_0001, 0x8000_0001, 0x1000_000B, 0x61, 32, 0x0001_8000]),
        ("[true, \"ab\"]", &[0x4000_0002, 0xB000_0000, 0x0000_0002, 0x6261]),
        ("-12345.6", &[0x5000_0001, 0x9000_000C, 48, 0x0001_A081, 0x1770_0929]),
        ("[[]]", &[0x4000_0001, 0xD000_0004, 0x4000_0000]),
    ] {
        let mut bytes = encoded(document);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let found: Vec<u32> =
            bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(found, words, "{document}: {found:#x?}");
    }
}

// Documents

/// The text of a document, some with many children or long keys.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        string(),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let member = (string(), inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        let array = |items: Vec<String>| format!("[{}]", items.join(","));
        let object = |members: Vec<String>| format!("{{{}}}", members.join(","));
        prop_oneof![
            8 => vec(inner.clone(), 0..6).prop_map(array),
            8 => vec(member.clone(), 0..6).prop_map(object),
            1 => vec(inner, 30..70).prop_map(array),
            1 => vec(member, 30..70).prop_map(object),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,3})",
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        "-?[1-9]0{0,30}(\\.0{1,10})?",
        "-?0\\.0{0,30}[0-9]{1,20}",
        any::<f64>().prop_filter("finite", |double| double.is_finite()).prop_map(|d| d.to_string()),
    ]
}

/// A string as JSON.
fn string() -> impl Strategy<Value = String> + Clone {
    let string = prop_oneof![
        "[a-c]{0,3}",
        "[^\u{0}]{0,20}",
        "[a-z]{100,300}",
        any::<String>().prop_map(|s| s.replace('\0', "")),
    ];
    string.prop_map(|string| serde_json::Value::from(string).to_string())
}

/// A JSON number without exponent, as PostgreSQL prints it.
fn written_out(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().unwrap();
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = whole.len() as i64 + exponent;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let digits = format!("{}{digits}{}", zeros(1 - point), zeros(point - digits.len() as i64));
    let (whole, fraction) = digits.split_at(usize::try_from(point.max(1)).unwrap());
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if digits.bytes().all(|digit| digit == b'0') { "" } else { sign };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn canonical_digits(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
        None => text.to_owned(),
    }
}

// Reading

/// A text in binary form.
fn encoded(text: &str) -> Vec<u8> {
    let arena = Bump::new();
    encode(&parse_text(text, &arena).unwrap_or_else(|e| panic!("{e:?}: {text}"))).unwrap()
}

/// Whether the document is what serde_json read, numbers as doubles.
fn equal(value: Value<'_>, other: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (value, other) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == *b,
        (Value::String(a), Json::String(b)) => a == b,
        (Value::Number(a), Json::Number(b)) => {
            let (a, b) = (a.to_f64(), b.as_f64().unwrap());
            // serde_json may be a unit in the last place off.
            a == b || (a - b).abs() <= a.abs() * 1e-15
        }
        (Value::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => false,
    }
}

/// The ways to read a document give the same, down to its leaves.
fn agrees(value: Value<'_>) -> Result<(), TestCaseError> {
    match value {
        Value::Array(array) => {
            let items: Vec<Value<'_>> = array.iter().collect();
            prop_assert_eq!((array.len(), array.is_empty()), (items.len(), items.is_empty()));
            for (i, item) in items.iter().enumerate() {
                prop_assert!(array.get(i).is_some_and(|got| got.same(*item)));
                agrees(*item)?;
            }
            prop_assert!(array.get(items.len()).is_none());
        }
        Value::Object(object) => {
            let members: Vec<(&str, Value<'_>)> = object.iter().collect();
            prop_assert_eq!((object.len(), object.is_empty()), (members.len(), members.is_empty()));
            prop_assert!(members.windows(2).all(|pair| key_order(pair[0].0, pair[1].0).is_lt()));
            for (key, value) in members {
                prop_assert!(object.get(key).is_some_and(|got| got.same(value)));
                prop_assert!(object.has(key, value));
                prop_assert!(!object.has(key, Value::String("no such value")));
                let longer = format!("{key}\0");
                prop_assert!(object.get(&longer).is_none());
                prop_assert!(!object.has(&longer, value));
                agrees(value)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A document and everything in it.
fn parts<'a>(value: Value<'a>) -> Vec<Value<'a>> {
    let children: Vec<Value<'a>> = match value {
        Value::Array(array) => array.iter().collect(),
        Value::Object(object) => object.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    std::iter::once(value).chain(children.into_iter().flat_map(parts)).collect()
}

fn read_if_sound(bytes: &[u8]) {
    if check(bytes).is_ok() {
        walk(Value::from_datum(bytes), 0);
    }
}

/// Reads everything there is of a document that passed the check.
fn walk(value: Value<'_>, depth: usize) {
    assert!(value.same(value));
    match value {
        Value::Number(number) => {
            number.to_f64();
            number.to_text();
            number.canonical();
            number.is_exact_f64();
        }
        Value::Array(array) => {
            for (i, item) in array.iter().enumerate() {
                assert!(array.get(i).is_some_and(|got| got.same(item)));
                walk(item, depth + 1);
            }
        }
        Value::Object(object) => {
            for (key, value) in object.iter() {
                assert!(object.get(key).is_some_and(|got| got.same(value)));
                walk(value, depth + 1);
            }
        }
        _ => {}
    }
    if depth == 0 {
        value.to_string();
        let copy = encode(&Tree::Array(vec![value.into(), value.into()])).unwrap();
        assert_eq!(check(&copy), Ok(()));
    }
}
