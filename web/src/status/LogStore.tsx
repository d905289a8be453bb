import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import { lokiLabels, lokiLabelValues, lokiTotals, lokiVolume } from "../api/loki";
import { Of } from "../alerting/parts";
import { Empty } from "../components/Notes";
import { explorePath } from "../dashboard/links";
import { formatValue } from "../model/units/format";
import { useSource } from "../state/session";
import { useLoad } from "../state/useLoad";

const spans = [{ value: "3600000", label: "1 hour" }, { value: "86400000", label: "1 day" }, { value: "604800000", label: "1 week" }];
const MOST_LABELS = 40;

/** How much of logs there is, by which labels, and which label makes the streams. */
export function LogStore() {
  const source = useSource("loki");
  const [span, setSpan] = useState("3600000");
  const [label, setLabel] = useState<string>();
  const loaded = useLoad(source === undefined ? undefined : `${source.uid} ${span}`, async (signal) => {
    if (source === undefined) return undefined;
    const to = Date.now();
    const range = { from: to - Number(span), to };
    const names = (await lokiLabels(source, range, signal)).slice(0, MOST_LABELS);
    const values = await Promise.all(names.map(async (name) => ({ name, values: await lokiLabelValues(source, name, range, undefined, signal) })));
    // A selector must name something: the label that is there most often stands in for everything.
    const all = values.find((v) => v.name === "job") ?? values.find((v) => v.name === "service") ?? values[0];
    const selector = all === undefined ? undefined : `{${all.name}=~".+"}`;
    const totals = selector === undefined ? undefined : await lokiTotals(source, selector, range, signal);
    return { range, values: values.sort((a, b) => b.values.length - a.values.length), selector, totals };
  });
  const shown = label ?? loaded.data?.values.find((v) => v.name === "service")?.name ?? loaded.data?.values[0]?.name;
  const data = loaded.data;
  const volume = useLoad(source === undefined || data?.selector === undefined || shown === undefined ? undefined : `${source.uid} ${span} ${shown}`, async (signal) => (source === undefined || data?.selector === undefined || shown === undefined ? [] : lokiVolume(source, data.selector, shown, data.range, 30, signal)));
  if (source === undefined) return <Empty title="There is no Loki data source" />;
  return (
    <>
      <div className="page-actions" style={{ marginBottom: 10 }}><SegmentedControl size="xs" aria-label="Of the last" data={spans} value={span} onChange={setSpan} /></div>
      <Of loaded={loaded} what="log store">
        {(d) => d === undefined || d.totals === undefined ? <Empty title="No logs in this time" /> : (
          <>
            <div className="facts">
              <div className="fact"><b>{formatValue(d.totals.streams, "short")}</b><span>streams</span></div>
              <div className="fact"><b>{formatValue(d.totals.entries, "short")}</b><span>lines</span></div>
              <div className="fact"><b>{formatValue(d.totals.bytes, "decbytes")}</b><span>of text</span></div>
              <div className="fact"><b>{d.values.length}</b><span>labels</span></div>
            </div>
            <div className="two">
              <div className="block">
                <h2>Labels with most values</h2>
                <table className="data"><tbody>{d.values.map((v) => (
                  <tr key={v.name}>
                    <td><button type="button" className="tag mono" aria-pressed={v.name === shown} onClick={() => setLabel(v.name)}>{v.name}</button></td>
                    <td className="muted" style={{ overflowWrap: "anywhere" }}>{v.values.slice(0, 4).join(", ")}{v.values.length > 4 && " …"}</td>
                    <td className="num">{v.values.length}</td>
                  </tr>
                ))}</tbody></table>
              </div>
              <div className="block">
                <h2>Text by {shown}</h2>
                <table className="data"><tbody>{(volume.data ?? []).map((v) => (
                  <tr key={v.value}>
                    <td><a className="mono" style={{ overflowWrap: "anywhere" }} href={explorePath(source.uid, [{ refId: "A", expr: `{${shown ?? ""}=${JSON.stringify(v.value)}}` }], { from: String(d.range.from), to: String(d.range.to) })}>{v.value === "" ? "(none)" : v.value}</a></td>
                    <td style={{ width: "40%" }}><span className="bar-track" style={{ display: "block", minHeight: 8, height: 8 }}><span className="bar-fill" style={{ display: "block", width: `${(v.bytes / Math.max(1, volume.data?.[0]?.bytes ?? 1)) * 100}%`, background: "var(--accent)" }} /></span></td>
                    <td className="num">{formatValue(v.bytes, "decbytes")}</td>
                  </tr>
                ))}</tbody></table>
              </div>
            </div>
          </>
        )}
      </Of>
    </>
  );
}
