// What a mapping makes of a payload: entities, and the entities that they are related to.
//
// As much of the mapping language as the benchmark's mappings use; anything else is an error. Everything is compiled
// once: an event costs look-ups and the evaluation of its expressions.

import jsonata from "jsonata";

/** Compiles an event of a mapping document to an async function of the payload. */
export function compile(document, eventName) {
  const entries = document.mapping.events[eventName].entities.map(compileEntry);
  return async (payload) => {
    const entities = [];
    for (const entry of entries) await entry(payload, entities);
    return entities;
  };
}

function compileEntry({ entity_schema: schema, unique_ids: uniqueIds, jsonataExpression, fields, ...rest }) {
  refuse(rest);
  const sources = jsonataExpression ? list(jsonataExpression) : async (payload) => [payload];
  const attributes = fields.map(compileField);
  return async (payload, entities) => {
    for (const source of await sources(payload)) {
      const entity = { schema, uniqueIds, attributes: {}, relations: [] };
      for (const attribute of attributes) {
        const value = attribute(source, entity);
        // Only expressions are worth a turn of the event loop.
        if (value instanceof Promise) await value;
      }
      entities.push(entity);
    }
  };
}

function compileField({ attribute, relations, ...source }) {
  if (relations) return compileRelation(attribute, relations, source);
  const value = compileValue(source);
  const keep = (entity, value) => {
    if (value !== undefined) entity.attributes[attribute] = value;
  };
  if (source.jsonataExpression === undefined) return (payload, entity) => keep(entity, value(payload));
  return async (payload, entity) => keep(entity, await value(payload));
}

function compileRelation(attribute, { operation, items, jsonataExpression, ...rest }, more) {
  refuse(rest);
  refuse(more);
  if (operation !== "_set") throw new Error(`operation ${operation} is not known here`);
  const add = (entity, targets) => entity.relations.push({ attribute, targets });
  if (items) {
    const targets = items.map(compileTarget);
    return (payload, entity) => add(entity, targets.map((target) => target(payload)));
  }
  const yielded = list(jsonataExpression);
  return async (payload, entity) => {
    const targets = await yielded(payload);
    add(entity, targets.map((target) => compileTarget(target)(payload)));
  };
}

function compileTarget({ entity_schema: schema, unique_ids: uniqueIds, _tags: tags, ...rest }) {
  refuse(rest);
  const ids = uniqueIds.map(({ attribute, ...source }) => [attribute, compileValue(source)]);
  return (payload) => ({ schema, tags, ids: ids.map(([attribute, value]) => [attribute, value(payload)]) });
}

function compileValue({ field, constant, jsonataExpression, ...rest }) {
  refuse(rest);
  if (constant !== undefined) return () => constant;
  if (jsonataExpression !== undefined) return expression(jsonataExpression);
  if (!field.startsWith("$")) return (payload) => payload[field];
  if (!/^\$(\.\w+)+$/.test(field)) throw new Error(`path ${field} is not known here`);
  const names = field.split(".").slice(1);
  return (payload) => names.reduce((value, name) => value?.[name], payload);
}

function expression(text) {
  const compiled = jsonata(text);
  return (payload) => compiled.evaluate(payload);
}

/** An expression that yields a list; JSONata yields the item itself where there is one only. */
function list(text) {
  const evaluate = expression(text);
  return async (payload) => {
    const value = await evaluate(payload);
    if (value === undefined) return [];
    return Array.isArray(value) ? value : [value];
  };
}

function refuse(rest) {
  const names = Object.keys(rest);
  if (names.length > 0) throw new Error(`${names.join(", ")} is not known here`);
}
