import { Button, Select, TextInput } from "@mantine/core";
import { lazy, Suspense, useMemo, useState } from "react";
import { backtestRules, queryRange, type Rule } from "../api/prometheus";
import { lokiRange, nanos } from "../api/loki";
import { StateLanes } from "../components/AlertHistory";
import { ErrorNote, Loading } from "../components/Notes";
import { lanesOfReplay, replay, ruleFile, ruleYaml, totalOf, type Evaluations, type Replayed, type Total } from "../model/alerts/backtest";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { promFrames, type PromData } from "../model/data/prometheus";
import { alignedGrid, safeStepMs } from "../model/query/interval";
import { formatDuration, humanDuration, parseDuration } from "../model/time/duration";
import type { TimeState } from "../state/time";
import { useLoad } from "../state/useLoad";

const Editor = lazy(() => import("../editor/Editor").then((m) => ({ default: m.Editor })));
const spans = [{ value: "3600000", label: "hour" }, { value: "21600000", label: "6 hours" }, { value: "86400000", label: "day" }, { value: "604800000", label: "week" }];

interface Tried {
  query: string;
  hold: number;
  keep: number;
}

async function evaluations(source: DatasourceInfo, query: string, grid: { startMs: number; endMs: number; stepMs: number }, signal: AbortSignal): Promise<readonly Evaluations[]> {
  const data: PromData = source.type === "loki" ? matrixOf(await lokiRange(source, { query, start: nanos(grid.startMs), end: nanos(grid.endMs), direction: "forward", stepMs: grid.stepMs }, signal)) : (await queryRange(source, query, grid.startMs, grid.endMs, grid.stepMs, signal)).data;
  return promFrames(data, { refId: "A", legendFormat: "__auto", format: "time_series" }, grid).map((f) => ({ labels: f.fields[1]?.labels ?? {}, times: (f.fields[0]?.values ?? []).map(Number), values: (f.fields[1]?.values ?? []).map((v) => (typeof v === "number" ? v : null)) }));
}

function matrixOf({ data }: Awaited<ReturnType<typeof lokiRange>>): PromData {
  if (data.resultType !== "matrix") throw new Error("This query gives lines, and an alert needs numbers.");
  return data;
}

/** What a rule would have done: the server says it exactly where it can, else the app works it out of what a range query gives. */
async function outcome(source: DatasourceInfo, rule: Rule, intervalS: number, tried: Tried, range: { from: number; to: number }, signal: AbortSignal): Promise<{ list: readonly Replayed[]; stepMs: number }> {
  const interval = Math.max(1000, intervalS * 1000);
  if (source.type === "prometheus") {
    const file = ruleFile({ name: rule.name, query: tried.query, hold: written(tried.hold / 1000), keep: written(tried.keep / 1000), labels: {}, annotations: {} }, intervalS);
    const known = await backtestRules(source, file, range.from, range.to, signal);
    if (known !== undefined) return { list: known.map((a) => ({ labels: a.labels, periods: a.periods.map((p) => ({ firing: p.firing, from: p.startMs, to: p.endMs ?? range.to })) })), stepMs: interval };
  }
  const stepMs = safeStepMs(interval, range);
  return { list: replay(await evaluations(source, tried.query, alignedGrid(range, stepMs), signal), stepMs, tried.hold, tried.keep), stepMs };
}

const written = (seconds: number) => (seconds === 0 ? "0s" : formatDuration(seconds * 1000));
const times = (n: number) => (n === 0 ? "never" : n === 1 ? "once" : `${n} times`);

function Summary({ title, total }: { title: string; total: Total }) {
  return (
    <tr>
      <th scope="row" style={{ textAlign: "left" }}>{title}</th>
      <td className="num">{total.alerts}</td>
      <td className="num">{times(total.fired)}</td>
      <td className="num">{total.firingFor === 0 ? "–" : humanDuration(total.firingFor)}</td>
      <td className="num">{total.spared}</td>
    </tr>
  );
}

