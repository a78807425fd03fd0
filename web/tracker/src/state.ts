//! What this page knows of its shopper: the script's options, consent, the visitor id, and the little that is stored.

import type { Consent } from "../midsession.d.ts";

/** How much consent there is: nothing is sent or stored, sent but not stored, all of it. */
export const enum Mode {
  None,
  Cookieless,
  Full,
}

/** The script tag's `data-` attributes, and where it came from. */
export const { dataset: options, src } = document.currentScript as HTMLScriptElement;
/** Another tracker sends the events; this one only paints, and reports that. */
export const silent = options.track == "off";

/** An address of the collector: at the endpoint, or else where the script came from. */
export const address = (path: string) => new URL((options.endpoint ?? ".") + "/v1/" + path, src).href;

/** A new id; plain http has no `randomUUID`. */
export const uuid = () => crypto.randomUUID?.() ?? Date.now() + "" + Math.random();

/** Milliseconds of the page's own clock, which never jumps. */
export const now = () => performance.now();

export let mode = Mode.None;
/** The purposes, once the page has declared them; until then the source's default holds. */
export let purposes: Record<string, boolean> | undefined;

let visitor: string | undefined;

/** Whether somebody has an id here already. */
export const isKnown = () => visitor;

/** Sets the visitor id that the server knows, where another tracker keeps it. */
export const adopt = (id: string) => {
  visitor = id;
};

/** Sets the cookie with the visitor id, or removes it with an age of 0. */
export const writeCookie = (value: string, seconds: number) => {
  const secure = location.protocol == "https:" ? "secure" : "";
  document.cookie = `_ms_vid=${value};path=/;samesite=lax;max-age=${seconds};domain=${options.domain ?? ""};` + secure;
};

/** The visitor id that all pages share, if there is one. */
export const cookie = () => /_ms_vid=([^;]+)/.exec(document.cookie)?.[1];

/** The visitor id: from the cookie under full consent, else new for this page load. */
export const visitorId = () => {
  if (!visitor) {
    const full = mode == Mode.Full;
    visitor = (full && cookie()) || uuid();
    if (full) writeCookie(visitor, 31536e3);
  }
  return visitor;
};

/** Reads what was stored. Only full consent stores; what cannot be read is not there. */
export const load = <T>(key: string): T | undefined => {
  try {
    if (mode == Mode.Full) return JSON.parse(localStorage["_ms_" + key]);
  } catch {}
  return;
};

/** Stores, or removes what is empty. */
export const save = (key: string, value: string | string[] = "") => {
  try {
    if (value[0]) localStorage["_ms_" + key] = JSON.stringify(value);
    else delete localStorage["_ms_" + key];
  } catch {}
};

/** Takes the purposes over and returns what they add up to; the mode stays until `settle`. */
export const readConsent = (consent: Consent) => {
  const full = consent == "full";
  const analytics = full || consent == "cookieless";
  purposes =
    // Only text has that.
    (consent as string).split
      ? { analytics, personalization: full, experiments: full, marketing: full }
      : (consent as Record<string, boolean>);
  return purposes.personalization ? Mode.Full : purposes.analytics ? Mode.Cookieless : Mode.None;
};

/** Puts a choice into force that the shopper made on this page; what may no longer be stored is removed. */
export const settle = (next: Mode) => {
  if (next < Mode.Full) {
    ["queue", "seen", "user"].forEach((key) => save(key));
    writeCookie("", 0);
  }
  if (next != mode && !silent) visitor = undefined;
  mode = next;
};

/**
 * The page's first word on consent; without one everything is allowed as far as the source allows it. A page that
 * starts with "none" removes nothing yet: it may only be waiting for its consent banner.
 */
export const startConsent = () => {
  mode = options.consent ? readConsent(options.consent as Consent) : Mode.Full;
  if (mode == Mode.Cookieless) settle(mode);
};
