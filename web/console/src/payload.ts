//! Lays a rejected event out line by line and finds the line of the field at fault.
export interface Line {
  text: string;
  fault: boolean;
}

const linesMax = 2_000;

/** `products[0].price`, `/products/0/price` and `$.products.0.price` are the same path. */
export function pathOf(field: string): string[] {
  return field.replace(/^[$]?[./]?/, "").split(/[./[\]]+/).filter(Boolean);
}

function covers(fault: readonly string[], path: readonly string[]): boolean {
  return fault.length > 0 && fault.length === path.length && fault.every((part, i) => part === path[i]);
}

function lay(value: unknown, path: string[], indent: number, prefix: string, comma: string, fault: readonly string[], out: Line[]): void {
  if (out.length >= linesMax) return;
  const pad = "  ".repeat(indent);
  const at = covers(fault, path);
  const push = (text: string) => out.push({ text, fault: at });
  if (value === null || typeof value !== "object") {
    push(`${pad}${prefix}${JSON.stringify(value)}${comma}`);
    return;
  }
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  const [open, close] = list ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) {
    push(`${pad}${prefix}${open}${close}${comma}`);
    return;
  }
  push(`${pad}${prefix}${open}`);
  entries.forEach(([key, child], index) => {
    const next = list ? "" : `${JSON.stringify(key)}: `;
    lay(child, [...path, key], indent + 1, next, index < entries.length - 1 ? "," : "", fault, out);
  });
  push(`${pad}${close}${comma}`);
}

/** Whether reading and writing it again says the same: repeated keys, long numbers and escapes may not. */
const isFaithful = (payload: string, value: unknown): boolean => payload.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, "$1") === JSON.stringify(value);

/**
 * Finds the field where it stands; where it is missing, nothing is marked. Bytes that are no JSON, or would look different
 * laid out, stay as they came.
 */
export function lines(payload: string, field: string | null): Line[] {
  const fault = field ? pathOf(field) : [];
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {}
  if (value === undefined || !isFaithful(payload, value)) {
    const needle = fault.at(-1);
    return payload
      .split("\n")
      .slice(0, linesMax)
      .map((text) => ({ text, fault: needle !== undefined && text.includes(needle) }));
  }
  const out: Line[] = [];
  lay(value, [], 0, "", "", fault, out);
  return out;
}
