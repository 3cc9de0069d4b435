// Writes the entities of an event in a transaction of its own, by named prepared statements. What depends on no
// answer is sent together (pipelined), so that an event costs one to three trips to the server.

export class Store {
  #client;
  #statements = new Map();

  constructor(client) {
    this.#client = client;
  }

  async apply(entities) {
    const groups = grouped(
      entities.flatMap((entity) => entity.relations.flatMap((relation) => relation.targets)),
      (target) => target.schema,
      (target) => target.ids.map(([attribute]) => attribute),
    );
    const begun = this.#client.query("BEGIN");
    // Its error comes with that of the statement behind it, which is waited for first.
    begun.catch(() => {});
    const ids = groups.length > 0 ? await this.#resolve(groups) : undefined;
    for (const entity of entities) addRelations(entity, ids);
    const written = grouped(entities, (entity) => entity.schema, (entity) => entity.uniqueIds).map((group) =>
      this.#upsert(group),
    );
    await Promise.all([begun, ...written, this.#client.query("COMMIT")]);
  }

  /** The id of each target, those that are not there yet created as stubs. */
  async #resolve(groups) {
    const ids = new Map();
    for (const group of groups) {
      group.targets = new Map(group.members.map((target) => [keyOf(target), target.ids.map(([, value]) => value)]));
    }
    await this.#lookUp(groups, ids);
    const missing = groups.map((group) => ({
      ...group,
      targets: new Map([...group.targets].filter(([key]) => !ids.has(key))),
    })).filter((group) => group.targets.size > 0);
    if (missing.length > 0) {
      const stubbed = missing.map((group) => this.#stub(group));
      await Promise.all([...stubbed, this.#lookUp(missing, ids)]);
    }
    return ids;
  }

  /** One statement for all groups. */
  async #lookUp(groups, ids) {
    const name = groups.map((group) => group.name).join(" ");
    const text = () => {
      let parameter = 0;
      return groups
        .map(({ schema, names }, place) => {
          const arrays = names.map(() => `$${++parameter}::text[]`).join(", ");
          const columns = names.map((_, n) => `k${n}`).join(", ");
          const same = names.map((column, n) => `t.${column} = k.k${n}`).join(" AND ");
          return `SELECT ${place} AS place, k.n::integer AS n, t.id
                  FROM unnest(${arrays}) WITH ORDINALITY AS k(${columns}, n) JOIN ${schema} AS t ON ${same}`;
        })
        .join(" UNION ALL ");
    };
    const values = groups.flatMap(({ names, targets }) =>
      names.map((_, n) => [...targets.values()].map((values) => values[n])),
    );
    const found = await this.#run(`look up ${name}`, text, values);
    const keys = groups.map((group) => [...group.targets.keys()]);
    for (const { place, n, id } of found.rows) ids.set(keys[place][n - 1], id);
  }

  #stub({ schema, names, name, targets }) {
    const text = () => `
      INSERT INTO ${schema} (id, attributes, stub)
      SELECT gen_random_uuid(), a, true FROM jsonb_array_elements($1::jsonb) AS a
      ON CONFLICT (${names.join(", ")}) WHERE stub DO NOTHING`;
    // In the order of their keys, so that two workers do not wait for each other in a circle.
    const attributes = [...targets.keys()].sort().map((key) => {
      return Object.fromEntries(names.map((column, n) => [column, targets.get(key)[n]]));
    });
    return this.#run(`stub ${name}`, text, [JSON.stringify(attributes)]);
  }

  #upsert({ schema, names, name, members }) {
    const text = () => `
      INSERT INTO ${schema} AS t (id, attributes)
      SELECT gen_random_uuid(), a FROM jsonb_array_elements($1::jsonb) AS a
      ON CONFLICT (${names.join(", ")}) DO UPDATE
      SET attributes = t.attributes || excluded.attributes,
          stub = false,
          deleted_at = NULL,
          updated_at = excluded.updated_at
      WHERE t.attributes IS DISTINCT FROM t.attributes || excluded.attributes
         OR t.stub
         OR t.deleted_at IS NOT NULL`;
    const attributes = members.map((entity) => entity.attributes);
    if (attributes.length > 1) attributes.sort((a, b) => (a[names[0]] < b[names[0]] ? -1 : 1));
    return this.#run(`upsert ${name}`, text, [JSON.stringify(attributes)]);
  }

  /** Runs a statement, which the server prepares the first time. */
  #run(purpose, text, values) {
    let statement = this.#statements.get(purpose);
    if (!statement) {
      // A name has at most 63 bytes.
      statement = { name: `s${this.#statements.size}`, text: text() };
      this.#statements.set(purpose, statement);
    }
    return this.#client.query({ ...statement, values });
  }
}

/** Members of the same table that are known by the same attributes. */
function grouped(members, schemaOf, namesOf) {
  const groups = new Map();
  for (const member of members) {
    const names = namesOf(member);
    const name = `${schemaOf(member)}(${names})`;
    const group = groups.get(name);
    if (group) group.members.push(member);
    else groups.set(name, { name, schema: schemaOf(member), names, members: [member] });
  }
  return [...groups.values()];
}

function addRelations({ attributes, relations }, ids) {
  for (const { attribute, targets } of relations) {
    attributes[attribute] = {
      $relation: targets.map((target) => ({
        entity_id: ids.get(keyOf(target)),
        _schema: target.schema,
        _tags: target.tags,
      })),
    };
  }
}

function keyOf({ schema, ids }) {
  return JSON.stringify([schema, ids]);
}
