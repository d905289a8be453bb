/** The routing tree of Alertmanager's configuration, and where an alert goes in it. */
import type { Labels } from "../data/frame";
import { asBool, asObject, asObjects, asString, asStrings, isObject, type JsonObject } from "../json";
import { matchesAll, parseMatchers, type Matcher } from "./matchers";

export interface Route {
  /** Place in the tree: `0.1.0`. */
  path: string;
  receiver: string;
  matchers: readonly Matcher[];
  /** Matchers that could not be read, as they are written. */
  unread: readonly string[];
  goesOn: boolean;
  groupBy: readonly string[];
  groupWait: string;
  groupInterval: string;
  repeatInterval: string;
  muted: readonly string[];
  active: readonly string[];
  routes: readonly Route[];
}

export interface Inhibition {
  source: readonly Matcher[];
  target: readonly Matcher[];
  equal: readonly string[];
}

export interface ReceiverInfo {
  name: string;
  /** Kinds of its integrations: email, slack … */
  kinds: readonly string[];
}

export interface Routing {
  root: Route;
  receivers: readonly ReceiverInfo[];
  inhibitions: readonly Inhibition[];
}

function readMatchers(o: JsonObject, old: string, oldRegex: string, list: string): { matchers: readonly Matcher[]; unread: readonly string[] } {
  const written = [...asStrings(o[list]), ...(typeof o[list] === "string" ? [asString(o[list])] : [])];
  const parsed = written.map((text) => ({ text, matchers: parseMatchers(text) }));
  const pairs = (key: string, operator: "=" | "=~"): readonly Matcher[] => Object.entries(asObject(o[key])).map(([name, value]) => ({ name, operator, value: asString(value) }));
  return {
    matchers: [...pairs(old, "="), ...pairs(oldRegex, "=~"), ...parsed.flatMap((p) => p.matchers ?? [])],
    unread: parsed.filter((p) => p.matchers === undefined).map((p) => p.text),
  };
}

/** What a route does not say it has from its parent. */
function readRoute(o: JsonObject, parent: Route | undefined, path: string, depth: number): Route {
  const own = (key: string, inherited: string) => asString(o[key]) || inherited;
  const route: Route = {
    path,
    receiver: own("receiver", parent?.receiver ?? ""),
    ...readMatchers(o, "match", "match_re", "matchers"),
    goesOn: asBool(o["continue"]),
    groupBy: o["group_by"] === undefined ? (parent?.groupBy ?? []) : asStrings(o["group_by"]),
    groupWait: own("group_wait", parent?.groupWait ?? "30s"),
    groupInterval: own("group_interval", parent?.groupInterval ?? "5m"),
    repeatInterval: own("repeat_interval", parent?.repeatInterval ?? "4h"),
    muted: asStrings(o["mute_time_intervals"]),
    active: asStrings(o["active_time_intervals"]),
    routes: [],
  };
  const below = depth > 50 ? [] : asObjects(o["routes"]);
  return { ...route, routes: below.map((r, i) => readRoute(r, route, `${path}.${i}`, depth + 1)) };
}

export function readRouting(config: unknown): Routing | undefined {
  if (!isObject(config) || !isObject(config["route"])) return undefined;
  return {
    root: readRoute(config["route"], undefined, "0", 0),
    receivers: asObjects(config["receivers"]).map((r) => ({
      name: asString(r["name"]),
      kinds: Object.entries(r).flatMap(([key, list]) => (key.endsWith("_configs") && Array.isArray(list) ? list.map(() => key.replace(/_configs$/, "")) : [])),
    })),
    inhibitions: asObjects(config["inhibit_rules"]).map((r) => ({
      source: readMatchers(r, "source_match", "source_match_re", "source_matchers").matchers,
      target: readMatchers(r, "target_match", "target_match_re", "target_matchers").matchers,
      equal: asStrings(r["equal"]),
    })),
  };
}

/** The routes that an alert ends in: the deepest that match, and those after them where one says `continue`. */
export function routesFor(route: Route, labels: Labels): readonly Route[] {
  if (!matchesAll(route.matchers, labels)) return [];
  const found: Route[] = [];
  for (const below of route.routes) {
    const hits = routesFor(below, labels);
    found.push(...hits);
    if (hits.length > 0 && !below.goesOn) break;
  }
  return found.length > 0 ? found : [route];
}

/** The group that an alert falls into on a route. */
export function groupOf(route: Route, labels: Labels): Labels {
  const keys = route.groupBy.includes("...") ? Object.keys(labels) : route.groupBy;
  return Object.fromEntries(keys.filter((k) => labels[k] !== undefined).map((k) => [k, labels[k] ?? ""]));
}

export const flatten = (route: Route): readonly Route[] => [route, ...route.routes.flatMap(flatten)];

/** `a=b, c="d e"` or one a line: labels as a person types them. */
export function parseLabels(text: string): Labels {
  const found = parseMatchers(text.split("\n").map((l) => l.trim()).filter(Boolean).join(", "));
  return Object.fromEntries((found ?? []).filter((m) => m.operator === "=").map((m) => [m.name, m.value]));
}
