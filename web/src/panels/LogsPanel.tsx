import { useMemo } from "react";
import { LogLines } from "../components/LogLines";
import { rowsOfFrame, type LogRow } from "../model/data/loki";
import { asBool, asOneOf, asStrings } from "../model/json";
import type { PanelProps } from "./types";

export function LogsPanel({ panel, frames, zone, isDark }: PanelProps) {
  const o = panel.options;
  const ascending = o["sortOrder"] === "Ascending";
  const rows = useMemo(() => {
    const list = frames.filter((f) => f.kind === "logs").flatMap(rowsOfFrame);
    list.sort((a, b) => (a.tsNs < b.tsNs ? 1 : a.tsNs > b.tsNs ? -1 : 0) * (ascending ? -1 : 1));
    return list;
  }, [frames, ascending]);
  const displayed = useMemo(() => asStrings(o["displayedFields"]), [o]);
  if (rows.length === 0) return <div className="panel-message">The query of a logs panel must yield lines, not numbers.</div>;
  const common = asBool(o["showCommonLabels"]) ? commonOf(rows) : [];
  const lines = (
    <LogLines
      rows={rows}
      fields={displayed}
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
  if (common.length === 0) return lines;
  return (
    <div className="table-paged">
      <div className="muted mono small-note" title={common.join(" ")}>Common labels: {common.join(" ")}</div>
      <div style={{ flex: 1, minHeight: 0 }}>{lines}</div>
    </div>
  );
}

/** The labels that all lines share. */
function commonOf(rows: readonly LogRow[]): readonly string[] {
  return Object.entries(rows[0]?.labels ?? {}).filter(([k, v]) => rows.every((r) => r.labels[k] === v)).map(([k, v]) => `${k}=${v}`);
}
