import type { ReactNode } from "react";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import type { Labels } from "../model/data/frame";
import { formatMatcher, fromLabels, type Matcher } from "../model/alerts/matchers";
import { hrefOf } from "../state/location";
import { useSource } from "../state/session";
import type { Loaded } from "../state/useLoad";
import { AlertingNav } from "./AlertingNav";

/** Where a silence for just these labels is made. */
export const silenceHref = (labels: Labels): string => hrefOf("/alerting/silence/new", new URLSearchParams(fromLabels(labels).map((m) => ["matcher", formatMatcher(m)])));

/** Where the routing of just these labels is shown. */
export const routeHref = (labels: Labels): string => hrefOf("/alerting/routes", new URLSearchParams({ labels: fromLabels(labels).map(formatMatcher).join(", ") }));

export function MatcherChips({ list }: { list: readonly Matcher[] }) {
  return (
    <span className="chips">
      {list.map((m, i) => (
        <span key={i} className="chip">{m.name}{m.operator}{m.value === "" ? '""' : m.value}</span>
      ))}
      {list.length === 0 && <span className="chip">everything</span>}
    </span>
  );
}

/** The frame of every page that needs Alertmanager. */
export function AlertmanagerPage({ actions, children }: { actions?: ReactNode; children: (source: DatasourceInfo) => ReactNode }) {
  const source = useSource("alertmanager");
  return (
    <div className="page">
      <PageHead title="Alerts">{actions}</PageHead>
      <AlertingNav />
      {source === undefined ? <Empty title="There is no Alertmanager data source">Provision one of the type alertmanager to see groups, silences and routes.</Empty> : children(source)}
    </div>
  );
}

export function Of<T>({ loaded, what, children }: { loaded: Loaded<T>; what: string; children: (data: T) => ReactNode }) {
  if (loaded.error !== undefined && loaded.data === undefined) return <ErrorNote title={`The ${what} could not be read`} text={loaded.error} onRetry={loaded.reload} />;
  if (loaded.data === undefined) return <Loading what={what} />;
  return children(loaded.data);
}
