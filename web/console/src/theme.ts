//! Light, dark, or as the system says; remembered in this browser.
import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const key = "midsession.theme";
const valid = (text: string | null): Theme => (text === "light" || text === "dark" ? text : "system");

const read = (): Theme => {
  try {
    return valid(localStorage.getItem(key));
  } catch {
    return "system";
  }
};

export const theme = signal<Theme>(read());
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(darkSystem.matches);
const isDark = computed(() => theme.value === "dark" || (theme.value === "system" && systemIsDark.value));
/** Goes up whenever the colours on screen change. */
export const painted = signal(0);

export function followTheme(): void {
  darkSystem.addEventListener("change", () => (systemIsDark.value = darkSystem.matches));
  // The page is told what it comes to, so that the style sheet has each palette once.
  effect(() => {
    document.documentElement.dataset["theme"] = isDark.value ? "dark" : "light";
    painted.value = painted.peek() + 1;
  });
  effect(() => {
    try {
      localStorage.setItem(key, theme.value);
    } catch {}
  });
}

export function nextTheme(): void {
  theme.value = isDark.peek() ? "light" : "dark";
}
