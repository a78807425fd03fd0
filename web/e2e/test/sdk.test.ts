//! Unmodified SDKs: every id that went over the wire is in the log as often as it went, and takes effect once.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { Analytics } from "@segment/analytics-node";
import type { Browser } from "playwright-core";
// The same journeys whose captures are the collector's fixtures.
// @ts-expect-error plain JavaScript, shared with the captures
import { captureNode } from "../capture/node.mjs";
import { launch, visit } from "./browser.ts";
import { idsOf, Proxy } from "./proxy.ts";
import { Server, until } from "./server.ts";

const work = mkdtempSync(join(tmpdir(), "midsession-sdk-"));
const bundle = join(work, "bundle.js");
let browser: Browser;
before(async () => {
  browser = await launch();
  await build({
    entryPoints: [join(import.meta.dirname, "../capture/browser-entry.js")],
    bundle: true,
    outfile: bundle,
    format: "iife",
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
  });
});
after(async () => {
  await browser.close();
  rmSync(work, { recursive: true, force: true });
});

const multiset = (ids: string[]) => ids.toSorted();

/** What the log holds of events, and what took effect, must agree with the wire. */
const check = async (server: Server, wire: string[], what: string) => {
  assert.ok(wire.length > 0 && wire.every(Boolean), `${what}: ids were seen on the wire`);
  const log = await until(() => {
    const ids = server.log("behavior").filter((line) => line.schema === "behavior-event").map((line) => line.value.event_id as string);
    return ids.length >= wire.length && ids;
  }, `${what}: ${wire.length} events on the log`);
  assert.deepEqual(multiset(log), multiset(wire), `${what}: the ids on the log are those of the wire`);
  const distinct = new Set(wire).size;
  const applied = await until(async () => {
    const { sessions } = await server.ask("/v1/sessions?limit=1000");
    const events = sessions.reduce((sum: number, session: any) => sum + session.events, 0);
    return events >= distinct && events;
  }, `${what}: ${distinct} events in sessions`);
  assert.equal(applied, distinct, `${what}: each id took effect once`);
  const { duplicates } = await server.ask("/v1/overview");
  assert.equal(duplicates, wire.length - distinct, `${what}: the repeats were known as such`);
};

const run = async (journey: string, lose = 0, refuse = 0) => {
  const server = await Server.start({ args: ["--accept-any-key"] });
  const proxy = await Proxy.start(server.collector);
  try {
    const context = await visit(browser);
    const page = await context.newPage();
    const network: string[] = [];
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.host === `127.0.0.1:${proxy.port}` && request.method() !== "OPTIONS") {
        network.push(...idsOf({ method: request.method(), url: url.pathname + url.search }, request.postDataBuffer() ?? Buffer.alloc(0)));
      }
    });
    // Somebody's shop, on an origin of its own: `localhost` is not `127.0.0.1`.
    proxy.pages.set("/bundle.js", ["text/javascript", readFileSync(bundle, "utf8")]);
    proxy.pages.set("/page.html", ["text/html", '<!doctype html><meta charset="utf-8"><title>Shop</title><body style="height:3000px"><script src="/bundle.js"></script>']);
    await page.goto(`http://localhost:${proxy.port}/page.html?utm_source=news`);
    proxy.lose = lose;
    proxy.refuse = refuse;
    await page.evaluate(([name, host]) => (window as any).run[name!](host), [journey, `http://127.0.0.1:${proxy.port}`]);
    await until(
      async () => {
        // Trackers repeat what failed when the next event comes: somebody moves the mouse now and then.
        await page.mouse.move(Math.random() * 400, Math.random() * 400);
        return network.every((id) => proxy.reached.includes(id));
      },
      `${journey}: every event got through in the end`,
      60_000,
    );
    await page.close({ runBeforeUnload: true });
    await new Promise((done) => setTimeout(done, 1_000));
    if (lose) assert.ok(proxy.lost > 0, "answers were lost");
    const sent = [...network, ...proxy.beacons.filter((id) => !network.includes(id))];
    const told = (ids: string[]) => [...new Set(ids)].toSorted();
    assert.deepEqual(told(proxy.reached), told(sent), "what the browser's network log names is what arrived");
    if (!lose && !refuse) assert.deepEqual(multiset(proxy.reached), multiset(sent));
    await check(server, proxy.reached, journey);
    await context.close();
  } finally {
    await proxy.stop();
    await server.stop();
  }
};

for (const journey of [
  "snowplow-browser-post",
  "snowplow-browser-get",
  "snowplow-browser-batch",
  "segment-browser",
  "rudder-browser",
  "posthog-browser",
]) {
  test(`${journey}: the network log's ids are the log's`, () => run(journey));
}

test("snowplow-browser-post: after 503s and after lost answers, each event counts once", () => run("snowplow-browser-post", 3, 2));

test("the SDKs for Node", async () => {
  const server = await Server.start({ args: ["--accept-any-key"] });
  const proxy = await Proxy.start(server.collector);
  try {
    await captureNode({ port: proxy.port, into: () => {} });
    await check(server, proxy.reached, "node");
  } finally {
    await proxy.stop();
    await server.stop();
  }
});

test("segment for Node: lost answers are repeated and count once", async () => {
  const server = await Server.start({ args: ["--accept-any-key"] });
  const proxy = await Proxy.start(server.collector);
  try {
    proxy.lose = 2;
    const segment = new Analytics({ writeKey: "wk", host: `http://127.0.0.1:${proxy.port}`, flushAt: 3, maxRetries: 5 });
    for (let number = 0; number < 9; number += 1) segment.track({ anonymousId: "a-1", event: "Product Viewed", properties: { product_id: `p-${number}` } });
    await segment.closeAndFlush();
    assert.equal(proxy.lost, 2);
    assert.ok(proxy.reached.length > new Set(proxy.reached).size, "something was sent twice");
    await check(server, proxy.reached, "segment retry");
  } finally {
    await proxy.stop();
    await server.stop();
  }
});
