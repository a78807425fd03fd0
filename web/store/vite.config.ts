//! How the shop is built: one page under /shop/, file names that stay the same from build to build.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/shop/",
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "assets/shop.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
});
