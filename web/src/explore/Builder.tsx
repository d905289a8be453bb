import { ActionIcon, Autocomplete, Button, NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { lokiLabels, lokiLabelValues } from "../api/loki";
import { labelNames, labelValues } from "../api/prometheus";
import { Icon } from "../components/Icon";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatMatchers, operators, type Matcher } from "../model/alerts/matchers";
import { aggregations, emptyLogForm, emptyPromForm, lineOperators, logOver, parsers, promOver, readLog, readProm, writeLog, writeProm, type LogForm, type PromForm } from "../model/query/form";
import { useLoad } from "../state/useLoad";

const lately = () => ({ from: Date.now() - 6 * 3_600_000, to: Date.now() });
const said = { "|=": "has", "!=": "has not", "|~": "fits the pattern", "!~": "fits not the pattern" } as const;
const MOST = 500;

/** What may stand in a field, asked for when a person comes to it. */
function useChoices(key: string, load: (signal: AbortSignal) => Promise<readonly string[]>) {
  const [wanted, setWanted] = useState(false);
  const { data } = useLoad(wanted ? key : undefined, (signal) => load(signal).catch(() => []));
  return { list: [...new Set(data ?? [])].slice(0, MOST), ask: () => setWanted(true) };
}

interface OneProps {
  source: DatasourceInfo;
  matcher: Matcher;
  /** The other conditions, which narrow the choice. */
  match: string | undefined;
  what: string;
  number: number;
  put: (change: Partial<Matcher>) => void;
  remove: () => void;
}

function One({ source, matcher, match, what, number, put, remove }: OneProps) {
  const logs = source.type === "loki";
  const names = useChoices(`names ${source.uid} ${match ?? ""}`, (signal) => (logs ? lokiLabels(source, lately(), signal) : labelNames(source, lately(), match, signal)));
  const values = useChoices(`values ${source.uid} ${matcher.name} ${match ?? ""}`, (signal) => (matcher.name === "" ? Promise.resolve([]) : logs ? lokiLabelValues(source, matcher.name, lately(), match, signal) : labelValues(source, matcher.name, lately(), match, signal)));
  return (
    <div className="builder-one">
      <Autocomplete size="xs" aria-label={`${what} ${number}`} placeholder="label" data={names.list.filter((n) => n !== "__name__")} value={matcher.name} onChange={(name) => put({ name })} onFocus={names.ask} limit={100} w={130} />
      <Select size="xs" aria-label={`How ${what.toLowerCase()} ${number} compares`} data={[...operators]} value={matcher.operator} onChange={(v) => put({ operator: operators.find((o) => o === v) ?? "=" })} allowDeselect={false} w={62} />
      <Autocomplete size="xs" aria-label={`Value of ${what.toLowerCase()} ${number}`} placeholder="value" data={values.list} value={matcher.value} onChange={(value) => put({ value })} onFocus={values.ask} limit={100} w={160} />
      <ActionIcon size={30} variant="subtle" color="gray" aria-label={`Remove ${what.toLowerCase()} ${number}`} onClick={remove}><Icon name="close" size={14} /></ActionIcon>
    </div>
  );
}

function Matchers({ source, what, list, match, onChange }: { source: DatasourceInfo; what: string; list: readonly Matcher[]; match: (others: readonly Matcher[]) => string | undefined; onChange: (list: readonly Matcher[]) => void }) {
  return (
    <>
      {list.map((m, i) => (
        <One key={i} source={source} matcher={m} what={what} number={i + 1} match={match(list.filter((o, n) => n !== i && o.name !== "" && o.value !== ""))}
          put={(change) => onChange(list.map((o, n) => (n === i ? { ...o, ...change } : o)))} remove={() => onChange(list.filter((_, n) => n !== i))} />
      ))}
      <Button size="xs" h={30} px={10} variant="default" leftSection={<Icon name="plus" size={12} />} onClick={() => onChange([...list, { name: "", operator: "=", value: "" }])}>{what}</Button>
    </>
  );
}

type Summary = Pick<PromForm, "over" | "range" | "by" | "count" | "labels" | "without">;

/** What is made of the series: over time, then over labels. */
function Summaries({ form, over, source, match, put }: { form: Summary; over: readonly string[]; source: DatasourceInfo; match: string | undefined; put: (change: Partial<Summary>) => void }) {
  const names = useChoices(`names ${source.uid} ${match ?? ""}`, (signal) => (source.type === "loki" ? lokiLabels(source, lately(), signal) : labelNames(source, lately(), match, signal)));
  return (
    <div className="builder-line">
      <Select size="xs" label="Over time" data={[{ value: "", label: "as it is" }, ...over]} value={form.over} onChange={(v) => put({ over: v ?? "" })} allowDeselect={false} w={150} />
      {form.over !== "" && <TextInput size="xs" label="Range" placeholder="$__rate_interval" value={form.range} onChange={(e) => put({ range: e.currentTarget.value })} w={120} />}
      <Select size="xs" label="Together" data={[{ value: "", label: "each alone" }, ...aggregations]} value={form.by} onChange={(v) => put({ by: v ?? "" })} allowDeselect={false} w={120} />
      {(form.by === "topk" || form.by === "bottomk") && <NumberInput size="xs" label="How many" value={form.count === "" ? 5 : Number(form.count)} min={1} onChange={(v) => put({ count: String(v) })} w={90} />}
      {form.by !== "" && (
        <>
          <Select size="xs" label="Labels" data={[{ value: "by", label: "stay" }, { value: "without", label: "go" }]} value={form.without ? "without" : "by"} onChange={(v) => put({ without: v === "without" })} allowDeselect={false} w={80} />
          <TagsInput size="xs" label={form.without ? "Which go" : "Which stay"} data={names.list} value={[...form.labels]} onChange={(labels) => put({ labels })} onFocus={names.ask} maxDropdownHeight={220} miw={160} />
        </>
      )}
    </div>
  );
}

