import { TextInput } from "@mantine/core";
import { useState } from "react";
import { searchDashboards, type SearchHit } from "../api/grafana";
import { Link } from "../components/Link";
import { asBool, asNumber, asString, asStrings } from "../model/json";
import { recentBoards } from "../state/recent";
import { usePlace } from "../state/location";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

/** Dashboards that are starred, were looked at lately, or are found by words, tags and folder. */
export function DashListPanel({ panel, range }: PanelProps) {
  const o = panel.options;
  const { params } = usePlace();
  const [words, setWords] = useState("");
  const tags = asStrings(o["tags"]);
  const query = asString(o["query"]);
  const folder = asString(o["folderUID"]);
  const { data, error } = useLoad(`${query} ${tags.join()} ${range.to}`, (signal) => searchDashboards({ type: "dash-db" }, signal));
  if (error !== undefined) return <div className="panel-message panel-bad">{error}</div>;
  const all = (data ?? []).filter((h) => h.kind === "dashboard");
  const most = asNumber(o["maxItems"]) ?? 10;
  const lists: readonly (readonly [string, readonly SearchHit[]])[] = [
    ...(asBool(o["showStarred"]) ? [["Starred", all.filter((h) => h.isStarred)] as const] : []),
    ...(asBool(o["showRecentlyViewed"]) ? [["Looked at lately", recentBoards().flatMap((uid) => all.find((h) => h.uid === uid) ?? [])] as const] : []),
    ...(asBool(o["showSearch"], !asBool(o["showStarred"]) && !asBool(o["showRecentlyViewed"])) ? [["Found", all.filter((h) => tags.every((t) => h.tags.includes(t)) && h.title.toLowerCase().includes(query.toLowerCase()) && (folder === "" || h.folderUid === folder))] as const] : []),
  ];
  const kept = new URLSearchParams([...params].filter(([k]) => (asBool(o["keepTime"]) && (k === "from" || k === "to")) || (asBool(o["includeVars"]) && k.startsWith("var-"))));
  const shown = lists.map(([title, hits]) => [title, hits.filter((h) => h.title.toLowerCase().includes(words.toLowerCase())).slice(0, most)] as const);
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label="Dashboards">
      {all.length > most && <TextInput size="xs" mb={6} aria-label="Search these dashboards" placeholder="Search" value={words} onChange={(e) => setWords(e.currentTarget.value)} />}
      {shown.map(([title, hits]) => (
        <section key={title} aria-label={title}>
          {asBool(o["showHeadings"], true) && lists.length > 1 && <h4 className="list-head">{title}</h4>}
          {hits.length === 0 && <div className="muted">None</div>}
          {hits.map((h) => <div key={h.uid} className="list-line"><Link to={h.url} params={kept}>{h.title}</Link> <span className="muted">{h.folderTitle}</span></div>)}
        </section>
      ))}
    </div>
  );
}
