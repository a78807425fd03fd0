//! Builds dist/midsession.js, and the card beside it that the script loads once there is a push connection: minified,
//! without imports, the style sheet as a string.

import { build, transform, type Plugin } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { minify } from "terser";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// What every browser with constructed style sheets and Web Locks understands.
const target = ["chrome103", "firefox115", "safari16.4"];

const css: Plugin = {
  name: "css-text",
  setup(builder) {
    builder.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const out = root + "dist/";
await mkdir(out, { recursive: true });
for (const [entry, name, format] of [
  ["index", "midsession.js", "iife"],
  ["paint", "midsession-card.js", "esm"],
] as const) {
  const bundle = await build({
    entryPoints: [`${root}src/${entry}.ts`],
    bundle: true,
    write: false,
    format,
    target,
    plugins: [css],
    charset: "utf8",
    legalComments: "none",
    tsconfigRaw: { compilerOptions: { alwaysStrict: false } },
  });
  // terser's repeated passes are what keeps the script under its 4 KiB; esbuild alone is 4 % larger.
  const { code } = await minify(bundle.outputFiles[0]!.text, {
    ecma: 2020,
    module: format == "esm",
    compress: { passes: 4, unsafe_arrows: true, unsafe: true, pure_getters: true, keep_fargs: false },
  });
  await writeFile(out + name, code!);
  console.log(`dist/${name} ${Buffer.byteLength(code!)} B, ${gzipSync(code!, { level: 9 }).length} B gzip`);
}
