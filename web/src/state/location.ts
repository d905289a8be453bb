/** The URL is the state of a page: read it with a hook, change it with `navigate`. Paths are relative to the app's base. */
import { useSyncExternalStore } from "react";
import { basePath } from "../api/http";

export interface Place {
  path: string;
  params: URLSearchParams;
}

const listeners = new Set<() => void>();
let cached: { href: string; place: Place } | undefined;

function current(): Place {
  const { href, pathname, search } = window.location;
  if (cached?.href !== href) {
    const base = basePath();
    const path = pathname.startsWith(base) ? `/${pathname.slice(base.length)}` : pathname;
    cached = { href, place: { path, params: new URLSearchParams(search) } };
  }
  return cached.place;
}

function tell() {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) window.addEventListener("popstate", tell);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) window.removeEventListener("popstate", tell);
  };
}

export const usePlace = (): Place => useSyncExternalStore(subscribe, current);

/** The address of a page of the app, for links that a person may copy or open in a tab of its own. */
export function hrefOf(path: string, params?: URLSearchParams): string {
  const query = params?.toString() ?? "";
  return basePath() + path.replace(/^\//, "") + (query === "" ? "" : `?${query}`);
}

/** `path` may have parameters of its own. */
export function navigate(path: string, params?: URLSearchParams, how: "push" | "replace" = "push"): void {
  const href = hrefOf(path, params);
  if (how === "replace") window.history.replaceState(null, "", href);
  else window.history.pushState(null, "", href);
  tell();
}

/** Changes some parameters and leaves the others; undefined removes one. */
export function setParams(changes: Readonly<Record<string, string | readonly string[] | undefined>>, how: "push" | "replace" = "push"): void {
  const { path, params } = current();
  const next = new URLSearchParams(params);
  for (const [key, value] of Object.entries(changes)) {
    next.delete(key);
    if (value === undefined) continue;
    for (const one of typeof value === "string" ? [value] : value) next.append(key, one);
  }
  if (next.toString() !== params.toString()) navigate(path, next, how);
}
