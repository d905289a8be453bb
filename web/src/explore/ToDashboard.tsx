import { Button, Modal, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { dashboardByUid, saveDashboard, searchDashboards } from "../api/grafana";
import { wordsFor } from "../api/http";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { addPanel, startEditing } from "../model/dashboard/edit";
import { loadDashboard } from "../model/dashboard/load";
import type { ExploreQuery } from "../model/explore/url";
import type { JsonObject } from "../model/json";
import { isMetricQuery } from "../model/query/logql";
import type { RawRange } from "../model/time/range";
import { navigate } from "../state/location";
import { useLoad } from "../state/useLoad";

interface Props {
  source: DatasourceInfo;
  queries: readonly ExploreQuery[];
  range: RawRange;
  onClose: () => void;
}

/** The kind of panel that shows what these queries yield. */
function kindFor(source: DatasourceInfo, queries: readonly ExploreQuery[]): string {
  if (source.type === "tempo") return "table";
  return source.type === "loki" && !queries.some((q) => isMetricQuery(q.expr)) ? "logs" : "timeseries";
}

/** Puts what Explore shows onto a dashboard, as a panel of its own. */
export function ToDashboard({ source, queries, range, onClose }: Props) {
  const [title, setTitle] = useState("From Explore");
  const [uid, setUid] = useState<string>("");
  const [name, setName] = useState("New dashboard");
  const [failed, setFailed] = useState<string>();
  const [busy, setBusy] = useState(false);
  const { data } = useLoad("boards", (signal) => searchDashboards({ type: "dash-db" }, signal));
  const reference: JsonObject = { type: source.type, uid: source.uid };
  const targets = queries.map(({ refId, expr, rest }): JsonObject => ({ ...rest, refId, datasource: reference, ...(source.type === "tempo" ? { query: expr, queryType: "traceql" } : { expr }) }));
  const put = async () => {
    const panel: JsonObject = { type: kindFor(source, queries), title, datasource: reference, targets, gridPos: { x: 0, y: 0, w: 24, h: 9 }, fieldConfig: { defaults: {}, overrides: [] }, options: {} };
    const fresh: JsonObject = { id: null, uid: "", title: name, tags: [], timezone: "browser", schemaVersion: 39, time: { from: range.from, to: range.to }, refresh: "30s", panels: [] };
    const before = uid === "" ? fresh : (await dashboardByUid(uid)).dashboard;
    const saved = await saveDashboard({ dashboard: addPanel(startEditing(loadDashboard(before)), panel).json, message: `“${title}” from Explore` });
    navigate(`/d/${saved.uid}`);
  };
  return (
    <Modal opened onClose={onClose} title="Put it onto a dashboard">
      <form
        className="silence-form"
        onSubmit={(event) => {
          event.preventDefault();
          setBusy(true);
          setFailed(undefined);
          put().catch((error: unknown) => setFailed(wordsFor(error))).finally(() => setBusy(false));
        }}
      >
        <TextInput label="Title of the panel" value={title} onChange={(e) => setTitle(e.currentTarget.value)} required data-autofocus />
        <Select label="Dashboard" data={[{ value: "", label: "A new one" }, ...(data ?? []).filter((h) => h.kind === "dashboard").map((h) => ({ value: h.uid, label: h.title }))]} value={uid} onChange={(v) => setUid(v ?? "")} searchable allowDeselect={false} />
        {uid === "" && <TextInput label="Its title" value={name} onChange={(e) => setName(e.currentTarget.value)} required />}
        {failed !== undefined && <p className="login-error" role="alert">{failed}{/provisioned/i.test(failed) ? ": it comes from a file, which wins over what is saved here." : ""}</p>}
        <Button type="submit" loading={busy}>Put it there</Button>
      </form>
    </Modal>
  );
}
