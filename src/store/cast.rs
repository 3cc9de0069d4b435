//! Values as the columns of registered tables have them: cast to the column's type and read back,
//! so that what is compared, looked up and written is the same thing.

use std::collections::BTreeMap;

use bumpalo::Bump;
use erp_engine::error::{Code, Error};
use erp_engine::identifier::key;
use erp_engine::jsonb::{Tree, Value, encode};
use erp_engine::map::{Attribute, Mapped, Target};
use erp_engine::mapping::Operation;

use super::apply::is_of_the_call;
use super::columns::check_columns;
use super::entity_type::EntityType;
use super::layout::{Column, Kind};
use super::request::{Types, scoped_schema};
use crate::error::Failure;
use crate::pg::array;
use crate::pg::spi::{Access, Statement};
use crate::pg::subtransaction::subtransaction;

/// What an event maps to, or why it cannot be mapped.
pub type Mappings<'a> = (usize, Result<Vec<Mapped<'a>>, Failure>);

/// A value to be cast, of an event.
struct Slot<'m, 'a> {
    /// Where the event stands among those of the chunk.
    at: usize,
    value: &'m mut Value<'a>,
}

/// Casts the values that go to columns, or are compared with them. An event with a value that
/// does not fit its column fails with `ATTRIBUTE_TYPE_MISMATCH`.
pub fn cast<'a>(
    types: &Types<'a>,
    mapped: &mut [Mappings<'a>],
    arena: &'a Bump,
) -> Result<(), Failure> {
    if types.all.iter().all(|ty| ty.layout.columns.is_empty()) {
        return Ok(());
    }
    let mut slots: BTreeMap<(usize, usize), Vec<Slot<'_, 'a>>> = BTreeMap::new();
    for (at, (_, result)) in mapped.iter_mut().enumerate() {
        for mapped in result.iter_mut().flatten() {
            each_value(mapped, &mut |slug, attribute, value| {
                let Some(ty) = types.position(slug) else { return Ok(()) };
                let bound = &types.all[ty];
                let columns = &bound.layout.columns;
                let Some(column) = columns.iter().position(|column| column.attribute == attribute)
                else {
                    return Ok(());
                };
                if !is_cast(bound, &columns[column], value, arena)? {
                    slots.entry((ty, column)).or_default().push(Slot { at, value });
                }
                Ok(())
            })?;
        }
    }
    let mut failures = Vec::new();
    for ((ty, column), slots) in slots {
        let bound = &types.all[ty];
        failures.extend(cast_column(bound, &bound.layout.columns[column], slots, arena)?);
    }
    for (at, failure) in failures {
        if let Ok(event) = &mapped[at].1 {
            mapped[at].1 = Err(refused(types, event).map_or(failure, Failure::from));
        }
    }
    Ok(())
}

/// What is wrong whatever the values are, which is told first.
fn refused(types: &Types<'_>, event: &[Mapped<'_>]) -> Option<Error> {
    event.iter().find_map(|mapped| match mapped {
        Mapped::Update(update) => {
            let ty = types.position(&update.entity.schema)?;
            check_columns(&types.all[ty], update).err()
        }
        Mapped::Prune(_) => None,
    })
}

/// Calls `f` with each value of what was mapped, and the slug and attribute that it is of.
fn each_value<'m, 'a>(
    mapped: &'m mut Mapped<'a>,
    f: &mut dyn FnMut(&str, &str, &'m mut Value<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match mapped {
        Mapped::Update(update) => {
            let slug = update.entity.schema.as_str();
            for (name, value) in &mut update.unique_identifiers {
                f(slug, name, value)?;
            }
            for (name, attribute) in &mut update.attributes {
                match attribute {
                    Attribute::Value(value) => f(slug, name, value)?,
                    Attribute::Relation(relation) => {
                        relation
                            .targets
                            .iter_mut()
                            .try_for_each(|target| identifiers(target, f))?;
                    }
                    Attribute::RelationRef(refs) => {
                        let targets = refs.targets.iter_mut().map(|item| &mut item.target);
                        targets.into_iter().try_for_each(|target| identifiers(target, f))?;
                    }
                }
            }
        }
        Mapped::Prune(prune) => {
            let slug = scoped_schema(prune);
            for (name, value) in &mut prune.values {
                f(slug, name, value)?;
            }
        }
    }
    Ok(())
}

