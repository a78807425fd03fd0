//! Where a card's link may lead.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { shops } from "./browser.ts";

const shop = shops();

test(
  "an action that leads to where one is already is left out",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen("/#top");
    for (const [action, links] of [["/", 0], ["/#help", 1], ["/?a=b", 1], ["/cart", 1]] as const) {
      collector.intervene({ slot: "s" + action, payload: { title: "To " + action, label: "Go", action, dismiss: "Not now" } });
      const shown = view.getByRole("region", { name: "To " + action, exact: true });
      await shown.waitFor();
      assert.equal(await shown.locator("a").count(), links, action);
      assert.equal(await shown.getByRole("button", { name: "Not now" }).count(), 2, action);
    }
  }),
);
