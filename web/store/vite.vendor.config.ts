//! Bundles the unmodified Snowplow browser tracker into one classic script, loaded only when the visitor switches to it.
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    target: "es2020",
    outDir: "dist/vendor",
    emptyOutDir: true,
    lib: { entry: "src/vendor/sp.ts", formats: ["iife"], name: "midsessionShopSnowplow", fileName: () => "sp.js" },
  },
});
