//! Measures how smooth the list of sessions stays while the server sends ROWS rows a second (5,000) in frames of 50 ms.
import { launch } from "../test/browser.ts";
import { startMock } from "../test/mock.ts";
import { World } from "../test/world.ts";

const rows_per_s = Number(process.env["ROWS"] ?? 5_000);
const seconds = Number(process.env["SECONDS"] ?? 10);
const world = new World(1, 2_000);
const mock = await startMock(world);
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
await page.goto(`${mock.url}/#/sessions`);
await page.locator(".row").first().waitFor();

const all = world.sessions;
let at = 0;
let version = 1;
const perBatch = Math.round(rows_per_s / 20);
const timer = setInterval(() => {
  version++;
  const now_ms = Date.now();
  const sessions = Array.from({ length: perBatch }, (_, i) => ({ ...(all[(at + i) % all.length] as (typeof all)[number]), version, ended_at_ms: now_ms, events: version }));
  // One in fifty is a shopper who just came in.
  for (let i = 0; i < sessions.length; i += 50) sessions[i] = { ...world.newSession(now_ms), version };
  at += perBatch;
  mock.batch({ sessions });
}, 50);

const result = await page.evaluate(async (seconds) => {
  const gaps: number[] = [];
  let before = performance.now();
  const end = before + seconds * 1000;
  while (before < end) {
    const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve));
    gaps.push(now - before);
    before = now;
  }
  gaps.sort((a, b) => a - b);
  return { fps: gaps.length / seconds, gap_p50_ms: gaps[Math.floor(gaps.length * 0.5)], gap_p99_ms: gaps[Math.floor(gaps.length * 0.99)], gap_max_ms: gaps.at(-1) };
}, seconds);
clearInterval(timer);
console.log(JSON.stringify({ rows_per_s, seconds, ...result, rows_in_page: await page.locator(".row").count() }));
await browser.close();
await mock.close();
