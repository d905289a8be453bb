import { ActionIcon, Button, NumberInput, Select, Switch, TextInput } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { Icon } from "../../components/Icon";
import { resolveDatasource, readDatasource, specialOf } from "../../model/dashboard/datasource";
import { asBool, asNumber, asObjects, asString, type Json, type JsonObject } from "../../model/json";
import { setAt } from "../../model/dashboard/edit";
import { useSession } from "../../state/session";
import { ExpressionEditor } from "./ExpressionEditor";

const Editor = lazy(() => import("../../editor/Editor").then((m) => ({ default: m.Editor })));
const Builder = lazy(() => import("../../explore/Builder").then((m) => ({ default: m.Builder })));
const usable = new Set(["prometheus", "loki", "tempo"]);

const nextRef = (list: readonly JsonObject[]) => [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].find((l) => !list.some((t) => t["refId"] === l)) ?? `Q${list.length}`;

interface Props {
  panel: JsonObject;
  onChange: (panel: JsonObject, name?: string) => void;
}

function Target({ target, panel, set, remove, alone }: { target: JsonObject; panel: JsonObject; set: (key: string, value: Json | undefined) => void; remove: () => void; alone: boolean }) {
  const { sources } = useSession();
  const choices = sources.filter((s) => usable.has(s.type));
  const source = resolveDatasource(readDatasource(target["datasource"] ?? panel["datasource"]), choices)?.source;
  const key = source?.type === "tempo" ? "query" : "expr";
  const [draft, setDraft] = useState<string>();
  const [building, setBuilding] = useState(false);
  const refId = asString(target["refId"], "A");
  const text = draft ?? asString(target[key]);
  const commit = (value: string) => {
    setDraft(undefined);
    if (value !== asString(target[key])) set(key, value);
  };
  const isMap = target["queryType"] === "serviceMap";
  return (
    <div className="block target" onBlur={(e) => { if (draft !== undefined && !e.currentTarget.contains(e.relatedTarget)) commit(draft); }}>
      <div className="query-row">
        <span className="query-ref">{refId}</span>
        {source === undefined ? <TextInput aria-label={`Query ${refId}`} value={text} onChange={(e) => commit(e.currentTarget.value)} style={{ flex: 1 }} error="There is no data source for this query" /> : isMap ? <p className="muted" style={{ flex: 1, margin: "8px 0" }}>The map of all services.</p> : (
          <Suspense fallback={<div className="editor" style={{ height: 38 }} />}>
            <Editor value={text} source={source} label={`Query ${refId}`} templated onRun={commit} onChange={setDraft} />
          </Suspense>
        )}
        <ActionIcon size={36} variant="subtle" color="gray" aria-label={`${asBool(target["hide"]) ? "Show" : "Hide"} query ${refId}`} aria-pressed={asBool(target["hide"])} onClick={() => set("hide", asBool(target["hide"]) ? undefined : true)}><Icon name="view" size={16} /></ActionIcon>
        {!alone && <ActionIcon size={36} variant="subtle" color="gray" aria-label={`Remove query ${refId}`} onClick={remove}><Icon name="close" size={16} /></ActionIcon>}
      </div>
      {building && source !== undefined && source.type !== "tempo" && <Suspense fallback={null}><Builder source={source} query={text} onChange={commit} /></Suspense>}
      <div className="variables" style={{ margin: 0, paddingLeft: 34 }}>
        {source !== undefined && source.type !== "tempo" && <Button size="compact-sm" variant={building ? "light" : "default"} aria-pressed={building} onClick={() => setBuilding(!building)} style={{ alignSelf: "flex-end" }}>Builder</Button>}
        {source?.type !== "tempo" && <TextInput size="xs" label="Legend" placeholder="{{label}}, empty for all labels" value={asString(target["legendFormat"])} onChange={(e) => set("legendFormat", e.currentTarget.value)} w={220} />}
        {source?.type === "prometheus" && <Select size="xs" label="Format" data={[{ value: "time_series", label: "Time series" }, { value: "table", label: "Table" }, { value: "heatmap", label: "Heatmap" }]} value={asString(target["format"], "time_series")} onChange={(v) => set("format", v ?? undefined)} allowDeselect={false} w={120} />}
        {source?.type === "prometheus" && <Select size="xs" label="Asks for" data={[{ value: "range", label: "The range" }, { value: "instant", label: "The newest value" }]} value={asBool(target["instant"]) ? "instant" : "range"} onChange={(v) => { set("instant", v === "instant"); set("range", v !== "instant"); }} allowDeselect={false} w={150} />}
        {source?.type === "loki" && <Select size="xs" label="Asks for" data={[{ value: "range", label: "The range" }, { value: "instant", label: "The newest value" }]} value={asString(target["queryType"], "range")} onChange={(v) => set("queryType", v ?? undefined)} allowDeselect={false} w={150} />}
        {source?.type === "tempo" && <Select size="xs" label="Asks for" data={[{ value: "traceql", label: "Traces, by TraceQL" }, { value: "traceId", label: "One trace, by its id" }, { value: "serviceMap", label: "The service map" }]} value={asString(target["queryType"], "traceql")} onChange={(v) => set("queryType", v ?? undefined)} allowDeselect={false} w={190} />}
        {source?.type === "prometheus" && <TextInput size="xs" label="Least step" placeholder="15s" value={asString(target["interval"])} onChange={(e) => set("interval", e.currentTarget.value || undefined)} w={90} />}
        {source?.type === "loki" && <NumberInput size="xs" label="Most lines" placeholder="1000" value={asNumber(target["maxLines"]) ?? ""} onChange={(v) => set("maxLines", typeof v === "number" ? v : undefined)} min={1} max={5000} w={100} />}
        {source?.type === "tempo" && <NumberInput size="xs" label="Most traces" placeholder="20" value={asNumber(target["limit"]) ?? ""} onChange={(v) => set("limit", typeof v === "number" ? v : undefined)} min={1} max={1000} w={100} />}
        {source?.type === "prometheus" && <Switch size="xs" label="Exemplars" checked={asBool(target["exemplar"])} onChange={(e) => set("exemplar", e.currentTarget.checked)} />}
      </div>
    </div>
  );
}

