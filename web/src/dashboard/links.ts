import type { DashboardLink } from "../model/dashboard/types";
import { asksSource } from "../model/query/plan";
import { allVariables, interpolate, type Scope } from "../model/variables/interpolate";
import { hrefOf } from "../state/location";
import type { PanelData } from "./usePanelData";

/** The panel's queries, opened in Explore with the same range. */
export function exploreHref(data: PanelData): string | undefined {
  const plans = data.results.map((r) => r.plan).filter(asksSource);
  const first = plans[0];
  if (first === undefined) return undefined;
  const queries = plans.filter((p) => p.source.uid === first.source.uid).map((p) => ({ refId: p.refId, expr: p.expr }));
  return explorePath(first.source.uid, queries, { from: String(data.range.from), to: String(data.range.to) });
}

export function explorePath(uid: string, queries: readonly { refId: string; expr: string }[], range: { from: string; to: string }): string {
  const panes = { a: { datasource: uid, queries, range } };
  return hrefOf("/explore", new URLSearchParams({ schemaVersion: "1", panes: JSON.stringify(panes), orgId: "1" }));
}

/** Where a dashboard link leads, with the time and the variables if it wants them. */
export function linkHref(link: Pick<DashboardLink, "keepTime" | "includeVars">, url: string, scope: Scope, raw: { from: string; to: string }): string {
  const target = interpolate(url, scope, "url");
  const extra = [link.keepTime ? `from=${encodeURIComponent(raw.from)}&to=${encodeURIComponent(raw.to)}` : "", link.includeVars ? allVariables(scope) : ""].filter(Boolean).join("&");
  return extra === "" ? target : `${target}${target.includes("?") ? "&" : "?"}${extra}`;
}

/** Only what a browser may follow without running anything. */
export const safeHref = (url: string): string | undefined => (/^(https?:|mailto:|\/|#|\?|\.\/)/i.test(url.trim()) || !/^[a-z][a-z0-9+.-]*:/i.test(url.trim()) ? url : undefined);
