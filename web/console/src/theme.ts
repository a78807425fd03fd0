//! Light, dark, or as the system says; remembered in this browser.
import { effect, signal } from "@preact/signals";

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
/** Goes up whenever the colours on screen change. */
export const painted = signal(0);

export function followTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    painted.value = painted.peek() + 1;
    try {
      localStorage.setItem(key, theme.value);
    } catch {}
  });
  darkSystem.addEventListener("change", () => painted.value++);
}

export function nextTheme(): void {
  const dark = theme.peek() === "dark" || (theme.peek() === "system" && darkSystem.matches);
  theme.value = dark ? "light" : "dark";
}