/** The queries of a panel. */
export function QueryEditor({ panel, onChange }: Props) {
  const { sources } = useSession();
  const targets = asObjects(panel["targets"]);
  const choices = sources.filter((s) => usable.has(s.type));
  const own = readDatasource(panel["datasource"]);
  const current = resolveDatasource(own, choices)?.source;
  const put = (list: readonly JsonObject[], name?: string) => onChange({ ...panel, targets: list }, name);
  const choose = (uid: string | null) => {
    const source = choices.find((s) => s.uid === uid);
    if (source === undefined) return;
    const ref: JsonObject = { type: source.type, uid: source.uid };
    const same = source.type === current?.type;
    // A query of one language says nothing in another.
    onChange({ ...panel, datasource: ref, targets: same ? targets.map((t) => ({ ...t, datasource: ref })) : [{ refId: "A", datasource: ref, ...(source.type === "tempo" ? { queryType: "traceql", query: "{}" } : { expr: "" }) }] });
  };
  return (
    <>
      <div className="variables">
        <Select size="xs" label="Data source" data={choices.map((s) => ({ value: s.uid, label: s.name }))} value={current?.uid ?? null} onChange={choose} allowDeselect={false} w={190} />
        <NumberInput size="xs" label="Most points" placeholder="as wide as it is" value={asNumber(panel["maxDataPoints"]) ?? ""} onChange={(v) => onChange(setAt(panel, "maxDataPoints", typeof v === "number" ? v : undefined), "points")} min={1} w={130} />
        <TextInput size="xs" label="Range of its own" placeholder="such as 1h" value={asString(panel["timeFrom"])} onChange={(e) => onChange(setAt(panel, "timeFrom", e.currentTarget.value || undefined), "timeFrom")} w={120} />
        <TextInput size="xs" label="Shifted back by" placeholder="such as 1d" value={asString(panel["timeShift"])} onChange={(e) => onChange(setAt(panel, "timeShift", e.currentTarget.value || undefined), "timeShift")} w={120} />
      </div>
      {targets.map((t, i) => specialOf(readDatasource(t["datasource"])) === "expression" ? (
        <ExpressionEditor key={asString(t["refId"]) + String(i)} target={t} others={targets.filter((o) => o !== t).map((o) => asString(o["refId"]))} remove={() => put(targets.filter((_, n) => n !== i))}
          set={(key, value) => onChange({ ...panel, targets: targets.map((o, n) => (n === i ? setAt(o, key, value) : o)) }, `${String(t["refId"])} ${key}`)} />
      ) : (
        <Target key={asString(t["refId"]) + String(i)} target={t} panel={panel} alone={targets.length === 1} remove={() => put(targets.filter((_, n) => n !== i))}
          set={(key, value) => onChange({ ...panel, targets: targets.map((o, n) => (n === i ? setAt(o, key, value) : o)) }, `${String(t["refId"])} ${key}`)} />
      ))}
      <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => put([...targets, { refId: nextRef(targets), ...(panel["datasource"] == null ? {} : { datasource: panel["datasource"] }), ...(current?.type === "tempo" ? { queryType: "traceql", query: "{}" } : { expr: "" }) }])}>Add a query</Button>{" "}
      <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => put([...targets, { refId: nextRef(targets), datasource: { type: "__expr__", uid: "__expr__" }, type: "math", expression: "" }])}>Add an expression</Button>
    </>
  );
}
