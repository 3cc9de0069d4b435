// The worker: events in, transactions out, as middleware between an ERP system and a database does it.
//
// The benchmark speaks to it by lines. First the set-up, {"database", "schema", "settings", "event", "mapping"}; the
// answer is the process id of its session's server. Then, again and again: a number n, and n payloads, which are kept
// as they come; the answer is "ready". At "go" they are applied; the answer is "done".

import { createInterface } from "node:readline";
import pg from "pg";
import { compile } from "./mapping.mjs";
import { Store } from "./store.mjs";

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })[Symbol.asyncIterator]();
const receive = async () => (await lines.next()).value;
const answer = (text) => process.stdout.write(`${text}\n`);

const { database, schema, settings, event, mapping } = JSON.parse(await receive());
const options = Object.entries({ ...settings, search_path: schema }).map(([name, value]) => `-c ${name}=${value}`);
const client = new pg.Client({
  database,
  options: options.join(" "),
  application_name: "erp_bench Node.js",
  pipeline: true,
});
await client.connect();
const map = compile(mapping, event);
const store = new Store(client);
answer(client.processID);

for (let count = await receive(); count !== undefined; count = await receive()) {
  const payloads = [];
  for (let n = 0; n < Number(count); n++) payloads.push(await receive());
  answer("ready");
  await receive();
  for (const payload of payloads) await store.apply(await map(JSON.parse(payload)));
  answer("done");
}
await client.end();
