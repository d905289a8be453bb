import "uplot/dist/uPlot.min.css";
import { useEffect, useMemo, useRef, useState, type MouseEvent } from "react";
import uPlot from "uplot";
import type { Exemplar } from "../../api/prometheus";
import { HoverBox } from "../../components/Tooltip";
import { displayCell, plainText } from "../../model/data/display";
import { labelText } from "../../model/data/names";
import type { TooltipOptions } from "../../model/panels/options";
import { stacked, type Chart, type Series } from "../../model/panels/series";
import { formatDateTime, formatDateTimeMs } from "../../model/time/format";
import type { Range } from "../../model/time/range";
import { resolveZone } from "../../model/time/zone";
import { traceIdOfLabels } from "../../model/traces/trace";
import type { FormatContext } from "../../model/units/format";
import type { Mark } from "../types";
import { drawExemplars, drawMarks, drawThresholds, type Dot } from "./overlay";
import { plotData, plotOptions } from "./plot";

interface Props {
  chart: Chart;
  hidden: ReadonlySet<string>;
  hovered: string | undefined;
  width: number;
  height: number;
  range: Range;
  zone: string;
  /** Of further time axes below the first. */
  furtherZones?: readonly string[];
  isDark: boolean;
  context: FormatContext;
  tooltip: TooltipOptions;
  marks: readonly Mark[];
  exemplars: readonly Exemplar[];
  syncKey?: string;
  onZoom: (range: Range) => void;
  onAnnotate?: (range: Range) => void;
  /** A click on a sample whose field has links. */
  onSample?: (series: Series, index: number, x: number, y: number) => void;
  /** A click on an exemplar; without it there is nowhere to go. */
  onExemplar?: (exemplar: Exemplar) => void;
}

interface Pointer {
  index: number;
  near: number | null;
  x: number;
  y: number;
  dot?: Dot;
  mark?: Mark;
}

const noZones: readonly string[] = [];

