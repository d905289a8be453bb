import { Autocomplete, Button, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { traceTags, traceTagValues } from "../api/tempo";
import { Icon } from "../components/Icon";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { buildTraceQuery, type Condition } from "../model/query/traceql";
import { useLoad } from "../state/useLoad";

const comparisons = ["=", "!=", "=~", "!~", ">", ">=", "<", "<="];

function Values({ source, tag, label, value, onChange }: { source: DatasourceInfo; tag: string; label: string; value: string; onChange: (value: string) => void }) {
  const [wanted, setWanted] = useState(false);
  const { data } = useLoad(wanted && tag !== "" ? `${source.uid} ${tag}` : undefined, (signal) => traceTagValues(source, tag, signal).catch(() => []));
  return <Autocomplete size="xs" label={label} placeholder="any" data={[...new Set(data ?? [])].slice(0, 500)} value={value} onChange={onChange} onFocus={() => setWanted(true)} limit={100} w={180} />;
}

/** A form that writes TraceQL. */
export function TraceSearch({ source, onQuery }: { source: DatasourceInfo; onQuery: (query: string) => void }) {
  const [service, setService] = useState("");
  const [name, setName] = useState("");
  const [status, setStatus] = useState("");
  const [longer, setLonger] = useState("");
  const [more, setMore] = useState<readonly Condition[]>([]);
  const [tagging, setTagging] = useState(false);
  const tags = useLoad(tagging ? `tags ${source.uid}` : undefined, () => traceTags(source).catch(() => []));
  const all: readonly Condition[] = [
    { field: "resource.service.name", operator: "=", value: service },
    { field: "name", operator: "=", value: name },
    { field: "status", operator: "=", value: status },
    { field: "duration", operator: ">", value: longer.trim() },
    ...more,
  ];
  const query = buildTraceQuery(all);
  const wrong = longer.trim() !== "" && !/^\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)$/.test(longer.trim());
  const put = (i: number, change: Partial<Condition>) => setMore(more.map((m, n) => (n === i ? { ...m, ...change } : m)));
  return (
    <form className="block" aria-label="Search traces" onSubmit={(e) => { e.preventDefault(); if (!wrong) onQuery(query); }}>
      <div className="variables" style={{ margin: 0, alignItems: "flex-end" }}>
        <Values source={source} tag="resource.service.name" label="Service" value={service} onChange={setService} />
        <Values source={source} tag="name" label="Span" value={name} onChange={setName} />
        <Select size="xs" label="Status" data={[{ value: "", label: "any" }, { value: "error", label: "failed" }, { value: "ok", label: "ok" }, { value: "unset", label: "unset" }]} value={status} onChange={(v) => setStatus(v ?? "")} allowDeselect={false} w={110} />
        <TextInput size="xs" label="Longer than" placeholder="100ms" value={longer} onChange={(e) => setLonger(e.currentTarget.value)} error={wrong} w={110} />
        {more.map((m, i) => (
          <div key={i} className="variables" style={{ margin: 0, alignItems: "flex-end" }}>
            <Autocomplete size="xs" label="Attribute" placeholder="span.http.route" data={[...new Set(tags.data ?? [])]} value={m.field} onChange={(v) => put(i, { field: v })} limit={100} w={190} />
            <Select size="xs" aria-label="How it compares" data={comparisons} value={m.operator} onChange={(v) => put(i, { operator: v ?? "=" })} allowDeselect={false} w={66} />
            <Values source={source} tag={m.field} label="Value" value={m.value} onChange={(v) => put(i, { value: v })} />
          </div>
        ))}
        <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => { setTagging(true); setMore([...more, { field: "", operator: "=", value: "" }]); }}>Attribute</Button>
        <Button size="compact-sm" type="submit" disabled={wrong} leftSection={<Icon name="search" size={14} />}>Search</Button>
      </div>
      <code className="mono muted" style={{ display: "block", marginTop: 8, overflowWrap: "anywhere" }}>{query}</code>
    </form>
  );
}
