//! The real binary for the tests: free ports, a folder of its own, stopped by its process id.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const BIN = process.env.MIDSESSION_BIN ?? join(import.meta.dirname, "../../../target/debug/midsession");

export interface Options {
  /** `demo` or `serve`. */
  command?: "demo" | "serve";
  /** Text of midsession.toml. */
  config?: string;
  /** Further arguments. */
  args?: string[];
  /** A folder to go on in. */
  data?: string;
  env?: Record<string, string>;
}

export interface LogLine {
  topic: string;
  partition: number;
  offset: number;
  schema: string;
  key: string;
  value: Record<string, any>;
}

const BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

export class Server {
  private constructor(
    private child: ChildProcess,
    readonly folder: string,
    readonly data: string,
    readonly collector: string,
    readonly admin: string,
    readonly redisPort: number,
    readonly console: string,
    readonly writeKey: string,
    readonly shop: string | null,
  ) {}

  static async start({ command = "serve", config = "", args = [], data, env = {} }: Options = {}): Promise<Server> {
    const folder = data ? join(data, "..") : mkdtempSync(join(tmpdir(), "midsession-e2e-"));
    const where = data ?? join(folder, "data");
    const file = join(folder, "midsession.toml");
    writeFileSync(file, config);
    const ports = ["--port", "0", "--admin-port", "0", "--redis-port", "0"];
    const child = spawn(BIN, [command, "--json", "--config", file, "--data", where, ...ports, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once("line", resolve);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    });
    const said = JSON.parse(line);
    const redis = Number(said.redis.split(":").pop());
    // What was on the log is readable once it has been replayed.
    await until(async () => (await fetch(`${said.collector}/ready`)).ok, "a server that is ready");
    return new Server(child, folder, where, said.collector, said.admin, redis, said.console, said.write_key, said.shop);
  }

  get token(): string {
    return new URL(this.console).searchParams.get("token")!;
  }

  /** Reads or changes something on the admin listener. */
  async ask(path: string, method = "GET", body?: unknown): Promise<any> {
    const answer = await fetch(this.admin + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? undefined : answer.json();
  }

  /** Sends native events. */
  async send(events: unknown): Promise<Response> {
    return fetch(`${this.collector}/v1/events`, {
      method: "POST",
      // As a browser does: a server's HTTP library has no device.
      headers: { authorization: `Bearer ${this.writeKey}`, "user-agent": BROWSER },
      body: JSON.stringify(events),
    });
  }

  /** What the log holds, by the command line. */
  log(topic: string): LogLine[] {
    const run = spawnSync(BIN, ["log", "read", topic, "--data", this.data], { maxBuffer: 1 << 30, encoding: "utf8" });
    if (run.status !== 0) throw new Error(run.stderr);
    return run.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }

  /** Stops it and waits; SIGTERM drains. */
  async stop(signal: NodeJS.Signals = "SIGTERM", keep = false): Promise<number | null> {
    const code = await new Promise<number | null>((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return resolve(this.child.exitCode);
      this.child.once("exit", resolve);
      this.child.kill(signal);
    });
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
    return code;
  }
}

/** Waits until it is truthy; only bounds how long a failure takes. */
export const until = async <T>(
  what: () => T | false | undefined | Promise<T | false | undefined>,
  why: string,
  ms = 30_000,
): Promise<T> => {
  const end = Date.now() + ms;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await new Promise((again) => setTimeout(again, 50));
  }
};