export function TimeSeriesChart(props: Props) {
  const { chart, hidden, hovered, width, height, range, isDark, zone, syncKey, furtherZones = noZones } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [pointer, setPointer] = useState<Pointer>();
  // What a drag that began here is for: with Ctrl a remark. Charts that share the crosshair are told of the drag, too, and do nothing.
  const drag = useRef<"zoom" | "remark">(undefined);
  const drawn = useMemo(() => ({ ...chart, series: stacked(unstack(chart), hidden) }), [chart, hidden]);
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const element = host.current;
    if (element === null || width < 20 || height < 20) return;
    let dots: readonly Dot[] = [];
    const onCursor = (u: uPlot) => {
      const { left = -1, top = -1, idx, event } = u.cursor;
      // A crosshair that another panel moves brings no box with it.
      if (left < 0 || idx == null || event === null || event === undefined || !(event.target instanceof Node) || !u.root.contains(event.target)) return setPointer(undefined);
      const box = u.over.getBoundingClientRect();
      const dot = dots.find((d) => Math.hypot(d.x - left, d.y - top) < 7);
      const mark = latest.current.marks.find((m) => {
        const [a, b] = [u.valToPos(m.from / 1000, "x"), u.valToPos(m.to / 1000, "x")];
        return top > u.over.clientHeight - 14 && left >= a - 4 && left <= b + 4;
      });
      setPointer({ index: idx, near: nearest(u, idx, top), x: box.left + left, y: box.top + top, ...(dot === undefined ? {} : { dot }), ...(mark === undefined ? {} : { mark }) });
    };
    const options = plotOptions({
      chart: drawn,
      hidden,
      width,
      height,
      isDark,
      zones: [zone, ...furtherZones].map(resolveZone),
      range,
      ...(syncKey === undefined ? {} : { syncKey }),
      hooks: {
        drawAxes: [(u) => drawThresholds(u, drawn, isDark)],
        draw: [
          (u) => {
            drawMarks(u, latest.current.marks);
            dots = drawExemplars(u, latest.current.exemplars, drawn.series[0]?.scale, isDark);
          },
        ],
        setCursor: [onCursor],
        setSelect: [
          (u) => {
            const { left, width: w } = u.select;
            const { onZoom, onAnnotate } = latest.current;
            const chosen = { from: u.posToVal(left, "x") * 1000, to: u.posToVal(left + w, "x") * 1000 };
            if (w > 4 && drag.current !== undefined) (drag.current === "remark" && onAnnotate !== undefined ? onAnnotate : onZoom)(chosen);
            drag.current = undefined;
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    });
    const made = new uPlot(options, plotData(drawn), element);
    plot.current = made;
    return () => {
      plot.current = undefined;
      made.destroy();
    };
  }, [drawn, hidden, width, height, isDark, zone, furtherZones, range, syncKey]);

  useEffect(() => {
    const u = plot.current;
    if (u === undefined) return;
    const index = hovered === undefined ? -1 : drawn.series.findIndex((s) => s.name === hovered);
    u.series.forEach((s, i) => {
      if (i > 0) s.alpha = index < 0 || i === index + 1 ? 1 : 0.2;
    });
    u.redraw(false);
  }, [hovered, drawn]);

  useEffect(() => {
    plot.current?.redraw(false);
  }, [props.marks, props.exemplars]);

  const click = (event: MouseEvent) => {
    if (pointer === undefined) return;
    const at = chart.times[pointer.index];
    if ((event.ctrlKey || event.metaKey) && at !== undefined) props.onAnnotate?.({ from: at, to: at });
    else if (pointer.dot !== undefined) props.onExemplar?.(pointer.dot.exemplar);
    else if (linked !== undefined) props.onSample?.(linked, pointer.index, event.clientX, event.clientY);
  };
  const near = pointer?.near == null ? undefined : drawn.series[pointer.near];
  const linked = props.onSample !== undefined && near !== undefined && near.field.config.links.length > 0 ? near : undefined;
  return (
    <>
      <div ref={host} onMouseLeave={() => setPointer(undefined)} onMouseDown={(e) => (drag.current = e.ctrlKey || e.metaKey ? "remark" : "zoom")} onClick={click} style={(pointer?.dot !== undefined && props.onExemplar !== undefined) || linked !== undefined ? { cursor: "pointer" } : undefined} />
      {pointer !== undefined && <Box pointer={pointer} {...props} />}
    </>
  );
}

/** The series as they were before they were stacked, since hiding one moves those above. */
function unstack(chart: Chart): Chart["series"] {
  return chart.series.map((s) => {
    if (s.style.stack === "none") return s;
    const sign = s.style.transform === "negative-Y" ? -1 : 1;
    const { on: _on, ...rest } = s;
    return { ...rest, drawn: s.values.map((v) => (v === null || !Number.isFinite(v) ? null : v * sign)) };
  });
}

function nearest(u: uPlot, index: number, top: number): number | null {
  let best: number | null = null;
  let distance = 30;
  u.series.forEach((s, i) => {
    if (i === 0 || s.show === false || s.scale === undefined) return;
    const value = u.data[i]?.[index];
    if (value == null) return;
    const d = Math.abs(u.valToPos(value, s.scale) - top);
    if (d < distance) [best, distance] = [i - 1, d];
  });
  return best;
}

const ROWS = 20;

function Box({ pointer, chart, hidden, tooltip, zone, isDark, context, onExemplar }: Props & { pointer: Pointer }) {
  if (pointer.dot !== undefined) {
    const { exemplar } = pointer.dot;
    return (
      <HoverBox x={pointer.x} y={pointer.y}>
        <div className="tooltip-time">Exemplar · {formatDateTimeMs(exemplar.timeMs, zone)}</div>
        <div className="tooltip-row">
          <span />
          <span>Value</span>
          <b>{exemplar.value}</b>
        </div>
        {Object.entries(exemplar.labels).map(([k, v]) => (
          <div className="tooltip-row" key={k}>
            <span />
            <span>{k}</span>
            <b className="mono">{v}</b>
          </div>
        ))}
        <div className="muted">{labelText(exemplar.series)}</div>
        {onExemplar !== undefined && traceIdOfLabels(exemplar.labels) !== undefined && <div>A click opens the trace.</div>}
      </HoverBox>
    );
  }
  if (pointer.mark !== undefined) {
    return (
      <HoverBox x={pointer.x} y={pointer.y}>
        <div className="tooltip-time">{formatDateTime(pointer.mark.from, zone)}</div>
        <strong>{pointer.mark.title}</strong>
        <div>{pointer.mark.text}</div>
      </HoverBox>
    );
  }
  if (tooltip.mode === "none") return null;
  const near = pointer.near === null ? undefined : chart.series[pointer.near]?.name;
  const rows = chart.series
    .filter((s) => !hidden.has(s.name) && !s.style.hideTooltip && !s.style.hideViz)
    .map((s) => ({ s, value: s.values[pointer.index] ?? null }))
    .filter((r) => (tooltip.mode === "single" ? r.s.name === near : r.value !== null));
  if (rows.length === 0) return null;
  if (tooltip.sort !== "none") rows.sort((a, b) => (Number(a.value) - Number(b.value)) * (tooltip.sort === "asc" ? 1 : -1));
  return (
    <HoverBox x={pointer.x} y={pointer.y}>
      <div className="tooltip-time">{formatDateTime(chart.times[pointer.index] ?? 0, zone)}</div>
      {rows.slice(0, ROWS).map(({ s, value }) => (
        <div key={s.name} className={s.name === near ? "tooltip-row near" : "tooltip-row"}>
          <span className="swatch" style={{ background: s.color }} />
          <span>{s.name}</span>
          <b>{plainText(displayCell(s.field, value, isDark, context))}</b>
        </div>
      ))}
      {rows.length > ROWS && <div className="muted">and {rows.length - ROWS} more</div>}
      {rows.some(({ s }) => s.name === near && s.field.config.links.length > 0) && <div className="muted">A click shows where it leads.</div>}
    </HoverBox>
  );
}
