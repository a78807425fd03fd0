//! The built script by itself: its size, and what it must not contain.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

/** What every page loads. */
const GZIP_MAX = 4096;
/** With the card, which a page loads once it has a push connection. */
const GZIP_BOTH_MAX = 5376;
const read = (name: string) => readFile(new URL("../dist/" + name, import.meta.url));
const script = await read("midsession.js");
const size = (bytes: Buffer) => gzipSync(bytes, { level: 9 }).length;

test("at most 4 KiB gzipped, and 5.25 KiB together with the card", async () => {
  assert.ok(size(script) <= GZIP_MAX, `${size(script)} B`);
  const both = size(script) + size(await read("midsession-card.js"));
  assert.ok(both <= GZIP_BOTH_MAX, `${both} B`);
});

for (const banned of [
  "eval(",
  "Function(",
  "innerHTML",
  "outerHTML",
  "insertAdjacentHTML",
  "document.write",
  'setAttribute("style',
  "style=",
  "createElement(\"style",
  "http://",
  "https://",
  "sourceMappingURL",
]) {
  test(`no ${banned}`, () => assert.ok(!script.includes(banned)));
}

test("one import, of the card, from where the script came from", () => {
  assert.equal(String(script).split("import(").length, 2);
  assert.match(String(script), /import\(new URL\("midsession-card\.js"/);
});
