//! The first load stays small: page, script and style together, as gzip sends them.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

test("the first load is at most 100 KB", async () => {
  const dist = new URL("../dist/", import.meta.url);
  const names = ["index.html", ...(await readdir(new URL("assets/", dist))).map((name) => `assets/${name}`)];
  const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(new URL(name, dist))).length));
  const total = sizes.reduce((a, b) => a + b, 0);
  console.log(`first load: ${total} bytes`);
  assert.ok(total <= 100_000, `${total} bytes`);
});
