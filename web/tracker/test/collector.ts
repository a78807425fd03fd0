//! A small fake of the collector: takes events, hands out tokens, pushes what a test tells it to, and can be ill.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Frame } from "../midsession.d.ts";

export interface Received {
  event_id: string;
  name: string;
  visitor_id: string;
  user_id?: string;
  occurred_at: number;
  sent_at: number;
  page: { url: string; title: string; referrer: string };
  consent?: Record<string, boolean>;
  decision_id?: string;
  preview?: boolean;
  properties?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface Post {
  status: number;
  type: string;
  events: Received[];
  bytes: number;
}

export const strictCsp =
  "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const dist = fileURLToPath(new URL("../dist", import.meta.url));

export class Collector {
  /** What each POST of events carried, in order, with the answer it got. */
  posts: Post[] = [];
  tokens = 0;
  /** How many POSTs of events have come in, answered or not. */
  came = 0;
  /** Every push connection ever opened, by its Last-Event-ID, or else what its address says is known. */
  opened: (string | undefined)[] = [];
  pushes = new Set<ServerResponse>();
  /** The next answers to events; then 200. */
  answers: { status: number; headers?: Record<string, string> }[] = [];
  /** Answers wait for this. */
  hold: Promise<unknown> | undefined;
  /** How many pushes to answer with 401. */
  refuse = 0;
  /** Pages by path: HTML of the head and the body. */
  pages: Record<string, string> = {};
  visitor = "from-token";
  /** The card's file can't be had. */
  cardless = false;
  base = "";
  #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((ready) => collector.#server.listen(0, "127.0.0.1", ready));
    collector.base = `http://127.0.0.1:${(collector.#server.address() as AddressInfo).port}`;
    return collector;
  }

  async stop() {
    for (const push of this.pushes) push.end();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** Events that were accepted, in order. */
  get events(): Received[] {
    return this.posts.filter((post) => post.status == 200).flatMap((post) => post.events);
  }

  named(name: string): Received[] {
    return this.events.filter((event) => event.name == name);
  }

  /** Sends to every open push. */
  send(event: string, data: object, id?: string) {
    for (const push of this.pushes) {
      push.write(`event: ${event}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`);
    }
  }

  intervene(frame: Partial<Frame> = {}): Frame {
    const full: Frame = {
      decision_id: crypto.randomUUID(),
      rule: "cart_stalled",
      slot: "nudge",
      payload: { title: "Still thinking?", body: "Your cart is waiting.", action: "/cart", label: "To the cart" },
      now_ms: Date.now(),
      expires_at_ms: Date.now() + 60_000,
      preview: false,
      cause_event_id: null,
      by_silence: false,
      stamps_us: { received: 1, collected: 2, durable: 3, machine: 4, decided: 5, decision_durable: 6, pushed: 7 },
      ...frame,
    };
    this.send("intervention", full, full.decision_id);
    return full;
  }

  async #answer(request: IncomingMessage, response: ServerResponse) {
    const url = new URL(request.url!, this.base);
    const origin = request.headers.origin;
    if (origin) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-allow-credentials", "true");
      response.setHeader("access-control-expose-headers", "retry-after");
    }
    const path = url.pathname.replace(/^\/proxy/, "");
    if (path == "/v1/events") {
      let body = "";
      for await (const part of request) body += part;
      this.came++;
      await this.hold;
      const { status, headers } = this.answers.shift() ?? { status: 200 };
      const type = request.headers["content-type"] ?? "";
      this.posts.push({ status, type, events: JSON.parse(body), bytes: Buffer.byteLength(body) });
      response.writeHead(status, { "content-type": "application/json", "server-timing": "total;dur=0.01", ...headers });
      return response.end("{}");
    }
    if (path == "/v1/token") {
      this.tokens++;
      response.setHeader("content-type", "application/json");
      // The real one's order: our cookie, Snowplow's, a new visitor.
      const cookies = request.headers.cookie ?? "";
      const known = /_ms_vid=([^;]+)/.exec(cookies)?.[1] ?? /_sp_id\.\w+=([^.;]+)/.exec(cookies)?.[1];
      const visitor_id = known ?? this.visitor;
      return response.end(
        JSON.stringify({ token: "t" + this.tokens, expires_at: Date.now() + 1_800_000, visitor_id }),
      );
    }
    if (path == "/v1/push") {
      if (this.refuse-- > 0) return response.writeHead(401).end();
      const last = request.headers["last-event-id"] ?? (url.searchParams.get("last") || undefined);
      this.opened.push(last as string | undefined);
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write("retry: 50\n\n");
      this.pushes.add(response);
      response.on("close", () => this.pushes.delete(response));
      return;
    }
    if (/^\/midsession(-card)?\.js$/.test(path)) {
      const status = path == "/midsession-card.js" && this.cardless ? 503 : 200;
      response.writeHead(status, { "content-type": "text/javascript", "access-control-allow-origin": "*" });
      return response.end(await readFile(dist + path));
    }
    const page = this.pages[url.pathname];
    if (page === undefined) return response.writeHead(404).end();
    const style = url.pathname.endsWith(".css");
    const type = style ? "text/css" : url.pathname.endsWith(".js") ? "text/javascript" : "text/html; charset=utf-8";
    response.writeHead(200, { "content-type": type, "content-security-policy": strictCsp });
    response.end(page);
  }
}

/** A page with the snippet. */
export const page = (attributes = 'data-auto="page"', body = "", head = "") =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">${head}
<script async src="/midsession.js" data-key="k" ${attributes}></script></head>
<body><main><h1>Shop</h1>${body}</main></body></html>`;
