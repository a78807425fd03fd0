//! Starts the machine's Chromium for a test and closes it by itself.
import { chromium, type Browser } from "playwright-core";

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

/** Waits until `holds` or gives up after `limit_ms`. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, limit_ms = 15_000): Promise<void> {
  const end = Date.now() + limit_ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${limit_ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
