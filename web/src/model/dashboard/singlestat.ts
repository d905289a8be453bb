/** The old `singlestat` panel as a stat or a gauge. */
import { asArray, asBool, asNumber, asObject, asObjects, asString, at, type Json, type JsonObject } from "../json";
import { typedMappings } from "./migrate";

const calcs: Record<string, string> = {
  avg: "mean", current: "lastNotNull", min: "min", max: "max", total: "sum", first: "firstNotNull", delta: "delta", diff: "diff", range: "range", name: "lastNotNull", last_time: "lastNotNull",
};

function steps(panel: JsonObject): Json[] {
  const colors = asArray(panel["colors"]).map((c) => asString(c));
  const values = asString(panel["thresholds"])
    .split(",")
    .map((t) => asNumber(t.trim()))
    .filter((n): n is number => n !== undefined);
  return [null, ...values].map((value, i) => ({ color: colors[i] ?? colors[colors.length - 1] ?? "green", value }));
}

function mappings(panel: JsonObject): readonly Json[] {
  if (asNumber(panel["mappingType"]) === 2) {
    return typedMappings(asObjects(panel["rangeMaps"]).map((m) => ({ ...m, type: 2 })));
  }
  return typedMappings(asObjects(panel["valueMaps"]).filter((m) => m["value"] !== undefined && asString(m["text"]) !== "").map((m) => ({ ...m, type: 1 })));
}

export function migrateSinglestat(panel: JsonObject): JsonObject {
  const isGauge = asBool(at(panel, "gauge.show"));
  const min = asNumber(at(panel, "gauge.minValue"));
  const max = asNumber(at(panel, "gauge.maxValue"));
  const decimals = asNumber(panel["decimals"]);
  const prefix = asString(panel["prefix"]);
  const postfix = asString(panel["postfix"]);
  const format = asString(panel["format"], "none");
  // A unit and a prefix do not fit into one id: the prefix wins only where there is no unit.
  const unit = format === "none" && postfix !== "" ? `suffix:${postfix}` : format === "none" && prefix !== "" ? `prefix:${prefix}` : format;
  const colored = asBool(panel["colorBackground"]) ? "background" : asBool(panel["colorValue"]) ? "value" : "none";
  const nullText = asString(panel["nullText"]);
  return {
    ...panel,
    type: isGauge ? "gauge" : "stat",
    fieldConfig: {
      defaults: {
        ...asObject(at(panel, "fieldConfig.defaults")),
        unit,
        ...(decimals === undefined ? {} : { decimals }),
        ...(isGauge ? { min: min ?? 0, max: max ?? 100 } : {}),
        ...(nullText === "" ? {} : { noValue: nullText }),
        color: { mode: "thresholds" },
        thresholds: { mode: "absolute", steps: steps(panel) },
        mappings: mappings(panel),
      },
      overrides: [],
    },
    options: {
      reduceOptions: { calcs: [calcs[asString(panel["valueName"], "avg")] ?? "mean"], fields: "", values: false },
      colorMode: colored,
      graphMode: asBool(at(panel, "sparkline.show")) ? "area" : "none",
      justifyMode: "auto",
      orientation: "horizontal",
      textMode: panel["valueName"] === "name" ? "name" : "value",
      ...(isGauge ? { showThresholdLabels: asBool(at(panel, "gauge.thresholdLabels")), showThresholdMarkers: asBool(at(panel, "gauge.thresholdMarkers"), true) } : {}),
    },
  };
}
