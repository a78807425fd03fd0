//! A stand-in for the server: serves the built shop under its real policy and records what trackers send.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const trackerFiles = fileURLToPath(new URL("../../tracker/dist", import.meta.url));
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

export interface SentEvent {
  name: string;
  [field: string]: unknown;
}
export interface Mock {
  url: string;
  /** Native events as received, in order. */
  events: SentEvent[];
  /** Snowplow events: the `data` rows of each POST to tp2. */
  snowplow: Record<string, string>[];
  orders: Record<string, unknown>[];
  /** Sends one frame to every connected page. */
  push(event: string, id: string, data: unknown): void;
  listeners(): number;
  close(): Promise<void>;
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export async function startMock(): Promise<Mock> {
  const events: SentEvent[] = [];
  const snowplow: Record<string, string>[] = [];
  const orders: Record<string, unknown>[] = [];
  const streams = new Set<ServerResponse>();
  const json = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" }).end(JSON.stringify(value));

  async function file(response: ServerResponse, path: string): Promise<void> {
    // As the server does: a last part without a dot is a page, and pages find their way themselves.
    const name = basename(path).includes(".") ? normalize(`/${path}`) : "index.html";
    try {
      const bytes = await readFile(join(dist, name));
      response.writeHead(200, { "Content-Type": types[extname(name)] ?? "application/octet-stream", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff" }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }

  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? "/", "http://mock");
      const { pathname } = url;
      if (pathname === "/shop/api/config") return json(response, 200, { write_key: "k-demo", currency: "EUR", console_url: "http://127.0.0.1:8081/" });
      if (pathname === "/shop/api/coupon") {
        const { code } = JSON.parse(await body(request)) as { code: string };
        return code === "TENOFF" ? json(response, 200, { percent: 10 }) : json(response, 422, { code: "coupon_unknown", title: "unknown" });
      }
      if (pathname === "/shop/api/checkout") {
        const order = JSON.parse(await body(request)) as { items: { id: string; quantity: number }[]; code?: string };
        orders.push(order);
        const rows = JSON.parse(await readFile(join(dist, "catalog.json"), "utf8")) as { id: string; price: number }[];
        const sum = order.items.reduce((total, item) => total + item.quantity * (rows.find((r) => r.id === item.id)?.price ?? 0), 0);
        const discount = order.code ? sum / 10 : 0;
        return json(response, 200, { order_id: `o-${orders.length}`, total: sum - discount, discount, currency: "EUR" });
      }
      if (/^\/midsession(-card)?\.js$/.test(pathname)) {
        const bytes = await readFile(trackerFiles + pathname);
        return response.writeHead(200, { "Content-Type": "text/javascript" }).end(bytes);
      }
      if (pathname === "/v1/events") {
        const text = await body(request);
        const batch: unknown = text.trimStart().startsWith("[") ? JSON.parse(text) : text.trim().split("\n").map((line) => JSON.parse(line) as unknown);
        events.push(...(batch as SentEvent[]));
        return json(response, 200, { accepted: (batch as unknown[]).length, rejected: [] });
      }
      if (pathname === "/v1/token") {
        // As the server does: who has no name yet gets one.
        if (!/_ms_vid=|_sp_id\./.test(request.headers.cookie ?? "")) response.setHeader("Set-Cookie", "_ms_vid=named-by-the-server; Path=/; SameSite=Lax");
        return json(response, 200, { token: "t", expires_at: Date.now() + 1_800_000, visitor_id: "v-mock" });
      }
      if (pathname === "/v1/push") {
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" }).write("retry: 1000\n\n");
        streams.add(response);
        response.on("close", () => streams.delete(response));
        return;
      }
      if (pathname === "/com.snowplowanalytics.snowplow/tp2") {
        if (request.method === "POST") snowplow.push(...(JSON.parse(await body(request)) as { data: Record<string, string>[] }).data);
        return response.writeHead(200, { "Content-Type": "text/plain" }).end("ok");
      }
      if (pathname.startsWith("/shop/")) return file(response, pathname.slice("/shop/".length));
      response.writeHead(404).end();
    })().catch((error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    events,
    snowplow,
    orders,
    push: (event, id, data) => streams.forEach((s) => s.write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)),
    listeners: () => streams.size,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
