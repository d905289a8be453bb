/** Annotations from queries: what a series or a line of a log marks on every chart. */
import { legendName } from "../data/names";
import type { Labels } from "../data/frame";
import type { PromSeries } from "../data/prometheus";
import { asBool, asString, type JsonObject } from "../json";

export interface Event {
  from: number;
  to: number;
  title: string;
  text: string;
}

const written = (format: string, labels: Labels): string => legendName(format, labels).trim();

/** Stretches in which a series has a value other than zero; samples a step apart belong together. */
export function eventsOfSeries(series: readonly PromSeries[], raw: JsonObject, stepMs: number): readonly Event[] {
  const titleFormat = asString(raw["titleFormat"]) || "{{alertname}}";
  const textFormat = asString(raw["textFormat"]);
  const useValue = raw["useValueForTime"] === true || raw["useValueForTime"] === "on";
  return series.flatMap(({ metric, values }) => {
    const about = { title: written(titleFormat, metric), text: written(textFormat, metric) };
    if (useValue) return [...new Set(values.map((v) => Number(v[1])))].filter(Number.isFinite).map((t) => ({ ...about, from: t, to: t }));
    const events: Event[] = [];
    let open: Event | undefined;
    for (const [seconds, value] of values) {
      const t = seconds * 1000;
      const on = Number(value) !== 0;
      if (open !== undefined && on && t - open.to <= stepMs * 1.5) open.to = t;
      else if (on) {
        open = { ...about, from: t, to: t };
        events.push(open);
      } else open = undefined;
    }
    return events;
  });
}

export const isEnabled = (raw: JsonObject, off: boolean | undefined): boolean => (off === undefined ? asBool(raw["enable"], true) : !off);
