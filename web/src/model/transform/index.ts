/** Runs the transformations of a panel in their order. */
import { asString, asStrings, type JsonObject } from "../json";
import { field, rowCount, timeField, type Frame } from "../data/frame";
import type { Transformation } from "../dashboard/types";
import { calculateField, convertFieldType, extractFields, filterFieldsByName, organize, regexFrom, renameByRegex, type Transform } from "./columns";
import { joinBy, nameOf, pickRows } from "./rows";
import { configFromData, formatString, formatTime, groupingToMatrix, heatmap, histogram, joinByLabels, timeSeriesTable, transpose } from "./shapes";
import { filterByValue, groupBy, joinByField, labelsToFields, limit, merge, reduce, seriesToRows, sortBy } from "./tables";

const filterByRefId: Transform = (frames, options) => {
  const include = asString(options["include"]);
  const pattern = regexFrom(include.startsWith("/") ? include : `^(?:${include})$`);
  return include === "" ? frames : frames.filter((f) => pattern?.test(f.refId) === true);
};

const concatenate: Transform = (frames) => {
  const rows = Math.max(0, ...frames.map(rowCount));
  return [{ refId: frames[0]?.refId ?? "A", kind: "table", fields: frames.flatMap((f) => f.fields.map((x) => ({ ...x, values: Array.from({ length: rows }, (_, i) => x.values[i] ?? null) }))) }];
};

const prepareTimeSeries: Transform = (frames, options) => {
  if (options["format"] !== "wide") return frames;
  const wide = joinBy(frames, timeField, "outer");
  return wide === undefined ? frames : [wide];
};

const partitionByValues: Transform = (frames, options) => {
  const names = asStrings(options["fields"]);
  return frames.flatMap((frame) => {
    const keys = frame.fields.filter((f) => names.includes(nameOf(f, frame, frames)));
    if (keys.length === 0) return [frame];
    const groups = new Map<string, number[]>();
    for (let row = 0; row < rowCount(frame); row++) {
      const key = keys.map((f) => String(f.values[row])).join(" ");
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
    return [...groups].map(([name, rows]) => ({ ...pickRows(frame, rows), name }));
  });
};

/** The first column's values become the names of the columns. */
const rowsToFields: Transform = (frames) => frames.map((frame) => {
  const name = frame.fields.find((f) => f.type === "string");
  const value = frame.fields.find((f) => f.type === "number");
  if (name === undefined || value === undefined) return frame;
  return { ...frame, fields: name.values.map((n, i) => ({ ...field(String(n), "number", [value.values[i]]), config: value.config })) };
});

const transforms: Record<string, Transform> = {
  organize, merge, reduce, calculateField, filterFieldsByName, filterByRefId, filterByValue, joinByField, groupBy, sortBy, labelsToFields, renameByRegex,
  convertFieldType, limit, concatenate, prepareTimeSeries, partitionByValues, extractFields, rowsToFields, seriesToRows,
  seriesToColumns: joinByField,
  filterByName: filterFieldsByName,
  groupingToMatrix, transpose, joinByLabels, timeSeriesTable, histogram, heatmap, formatTime, formatString, configFromData,
};

export function runTransformations(frames: readonly Frame[], list: readonly Transformation[]): { frames: readonly Frame[]; notices: readonly string[] } {
  const notices: string[] = [];
  const result = list.filter((t) => !t.disabled).reduce((now, { id, options, filter }) => {
    const run = transforms[id];
    if (run === undefined) {
      notices.push(`The transformation "${id}" is not known and was skipped.`);
      return now;
    }
    return limitedTo(now, filter, (some) => run(some, options));
  }, frames);
  return { frames: result, notices };
}

/** A filter leaves the frames that it does not pick as they are. */
function limitedTo(frames: readonly Frame[], filter: JsonObject | undefined, run: (frames: readonly Frame[]) => readonly Frame[]): readonly Frame[] {
  if (filter === undefined || filter["id"] !== "byRefId") return run(frames);
  const pattern = regexFrom(`^(?:${asString(filter["options"])})$`);
  const picked = frames.filter((f) => pattern?.test(f.refId) === true);
  return [...run(picked), ...frames.filter((f) => !picked.includes(f))];
}
