/** Which component draws which type of panel. Those that every dashboard has come with the page, the rest when needed. */
import { lazy, type ComponentType } from "react";
import { StatPanel } from "./StatPanel";
import { TimeSeriesPanel } from "./TimeSeriesPanel";
import type { PanelProps } from "./types";

export interface Kind {
  title: string;
  draw: ComponentType<PanelProps>;
  /** It has something to show without data. */
  standsAlone?: boolean;
}

const kinds: Record<string, Kind> = {
  timeseries: { title: "Time series", draw: TimeSeriesPanel },
  stat: { title: "Stat", draw: StatPanel },
  gauge: { title: "Gauge", draw: lazy(() => import("./GaugePanel").then((m) => ({ default: m.GaugePanel }))) },
  bargauge: { title: "Bar gauge", draw: lazy(() => import("./BarGaugePanel").then((m) => ({ default: m.BarGaugePanel }))) },
  table: { title: "Table", draw: lazy(() => import("./TablePanel").then((m) => ({ default: m.TablePanel }))) },
  logs: { title: "Logs", draw: lazy(() => import("./LogsPanel").then((m) => ({ default: m.LogsPanel }))) },
  heatmap: { title: "Heatmap", draw: lazy(() => import("./HeatmapPanel").then((m) => ({ default: m.HeatmapPanel }))) },
  histogram: { title: "Histogram", draw: lazy(() => import("./BarChartPanel").then((m) => ({ default: m.HistogramPanel }))) },
  barchart: { title: "Bar chart", draw: lazy(() => import("./BarChartPanel").then((m) => ({ default: m.BarChartPanel }))) },
  piechart: { title: "Pie chart", draw: lazy(() => import("./PiePanel").then((m) => ({ default: m.PiePanel }))) },
  "state-timeline": { title: "State timeline", draw: lazy(() => import("./StatePanel").then((m) => ({ default: m.StateTimelinePanel }))) },
  "status-history": { title: "Status history", draw: lazy(() => import("./StatePanel").then((m) => ({ default: m.StatusHistoryPanel }))) },
  nodeGraph: { title: "Node graph", draw: lazy(() => import("./NodeGraphPanel").then((m) => ({ default: m.NodeGraphPanel }))) },
  traces: { title: "Traces", draw: lazy(() => import("./TracesPanel").then((m) => ({ default: m.TracesPanel }))) },
  flamegraph: { title: "Flame graph", draw: lazy(() => import("./FlamePanel").then((m) => ({ default: m.FlamePanel }))) },
  xychart: { title: "XY chart", draw: lazy(() => import("./XyPanel").then((m) => ({ default: m.XyPanel }))) },
  trend: { title: "Trend", draw: lazy(() => import("./XyPanel").then((m) => ({ default: m.TrendPanel }))) },
  candlestick: { title: "Candlesticks", draw: lazy(() => import("./CandlestickPanel").then((m) => ({ default: m.CandlestickPanel }))) },
  geomap: { title: "Places", draw: lazy(() => import("./GeomapPanel").then((m) => ({ default: m.GeomapPanel }))) },
  canvas: { title: "Canvas", standsAlone: true, draw: lazy(() => import("./CanvasPanel").then((m) => ({ default: m.CanvasPanel }))) },
  text: { title: "Text", standsAlone: true, draw: lazy(() => import("./TextPanel").then((m) => ({ default: m.TextPanel }))) },
  alertlist: { title: "Alert list", standsAlone: true, draw: lazy(() => import("./AlertListPanel").then((m) => ({ default: m.AlertListPanel }))) },
  annolist: { title: "Annotation list", standsAlone: true, draw: lazy(() => import("./AnnotationListPanel").then((m) => ({ default: m.AnnotationListPanel }))) },
  dashlist: { title: "Dashboard list", standsAlone: true, draw: lazy(() => import("./DashListPanel").then((m) => ({ default: m.DashListPanel }))) },
};

/** All that are drawn, for choosing one. */
export const kindList: readonly { type: string; title: string }[] = Object.entries(kinds).map(([type, k]) => ({ type, title: k.title }));

export const kindOf = (type: string): Kind | undefined => kinds[type];

/** Types that are not drawn: their data is shown as a table below a line that says so. */
export const tablePanel = kinds["table"] as Kind;
