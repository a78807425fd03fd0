//! Unmodified SDKs: every id that went over the wire is in the log as often as it went, and takes effect once.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import { Analytics } from "@segment/analytics-node";
// The same journeys whose captures are the collector's fixtures.
// @ts-expect-error plain JavaScript, shared with the captures
import { captureNode } from "../capture/node.mjs";
import { launch, visit } from "./browser.ts";
import { differences, logged, unequal } from "./compare.ts";
import { netLog, sendings } from "./netlog.ts";
import { idsOf, Proxy } from "./proxy.ts";
import { Server, until } from "./server.ts";

const work = mkdtempSync(join(tmpdir(), "midsession-sdk-"));
const bundle = join(work, "bundle.js");
before(() =>
  build({
    entryPoints: [join(import.meta.dirname, "../capture/browser-entry.js")],
    bundle: true,
    outfile: bundle,
    format: "iife",
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
  }),
);
after(() => rmSync(work, { recursive: true, force: true }));

/** Each browser journey: the source that its events belong to, and how many events it tells at least. */
const JOURNEYS: Record<string, [source: string, events: number]> = {
  "snowplow-browser-post": ["shop", 16],
  "snowplow-browser-get": ["shop", 16],
  "snowplow-browser-batch": ["shop", 15],
  "snowplow-browser-anonymous": ["shop", 16],
  "segment-browser": ["web", 16],
  "segment-browser-batch": ["web", 11],
  "rudder-browser": ["stack", 15],
  "rudder-browser-beacon": ["stack", 12],
  "posthog-browser": ["web", 14],
};

/** A source for each way to say whose an event is: by Snowplow's app id, by either write key. */
const sources = (origin: string) => `
[[source]]
name = "shop"
write_key = "wk_of_snowplow"
app_ids = ["shop"]
allowed_origins = ["${origin}"]

[[source]]
name = "web"
write_key = "wk_shop"
allowed_origins = ["${origin}"]

[[source]]
name = "stack"
write_key = "wk_shop_of_rudder_stack_27"
allowed_origins = ["${origin}"]
`;

/** A fault made on purpose; builds without debug assertions ignore it. */
const DEDUPE_OFF = { MIDSESSION_DEFECT: "dedupe_off" };

interface Trouble {
  /** Requests that are turned away with 503. */
  refuse?: number;
  /** Answers that are lost after the events became durable. */
  lose?: number;
  env?: Record<string, string>;
}

/** Drives a journey in a browser of its own, and says where the server differs from the browser's network log. */
const drive = async (journey: string, { refuse = 0, lose = 0, env = {} }: Trouble = {}) => {
  const [source, least] = JOURNEYS[journey]!;
  const proxy = await Proxy.start();
  // Somebody's shop, on an origin of its own: `localhost` is not `127.0.0.1`.
  const origin = `http://localhost:${proxy.port}`;
  const server = await Server.start({ config: sources(origin), env });
  proxy.target = server.collector;
  proxy.pages.set("/bundle.js", ["text/javascript", readFileSync(bundle, "utf8")]);
  proxy.pages.set("/page.html", ["text/html", '<!doctype html><meta charset="utf-8"><title>Shop</title><body style="height:3000px"><script src="/bundle.js"></script>']);
  const file = join(work, `${journey}-${proxy.port}.json`);
  const browser = await launch(...netLog(file));
  try {
    const page = await (await visit(browser)).newPage();
    await page.goto(`${origin}/page.html?utm_source=news`);
    proxy.refuse = refuse;
    proxy.lose = lose;
    await page.evaluate(([name, host]) => (window as any).run[name!](host), [journey, `http://127.0.0.1:${proxy.port}`]);
    await until(
      async () => {
        // Trackers repeat what failed when the next event comes: somebody moves the mouse now and then.
        await page.mouse.move(Math.random() * 400, Math.random() * 400);
        return proxy.over && new Set(proxy.reached).size >= least;
      },
      `${journey}: every event got through in the end`,
      60_000,
    );
    // What a page sends when it is left counts as well; a moment for it to go out.
    await page.goto("about:blank");
    await page.waitForTimeout(500);
    await browser.close();
    const network = sendings(file, proxy.port).flatMap(idsOf);
    assert.ok(network.every(Boolean), "each event has an id");
    await until(() => proxy.reached.length + proxy.refused.length >= network.length, `${journey}: all that was sent has arrived`);
    if (refuse) assert.ok(proxy.refused.length > 0, "requests were turned away");
    if (lose) assert.ok(proxy.lost.length > 0, "answers were lost");
    if (refuse || lose) assert.ok(network.length > new Set(network).size, "the network log has repeats");
    assert.deepEqual(unequal([...proxy.reached, ...proxy.refused], network), [], "each sending arrived or was turned away");
    // Each sending that was not turned away with a 503 was taken.
    const taken = network.slice();
    for (const id of proxy.refused) taken.splice(taken.indexOf(id), 1);
    return { found: await differences(server, [{ source, ids: taken }]), network, taken };
  } finally {
    await browser.close();
    await proxy.stop();
    await server.stop();
  }
};

