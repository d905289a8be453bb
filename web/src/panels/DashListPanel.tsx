import { searchDashboards } from "../api/grafana";
import { Link } from "../components/Link";
import { asNumber, asString, asStrings } from "../model/json";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

export function DashListPanel({ panel }: PanelProps) {
  const o = panel.options;
  const tags = asStrings(o["tags"]);
  const query = asString(o["query"]);
  const { data, error } = useLoad(`${query} ${tags.join()}`, (signal) => searchDashboards({ query, tag: tags, type: "dash-db" }, signal));
  if (error !== undefined) return <div className="panel-message panel-bad">{error}</div>;
  const hits = (data ?? []).filter((h) => h.kind === "dashboard" && tags.every((t) => h.tags.includes(t)) && h.title.toLowerCase().includes(query.toLowerCase()));
  return (
    <div className="table-scroll">
      {hits.slice(0, asNumber(o["maxItems"]) ?? 10).map((h) => (
        <div key={h.uid}>
          <Link to={h.url}>{h.title}</Link> <span className="muted">{h.folderTitle}</span>
        </div>
      ))}
    </div>
  );
}
