/** The route template of an Express request, never its path. */
import type { IncomingMessage } from "node:http";
import { UNMATCHED } from "./metrics.js";

/** What Express 4 and 5 add to a request. */
interface Routed extends IncomingMessage {
  readonly route?: { readonly path?: unknown };
  readonly baseUrl?: string;
  readonly app?: { readonly router?: unknown; readonly _router?: unknown; readonly path?: () => string };
}

interface Match {
  readonly path?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** A layer of a router; until Express 5.2 it keeps its last match itself, since then `match` returns it. */
interface Layer extends Match {
  readonly handle?: { readonly stack?: unknown };
  readonly match?: (path: string) => boolean | Match;
}

const NAMED = Symbol("easymo.route");
const MAX_DEPTH = 8;

/** Names the route of a request that no framework routed, in a plain Node server. */
export function setRoute(req: IncomingMessage & { [NAMED]?: string }, route: string): void {
  req[NAMED] = route;
}

/** The template that Express matched, with that of the routers it is mounted in; `unmatched` if there is none. */
export function routeOf(req: IncomingMessage & { [NAMED]?: string }): string {
  const named = req[NAMED];
  if (named !== undefined) return named;
  const { route, baseUrl = "", app } = req as Routed;
  if (route?.path === undefined) return UNMATCHED;
  const own = String(route.path);
  if (baseUrl === "") return own;
  // An application mounted in another knows where; within a path that has parameters it cannot be told from values.
  const outer = app?.path?.() ?? "";
  if (!baseUrl.startsWith(outer)) return UNMATCHED;
  const mount = mountTemplate(stackOf(app?._router) ?? stackOf(ownRouter(app)), baseUrl.slice(outer.length), 0);
  if (mount === undefined) return UNMATCHED;
  return own === "/" ? outer + mount : outer + mount + own;
}

/** Express 4 has a getter here that throws. */
function ownRouter(app: Routed["app"]): unknown {
  try {
    return app?.router;
  } catch {
    return undefined;
  }
}

function stackOf(router: unknown): readonly Layer[] | undefined {
  const stack = (router as { stack?: unknown } | undefined)?.stack;
  return Array.isArray(stack) ? (stack as Layer[]) : undefined;
}

/**
 * Finds the mounted routers that together took `base` and writes their templates. Express keeps only the path that it
 * matched (`/users/42`): what its parameters hold is put back to their names (`/users/:id`). Nothing if no chain of
 * routers takes the path.
 */
function mountTemplate(stack: readonly Layer[] | undefined, base: string, depth: number): string | undefined {
  if (base === "") return "";
  if (stack === undefined || depth > MAX_DEPTH) return undefined;
  for (const layer of stack) {
    const inner = stackOf(layer.handle);
    const found = inner === undefined ? false : (layer.match?.(base) ?? false);
    if (inner === undefined || found === false) continue;
    const { path: taken = "", params = {} } = found === true ? layer : found;
    if (!base.startsWith(taken)) continue;
    const own = template(taken, params);
    const rest = mountTemplate(inner, base.slice(taken.length), depth + 1);
    if (rest !== undefined) return own + rest;
  }
  return undefined;
}

function template(path: string, params: Readonly<Record<string, unknown>>): string {
  const names = Object.entries(params);
  const segments = path.split("/").map((segment) => {
    const found = segment === "" ? undefined : names.find(([, value]) => value === decoded(segment));
    return found === undefined ? segment : `:${found[0]}`;
  });
  return segments.join("/");
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
