//! What an answer left out, in Chromium: of a long session, a long event, a long list.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { launch } from "./browser.ts";
import { startMock } from "./mock.ts";
import { World } from "./world.ts";

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test("what was left out is said in words", async () => {
  const world = new World(16, 20);
  world.truncated = true;
  const whole = { ...world.newDeadLetter(Date.now() + 1_000), message: "Quite wrong" };
  const cut = { ...world.newDeadLetter(Date.now() + 2_000), message: "Far too long", field: "name", truncated: true };
  world.payloads.set(cut.offset, '{"event_id":"e-20","page":{"url":"https://shop.exam');
  world.deadLetters.unshift(cut, whole);
  const mock = await startMock(world);
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" });
  try {
    const page = await context.newPage();
    await page.goto(`${mock.url}/#/sessions/${world.sessions[3]?.session_id}`);
    await page.getByText("A long session: only its latest entries are shown.").waitFor();
    await page.goto(`${mock.url}/#/dead-letters`);
    await page.locator(".letter", { hasText: "Quite wrong" }).click();
    const note = page.getByText("The event as it came is encrypted");
    assert.doesNotMatch((await note.textContent()) ?? "", /beginning/);
    assert.equal(await page.getByText("The latest are listed").count(), 0, "there are no more");
    await page.locator(".letter", { hasText: "Far too long" }).click();
    await page.getByText("its beginning alone: it was longer than what is kept").waitFor();
    await page.getByRole("button", { name: "Show the event" }).click();
    await page.getByText("There was more of it: only this beginning was kept.").waitFor();
    await page.getByText("The field does not stand in what was kept.").waitFor();
    // More than are asked for at once, then more than are listed.
    mock.batch({ dead_letters: Array.from({ length: 100 }, (_, index) => world.newDeadLetter(Date.now() - index)) });
    await page.getByText("The latest are listed; all that is kept is in the log: midsession log read dead-letter").waitFor();
    mock.batch({ dead_letters: Array.from({ length: 100 }, (_, index) => world.newDeadLetter(Date.now() - index)) });
    await page.getByText(/The latest 200 of 2\d\d are listed/).waitFor();
  } finally {
    await context.close();
    await mock.close();
  }
});
