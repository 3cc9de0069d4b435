//! What holds of every document: that it can be read in each way, and that ways agree.

use bumpalo::Bump;
use erp_engine::identifier::{is_blank, key};
use erp_engine::jsonb::{Number, Tree, Value, check, encode, key_order, parse_text};

/// A built document, to be read: its bytes pass the check.
pub fn keep<'a>(tree: &Tree<'_>, arena: &'a Bump) -> Value<'a> {
    let bytes = encode(tree).expect("inputs are far smaller than jsonb may be");
    assert_eq!(check(&bytes), Ok(()), "what is built is well-formed");
    Value::from_datum(arena.alloc_slice_copy(&bytes))
}

/// What a text says, if it is JSON.
pub fn parse<'a>(text: &str, arena: &'a Bump) -> Option<Value<'a>> {
    parse_text(arena.alloc_str(text), arena).ok().map(|tree| keep(&tree, arena))
}

/// A document and everything in it, with the levels around it. Not recursive: takes any nesting.
pub fn parts(document: Value<'_>) -> Vec<(Value<'_>, usize)> {
    let mut parts = vec![(document, 0)];
    let mut at = 0;
    while let Some((part, depth)) = parts.get(at).copied() {
        match part {
            Value::Array(array) => parts.extend(array.iter().map(|item| (item, depth + 1))),
            Value::Object(object) => parts.extend(object.iter().map(|(_, it)| (it, depth + 1))),
            _ => {}
        }
        at += 1;
    }
    parts
}

/// The deepest nesting of a document.
pub fn nesting(document: Value<'_>) -> usize {
    parts(document).iter().map(|(_, depth)| *depth).max().unwrap_or(0)
}

/// Reads everything there is of a document, in each way.
pub fn read(document: Value<'_>) {
    for (part, _) in parts(document) {
        assert!(part.same(part) && part.content() == part.content());
        assert!(part.size() >= part.content().1.len());
        assert_eq!(is_blank(part), matches!(part, Value::Null | Value::String("")));
        match part {
            Value::Array(array) => {
                let items: Vec<Value<'_>> = array.iter().collect();
                assert_eq!((array.len(), array.is_empty()), (items.len(), items.is_empty()));
                assert!(array.get(items.len()).is_none());
                for (i, item) in items.iter().enumerate() {
                    assert!(array.get(i).is_some_and(|got| got.same(*item)));
                }
            }
            Value::Object(object) => read_members(part, object.len()),
            _ => {}
        }
    }
}

fn read_members(part: Value<'_>, length: usize) {
    let object = part.as_object().expect("it is one");
    let members: Vec<(&str, Value<'_>)> = object.iter().collect();
    assert_eq!((length, object.is_empty()), (members.len(), members.is_empty()));
    assert!(members.windows(2).all(|pair| key_order(pair[0].0, pair[1].0).is_lt()));
    let objects = members.iter().filter(|(_, value)| value.as_object().is_some()).count();
    assert_eq!(object.objects().count(), objects);
    for (name, value) in &members {
        assert!(object.get(name).is_some_and(|got| got.same(*value)));
        let longer = format!("{name}\0");
        let is_there = members.iter().any(|(name, _)| *name == longer);
        assert_eq!(object.get(&longer).is_some(), is_there);
    }
}

/// Whether PostgreSQL would write the number with the same bytes.
pub fn is_normal(number: Number<'_>) -> bool {
    Number::parse(&number.to_text()).is_some_and(|bytes| bytes == number.bytes())
}

/// Numbers say the same in all their forms.
pub fn read_number(number: Number<'_>) {
    let (text, canonical, double) = (number.to_text(), number.canonical(), number.to_f64());
    assert_eq!(key(Value::Number(number)).as_deref(), Some(&*canonical));
    let written = Number::parse(&text).unwrap_or_else(|| panic!("{text} is a number"));
    let again = Number::from_datum(&written);
    // Digits that PostgreSQL never writes, such as zeros in front, need not come back.
    if written == number.bytes() {
        assert_eq!((again.to_text(), again.canonical()), (text.clone(), canonical));
        assert_eq!(text.parse(), Ok(double), "{text}");
        assert_eq!(number.is_integer(), !text.contains('.'));
        let of_double = Number::from_f64(double);
        assert_eq!(number.is_exact_f64(), of_double.is_some_and(|bytes| bytes == written));
    }
    if let Some(marked) = Number::computed(double) {
        assert_eq!(Number::from_datum(&marked).to_f64(), double);
    }
}
