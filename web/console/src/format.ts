//! Numbers and times as people read them.
const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const count = (n: number | null | undefined): string => (n == null ? "–" : Math.abs(n) >= 100_000 ? short.format(n) : whole.format(n));
export const rate = (n: number): string => (n > 0 && n < 10 ? n.toFixed(1) : count(n));
export const time = (ms: number): string => clock.format(ms);
export const timeMs = (ms: number): string => `${clock.format(ms)}.${String(Math.floor(ms) % 1000).padStart(3, "0")}`;
export const dateTime = (ms: number): string => day.format(ms);

/** A short time, with as many digits as it deserves. */
export function ms(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (size >= 1_000) return `${(value / 1000).toFixed(2).replace(/\.?0+$/, "")} s`;
  if (size >= 100) return `${Math.round(value)} ms`;
  if (size >= 10) return `${value.toFixed(1).replace(/\.0$/, "")} ms`;
  return `${value.toFixed(2).replace(/\.?0+$/, "") || "0"} ms`;
}

/** How long something has lasted. */
export function span(value_ms: number): string {
  const s = Math.max(0, Math.floor(value_ms / 1000));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min${m < 10 && s % 60 ? ` ${s % 60} s` : ""}`;
  const h = Math.floor(m / 60);
  return h < 48 ? `${h} h${m % 60 ? ` ${m % 60} min` : ""}` : `${Math.floor(h / 24)} d`;
}

export function bytes(n: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

/** Money in the shopper's own currency; the code may be anything that a page sent. */
export function money(value: number | null | undefined, currency?: string | null): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (currency && /^[A-Z]{3}$/.test(currency)) {
    return new Intl.NumberFormat("en-GB", { style: "currency", currency }).format(value);
  }
  return value.toFixed(2);
}

/** An id short enough for a row; the whole of it belongs into the title. */
export const shortId = (id: string): string => (id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id);
