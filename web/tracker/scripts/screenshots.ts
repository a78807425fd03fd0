//! Pictures of the painted card on a plain page, light and dark, phone and desktop: `npm run screenshots -- FOLDER`.

import { mkdir } from "node:fs/promises";
import { card, launch, until } from "../test/browser.ts";
import { Collector, page } from "../test/collector.ts";

const folder = process.argv[2] ?? "screenshots";
await mkdir(folder, { recursive: true });
const collector = await Collector.start();
const browser = await launch();
collector.pages["/style.css"] = `:root { color-scheme: light dark; font: 16px/1.6 Georgia, serif }
  main { max-width: 52rem; margin: 0 auto; padding: 1rem } div { height: 240px; margin: 1rem 0 }`;
const text = "<p>Woven in Portugal from long-staple linen, washed soft, cut a little wide. ".repeat(4);
collector.pages["/"] = page("", text.repeat(5), '<link rel="stylesheet" href="/style.css">');
collector.pages["/slot"] = page(
  "",
  `${text}<div data-midsession-slot="nudge"></div>${text}`,
  '<link rel="stylesheet" href="/style.css">',
);
const payload = {
  title: "Still thinking?",
  body: "Your cart is worth more today: ten per cent off, for the next hour.",
  action: "/cart",
  label: "To the cart",
  dismiss: "Not now",
  code: "AUTUMN-10",
};
for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [390, 1440]) {
    for (const path of ["/", "/slot"]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 844 }, deviceScaleFactor: 2 });
      const view = await context.newPage();
      const pushes = collector.opened.length;
      await view.goto(collector.base + path);
      await until(() => collector.opened.length > pushes, "a push connection");
      collector.intervene({ payload: path == "/" ? payload : { ...payload, code: "" } });
      if (path == "/") collector.intervene({ slot: "chat", payload: { title: "Questions about size?", label: "Chat with us" } });
      await card(view).first().waitFor();
      await new Promise((done) => setTimeout(done, 500));
      await view.screenshot({ path: `${folder}/card${path == "/" ? "" : "-slot"}-${colorScheme}-${width}.png` });
      await context.close();
    }
  }
}
await browser.close();
await collector.stop();
