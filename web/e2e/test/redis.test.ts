//! Features over the Redis protocol, with the clients people have: redis-cli, redis-py, ioredis; each scans exactly the keys there are.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Redis } from "ioredis";
import { unequal } from "./compare.ts";
import { Server, until } from "./server.ts";

const PYTHON = process.env.MIDSESSION_PYTHON ?? "python3";
/** One of them has an id that a key can't hold as it is. */
const VISITORS = [...Array.from({ length: 300 }, (_, number) => `v-${number}`), "jane doe:*"];

/** What the native profile says of a shopper who only looked at products. */
const FOLDS = [
  ...["product_view_count", "distinct_products", "list_view_count", "search_count", "cart_add_count", "cart_remove_count"],
  ...["order_count", "unique_categories", "top_category", "avg_viewed_price", "min_viewed_price", "max_viewed_price"],
];
const OF_USER = FOLDS.flatMap((name) => ["5m", "1h", "24h"].map((window) => `${name}_${window}`));
const OF_SESSION = [
  ...FOLDS,
  ...["cart_size", "cart_view_ratio", "checkout_step", "page_count", "bounce", "duration_ms", "idle_ms", "device_class"],
];

/** Patterns, and what they mean said once more as a condition. */
const PATTERNS: [pattern: string | null, takes: (key: string) => boolean][] = [
  [null, () => true],
  ["*", () => true],
  ["user:*", (key) => key.startsWith("user:")],
  ["session:*:page_count", (key) => /^session:[^:]*:page_count$/.test(key)],
  ["user:v-1?:product_view_count_1h", (key) => /^user:v-1\d:product_view_count_1h$/.test(key)],
  ["user:v-[7-9]", (key) => ["user:v-7", "user:v-8", "user:v-9"].includes(key)],
  ["user:v-12:*", (key) => key.startsWith("user:v-12:")],
  ["user:jane%20doe%3A%2A", (key) => key === "user:jane%20doe%3A%2A"],
  ["nothing:*", () => false],
];
const COUNTS = [1, 10, 250, 1_000_000];

let server: Server;
let keys: string[];
before(async () => {
  server = await Server.start();
  const view = (visitor: string, number: number) => ({
    event_id: `${visitor} ${number}`,
    name: "product_view",
    visitor_id: visitor,
    products: [{ id: `p-${number}`, price: 10 + number, currency: "EUR", category: "Shoes" }],
  });
  const events = VISITORS.flatMap((visitor, index) => [view(visitor, 1), ...(index === 0 ? [view(visitor, 2), view(visitor, 3)] : [])]);
  assert.equal((await server.send(events)).status, 200);
  const sessions: any[] = await until(async () => {
    const { sessions } = await server.ask("/v1/sessions?limit=5000");
    return sessions.reduce((sum: number, session: any) => sum + session.events, 0) === events.length && sessions;
  }, "all events in sessions");
  assert.equal(sessions.length, VISITORS.length);
  const entity = (key: string, names: string[]) => [key, ...names.map((name) => `${key}:${name}`)];
  keys = [
    ...VISITORS.flatMap((id) => entity(`user:${id === "jane doe:*" ? "jane%20doe%3A%2A" : id}`, OF_USER)),
    ...sessions.flatMap(({ session_id }) => entity(`session:${session_id}`, OF_SESSION)),
  ];
});
after(() => server.stop());

/** Every key once, and none besides; of `scan`'s results by pattern and count. */
const scansAll = async <Count>(counts: Count[], scan: (pattern: string | null, count: Count) => string[] | Promise<string[]>) => {
  for (const [pattern, takes] of PATTERNS) {
    for (const count of counts) {
      assert.deepEqual(unequal(await scan(pattern, count), keys.filter(takes)), [], `MATCH ${pattern} COUNT ${count}`);
    }
  }
};

const cli = (...words: string[]) => {
  const run = spawnSync("redis-cli", ["-p", String(server.redisPort), ...words], { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
};

const lines = (text: string) => text.split("\n").filter(Boolean);

test("redis-cli reads and scans", async () => {
  assert.equal(cli("PING"), "PONG");
  assert.equal(cli("GET", "user:v-0:product_view_count_1h"), "3");
  assert.equal(cli("GET", "user:v-0:avg_viewed_price_1h"), "12");
  assert.equal(cli("GET", "user:nobody:product_view_count_1h"), "");
  assert.match(cli("HGETALL", "user:v-0"), /distinct_products_1h\n3/);
  // Its own loop, and one of ours, of which each step is another connection.
  await scansAll([null], (pattern) => lines(cli("--scan", ...(pattern === null ? [] : ["--pattern", pattern]))));
  await scansAll([250, 1_000_000], (pattern, count) => {
    const found: string[] = [];
    let cursor = "0";
    do {
      const [next, ...some] = lines(cli("SCAN", cursor, ...(pattern === null ? [] : ["MATCH", pattern]), "COUNT", String(count)));
      found.push(...some);
      cursor = next!;
    } while (cursor !== "0");
    return found;
  });
});

const SCRIPT = `
import json, sys, redis
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
out = {"ping": r.ping(), "scans": []}
out["first"] = r.mget("user:v-0:product_view_count_1h", "user:v-1:product_view_count_1h", "user:nobody:product_view_count_1h")
out["hash"], out["type"] = r.hgetall("user:v-0"), r.type("user:v-0")
out["exists"] = r.exists("user:v-0", "user:nobody")
try:
    out["wrote"] = r.set("user:v-0:x", 1)
except redis.exceptions.ResponseError as error:
    out["wrote"] = str(error)
for pattern, count in json.loads(sys.argv[2]):
    out["scans"].append(list(r.scan_iter(match=pattern, count=count)))
print(json.dumps(out))
`;

test("redis-py reads and scans, and can't write", async () => {
  const asked = PATTERNS.flatMap(([pattern]) => COUNTS.map((count) => [pattern, count]));
  const words = ["-c", SCRIPT, String(server.redisPort), JSON.stringify(asked)];
  const run = spawnSync(PYTHON, words, { encoding: "utf8", maxBuffer: 1 << 28 });
  assert.equal(run.status, 0, run.stderr);
  const said = JSON.parse(run.stdout);
  assert.equal(said.ping, true);
  assert.deepEqual(said.first, ["3", "1", null]);
  assert.deepEqual(Object.keys(said.hash).toSorted(), OF_USER.toSorted());
  assert.equal(said.hash.product_view_count_1h, "3");
  assert.equal(said.type, "hash");
  assert.equal(said.exists, 1);
  assert.match(said.wrote, /READONLY|read.only/i);
  const at = (pattern: string | null, count: number) => asked.findIndex((one) => one[0] === pattern && one[1] === count);
  await scansAll(COUNTS, (pattern, count) => said.scans[at(pattern, count)]);
});

test("a SCAN loop of ioredis", async () => {
  const redis = new Redis(server.redisPort, "127.0.0.1");
  try {
    assert.deepEqual(await redis.mget("user:v-0:product_view_count_1h", "user:nobody:product_view_count_1h"), ["3", null]);
    assert.equal((await redis.hgetall("user:jane%20doe%3A%2A")).product_view_count_1h, "1");
    await scansAll(COUNTS, async (pattern, count) => {
      const found: string[] = [];
      let cursor = "0";
      do {
        const [next, some] =
          pattern === null ? await redis.scan(cursor, "COUNT", count) : await redis.scan(cursor, "MATCH", pattern, "COUNT", count);
        found.push(...some);
        cursor = next;
      } while (cursor !== "0");
      return found;
    });
  } finally {
    redis.disconnect();
  }
});
