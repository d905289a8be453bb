import { useMemo } from "react";
import { LogLines } from "../components/LogLines";
import { rowsOfFrame } from "../model/data/loki";
import { asBool, asOneOf } from "../model/json";
import type { PanelProps } from "./types";

export function LogsPanel({ panel, frames, zone, isDark }: PanelProps) {
  const o = panel.options;
  const ascending = o["sortOrder"] === "Ascending";
  const rows = useMemo(() => {
    const list = frames.filter((f) => f.kind === "logs").flatMap(rowsOfFrame);
    list.sort((a, b) => (a.tsNs < b.tsNs ? 1 : a.tsNs > b.tsNs ? -1 : 0) * (ascending ? -1 : 1));
    return list;
  }, [frames, ascending]);
  if (rows.length === 0) return <div className="panel-message">The query of a logs panel must yield lines, not numbers.</div>;
  return (
    <LogLines
      rows={rows}
      zone={zone}
      isDark={isDark}
      showTime={asBool(o["showTime"], true)}
      showLabels={asBool(o["showLabels"])}
      wrap={asBool(o["wrapLogMessage"])}
      pretty={asBool(o["prettifyLogMessage"])}
      details={asBool(o["enableLogDetails"], true)}
      dedup={asOneOf(o["dedupStrategy"], ["none", "exact", "numbers", "signature"] as const, "none")}
    />
  );
}
