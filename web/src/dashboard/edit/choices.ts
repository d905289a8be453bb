/** The options of each kind of panel that have a field of their own in the editor, where they stand in the JSON, and their defaults. */
interface Item {
  value: string;
  label: string;
}

interface Base {
  path: string;
  label: string;
}

export type Choice =
  | (Base & { kind: "select"; data: readonly Item[]; initial: string })
  | (Base & { kind: "number"; hint: string; min?: number; max?: number })
  | (Base & { kind: "switch"; initial: boolean })
  | (Base & { kind: "text"; hint: string })
  | (Base & { kind: "long" })
  | (Base & { kind: "calcs"; most?: number });

const select = (path: string, label: string, initial: string, ...items: readonly (readonly [string, string])[]): Choice => ({ kind: "select", path, label, initial, data: items.map(([value, text]) => ({ value, label: text })) });
const number = (path: string, label: string, hint: string, min?: number, max?: number): Choice => ({ kind: "number", path, label, hint, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) });
const toggle = (path: string, label: string, initial: boolean): Choice => ({ kind: "switch", path, label, initial });

const custom = "fieldConfig.defaults.custom";

const legend: readonly Choice[] = [
  toggle("options.legend.showLegend", "Legend", true),
  select("options.legend.displayMode", "Legend as", "list", ["list", "A list"], ["table", "A table"]),
  select("options.legend.placement", "Legend stands", "bottom", ["bottom", "Below"], ["right", "On the right"]),
  { kind: "calcs", path: "options.legend.calcs", label: "Legend shows" },
];
const tooltip: readonly Choice[] = [select("options.tooltip.mode", "Tooltip", "single", ["single", "One series"], ["multi", "All series"], ["none", "None"]), select("options.tooltip.sort", "Tooltip sorted", "none", ["none", "As they come"], ["desc", "Greatest first"], ["asc", "Least first"])];
const reduce: readonly Choice[] = [{ kind: "calcs", path: "options.reduceOptions.calcs", label: "Shows the", most: 1 }];
const color = select("fieldConfig.defaults.color.mode", "Colours", "palette-classic", ["palette-classic", "One a series"], ["palette-classic-by-name", "By name"], ["thresholds", "By limits"], ["fixed", "One for all"], ["continuous-GrYlRd", "Green to red"], ["continuous-blues", "Blues"]);
const fixed: Choice = { kind: "text", path: "fieldConfig.defaults.color.fixedColor", label: "That colour", hint: "blue, #5794F2" };
const orientation = select("options.orientation", "Direction", "auto", ["auto", "As it fits"], ["horizontal", "Across"], ["vertical", "Upright"]);
const scheme: readonly Choice[] = [color, fixed];

const states: readonly Choice[] = [toggle("options.mergeValues", "Join equal values", true), select("options.showValue", "Show values", "auto", ["auto", "Where they fit"], ["always", "Always"], ["never", "Never"]), number("options.rowHeight", "Height of lanes", "0.9", 0, 1), ...scheme];

