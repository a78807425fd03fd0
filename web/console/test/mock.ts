//! A stand-in for the admin listener: the built console under its real policy, REST answers and the live stream.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { World } from "./world.ts";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const types: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };

export interface Mock {
  url: string;
  world: World;
  /** What the page asked to be changed: method, path, body. */
  asked: { method: string; path: string; body: unknown }[];
  /** Every answer from now on has this status, until 0. */
  failWith: number;
  /** Open pages of the browser that previews go to. */
  previewPages: number;
  batch(rows: { sessions?: unknown[]; decisions?: unknown[]; dead_letters?: unknown[] }): void;
  /** Cuts every live connection. */
  cut(): void;
  listeners(): number;
  close(): Promise<void>;
}

async function body(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text ? JSON.parse(text) : null;
}

export async function startMock(world: World): Promise<Mock> {
  const streams = new Set<ServerResponse>();
  const asked: Mock["asked"] = [];
  const frame = (event: string, data: unknown) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  const send = (text: string) => streams.forEach((s) => s.write(text));
  const json = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" }).end(JSON.stringify(value));
  const problem = (response: ServerResponse, status: number, detail: string) => json(response, status, { code: "mock", title: "No", detail });

  async function api(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, , what = "", first = "", second = ""] = url.pathname.split("/").map(decodeURIComponent);
    if (mock.failWith) return void problem(response, mock.failWith, "The server is restarting.");
    if (request.method !== "GET") {
      asked.push({ method: request.method ?? "", path: url.pathname, body: await body(request) });
      const rule = world.interventions.find((r) => r.name === first);
      if (!rule) return void problem(response, 404, "No such intervention.");
      if (second === "dry-run") return void json(response, 200, { shoppers: 37, fired: 41, from_ms: Date.now() - 3_600_000, to_ms: Date.now() });
      if (second === "preview") return void response.writeHead(202, { "content-type": "application/json" }).end(JSON.stringify({ connections: mock.previewPages }));
      Object.assign(rule, asked.at(-1)?.body);
      return void json(response, 200, rule);
    }
    switch (what) {
      case "live":
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" }).write(frame("overview", world.overview(Date.now())));
        streams.add(response);
        response.on("close", () => streams.delete(response));
        return;
      case "overview":
        return void json(response, 200, world.overview(Date.now()));
      case "budget":
        return void json(response, 200, world.budget());
      case "interventions":
        return void json(response, 200, { interventions: world.interventions, cap: ["3 per 1d"] });
      case "decisions":
        return void json(response, 200, { decisions: world.decisions });
      case "dead-letters":
        if (first) {
          const payload = world.payloads.get(Number(first));
          return void (payload === undefined ? problem(response, 404, "No such dead letter.") : json(response, 200, { offset: Number(first), payload }));
        }
        return void json(response, 200, { dead_letters: world.deadLetters, unreadable: world.unreadable });
      case "sessions": {
        if (first) {
          const s = world.sessions.find((x) => x.session_id === first);
          return void (s ? json(response, 200, { session: s, timeline: world.timeline(s), truncated: world.truncated }) : problem(response, 404, "No such session."));
        }
        const q = url.searchParams.get("q") ?? "";
        const found = world.sessions.filter((s) => JSON.stringify(s).includes(q)).sort((a, b) => b.started_at_ms - a.started_at_ms);
        return void json(response, 200, { sessions: found.slice(0, Number(url.searchParams.get("limit") ?? 200)) });
      }
      case "definitions":
        return void json(response, 200, { revision: 2, definitions: world.definitions, not_taken_up: world.not_taken_up });
      case "features":
        if (second === "nobody") return void problem(response, 404, "Nothing is known.");
        return void json(response, 200, { [first]: second, as_of: { partition: 3, offset: 48_114, now: Date.now() }, features: world.features(8) });
      default:
        problem(response, 404, "No such route.");
    }
  }

  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? "/", "http://mock");
      if (url.pathname.startsWith("/v1/")) return api(request, response, url);
      const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
      if (name.includes("..")) return void response.writeHead(404).end();
      try {
        const bytes = await readFile(join(dist, name));
        response.writeHead(200, { "Content-Type": types[extname(name)] ?? "application/octet-stream", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff" }).end(bytes);
      } catch {
        response.writeHead(404).end();
      }
    })().catch((error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const clock = setInterval(() => send(frame("overview", world.overview(Date.now()))), 1_000);
  const mock: Mock = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    world,
    asked,
    failWith: 0,
    previewPages: 1,
    batch: (rows) => send(frame("batch", rows)),
    cut: () => streams.forEach((s) => s.destroy()),
    listeners: () => streams.size,
    close: () =>
      new Promise((resolve) => {
        clearInterval(clock);
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return mock;
}
