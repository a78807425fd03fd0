//! Debian's Chromium for the tests: a fresh profile per file, a fresh context per test, patient waiting.

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";
import { after, before } from "node:test";
import { Collector } from "./collector.ts";

const WAIT_MS = 15_000;

export const launch = () =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    // Playwright switches the back/forward cache off.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });

/** Waits until it is truthy. Nothing here asserts on time; this only bounds how long a failure takes. */
export const until = async <T>(what: () => T | Promise<T>, why: string): Promise<NonNullable<T>> => {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const value = await what();
    if (value) return value as NonNullable<T>;
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await new Promise((again) => setTimeout(again, 20));
  }
};

/** Long enough for what must not happen to have happened: several batches, frames and lock grants. */
export const settle = () => new Promise((done) => setTimeout(done, 700));

export interface Shop {
  collector: Collector;
  context: BrowserContext;
  open(path?: string): Promise<Page>;
  /** Opens a page and waits until its push stands. */
  listen(path?: string): Promise<Page>;
}

/** One browser per test file; each test gets a collector and a context of its own. */
export const shops = () => {
  let browser: Browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  return (options: BrowserContextOptions, run: (shop: Shop) => Promise<void>) => async () => {
    const collector = await Collector.start();
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const errors: string[] = [];
    // tsx names functions through a helper that pages do not have.
    await context.addInitScript("globalThis.__name = (named) => named");
    await context.addInitScript(() => {
      // Counts what came over the push, once the tracker has heard it.
      const { addEventListener: listen } = EventSource.prototype;
      EventSource.prototype.addEventListener = function (this: EventSource, name: string, hear: unknown) {
        listen.call(this, name, (message) => {
          (hear as (message: Event) => void)(message);
          Object.assign(window, { heard: ((window as { heard?: number }).heard ?? 0) + 1 });
        });
      } as typeof listen;
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`violation of ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
      });
    });
    context.on("weberror", (error) => errors.push(String(error.error())));
    context.on("console", (message) => {
      // The browser's own notes about the network are what some tests are about.
      if (message.type() == "error" && !/Failed to load resource/.test(message.text())) errors.push(message.text());
    });
    const open = async (path = "/") => {
      const page = await context.newPage();
      await page.goto(collector.base + path);
      return page;
    };
    const listen = async (path = "/") => {
      const pushes = collector.opened.length;
      const page = await open(path);
      await until(() => collector.opened.length > pushes, "a push connection");
      return page;
    };
    try {
      await run({ collector, context, open, listen });
      if (errors.length) throw new Error(`the page complained:\n${errors.join("\n")}`);
    } finally {
      // A request under way when its context goes is nobody's failure.
      await context.unrouteAll({ behavior: "ignoreErrors" });
      await context.close();
      await collector.stop();
    }
  };
};

export const card = (page: Page) => page.locator("section[part=card]");

/** Runs a command of the tracker in the page. */
export const say = (page: Page, ...args: unknown[]) =>
  page.evaluate((args) => (window.midsession as (...args: unknown[]) => unknown)(...args), args);

/** The events that the browser keeps for later, serialised. */
export const spooled = (page: Page) =>
  page.evaluate(() => JSON.parse(localStorage._ms_queue ?? "[]") as string[]);

/**
 * Waits until the page has read the answers to its first POSTs: the collector has the events before the page knows it.
 * An observer that is younger than the tracker's is told later, so the tracker has made of them what it makes.
 */
export const answered = (page: Page, posts = 1) =>
  page.evaluate(
    (posts) =>
      new Promise<void>((done) => {
        let read = 0;
        new PerformanceObserver((list, observer) => {
          read += list.getEntries().filter(({ name }) => name.includes("/v1/events")).length;
          if (read < posts) return;
          observer.disconnect();
          done();
        }).observe({ type: "resource", buffered: true });
      }),
    posts,
  );

/** Waits until the page has got so many messages over its push since it loaded. */
export const heard = (page: Page, messages: number) =>
  until(() => page.evaluate((least) => ((window as { heard?: number }).heard ?? 0) >= least, messages), `${messages} messages`);

/** Waits until the browser has told whoever watches that the card is in view, or is not; the youngest is told last. */
export const seen = (page: Page, inView: boolean) =>
  card(page).evaluate(
    (card, inView) =>
      new Promise<void>((done) => {
        new IntersectionObserver(
          ([entry], observer) => {
            if (entry!.isIntersecting != inView) return;
            observer.disconnect();
            done();
          },
          { threshold: 0.5 },
        ).observe(card);
      }),
    inView,
  );

/** Makes a page believe that it is in view or not. */
export const look = (view: Page, hidden: boolean) =>
  view.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, hidden);
