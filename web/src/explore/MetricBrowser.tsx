import { Badge, Modal, ScrollArea, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { labelValues, metadata } from "../api/prometheus";
import { ErrorNote, Loading } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import type { Range } from "../model/time/range";
import { useLoad } from "../state/useLoad";

/** What a metric of a kind is most often asked. */
export function startingQuery(name: string, type: string): string {
  if (type === "histogram" && !/_(sum|count)$/.test(name)) return `histogram_quantile(0.95, sum by (le) (rate(${name.replace(/_bucket$/, "")}_bucket[$__rate_interval])))`;
  return type === "counter" || /_(total|count|sum)$/.test(name) ? `sum(rate(${name}[$__rate_interval]))` : name;
}

/** Every metric there is, with what it means; a click begins a query. */
export function MetricBrowser({ source, range, onPick, onClose }: { source: DatasourceInfo; range: Range; onPick: (query: string) => void; onClose: () => void }) {
  const [text, setText] = useState("");
  const { data, error } = useLoad(source.uid, async (signal) => {
    const [names, meta] = await Promise.all([labelValues(source, "__name__", range, undefined, signal), metadata(source, signal).catch(() => new Map<string, never>())]);
    return names.map((name) => ({ name, about: meta.get(name) ?? meta.get(name.replace(/_(bucket|sum|count)$/, "")) }));
  });
  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return (data ?? []).filter((m) => words.every((w) => `${m.name} ${m.about?.help ?? ""}`.toLowerCase().includes(w)));
  }, [data, text]);
  return (
    <Modal opened onClose={onClose} title="Metrics" size="lg">
      <TextInput data-autofocus placeholder="Search names and descriptions" aria-label="Search metrics" value={text} onChange={(e) => setText(e.currentTarget.value)} mb="sm" />
      {error !== undefined && <ErrorNote title="The metrics could not be listed" text={error} />}
      {data === undefined && error === undefined && <Loading what="metrics" />}
      <p className="muted" role="status">{shown.length} metrics</p>
      <ScrollArea.Autosize mah="55vh">
        {shown.slice(0, 300).map((m) => (
          <button key={m.name} type="button" className="range-option" onClick={() => onPick(startingQuery(m.name, m.about?.type ?? ""))}>
            <span className="mono">{m.name}</span> {m.about !== undefined && <Badge size="xs" variant="light" tt="none">{m.about.type}</Badge>}
            {m.about !== undefined && m.about.help !== "" && <div className="muted">{m.about.help}</div>}
          </button>
        ))}
      </ScrollArea.Autosize>
    </Modal>
  );
}
