/** Asks data sources for the options of variables. */
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { resolveDatasource } from "../model/dashboard/datasource";
import { asNumber, asObject, asString } from "../model/json";
import type { Range } from "../model/time/range";
import { parseDuration } from "../model/time/duration";
import { autoInterval, interpolate, type Scope } from "../model/variables/interpolate";
import { applyRegex, customOptions, sortOptions } from "../model/variables/options";
import { parseLokiVariable, parsePromVariable, queryResultText, type VariableQuery } from "../model/variables/query";
import type { Option, Variable } from "../model/variables/types";
import { lokiLabels, lokiLabelValues } from "./loki";
import { labelNames, labelValues, queryInstant, seriesOf } from "./prometheus";
import { labelText } from "../model/data/names";

const plain = (values: readonly string[]): readonly Option[] => values.map((v) => ({ text: v, value: v }));

async function askPrometheus(source: DatasourceInfo, query: VariableQuery, range: Range, signal: AbortSignal): Promise<readonly string[]> {
  switch (query.kind) {
    case "labelNames":
      return labelNames(source, range, query.match, signal);
    case "labelValues":
      return labelValues(source, query.label, range, query.selector, signal);
    case "metrics": {
      const pattern = new RegExp(query.regex);
      return (await labelValues(source, "__name__", range, undefined, signal)).filter((name) => pattern.test(name));
    }
    case "queryResult": {
      const { data } = await queryInstant(source, query.expr, range.to, signal);
      if (data.resultType === "vector") return data.result.map((s) => queryResultText(s.metric, s.value[1], s.value[0] * 1000));
      return data.resultType === "scalar" ? [data.result[1]] : [];
    }
    case "series":
      return (await seriesOf(source, query.selector, range, signal)).map(labelText);
    case "none":
      return [];
  }
}

/** Newer versions write an object with a kind of its own instead of text. */
function promQuery(variable: Variable, text: string): VariableQuery {
  const o = variable.queryObject;
  const label = asString(o["label"]);
  const metric = asString(o["metric"]);
  if (text === "" && asNumber(o["qryType"]) === 1 && label !== "") return { kind: "labelValues", label, ...(metric === "" ? {} : { selector: metric }) };
  return parsePromVariable(text);
}

export async function loadOptions(variable: Variable, scope: Scope, sources: readonly DatasourceInfo[], signal: AbortSignal): Promise<readonly Option[]> {
  switch (variable.kind) {
    case "custom":
      return customOptions(variable.query);
    case "interval": {
      const fixed = customOptions(variable.query);
      if (!variable.auto) return fixed;
      const auto = autoInterval(scope.range, variable.autoCount, parseDuration(variable.autoMin) ?? 10_000);
      return [{ text: "auto", value: auto }, ...fixed];
    }
    case "constant":
    case "textbox":
      return [{ text: variable.query, value: variable.query }];
    case "datasource": {
      const ofType = sources.filter((d) => d.type === variable.query);
      return applyRegex(ofType.map((d) => ({ text: d.name, value: d.uid })), variable.regex);
    }
    case "query": {
      const ref = variable.datasource;
      const uid = ref?.uid === undefined ? undefined : interpolate(ref.uid, scope, "text");
      const found = resolveDatasource(ref === null ? null : { ...ref, ...(uid === undefined ? {} : { uid }) }, sources);
      if (found === undefined) throw new Error(`no data source ${uid ?? "by default"}`);
      const text = interpolate(variable.query, scope, "labels");
      const values = await ask(found.source, variable, text, scope, signal);
      return sortOptions(applyRegex(plain(values), interpolate(variable.regex, scope, "text")), variable.sort);
    }
    default:
      return [];
  }
}

async function ask(source: DatasourceInfo, variable: Variable, text: string, scope: Scope, signal: AbortSignal): Promise<readonly string[]> {
  if (source.type === "prometheus") return askPrometheus(source, promQuery(variable, text), scope.range, signal);
  if (source.type === "loki") {
    const object = asObject(JSON.parse(interpolate(JSON.stringify(variable.queryObject), scope, "text")));
    const query = parseLokiVariable(text, object);
    if (query.kind === "labelNames") return lokiLabels(source, scope.range, signal);
    if (query.kind === "labelValues") return lokiLabelValues(source, query.label, scope.range, query.selector, signal);
    return [];
  }
  throw new Error(`variables from a data source of type ${source.type} are not supported yet`);
}