function Metrics({ form, source, put }: { form: PromForm; source: DatasourceInfo; put: (change: Partial<PromForm>) => void }) {
  const metrics = useChoices(`metrics ${source.uid}`, (signal) => labelValues(source, "__name__", lately(), undefined, signal));
  const match = form.metric === "" ? undefined : form.metric;
  return (
    <>
      <div className="builder-line">
        <Autocomplete size="xs" label="Metric" placeholder="its name" data={metrics.list} value={form.metric} onChange={(metric) => put({ metric })} onFocus={metrics.ask} limit={100} w={300} />
        <Matchers source={source} what="Label" list={form.matchers} match={(others) => (others.length === 0 ? match : `${form.metric}${formatMatchers(others)}`)} onChange={(matchers) => put({ matchers })} />
      </div>
      <Summaries form={form} over={promOver} source={source} match={match} put={put} />
      {(form.quantile !== "" || form.metric.endsWith("_bucket")) && (
        <div className="builder-line">
          <NumberInput size="xs" label="Quantile of the histogram" placeholder="none" value={form.quantile === "" ? "" : Number(form.quantile)} min={0} max={1} step={0.05} onChange={(v) => put({ quantile: typeof v === "number" ? String(v) : "" })} w={170} />
        </div>
      )}
    </>
  );
}

function Lines({ form, source, put }: { form: LogForm; source: DatasourceInfo; put: (change: Partial<LogForm>) => void }) {
  const putLine = (i: number, change: Partial<LogForm["lines"][number]>) => put({ lines: form.lines.map((l, n) => (n === i ? { ...l, ...change } : l)) });
  return (
    <>
      <div className="builder-line">
        <Matchers source={source} what="Label" list={form.matchers} match={(others) => (others.length === 0 ? undefined : formatMatchers(others))} onChange={(matchers) => put({ matchers })} />
      </div>
      <div className="builder-line">
        {form.lines.map((l, i) => (
          <div key={i} className="builder-one">
            <Select size="xs" aria-label={`How text ${i + 1} is looked for`} data={lineOperators.map((o) => ({ value: o, label: `Line ${said[o]}` }))} value={l.operator} onChange={(v) => putLine(i, { operator: lineOperators.find((o) => o === v) ?? "|=" })} allowDeselect={false} w={170} />
            <TextInput size="xs" aria-label={`Text ${i + 1}`} placeholder="text" value={l.text} onChange={(e) => putLine(i, { text: e.currentTarget.value })} w={200} />
            <ActionIcon size={30} variant="subtle" color="gray" aria-label={`Remove text ${i + 1}`} onClick={() => put({ lines: form.lines.filter((_, n) => n !== i) })}><Icon name="close" size={14} /></ActionIcon>
          </div>
        ))}
        <Button size="xs" h={30} px={10} variant="default" leftSection={<Icon name="plus" size={12} />} onClick={() => put({ lines: [...form.lines, { operator: "|=", text: "" }] })}>Text</Button>
        <Select size="xs" aria-label="Lines are read as" data={[{ value: "", label: "Lines are text" }, ...parsers.map((p) => ({ value: p, label: `Lines are ${p}` }))]} value={form.parser} onChange={(v) => put({ parser: v ?? "" })} allowDeselect={false} w={150} />
        <Matchers source={source} what="Field" list={form.fields} match={() => undefined} onChange={(fields) => put({ fields })} />
      </div>
      <Summaries form={form} over={logOver} source={source} match={undefined} put={put} />
    </>
  );
}

/** A form that shows a query and writes it. What a form cannot hold is left to the text. */
export function Builder({ source, query, onChange }: { source: DatasourceInfo; query: string; onChange: (query: string) => void }) {
  const logs = source.type === "loki";
  // What is half filled in is not in the text yet, so the form stands on its own while its text is the query's.
  const [draft, setDraft] = useState<{ text: string; prom?: PromForm; log?: LogForm }>();
  const own = draft?.text === query ? draft : undefined;
  const prom = logs ? undefined : (own?.prom ?? readProm(query));
  const log = logs ? (own?.log ?? readLog(query)) : undefined;
  const keep = (text: string, forms: { prom?: PromForm; log?: LogForm }) => {
    setDraft({ text, ...forms });
    if (text !== query) onChange(text);
  };
  const putProm = (form: PromForm) => keep(writeProm(form), { prom: form });
  const putLog = (form: LogForm) => keep(writeLog(form), { log: form });
  if (prom === undefined && log === undefined) {
    return (
      <p className="muted builder">
        The query says more than the form can hold: change it above, or <button type="button" className="as-link" onClick={() => (logs ? putLog(emptyLogForm) : putProm(emptyPromForm))}>begin anew</button>.
      </p>
    );
  }
  return (
    <div className="builder" role="group" aria-label="Query builder">
      {prom !== undefined && <Metrics form={prom} source={source} put={(change) => putProm({ ...prom, ...change })} />}
      {log !== undefined && <Lines form={log} source={source} put={(change) => putLog({ ...log, ...change })} />}
    </div>
  );
}
