import { useSyncExternalStore } from "react";

export type Scheme = "dark" | "light";
const key = "reba.scheme";
const listeners = new Set<() => void>();

const read = (): Scheme => (document.documentElement.getAttribute("data-mantine-color-scheme") === "light" ? "light" : "dark");

export function setScheme(scheme: Scheme): void {
  document.documentElement.setAttribute("data-mantine-color-scheme", scheme);
  try {
    localStorage.setItem(key, scheme);
  } catch {
    // A browser may forbid storage; the choice then lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

export function useScheme(): Scheme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, read);
}

export const useIsDark = (): boolean => useScheme() === "dark";
