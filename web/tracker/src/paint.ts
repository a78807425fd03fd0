//! Paints an intervention: a card in the space its slot reserves, else floating over the page, so nothing moves.

import type { Frame } from "../midsession.d.ts";
import css from "./card.css";

const SLOT_WIDTH_MIN = 240;

/** The close button of each slot's last card. */
const crosses = new Map<string, HTMLElement>();
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);
const floating = document.createElement("midsession-card");

/** Every text goes in as `textContent`. */
const add = <K extends keyof HTMLElementTagNameMap>(
  parent: Node,
  tag: K,
  properties?: Partial<HTMLElementTagNameMap[K]>,
) => parent.appendChild(Object.assign(document.createElement(tag), properties));

/** The live region inside a host. It should be there before its first text, or screen readers stay silent. */
const region = (host: HTMLElement) => {
  let root = host.shadowRoot;
  if (!root) {
    root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    add(root, "div", { role: "status", ariaLive: "polite" });
    add(root, "slot");
  }
  return root.firstChild!;
};

const float = () => {
  if (!floating.isConnected) document.body.append(floating);
  return region(floating);
};

/** Sets the live regions up. */
export const prepare = () => {
  document.querySelectorAll<HTMLElement>("[data-midsession-slot]").forEach(region);
  float();
};

/** Paints, and returns how to take the card away; `report` gets `exposure`, `click` and `dismiss` as they happen. */
export const paint = ({ slot, payload }: Frame, report: (name: string) => void) => {
  const { title, body, action, label, dismiss, code, copy, copied } = payload;
  // Painting never takes the focus; whoever closes the card from inside gets back to where they were before it came.
  const back = document.activeElement as HTMLElement | null;
  const remove = () => {
    const focused = card.matches(":focus-within");
    card.remove();
    if (focused) back?.focus();
  };
  const ending = (name: string) => () => {
    report(name);
    remove();
  };

  crosses.get(slot)?.parentElement!.remove();
  // In the slot only if the card fits what it reserves; measured in the same task, so nothing of it is ever painted.
  const host = document.querySelector<HTMLElement>(`[data-midsession-slot=${JSON.stringify(slot)}]`);
  const card = add(host ? region(host) : float(), "section", {
    className: "in",
    part: "card",
    ariaLabel: title,
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
    // The anchor knows which protocol an address has: only http and https may stay.
    if (action && !/^http/.test(main.href)) main.remove();
  }
  const onclick = ending("dismiss");
  if (dismiss) add(row, "button", { textContent: dismiss, onclick });
  crosses.set(
    slot,
    add(card, "button", { className: "x", textContent: "✕", ariaLabel: dismiss ?? "Close", onclick }),
  );
  if (!host || card.scrollHeight > card.clientHeight || card.clientWidth < SLOT_WIDTH_MIN) {
    card.className = "";
    float().appendChild(card);
  }

  new IntersectionObserver(([entry]) => entry!.isIntersecting && report("exposure"), {
    threshold: 0.5,
  }).observe(card);
  return remove;
};

addEventListener("keydown", (event) => {
  if (event.key == "Escape" && !event.defaultPrevented) {
    [...crosses.values()].findLast((cross) => cross.isConnected)?.click();
  }
});