fn identifiers<'m, 'a>(
    target: &'m mut Target<'a>,
    f: &mut dyn FnMut(&str, &str, &'m mut Value<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    target.identifiers.iter_mut().try_for_each(|(name, value)| f(target.schema, name, value))
}

/// Whether the value is as the column has it, or is made so here.
fn is_cast<'a>(
    ty: &EntityType,
    column: &Column,
    value: &mut Value<'a>,
    arena: &'a Bump,
) -> Result<bool, Failure> {
    let is_identifier = || ty.identifiers.contains(&column.attribute);
    match (&column.kind, *value) {
        (_, Value::Null) | (Kind::Jsonb | Kind::Reference(_), _) => Ok(true),
        (Kind::Text, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => Ok(true),
        (Kind::Text, scalar @ (Value::Number(_) | Value::Bool(_))) if is_identifier() => {
            *value = Value::String(arena.alloc_str(&key(scalar).unwrap_or_default()));
            Ok(true)
        }
        (Kind::Numeric, Value::Number(_)) => Ok(true),
        (Kind::Array, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            *value = as_list(*value, arena)?;
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// A list; JSONata unwraps lists of one.
fn as_list<'a>(value: Value<'a>, arena: &'a Bump) -> Result<Value<'a>, Failure> {
    match value {
        Value::Array(_) => Ok(value),
        Value::Null => kept(&Tree::Array(Vec::new()), arena),
        one => kept(&Tree::Array(vec![one.into()]), arena),
    }
}

fn kept<'a>(tree: &Tree<'_>, arena: &'a Bump) -> Result<Value<'a>, Failure> {
    Ok(Value::from_datum(arena.alloc_slice_copy(&encode(tree)?)))
}

/// Casts the values of one column together, or one by one if that fails, to find the events that
/// are to blame.
fn cast_column<'a>(
    ty: &EntityType,
    column: &Column,
    slots: Vec<Slot<'_, 'a>>,
    arena: &'a Bump,
) -> Result<Vec<(usize, Failure)>, Failure> {
    let statement = ty.cast(column)?;
    let mut failures = Vec::new();
    let mut together = Vec::with_capacity(slots.len());
    for slot in slots {
        match operand(ty, column, *slot.value, arena) {
            Ok(operand) => together.push((slot, operand)),
            Err(failure) => failures.push((slot.at, failure)),
        }
    }
    let operands: Vec<Value<'a>> = together.iter().map(|(_, (_, value))| *value).collect();
    match try_cast(&statement, &operands, arena) {
        Ok(cast) => {
            for ((slot, (operation, _)), value) in together.into_iter().zip(cast) {
                *slot.value = with_operation(operation, value, arena)?;
            }
        }
        Err(failure) if !is_of_one(&failure) => return Err(failure),
        Err(_) => {
            for (slot, (operation, value)) in together {
                match try_cast(&statement, &[value], arena) {
                    Ok(cast) => *slot.value = with_operation(operation, cast[0], arena)?,
                    Err(failure) if !is_of_one(&failure) => return Err(failure),
                    Err(failure) if is_of_type(&failure) => {
                        failures.push((slot.at, misfit(ty, column).into()));
                    }
                    Err(failure) => failures.push((slot.at, failure)),
                }
            }
        }
    }
    Ok(failures)
}

/// The list of an array operation, which an array column takes, or the value itself.
fn operand<'a>(
    ty: &EntityType,
    column: &Column,
    value: Value<'a>,
    arena: &'a Bump,
) -> Result<(Option<&'a str>, Value<'a>), Failure> {
    // Equal numbers are one key, and 7.0 is an integer.
    if let Value::Number(number) = value
        && (column.kind == Kind::Integer || ty.identifiers.contains(&column.attribute))
    {
        return Ok((None, Value::String(arena.alloc_str(&number.canonical()))));
    }
    // Text takes any document, but a document identifies nothing.
    if matches!(value, Value::Array(_) | Value::Object(_))
        && column.kind != Kind::Array
        && ty.identifiers.contains(&column.attribute)
    {
        return Err(misfit(ty, column).into());
    }
    let only = value.as_object().filter(|object| object.len() == 1);
    match only.and_then(|object| object.iter().next()) {
        Some((name, list)) if Operation::named(name).is_some() => match column.kind {
            Kind::Array => Ok((Some(name), as_list(list, arena)?)),
            _ => Err(misfit(ty, column).into()),
        },
        _ => Ok((None, value)),
    }
}

fn with_operation<'a>(
    operation: Option<&'a str>,
    value: Value<'a>,
    arena: &'a Bump,
) -> Result<Value<'a>, Failure> {
    match operation {
        Some(name) => kept(&Tree::Object(vec![(name, value.into())]), arena),
        None => Ok(value),
    }
}

fn try_cast<'a>(
    statement: &Statement,
    values: &[Value<'a>],
    arena: &'a Bump,
) -> Result<Vec<Value<'a>>, Failure> {
    let documents = values
        .iter()
        .map(|value| encode(&Tree::Value(*value)))
        .collect::<Result<Vec<Vec<u8>>, _>>()?;
    subtransaction(|| {
        let argument = array::of_jsonb(arena, documents.iter().map(Vec::as_slice));
        let rows = statement.execute(&[argument], Access::Read)?;
        let mut cast = vec![Value::Null; values.len()];
        for row in rows.iter() {
            if let Some(n) = row.i64(1) {
                cast[n as usize - 1] = row.jsonb(2, arena)?.unwrap_or(Value::Null);
            }
        }
        Ok(cast)
    })
}

/// Whether a cast failed because of one value.
fn is_of_one(failure: &Failure) -> bool {
    failure.pg_sqlstate().is_some() && !is_of_the_call(failure)
}

/// Whether a value does not fit the type: class 22. What a domain within it says is its own.
fn is_of_type(failure: &Failure) -> bool {
    failure.pg_sqlstate().is_some_and(|state| state.starts_with(b"22"))
}

/// The error of a value that a column cannot have.
pub fn misfit(ty: &EntityType, column: &Column) -> Error {
    let known = column.ty.trim_start_matches("pg_catalog.").replace('"', "");
    let shown = match column.kind {
        Kind::Array => written_array(&known),
        _ => known,
    };
    let message = format!(
        "{}.{}: the value does not fit the column {} of type {shown}",
        ty.slug, column.attribute, column.name
    );
    Error::new(Code::AttributeTypeMismatch, message)
        .hint("Map the attribute to what the column's type can read.")
}

/// The array type of that name as it is written: `_int4` is `int4[]`.
fn written_array(array: &str) -> String {
    let (schema, name) = array.split_at(array.rfind('.').map_or(0, |dot| dot + 1));
    match name.strip_prefix('_') {
        Some(element) => format!("{schema}{element}[]"),
        None => array.to_owned(),
    }
}
