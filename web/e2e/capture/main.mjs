// Drives the unmodified SDKs against a recorder and stores what they send as fixtures of the collector.
//
//   npm run capture -w @midsession/e2e [NAME…]
//
// Needs Chromium (CHROMIUM, default /usr/bin/chromium). Events carry fresh ids and times on every run.

import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { record } from './recorder.mjs';
import { captureNode } from './node.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const fixtures = join(here, '../../../crates/collect/fixtures');
const wanted = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), 'capture-'));
const page = join(work, 'page.html');
const bundle = join(work, 'bundle.js');
writeFileSync(page, '<!doctype html><meta charset="utf-8"><title>Stiefel &amp; Söckchen</title><body style="height:3000px"><h1>Shop</h1><script src="/bundle.js"></script>');
await build({ entryPoints: [join(here, 'browser-entry.js')], bundle: true, outfile: bundle, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' }, logLevel: 'error' });

const recorder = await record(fixtures, { '/page.html': page, '/bundle.js': bundle });
if (wanted.length === 0 || wanted.includes('node')) await captureNode(recorder);

const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', `--user-agent=${agent}`] });
for (const name of [
  'snowplow-browser-post', 'snowplow-browser-get', 'snowplow-browser-anonymous', 'snowplow-browser-batch',
  'segment-browser', 'segment-browser-batch', 'rudder-browser', 'rudder-browser-beacon', 'posthog-browser',
]) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  recorder.into(name);
  const context = await browser.newContext({ userAgent: agent, locale: 'de-DE' });
  const tab = await context.newPage();
  tab.on('pageerror', (error) => console.error(name, error.message));
  // The page's origin differs from the collector's, so that preflights and credentials are real.
  await tab.goto(`http://localhost:${recorder.port}/page.html?utm_source=news&utm_campaign=autumn&token=secret&email=jane@example.com`, { referer: 'https://search.example/?q=boots' });
  await tab.evaluate(([run, host]) => window.run[run](host), [name, `http://127.0.0.1:${recorder.port}`]);
  await tab.goto('about:blank');
  await new Promise((done) => setTimeout(done, 500));
  await context.close();
}
await browser.close();
await recorder.close();
rmSync(work, { recursive: true, force: true });
