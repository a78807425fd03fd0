//! The built script by itself: its size, and what it must not contain.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const GZIP_MAX = 4096;
const script = await readFile(new URL("../dist/midsession.js", import.meta.url));

test("at most 4 KiB gzipped", () => {
  const size = gzipSync(script, { level: 9 }).length;
  assert.ok(size <= GZIP_MAX, `${size} B`);
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
