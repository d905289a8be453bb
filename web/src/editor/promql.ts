/** PromQL for the editor: upstream's own package, fed through this app's fetch layer. */
import { autocompletion } from "@codemirror/autocomplete";
import type { Extension } from "@codemirror/state";
import { PromQLExtension, type PrometheusClient } from "@prometheus-io/codemirror-promql";
import { labelNames, labelValues, metadata, seriesOf, type Source } from "../api/prometheus";

const HOUR = 3_600_000;
const lately = () => ({ from: Date.now() - 12 * HOUR, to: Date.now() });

/** Answers are kept as long as the editor is open: completion must not wait twice. */
function remembered<T>(load: () => Promise<T>): () => Promise<T> {
  let kept: Promise<T> | undefined;
  return () => {
    kept ??= load().catch((error: unknown) => {
      kept = undefined;
      throw error;
    });
    return kept;
  };
}

function client(source: Source): PrometheusClient {
  const names = remembered(async () => [...(await labelValues(source, "__name__", lately()))]);
  const meta = remembered(async () => {
    const all = await metadata(source);
    return Object.fromEntries([...all].map(([name, m]) => [name, [{ type: m.type, help: m.help }]]));
  });
  const quiet = <T>(promise: Promise<T>, otherwise: T): Promise<T> => promise.catch(() => otherwise);
  return {
    labelNames: (metric) => quiet(labelNames(source, lately(), metric).then((l) => [...l]), []),
    labelValues: (label, metric) => quiet(labelValues(source, label, lately(), metric).then((l) => [...l]), []),
    metricMetadata: () => quiet(meta(), {}),
    series: (metric) => quiet(seriesOf(source, metric, lately()).then((list) => list.map((labels) => new Map(Object.entries(labels)))), []),
    metricNames: () => quiet(names(), []),
    flags: () => Promise.resolve({}),
  };
}

/** With variables in its text a query is no PromQL yet: it is not checked. */
export function promql(source: Source, templated: boolean): Extension {
  return [new PromQLExtension().setComplete({ remote: client(source), maxMetricsMetadata: 10_000 }).activateLinter(!templated).asExtension(), autocompletion()];
}
