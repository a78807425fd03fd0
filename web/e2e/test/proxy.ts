//! A proxy in front of the collector: notes the event ids of what passes, turns requests away and loses answers when told to.

import { createServer, request, type IncomingMessage, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { times } from "./compare.ts";

/** A request as it went over the wire. */
export interface Sending {
  method?: string | undefined;
  url?: string | undefined;
  body: Buffer;
}

export class Proxy {
  /** Event ids as often as the collector took them. */
  readonly reached: string[] = [];
  /** Event ids as often as they were turned away with 503 before they reached the collector. */
  readonly refused: string[] = [];
  /** Event ids that the collector took, and whose answer the tracker never got. */
  readonly lost: string[] = [];
  /** How many answers are still to be lost. */
  lose = 0;
  /** How many requests are still to be turned away. */
  refuse = 0;

  /** Pages of its own: path → (content type, text). */
  readonly pages = new Map<string, [string, string]>();

  private constructor(
    private server: HttpServer,
    /** The collector. */
    public target: string,
  ) {}

  /** Without a target it serves its own pages alone, until it is told one. */
  static async start(target = ""): Promise<Proxy> {
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
        const ids = idsOf({ method: question.method, url: question.url, body });
        if (ids.length && proxy.refuse > 0) {
          proxy.refuse -= 1;
          proxy.refused.push(...ids);
          answer.writeHead(503, cors(question)).end();
          return;
        }
        const to = new URL(proxy.target);
        const onward = request(
          { host: to.hostname, port: to.port, method: question.method, path: question.url, headers: { ...question.headers, host: to.host } },
          (reply) => {
            const good = (reply.statusCode ?? 500) < 300;
            if (good && ids.length && proxy.lose > 0) {
              proxy.lose -= 1;
              proxy.lost.push(...ids);
              // The events are durable, and nobody hears of it.
              question.socket.destroy();
            }
            if (good) proxy.reached.push(...ids);
            if (answer.destroyed) return void reply.resume();
            answer.writeHead(reply.statusCode ?? 502, reply.headers);
            reply.pipe(answer);
          },
        );
        onward.on("error", () => answer.writeHead(502).end());
        onward.end(body);
      });
    });
    const proxy = new Proxy(server, target);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return proxy;
  }

  /** Whether the trouble is over: what was turned away got through, and what went without an answer came again. */
  get over(): boolean {
    const reached = times(this.reached);
    const came = (ids: string[], least: number) => ids.every((id) => (reached.get(id) ?? 0) >= least);
    return this.lose === 0 && this.refuse === 0 && came(this.refused, 1) && came(this.lost, 2);
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
export const idsOf = (question: Sending): string[] => {
  const url = new URL(question.url ?? "/", "http://x");
  if (question.method === "GET") return url.pathname === "/i" ? [url.searchParams.get("eid")!] : [];
  if (question.method !== "POST" || /flags|decide|sourceConfig|config/.test(url.pathname)) return [];
  let bytes = question.body;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  let text = bytes.toString("utf8");
  if (text.startsWith("data=")) text = Buffer.from(decodeURIComponent(text.slice(5)), "base64").toString("utf8");
  const json = JSON.parse(text);
  const list: any[] = Array.isArray(json) ? json : (json.batch ?? json.data ?? [json]);
  return list.map((one) => one.eid ?? one.messageId ?? one.uuid ?? one.event_id);
};
