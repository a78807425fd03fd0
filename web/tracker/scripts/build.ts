//! Builds dist/midsession.js: one minified script without imports, its style sheet minified into a string.

import { build, transform, type Plugin } from "esbuild";
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// What every browser with constructed style sheets and Web Locks understands.
const target = ["chrome103", "firefox115", "safari16.4"];

const css: Plugin = {
  name: "css-text",
  setup(builder) {
    builder.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

await build({
  entryPoints: [root + "src/index.ts"],
  outfile: root + "dist/midsession.js",
  bundle: true,
  minify: true,
  format: "iife",
  target,
  plugins: [css],
  charset: "utf8",
  legalComments: "none",
});
const script = await readFile(root + "dist/midsession.js");
console.log(`dist/midsession.js ${script.length} B, ${gzipSync(script, { level: 9 }).length} B gzip`);
