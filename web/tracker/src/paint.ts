//! Paints an intervention: a card in the space its slot reserves, else floating over the page, so nothing moves.

import type { Frame } from "../midsession.d.ts";
import css from "./card.css";

interface Card {
  slot: string;
  remove(): void;
  dismiss(): void;
}

const cards = new Map<string, Card>();
let sheet: CSSStyleSheet | undefined;
let floating: HTMLElement | undefined;

const add = <K extends keyof HTMLElementTagNameMap>(parent: Node, tag: K, text?: string, name?: string) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (name) element.className = name;
  parent.appendChild(element);
  return element;
};

/** The live region inside a host. It should be there before its first text, or screen readers stay silent. */
const region = (host: HTMLElement) => {
  let root = host.shadowRoot;
  if (!root) {
    root = host.attachShadow({ mode: "open" });
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    root.adoptedStyleSheets = [sheet];
    const live = add(root, "div", "", "live");
    live.role = "status";
    live.ariaLive = "polite";
    add(root, "slot");
  }
  return root.firstChild as HTMLElement;
};

const slots = () => [...document.querySelectorAll<HTMLElement>("[data-midsession-slot]")];

const float = () => {
  if (!floating?.isConnected) {
    floating = document.createElement("midsession-card");
    (document.body ?? document.documentElement).append(floating);
  }
  return region(floating);
};

/** Sets the live regions up. */
export const prepare = () => {
  slots().forEach(region);
  float();
};

/** Takes a card away without a report. */
export const close = (id: string) => cards.get(id)?.remove();

/** Paints; `report` gets `exposure`, `click` and `dismiss` as they happen. */
export const paint = ({ decision_id, slot, payload }: Frame, report: (name: string) => void) => {
  for (const card of cards.values()) if (card.slot == slot) card.remove();

  const card = document.createElement("section");
  card.className = "card";
  card.part = "card";
  const { title, body, action, label, dismiss, code, copy, copied } = payload;
  if (title) {
    card.ariaLabel = title;
    add(card, "h2", title);
  }
  if (body) add(card, "p", body);
  if (code) {
    const row = add(card, "div", "", "code");
    const text = add(row, "code", code);
    const button = add(row, "button", copy ?? "Copy");
    button.onclick = () => {
      report("click");
      const done = navigator.clipboard?.writeText(code);
      if (done) void done.then(() => (button.textContent = copied ?? "Copied"));
      else getSelection()?.selectAllChildren(text);
    };
  }

  let back: HTMLElement | undefined;
  const remove = () => {
    const focused = (card.getRootNode() as ShadowRoot).activeElement;
    card.remove();
    cards.delete(decision_id);
    if (focused) back?.focus();
  };
  const dismissed = () => {
    report("dismiss");
    remove();
  };
  const clicked = () => {
    report("click");
    remove();
  };
  const row = add(card, "div", "", "row");
  let url: URL | undefined;
  try {
    url = action ? new URL(action, location.href) : undefined;
  } catch {}
  if (url && /^https?:/.test(url.protocol)) {
    const link = add(row, "a", label ?? action, "main");
    link.href = url.href;
    link.onclick = clicked;
  } else if (label) add(row, "button", label, "main").onclick = clicked;
  if (dismiss) add(row, "button", dismiss).onclick = dismissed;
  const cross = add(card, "button", "", "x");
  cross.ariaLabel = dismiss ?? "Close";
  cross.onclick = dismissed;
  card.addEventListener("focusin", (event) => {
    const from = event.relatedTarget as HTMLElement | null;
    if (from && !card.contains(from)) back = from;
  });

  // In the slot only if the card fits what it reserves; measured in the same task, so nothing of it is ever painted.
  const host = slots().find((element) => element.dataset.midsessionSlot == slot);
  if (host) region(host).appendChild(card);
  if (!host || card.offsetHeight > host.clientHeight || host.clientWidth < 240) float().appendChild(card);
  else card.classList.add("fill");

  cards.set(decision_id, { slot, remove, dismiss: dismissed });
  new IntersectionObserver(
    (entries, observer) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        report("exposure");
      }
    },
    { threshold: 0.5 },
  ).observe(card);
};

document.addEventListener("keydown", (event) => {
  if (event.key == "Escape" && !event.defaultPrevented) [...cards.values()].pop()?.dismiss();
});
