import { useEffect, useMemo, useState } from "react";
import { runPlans, type QueryResult } from "../api/run";
import type { Exemplar } from "../api/prometheus";
import { withShared } from "../model/dashboard/shared";
import type { Panel } from "../model/dashboard/types";
import { applyFieldConfig, defaultColorOf } from "../model/data/fieldConfig";
import type { Frame } from "../model/data/frame";
import { planQueries } from "../model/query/plan";
import { panelRange, type Range } from "../model/time/range";
import { runTransformations } from "../model/transform";
import { filtersOf, type Scope } from "../model/variables/interpolate";
import { useSession } from "../state/session";
import { useLoad } from "../state/useLoad";
import { useDashboard } from "./context";

export interface PanelData {
  frames: readonly Frame[];
  exemplars: readonly Exemplar[];
  results: readonly QueryResult[];
  range: Range;
  scope: Scope;
  loading: boolean;
  /** Nothing has arrived yet. */
  first: boolean;
  errors: readonly string[];
  notices: readonly string[];
}

const noTargets = new Set(["text", "dashlist", "row", "alertlist", "annolist", "news", "welcome", "gettingstarted"]);

/** Asks for a panel's data when it is seen, and prepares it for drawing. */
export function usePanelData(written: Panel, width: number, visible: boolean): PanelData {
  const { dashboard, time, zone, scope: shared, ready } = useDashboard();
  const panel = useMemo(() => withShared(written, dashboard), [written, dashboard]);
  const { sources } = useSession();
  const range = useMemo(
    () => (panel.timeFrom === undefined && panel.timeShift === undefined ? time.range : panelRange({ from: String(time.range.from), to: String(time.range.to) }, time.range.to, zone, panel.timeFrom, panel.timeShift)),
    [panel.timeFrom, panel.timeShift, time.range, zone],
  );
  const scope = useMemo((): Scope => ({ ...shared, range, own: panel.scope }), [shared, range, panel.scope]);
  // Steps of a hundred pixels, so that a moved border does not ask again.
  const points = panel.maxDataPoints ?? Math.max(200, Math.ceil(width / 100) * 100);
  const asks = !noTargets.has(panel.type) && panel.targets.length > 0 && width > 0;
  const { plans, notices } = useMemo(
    () =>
      planQueries({
        targets: asks ? panel.targets : [],
        panelDatasource: panel.datasource,
        sources,
        range,
        maxDataPoints: points,
        ...(panel.interval === undefined ? {} : { minInterval: panel.interval }),
        scope,
        filters: filtersOf(scope.variables),
      }),
    [asks, panel, sources, range, points, scope],
  );
  const wanted = asks && ready ? JSON.stringify(plans) : undefined;
  // What is out of sight asks nothing new, but an answer that is under way is still taken.
  const [key, setKey] = useState(visible ? wanted : undefined);
  useEffect(() => {
    if (visible) setKey(wanted);
  }, [visible, wanted]);
  const { data, loading } = useLoad(key, (signal) => runPlans(plans, signal));
  const prepared = useMemo(() => {
    const raw = (data ?? []).flatMap((r) => r.frames);
    const { frames, notices: skipped } = runTransformations(applyFieldConfig(raw, panel.fieldConfig, defaultColorOf(panel.type)), panel.transformations);
    return { frames: panel.transformations.length === 0 ? frames : applyFieldConfig(frames, panel.fieldConfig, defaultColorOf(panel.type)), skipped };
  }, [data, panel.fieldConfig, panel.transformations, panel.type]);
  return {
    frames: prepared.frames,
    exemplars: useMemo(() => (data ?? []).flatMap((r) => r.exemplars), [data]),
    results: data ?? [],
    range,
    scope,
    loading: asks && loading,
    first: asks && data === undefined,
    errors: (data ?? []).flatMap((r) => (r.error === undefined ? [] : [r.error])),
    notices: [...notices, ...prepared.skipped, ...(data ?? []).flatMap((r) => r.warnings)],
  };
}
