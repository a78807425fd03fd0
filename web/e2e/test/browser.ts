//! Debian's Chromium, as the tests want it; a page with the tracker and nothing else.

import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import type { Server } from "./server.ts";

export const launch = (...more: string[]): Promise<Browser> =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // Parallel pages all count as looked at: none is slowed down for lying behind another.
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
      ...more,
    ],
  });

/** A context of its own, as an ordinary browser: headless ones are robots, and robots are shown nothing. */
export const visit = (browser: Browser): Promise<BrowserContext> =>
  browser.newContext({ userAgent: browser.version().replace(/^(\d+).*/, (_, major) =>
    `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${major}.0.0.0 Safari/537.36`) });

/** A page of somebody's shop on the collector's own origin: the snippet, a queue, nothing else. */
export const openLab = async (server: Server, context: BrowserContext, visitor?: string): Promise<Page> => {
  const url = `${server.collector}/lab`;
  if (visitor) await context.addCookies([{ name: "_ms_vid", value: visitor, url: server.collector }]);
  await context.route(url, (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<!doctype html><title>Lab</title><body><h1>Lab</h1>
<script>window.midsession=window.midsession||function(){(midsession.q=midsession.q||[]).push(arguments)}</script>
<script async src="/midsession.js" data-key="${server.writeKey}"></script>`,
    }),
  );
  const page = await context.newPage();
  // A busy machine is no failure of the product.
  page.setDefaultTimeout(180_000);
  page.setDefaultNavigationTimeout(180_000);
  // tsx names functions through a helper that pages do not have.
  await page.addInitScript("globalThis.__name = (f) => f");
  const push = page.waitForResponse((answer) => answer.url().includes("/v1/push"), { timeout: 180_000 });
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await push;
  return page;
};