// Journeys mostly wait: four at a time.
describe("in a browser", { concurrency: 4 }, () => {
  for (const journey of Object.keys(JOURNEYS)) {
    test(`${journey}: the network log's ids are the log's`, async () => {
      const { found, network, taken } = await drive(journey);
      assert.deepEqual(found, []);
      assert.deepEqual(unequal(taken, network), [], "nothing was turned away");
    });
  }

  // A beacon hears no answer, so that one is not repeated.
  for (const journey of Object.keys(JOURNEYS).filter((name) => name !== "rudder-browser-beacon")) {
    test(`${journey}: after a 503 and after lost answers too, and each id takes effect once`, async () => {
      assert.deepEqual((await drive(journey, { refuse: 1, lose: 1 })).found, []);
    });
  }

  test("without the duplicate filter the comparison finds it", async () => {
    const { found, network } = await drive("snowplow-browser-post", { lose: 2, env: DEDUPE_OFF });
    const distinct = new Set(network).size;
    assert.ok(found.includes(`events in sessions: ${network.length} instead of ${distinct}`), `found: ${found.join("; ")}`);
    assert.ok(found.includes(`duplicates: 0 instead of ${network.length - distinct}`));
  });
});

test("an origin that is not listed and a key that nobody has get nothing in", async () => {
  const server = await Server.start({ config: sources("https://shop.example") });
  try {
    const send = (key: string, origin: string) =>
      fetch(`${server.collector}/v1/events?key=${key}`, {
        method: "POST",
        headers: { origin },
        body: JSON.stringify({ event_id: `${key} ${origin}`, name: "page_view", visitor_id: "v1" }),
      });
    const listed = await send("wk_shop", "https://shop.example");
    assert.equal(listed.status, 200);
    assert.equal(listed.headers.get("access-control-allow-origin"), "https://shop.example");
    const unlisted = await send("wk_shop", "https://evil.example");
    assert.ok(unlisted.status >= 400, `${unlisted.status}`);
    assert.equal(unlisted.headers.get("access-control-allow-origin"), null);
    assert.equal((await send("wk_nobody", "https://shop.example")).status, 401);
    const segment = new Analytics({ writeKey: "wk_nobody", host: server.collector, maxRetries: 0 });
    const failed = new Promise((said) => segment.on("error", said));
    segment.track({ anonymousId: "a-1", event: "Product Viewed" });
    await segment.closeAndFlush();
    await failed;
    assert.deepEqual(logged(server).map((event) => event.event_id), ["wk_shop https://shop.example"]);
  } finally {
    await server.stop();
  }
});

for (const [what, args, source] of [
  ["with the sources' keys", [], undefined],
  ["with any key", ["--accept-any-key"], "default"],
] as const) {
  test(`the SDKs for Node, ${what}`, async () => {
    const proxy = await Proxy.start();
    const server = await Server.start({ args: [...args], config: source ? "" : sources("https://shop.example") });
    proxy.target = server.collector;
    try {
      const at: Record<string, number> = {};
      await captureNode({ port: proxy.port, into: (name: string) => (at[name] = proxy.reached.length) });
      const ids = proxy.reached;
      const snowplow = at["snowplow-node"]!;
      const wires = source ? [{ source, ids }] : [{ source: "web", ids: ids.slice(0, snowplow) }, { source: "shop", ids: ids.slice(snowplow) }];
      assert.ok(wires.every((wire) => wire.ids.length > 0));
      assert.deepEqual(await differences(server, wires), []);
    } finally {
      await proxy.stop();
      await server.stop();
    }
  });
}

/** Nine product views by Segment's SDK for Node, with trouble on the way; says where the server differs from the wire. */
const nineViews = async (env: Record<string, string> = {}) => {
  const server = await Server.start({ config: sources("https://shop.example"), env });
  const proxy = await Proxy.start(server.collector);
  try {
    proxy.lose = 2;
    proxy.refuse = 1;
    const segment = new Analytics({ writeKey: "wk_shop", host: `http://127.0.0.1:${proxy.port}`, flushAt: 3, maxRetries: 5 });
    for (let number = 0; number < 9; number += 1) segment.track({ anonymousId: "a-1", event: "Product Viewed", properties: { product_id: `p-${number}` } });
    await segment.closeAndFlush();
    assert.ok(proxy.over, "all got through");
    return { found: await differences(server, [{ source: "web", ids: proxy.reached }]), sent: proxy.reached.length };
  } finally {
    await proxy.stop();
    await server.stop();
  }
};

test("segment for Node: what a 503 or a lost answer made it repeat counts once", async () => {
  const { found, sent } = await nineViews();
  assert.ok(sent > 9, "something was sent twice");
  assert.deepEqual(found, []);
});

test("segment for Node: without the duplicate filter, sessions and features count too much", async () => {
  const { found, sent } = await nineViews(DEDUPE_OFF);
  const missing = ["events in sessions", "product views in features"].filter((what) => !found.includes(`${what}: ${sent} instead of 9`));
  assert.deepEqual(missing, [], `found: ${found.join("; ")}`);
});
