//! Paints an intervention: a card in the space its slot reserves, else floating over the page, so nothing moves.
//!
//! A file of its own, loaded beside the first push connection: pages that are shown nothing never need it.

import type { Frame } from "../midsession.d.ts";
import css from "./card.css";

const SLOT_WIDTH_MIN = 240;

/** The close button of the card in each slot, in the order in which they came. */
const crosses = new Map<string, HTMLElement>();
/** The close buttons of the cards that are in view. */
const inView = new Set<HTMLElement>();
/** What waits until its slot is free again. */
const queues = new Map<string, (() => void)[]>();
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
const floating = document.createElement("midsession-card");

/** Every text goes in as `textContent`. */
const add = <K extends keyof HTMLElementTagNameMap>(
  parent: Node,
  tag: K,
  properties?: Partial<HTMLElementTagNameMap[K]>,
) => parent.appendChild(Object.assign(document.createElement(tag), properties));

/**
 * The live region inside a host; none in an element that takes no shadow root. It should be there before its first
 * text, or screen readers stay silent.
 */
const region = (host: HTMLElement): Node | undefined => {
  let root = host.shadowRoot;
  if (!root) {
    try {
      root = host.attachShadow({ mode: "open" });
    } catch {
      return;
    }
    root.adoptedStyleSheets = [sheet];
    add(root, "div", { role: "status", ariaLive: "polite" });
    add(root, "slot");
  }
  return root.firstChild!;
};

const float = () => {
  if (!floating.isConnected) document.body.append(floating);
  return region(floating)!;
};

/** Sets the live regions up, also in slots that came to the page later. */
export const prepare = () => {
  document.querySelectorAll<HTMLElement>("[data-midsession-slot]").forEach(region);
  float();
};

/**
 * Paints as soon as the slot is free, if it is `due` then; returns how to take the card away, which says whether there
 * was one. `report` gets `exposure`, `click` and `dismiss` as they happen, `painted` is called when the card is on the
 * page.
 */
export const paint = (frame: Frame, due: () => boolean, report: (name: string) => void, painted: () => void) => {
  const { slot } = frame;
  let remove: (() => void) | undefined;
  const next = () => {
    crosses.delete(slot);
    queues.get(slot)?.shift()?.();
  };
  const put = () => {
    if (!due()) return next();
    remove = show(frame, report, () => {
      remove = undefined;
      next();
    });
    painted();
  };
  // A card that went with its part of the page is gone too.
  if (crosses.get(slot)?.isConnected) queues.set(slot, [...(queues.get(slot) ?? []), put]);
  else put();
  return () => {
    const wasThere = remove;
    queues.set(slot, (queues.get(slot) ?? []).filter((other) => other != put));
    remove?.();
    return wasThere;
  };
};

/** Puts a card on the page; returns how to take it away, `gone` is called once it is. */
const show = ({ slot, payload, lang }: Frame, report: (name: string) => void, gone: () => void) => {
  const { title, body, action, label, dismiss, code, copy, copied } = payload;
  // Painting never takes the focus; whoever closes the card from inside gets back to where they were before it came.
  const back = document.activeElement as HTMLElement | null;
  let isGone = false;
  const remove = () => {
    if (isGone) return;
    isGone = true;
    const focused = card.matches(":focus-within");
    card.remove();
    if (focused) back?.focus();
    gone();
  };
  const ending = (name: string) => () => {
    report(name);
    remove();
  };

  // In the slot only if the card fits what it reserves; measured in the same task, so nothing of it is ever painted.
  const host = document.querySelector<HTMLElement>(`[data-midsession-slot=${JSON.stringify(slot)}]`);
  const place = host && region(host);
  const card = add(place ?? float(), "section", {
    className: "in",
    part: "card",
    ariaLabel: title,
    ...(lang && { lang }),
  } as object);
  if (title) add(card, "h2", { textContent: title });
  if (body) add(card, "p", { textContent: body });
  if (code) {
    const row = add(card, "div", { className: "code" });
    add(row, "b", { textContent: code });
    const button = add(row, "button", {
      textContent: copy ?? "Copy",
      onclick() {
        report("click");
        void navigator.clipboard?.writeText(code).then(() => (button.textContent = copied ?? "Copied"));
      },
    });
  }
  const row = add(card, "div");
  if (action || label) {
    const main = add(row, action ? "a" : "button", {
      textContent: label ?? action,
      part: "action",
      href: action,
      onclick: ending("click"),
    } as object) as HTMLAnchorElement;
    // The anchor knows which protocol an address has: only http and https may stay. Nor does one that leads to where one is.
    if (action && (!/^https?:/.test(main.href) || main.href == document.URL.split("#")[0])) main.remove();
  }
  const onclick = ending("dismiss");
  if (dismiss) add(row, "button", { textContent: dismiss, onclick });
  const cross = add(card, "button", { className: "x", textContent: "✕", ariaLabel: dismiss ?? "Close", onclick });
  crosses.set(slot, cross);
  if (!place || card.scrollHeight > card.clientHeight || card.clientWidth < SLOT_WIDTH_MIN) {
    card.className = "";
    float().appendChild(card);
  }

  new IntersectionObserver(
    ([entry]) => {
      inView.delete(cross);
      if (entry!.isIntersecting) {
        inView.add(cross);
        report("exposure");
      }
    },
    { threshold: 0.5 },
  ).observe(card);
  return remove;
};

addEventListener("keydown", (event) => {
  // A dialog or popover of the page comes first. Browsers that don't know a selector pass over it inside `:is`.
  if (event.key == "Escape" && !event.defaultPrevented && !document.querySelector(":is(:modal,:popover-open)")) {
    [...crosses.values()].findLast((cross) => cross.isConnected && inView.has(cross))?.click();
  }
});
