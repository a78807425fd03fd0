//! Whether a page fits its window: nothing that is cut off, sticks out, or lies over its neighbour.
import type { Page } from "playwright-core";

/** The fonts of a machine decide how wide words are: one that any machine has, and the widest of them. */
export const fonts = ["DejaVu Sans", "DejaVu Sans Mono"];

/** Has every text of the page set in one font; styles written by the page's own script are within its policy. */
export const setIn = (page: Page, font: string): Promise<void> =>
  page.evaluate((font) => ["--sans", "--serif"].forEach((name) => document.documentElement.style.setProperty(name, `"${font}"`)), font);

/** What does not fit, in words; what may be scrolled by hand (a region with a name) or ends in "…" on purpose does. */
export const misfits = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    const roots: ParentNode[] = [document];
    for (const root of roots)
      for (const element of root.querySelectorAll<HTMLElement>("*")) {
        if (element.shadowRoot) roots.push(element.shadowRoot);
        const style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        if (!box.width || style.clipPath !== "none" || element.closest("svg, .hidden, .skip, dialog:not([open])")) continue;
        if (element.parentElement?.closest("[role=region][tabindex], [role=listbox], pre[tabindex]")) continue;
        const mayScroll = element.matches("[role=region][tabindex], [role=listbox], pre[tabindex], select, input");
        const cut = !mayScroll && style.display !== "inline" && style.textOverflow !== "ellipsis" && element.scrollWidth > element.clientWidth + 1;
        if (cut || box.left < -1 || box.right > innerWidth + 1)
          found.push(`${element.localName}.${element.className} ${Math.round(box.left)}–${Math.round(box.right)}, ${element.scrollWidth} in ${element.clientWidth}: ${element.textContent?.trim().slice(0, 40)}`);
      }
    return found;
  });