/** An edited rule on past data, beside what the present one would have done with it. */
export function Backtest({ rule, intervalS, source, time }: { rule: Rule; intervalS: number; source: DatasourceInfo; time: TimeState }) {
  const [draft, setDraft] = useState(rule.query);
  const [hold, setHold] = useState(written(rule.durationS));
  const [keep, setKeep] = useState(written(rule.keepFiringForS));
  const [span, setSpan] = useState("21600000");
  const [now] = useState(() => Date.now());
  const [tried, setTried] = useState<Tried & { span: string }>();
  const holdMs = hold.trim() === "" ? 0 : parseDuration(hold);
  const keepMs = keep.trim() === "" ? 0 : parseDuration(keep);
  const range = useMemo(() => ({ from: now - Number(tried?.span ?? span), to: now }), [now, tried, span]);
  const { data, error, loading } = useLoad(tried === undefined ? undefined : JSON.stringify(tried), async (signal) => {
    const present = { query: rule.query, hold: rule.durationS * 1000, keep: rule.keepFiringForS * 1000 };
    const [old, fresh] = await Promise.all([outcome(source, rule, intervalS, present, range, signal), outcome(source, rule, intervalS, tried ?? present, range, signal)]);
    return { old: old.list, fresh: fresh.list, stepMs: fresh.stepMs };
  });
  const ready = draft.trim() !== "" && holdMs !== undefined && keepMs !== undefined;
  const run = (query = draft) => {
    if (ready) setTried({ query, hold: holdMs, keep: keepMs, span });
  };
  return (
    <section className="block" aria-label="Back-test" style={{ margin: 0 }}>
      <div className="block-head"><h2>What would it have done?</h2></div>
      <Suspense fallback={<div className="editor" style={{ height: 38 }} />}>
        <Editor value={draft} source={source} label="Expression to try" onRun={(text) => { setDraft(text); run(text); }} onChange={setDraft} />
      </Suspense>
      <div className="variables" style={{ alignItems: "flex-end", margin: "8px 0 0" }}>
        <TextInput size="xs" label="Holds for" value={hold} onChange={(e) => setHold(e.currentTarget.value)} error={holdMs === undefined} w={100} />
        <TextInput size="xs" label="Fires on for" value={keep} onChange={(e) => setKeep(e.currentTarget.value)} error={keepMs === undefined} w={100} />
        <Select size="xs" label="In the last" data={spans} value={span} onChange={(v) => setSpan(v ?? span)} allowDeselect={false} w={110} />
        <Button size="compact-md" onClick={() => run()} disabled={!ready} loading={loading && tried !== undefined}>Try it</Button>
      </div>
      {error !== undefined && !loading && <ErrorNote title="It could not be tried" text={error} />}
      {tried !== undefined && data === undefined && loading && <Loading what="past evaluations" />}
      {tried !== undefined && data !== undefined && (
        <>
          <div className="table-scroll" style={{ height: "auto", marginTop: 8 }}>
            <table className="data">
              <thead><tr><th /><th className="num">Alerts</th><th className="num">Fired</th><th className="num">Together for</th><th className="num">Pending only</th></tr></thead>
              <tbody><Summary title="As it is" total={totalOf(data.old)} /><Summary title="As you wrote it" total={totalOf(data.fresh)} /></tbody>
            </table>
          </div>
          {data.fresh.length > 0 && <StateLanes title="Back-test" frames={lanesOfReplay(data.fresh.slice(0, 100), range)} range={range} zone={time.zone} onZoom={time.zoomTo} />}
          <p className="muted">
            Evaluated every {humanDuration(data.stepMs)}{data.stepMs > intervalS * 1000 && `, not every ${humanDuration(intervalS * 1000)} as the rule is, since the time is long`}.{data.fresh.length > 100 && ` The first 100 of ${data.fresh.length} alerts are drawn.`}
          </p>
          <details><summary className="muted">The rule, for its file</summary><pre className="code">{ruleYaml({ name: rule.name, query: tried.query, hold, keep, labels: rule.labels, annotations: rule.annotations })}</pre></details>
        </>
      )}
    </section>
  );
}