const byType: Readonly<Record<string, readonly Choice[]>> = {
  timeseries: [
    select(`${custom}.drawStyle`, "Drawn as", "line", ["line", "Lines"], ["bars", "Bars"], ["points", "Points"]),
    select(`${custom}.lineInterpolation`, "Lines are", "linear", ["linear", "Straight"], ["smooth", "Smooth"], ["stepBefore", "Steps before"], ["stepAfter", "Steps after"]),
    number(`${custom}.lineWidth`, "Width", "1", 0, 10),
    number(`${custom}.fillOpacity`, "Fill (%)", "0", 0, 100),
    select(`${custom}.gradientMode`, "Fill fades", "none", ["none", "No"], ["opacity", "Downward"], ["hue", "In colour"], ["scheme", "By the scheme"]),
    select(`${custom}.stacking.mode`, "Stacked", "none", ["none", "No"], ["normal", "Yes"], ["percent", "To 100 %"]),
    select(`${custom}.showPoints`, "Points", "auto", ["auto", "Where there is room"], ["always", "Always"], ["never", "Never"]),
    toggle(`${custom}.spanNulls`, "Join over gaps", false),
    select(`${custom}.thresholdsStyle.mode`, "Limits drawn", "off", ["off", "No"], ["line", "As lines"], ["dashed", "Dashed"], ["area", "As areas"], ["line+area", "Lines and areas"]),
    select(`${custom}.axisPlacement`, "Axis", "auto", ["auto", "As it fits"], ["left", "Left"], ["right", "Right"], ["hidden", "None"]),
    { kind: "text", path: `${custom}.axisLabel`, label: "Axis is called", hint: "" },
    select(`${custom}.scaleDistribution.type`, "Scale", "linear", ["linear", "Linear"], ["log", "Logarithmic"], ["symlog", "Logarithmic around 0"]),
    ...scheme, ...legend, ...tooltip,
  ],
  stat: [...reduce, toggle("options.showPercentChange", "Change over the range", false), select("options.colorMode", "Coloured", "value", ["value", "The value"], ["background", "The ground"], ["background_solid", "The ground, evenly"], ["none", "Nothing"]), select("options.graphMode", "Small graph", "area", ["area", "Yes"], ["none", "No"]), select("options.textMode", "Says", "auto", ["auto", "What fits"], ["value", "The value"], ["value_and_name", "Value and name"], ["name", "The name"], ["none", "Nothing"]), orientation, ...scheme],
  gauge: [...reduce, toggle("options.showThresholdLabels", "Limits as numbers", false), toggle("options.showThresholdMarkers", "Limits as a ring", true), ...scheme],
  bargauge: [...reduce, select("options.namePlacement", "Names stand", "auto", ["auto", "As they fit"], ["top", "Above"], ["left", "Left"], ["hidden", "Nowhere"]), toggle("options.showUnfilled", "The rest of the bar", true), select("options.displayMode", "Bars are", "gradient", ["basic", "Plain"], ["gradient", "Fading"], ["lcd", "Cells"]), orientation, select("options.valueMode", "Values", "color", ["color", "Coloured"], ["text", "Plain"], ["hidden", "Hidden"]), ...scheme],
  piechart: [...reduce, select("options.pieType", "Shape", "pie", ["pie", "Pie"], ["donut", "Ring"]), ...scheme, ...legend],
  barchart: [orientation, number("options.xTickLabelRotation", "Labels turned by", "0", -90, 90), { kind: "text", path: "options.colorByField", label: "Coloured by", hint: "a field" }, select("options.stacking", "Stacked", "none", ["none", "No"], ["normal", "Yes"], ["percent", "To 100 %"]), select("options.showValue", "Show values", "auto", ["auto", "Where they fit"], ["always", "Always"], ["never", "Never"]), ...scheme, ...legend],
  histogram: [number("options.bucketSize", "Width of buckets", "by the data", 0), number("options.bucketOffset", "They begin at", "0"), toggle("options.combine", "All series together", false), ...scheme, ...legend],
  heatmap: [toggle("options.calculate", "Count values into buckets", false), toggle("options.legend.show", "Key of colours", true),select("options.color.scheme", "Colours", "Oranges", ["Oranges", "Oranges"], ["Blues", "Blues"], ["Greens", "Greens"], ["Spectral", "Spectral"], ["RdYlGn", "Red to green"], ["Turbo", "Turbo"], ["Greys", "Greys"]), { kind: "text", path: "options.yAxis.unit", label: "Unit of the axis", hint: "s" }, number("options.cellGap", "Gap of cells", "1", 0, 10), toggle("options.calculate", "Make buckets of the values", false)],
  table: [toggle("options.showHeader", "Head", true), toggle(`${custom}.filterable`, "Filters below the head", false), toggle("options.footer.enablePagination", "In pages", false), toggle("options.footer.show", "Foot", false), { kind: "calcs", path: "options.footer.reducer", label: "Foot shows" }, select("options.cellHeight", "Rows are", "sm", ["sm", "Low"], ["md", "Middling"], ["lg", "High"]), select(`${custom}.cellOptions.type`, "Cells", "auto", ["auto", "Plain"], ["color-text", "Coloured text"], ["color-background", "Coloured ground"], ["gauge", "Bars"], ["json-view", "JSON"]), select(`${custom}.align`, "Align", "auto", ["auto", "By kind"], ["left", "Left"], ["center", "Middle"], ["right", "Right"]), ...scheme],
  logs: [toggle("options.showTime", "Time", true), toggle("options.showLabels", "Labels", false), toggle("options.wrapLogMessage", "Wrap lines", false), toggle("options.prettifyLogMessage", "JSON over several lines", false), toggle("options.enableLogDetails", "Details on a click", true), select("options.dedupStrategy", "Equal lines", "none", ["none", "Each"], ["exact", "Folded"], ["numbers", "Folded but for numbers"], ["signature", "Folded but for words"]), select("options.sortOrder", "Order", "Descending", ["Descending", "Newest first"], ["Ascending", "Oldest first"])],
  xychart: [select(`${custom}.show`, "Drawn as", "points", ["points", "Points"], ["lines", "Lines"], ["points+lines", "Both"]), number(`${custom}.pointSize.fixed`, "Size of points", "5", 1, 50), { kind: "text", path: "options.dims.x", label: "Across", hint: "the first number" }, ...scheme, ...legend],
  trend: [{ kind: "text", path: "options.xField", label: "Across", hint: "the first number" }, ...scheme, ...legend],
  candlestick: [select("options.mode", "Shows", "candles+volume", ["candles+volume", "Prices and volume"], ["candles", "Prices"], ["volume", "Volume"]), select("options.candleStyle", "Drawn as", "candles", ["candles", "Candles"], ["ohlcbars", "Bars"]), select("options.colorStrategy", "It rose", "open-close", ["open-close", "Since it opened"], ["close-close", "Since the last close"]), ...["open", "high", "low", "close", "volume"].map((f): Choice => ({ kind: "text", path: `options.fields.${f}`, label: `Field of ${f}`, hint: "by its name" }))],
  dashlist: [toggle("options.showStarred", "Starred", false), toggle("options.showRecentlyViewed", "Looked at lately", false), toggle("options.showSearch", "Found", true), { kind: "text", path: "options.query", label: "Whose title has", hint: "" }, number("options.maxItems", "At most", "10", 1), toggle("options.keepTime", "Links keep the time", false), toggle("options.includeVars", "Links keep variables", false)],
  annolist: [number("options.limit", "At most", "10", 1), toggle("options.onlyFromThisDashboard", "Of this dashboard only", false), toggle("options.onlyInTimeRange", "Of the time shown only", false)],
  "state-timeline": states,
  "status-history": states,
  text: [select("options.mode", "Written in", "markdown", ["markdown", "Markdown"], ["html", "HTML"], ["code", "Plain text"]), { kind: "long", path: "options.content", label: "Text" }],
  alertlist: [select("options.viewMode", "Shows", "list", ["list", "A list"], ["stat", "How many"]), { kind: "text", path: "options.alertInstanceLabelFilter", label: "Whose labels match", hint: '{severity="critical"}' },{ kind: "text", path: "options.alertName", label: "Alerts whose name has", hint: "" }, number("options.maxItems", "At most", "20", 1), toggle("options.stateFilter.firing", "Firing", true), toggle("options.stateFilter.pending", "Pending", true), toggle("options.stateFilter.normal", "Quiet", false)],
};

export const choicesFor = (type: string): readonly Choice[] => byType[type] ?? [];
