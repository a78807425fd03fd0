//! What Chromium wrote down of what it sent: each request on each socket, also of beacons and of pages that are being left.

import { readFileSync } from "node:fs";
import type { Sending } from "./proxy.ts";

/** Has Chromium write its network log, with all bytes, into this file; it is whole once the browser is closed. */
export const netLog = (file: string): string[] => [`--log-net-log=${file}`, "--net-log-capture-mode=Everything"];

/** The requests to 127.0.0.1 and this port, each as often as it was sent. */
export const sendings = (file: string, port: number): Sending[] => {
  const log = JSON.parse(readFileSync(file, "utf8"));
  const sent = log.constants.logEventTypes.SOCKET_BYTES_SENT;
  const sockets = new Map<number, Buffer[]>();
  for (const { type, source, params } of log.events) {
    if (type !== sent || params?.bytes === undefined) continue;
    const chunks = sockets.get(source.id) ?? [];
    chunks.push(Buffer.from(params.bytes, "base64"));
    sockets.set(source.id, chunks);
  }
  return [...sockets.values()]
    .flatMap((chunks) => ofSocket(Buffer.concat(chunks)))
    .filter(({ host }) => host === `127.0.0.1:${port}`);
};

/** HTTP/1.1 requests, one after the other. One that was cut off while it was sent is none. */
const ofSocket = (bytes: Buffer): (Sending & { host?: string | undefined })[] => {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf("\r\n\r\n", at);
    if (end < 0) break;
    const [start, ...fields] = bytes.toString("latin1", at, end).split("\r\n");
    const field = (name: string) =>
      fields.find((line) => line.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1).trim();
    const [method, url, version] = start!.split(" ");
    // Another protocol, for instance TLS of the browser's own errands.
    if (!version?.startsWith("HTTP/1.")) break;
    const length = Number(field("content-length") ?? 0);
    at = end + 4 + length;
    if (at <= bytes.length) found.push({ method, url, host: field("host"), body: bytes.subarray(end + 4, at) });
  }
  return found;
};
