import { useCallback, useMemo, useState } from "react";
import type { Exemplar } from "../api/prometheus";
import { Legend } from "../components/Legend";
import { useSize } from "../components/useSize";
import { asStrings } from "../model/json";
import { readLegend, readTooltip } from "../model/panels/options";
import { displayCell, plainText } from "../model/data/display";
import { linkTemplate } from "../model/data/links";
import { buildChart, type Series } from "../model/panels/series";
import { traceIdOfLabels } from "../model/traces/trace";
import { explorePath, safeHref } from "../dashboard/links";
import { useSource } from "../state/session";
import { ExemplarMenu } from "./timeseries/ExemplarMenu";
import { SampleLinks } from "./timeseries/SampleLinks";
import { TimeSeriesChart } from "./timeseries/TimeSeriesChart";
import type { PanelProps } from "./types";

/** The names that stay hidden after a click in the legend. */
export function toggled(hidden: ReadonlySet<string>, names: readonly string[], name: string, alone: boolean): ReadonlySet<string> {
  if (!alone) {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    return next;
  }
  const others = names.filter((n) => n !== name);
  const isAlone = !hidden.has(name) && others.every((n) => hidden.has(n));
  return isAlone ? new Set() : new Set(others);
}

export function TimeSeriesPanel({ panel, frames, range, zone, isDark, context, marks, exemplars, syncKey, onZoom, onAnnotate, text }: PanelProps) {
  const chart = useMemo(() => buildChart(frames, isDark), [frames, isDark]);
  const legend = useMemo(() => readLegend(panel.options), [panel.options]);
  // The panel may have time zones of its own: an empty one is the dashboard's.
  const zones = useMemo(() => asStrings(panel.options["timezone"]).map((z) => z || zone), [panel.options, zone]);
  const further = useMemo(() => zones.slice(1, 4), [zones]);
  const tooltip = useMemo(() => readTooltip(panel.options), [panel.options]);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hovered, setHovered] = useState<string>();
  const [ref, size] = useSize<HTMLDivElement>();
  const tempo = useSource("tempo");
  const openTrace = (exemplar: Exemplar) => {
    const id = traceIdOfLabels(exemplar.labels);
    if (id !== undefined && tempo !== undefined) window.location.assign(explorePath(tempo.uid, [{ refId: "A", expr: id }], { from: String(Math.round(range.from)), to: String(Math.round(range.to)) }));
  };
  const [links, setLinks] = useState<{ x: number; y: number; list: readonly { title: string; href: string; blank: boolean }[] }>();
  const openLinks = (series: Series, index: number, x: number, y: number) => {
    const { field } = series;
    const frame = frames.find((f) => f.fields.includes(field)) ?? { refId: "", fields: [field] };
    const value = series.values[index] ?? null;
    const about = { field, frame, all: frames, row: -1, value, shown: plainText(displayCell(field, value, isDark, context)), ...(chart.times[index] === undefined ? {} : { timeMs: chart.times[index] }) };
    setLinks({ x, y, list: field.config.links.map((l) => ({ title: text(linkTemplate(l.title || l.url, about), "text"), href: safeHref(text(linkTemplate(l.url, about), "url")) ?? "#", blank: l.targetBlank })) });
  };
  const items = useMemo(() => chart.series.filter((s) => !s.style.hideLegend), [chart]);
  const onToggle = useCallback((name: string, alone: boolean) => setHidden((h) => toggled(h, chart.series.map((s) => s.name), name, alone)), [chart]);
  return (
    <div className={legend.placement === "right" ? "chart right" : "chart"}>
      <div className="chart-plot" ref={ref}>
        <div role="img" aria-label={`${panel.title}: chart of ${chart.series.length} series`}>
          <TimeSeriesChart
            chart={chart}
            hidden={hidden}
            hovered={hovered}
            width={size.width}
            height={size.height}
            range={range}
            zone={zones[0] ?? zone}
            furtherZones={further}
            isDark={isDark}
            context={context}
            tooltip={tooltip}
            marks={marks}
            exemplars={exemplars}
            {...(syncKey === undefined ? {} : { syncKey })}
            onZoom={onZoom}
            {...(onAnnotate === undefined ? {} : { onAnnotate })}
            onSample={openLinks}
            {...(tempo === undefined ? {} : { onExemplar: openTrace })}
          />
        </div>
        {exemplars.length > 0 && tempo !== undefined && <ExemplarMenu exemplars={exemplars} unit={chart.series[0]?.field.config.unit ?? ""} zone={zone} onOpen={openTrace} />}
      </div>
      {links !== undefined && <SampleLinks {...links} onClose={() => setLinks(undefined)} />}
      {legend.show && items.length > 0 && <Legend items={items} options={legend} hidden={hidden} onToggle={onToggle} onHover={setHovered} context={context} isDark={isDark} />}
    </div>
  );
}
