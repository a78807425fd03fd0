//! A proxy in front of the collector: notes the event ids of what passes, and loses answers when told to.

import { createServer, request, type IncomingMessage, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

export class Proxy {
  /** Event ids as often as they reached the collector. */
  readonly reached: string[] = [];
  /** Of these, what came by beacon: page leave, which no network log of a page shows. */
  readonly beacons: string[] = [];
  /** Requests whose answer was taken away: the events are durable, the tracker is told 503. */
  lost = 0;
  /** How many answers are still to be lost. */
  lose = 0;
  /** How many requests are still to be turned away without reaching the collector. */
  refuse = 0;

  /** Pages of its own: path → (content type, text). */
  readonly pages = new Map<string, [string, string]>();

  private constructor(private server: HttpServer) {}

  static async start(target: string): Promise<Proxy> {
    const to = new URL(target);
    const server = createServer((question, answer) => {
      const chunks: Buffer[] = [];
      question.on("data", (chunk) => chunks.push(chunk));
      question.on("end", () => {
        const body = Buffer.concat(chunks);
        const page = proxy.pages.get(new URL(question.url ?? "/", "http://x").pathname);
        if (page) {
          answer.writeHead(200, { "content-type": page[0] }).end(page[1]);
          return;
        }
        const ids = idsOf(question, body);
        if (ids.length && proxy.refuse > 0) {
          proxy.refuse -= 1;
          answer.writeHead(503, cors(question)).end();
          return;
        }
        const onward = request(
          { host: to.hostname, port: to.port, method: question.method, path: question.url, headers: { ...question.headers, host: to.host } },
          (reply) => {
            const good = (reply.statusCode ?? 500) < 300;
            if (good) proxy.reached.push(...ids);
            if (good && question.headers["sec-fetch-mode"] === "no-cors") proxy.beacons.push(...ids);
            if (good && ids.length && proxy.lose > 0) {
              proxy.lose -= 1;
              proxy.lost += 1;
              reply.resume();
              answer.writeHead(503, cors(question)).end();
              return;
            }
            answer.writeHead(reply.statusCode ?? 502, reply.headers);
            reply.pipe(answer);
          },
        );
        onward.on("error", () => answer.writeHead(502).end());
        onward.end(body);
      });
    });
    const proxy = new Proxy(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(() => done()));
  }
}

const cors = (question: IncomingMessage) => ({
  "access-control-allow-origin": question.headers.origin ?? "*",
  "access-control-allow-credentials": "true",
});

/** The ids that a tracker gave its events, read from the wire without any of the product's code. */
export const idsOf = (question: { method?: string | undefined; url?: string | undefined }, body: Buffer): string[] => {
  const url = new URL(question.url ?? "/", "http://x");
  if (question.method === "GET") return url.pathname === "/i" ? [url.searchParams.get("eid")!] : [];
  if (question.method !== "POST" || /flags|decide|sourceConfig|config/.test(url.pathname)) return [];
  let bytes = body;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  let text = bytes.toString("utf8");
  if (text.startsWith("data=")) text = Buffer.from(decodeURIComponent(text.slice(5)), "base64").toString("utf8");
  const json = JSON.parse(text);
  const list: any[] = Array.isArray(json) ? json : (json.batch ?? json.data ?? [json]);
  return list.map((one) => one.eid ?? one.messageId ?? one.uuid ?? one.event_id);
};
