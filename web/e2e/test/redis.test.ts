//! Features over the Redis protocol, with the clients people have: redis-cli, redis-py, a SCAN loop.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Server, until } from "./server.ts";

const PYTHON = process.env.MIDSESSION_PYTHON ?? "python3";
const VISITORS = 300;

const SCRIPT = `
import redis, json, sys
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
keys = list(r.scan_iter(match="user:*", count=100))
first = r.mget("user:v-0:product_view_count_1h", "user:v-1:product_view_count_1h", "user:nobody:product_view_count_1h")
whole = r.hgetall("user:v-0")
try:
    r.set("user:v-0:x", 1); wrote = "wrote"
except redis.exceptions.ResponseError as error:
    wrote = str(error)
print(json.dumps({"ping": r.ping(), "keys": len(keys), "distinct": len(set(keys)), "sample": sorted(keys)[:3], "first": first,
  "whole": whole.get("product_view_count_1h"), "type": r.type("user:v-0"), "exists": r.exists("user:v-0"), "wrote": wrote, "size": r.dbsize()}))
`;

test("redis-cli, redis-py and a SCAN loop read the features", async () => {
  const server = await Server.start();
  try {
    const event = (visitor: number, number: number) => ({
      event_id: `e-${visitor}-${number}`,
      name: "product_view",
      visitor_id: `v-${visitor}`,
      products: [{ id: `p-${number}`, price: 10 + number, currency: "EUR", category: "Shoes" }],
    });
    const events = [...Array(VISITORS).keys()].flatMap((visitor) => [event(visitor, 1), ...(visitor === 0 ? [event(0, 2), event(0, 3)] : [])]);
    assert.equal((await server.send(events)).status, 200);
    const cli = (...words: string[]) => {
      const run = spawnSync("redis-cli", ["-p", String(server.redisPort), ...words], { encoding: "utf8" });
      assert.equal(run.status, 0, run.stderr);
      return run.stdout.trim();
    };
    await until(() => cli("GET", "user:v-0:product_view_count_1h") === "3", "three views counted");
    assert.equal(cli("GET", "user:v-0:avg_viewed_price_1h"), "12");
    assert.equal(cli("GET", "user:nobody:product_view_count_1h"), "");
    assert.equal(cli("PING"), "PONG");
    const scanned = cli("--scan", "--pattern", "user:v-*:product_view_count_5m").split("\n");
    assert.equal(new Set(scanned).size, VISITORS);
    assert.match(cli("HGETALL", "user:v-0"), /distinct_products_1h\n3/);
    const sessions = cli("--scan", "--pattern", "session:*:product_view_count").split("\n");
    assert.equal(new Set(sessions).size, VISITORS);
    assert.equal(cli("GET", sessions[0]!).length > 0, true);

    const python = spawnSync(PYTHON, ["-c", SCRIPT, String(server.redisPort)], { encoding: "utf8" });
    assert.equal(python.status, 0, python.stderr);
    const said = JSON.parse(python.stdout);
    assert.equal(said.ping, true);
    assert.deepEqual(said.first, ["3", "1", null]);
    assert.equal(said.whole, "3");
    assert.equal(said.exists, 1);
    assert.match(said.wrote, /READONLY|read.only/i);
    for (let visitor = 0; visitor < 3; visitor += 1) assert.ok(said.keys >= VISITORS && said.distinct >= VISITORS);
  } finally {
    await server.stop();
  }
});
