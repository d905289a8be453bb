import { ActionIcon, NumberInput, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { Icon } from "../../components/Icon";
import { asArray, asBool, asNumber, asObject, asObjects, asString, at, type Json, type JsonObject } from "../../model/json";
import { inputsOf } from "../../model/expressions/evaluate";

interface Props {
  target: JsonObject;
  /** The queries beside it. */
  others: readonly string[];
  set: (key: string, value: Json | undefined) => void;
  remove: () => void;
}

const kinds = [
  { value: "math", label: "Math" },
  { value: "reduce", label: "Reduce to a number" },
  { value: "resample", label: "Resample" },
  { value: "threshold", label: "Threshold" },
  { value: "classic_conditions", label: "Classic conditions" },
];
const reducers = ["last", "mean", "min", "max", "sum", "count", "median"];
const modes = [{ value: "", label: "Make it missing" }, { value: "dropNN", label: "Are left out" }, { value: "replaceNN", label: "Become" }];
const fills = [{ value: "fillna", label: "Stay empty" }, { value: "pad", label: "Take the value before" }, { value: "backfilling", label: "Take the value behind" }];
const comparisons = [{ value: "gt", label: "is above" }, { value: "lt", label: "is below" }, { value: "gte", label: "is at least" }, { value: "lte", label: "is at most" }, { value: "eq", label: "is" }, { value: "ne", label: "is not" }, { value: "within_range", label: "lies between" }, { value: "outside_range", label: "lies outside" }];

/** The fields of one kind of expression. */
function Fields({ target, others, set }: Omit<Props, "remove">) {
  const kind = asString(target["type"], "math");
  const input = inputsOf(target)[0] ?? "";
  const of = <Select size="xs" label="Of" data={[...new Set([...others, ...(input === "" ? [] : [input])])]} value={input === "" ? null : input} onChange={(v) => set("expression", v ?? "")} allowDeselect={false} w={80} />;
  switch (kind) {
    case "reduce":
      return (
        <>
          {of}
          <Select size="xs" label="To the" data={reducers} value={asString(target["reducer"], "last")} onChange={(v) => set("reducer", v ?? "last")} allowDeselect={false} w={110} />
          <Select size="xs" label="Missing values" data={modes} value={asString(at(target, "settings.mode"))} onChange={(v) => set("settings.mode", v === null || v === "" ? undefined : v)} allowDeselect={false} w={150} />
          {at(target, "settings.mode") === "replaceNN" && <NumberInput size="xs" label="Value" value={asNumber(at(target, "settings.replaceWithValue")) ?? 0} onChange={(v) => set("settings.replaceWithValue", typeof v === "number" ? v : 0)} w={90} />}
        </>
      );
    case "resample":
      return (
        <>
          {of}
          <TextInput size="xs" label="Each" placeholder="10s" value={asString(target["window"])} onChange={(e) => set("window", e.currentTarget.value)} w={80} />
          <Select size="xs" label="Many become the" data={["mean", "min", "max", "sum", "last"]} value={asString(target["downsampler"], "mean")} onChange={(v) => set("downsampler", v ?? "mean")} allowDeselect={false} w={110} />
          <Select size="xs" label="Empty ones" data={fills} value={asString(target["upsampler"], "fillna")} onChange={(v) => set("upsampler", v ?? "fillna")} allowDeselect={false} w={180} />
        </>
      );
    case "threshold": {
      const evaluator = asObject(asObjects(target["conditions"])[0]?.["evaluator"]);
      const type = asString(evaluator["type"], "gt");
      const params = asArray(evaluator["params"]).map((p) => asNumber(p) ?? 0);
      const put = (change: JsonObject) => set("conditions", [{ evaluator: { type, params: [params[0] ?? 0, params[1] ?? 0], ...change } }]);
      return (
        <>
          {of}
          <Select size="xs" label="1 where it" data={comparisons} value={type} onChange={(v) => put({ type: v ?? "gt" })} allowDeselect={false} w={120} />
          <NumberInput size="xs" label="Limit" value={params[0] ?? 0} onChange={(v) => put({ params: [typeof v === "number" ? v : 0, params[1] ?? 0] })} w={100} />
          {type.endsWith("_range") && <NumberInput size="xs" label="and" value={params[1] ?? 0} onChange={(v) => put({ params: [params[0] ?? 0, typeof v === "number" ? v : 0] })} w={100} />}
        </>
      );
    }
    case "classic_conditions":
      return <span className="muted">{asObjects(target["conditions"]).length} conditions, which are edited in the panel’s JSON.</span>;
    default:
      return null;
  }
}

/** A query that is worked out of the others. */
export function ExpressionEditor({ target, others, set, remove }: Props) {
  const refId = asString(target["refId"], "A");
  const kind = asString(target["type"], "math");
  const [draft, setDraft] = useState<string>();
  const commit = () => {
    if (draft !== undefined) set("expression", draft);
    setDraft(undefined);
  };
  const hidden = asBool(target["hide"]);
  return (
    <div className="block target">
      <div className="query-row">
        <span className="query-ref">{refId}</span>
        <Select aria-label={`Kind of the expression ${refId}`} data={kinds} value={kind} onChange={(v) => set("type", v ?? "math")} allowDeselect={false} w={190} />
        {kind === "math" && <TextInput aria-label={`Expression ${refId}`} placeholder="$A / $B * 100" classNames={{ input: "mono" }} value={draft ?? asString(target["expression"])} onChange={(e) => setDraft(e.currentTarget.value)} onBlur={commit} onKeyDown={(e) => { if (e.key === "Enter") commit(); }} style={{ flex: 1 }} />}
        <span style={{ flex: kind === "math" ? undefined : 1 }} />
        <ActionIcon size={36} variant="subtle" color="gray" aria-label={`${hidden ? "Show" : "Hide"} query ${refId}`} aria-pressed={hidden} onClick={() => set("hide", hidden ? undefined : true)}><Icon name="view" size={16} /></ActionIcon>
        <ActionIcon size={36} variant="subtle" color="gray" aria-label={`Remove query ${refId}`} onClick={remove}><Icon name="close" size={16} /></ActionIcon>
      </div>
      {kind !== "math" && <div className="variables" style={{ margin: 0, paddingLeft: 34 }}><Fields target={target} others={others} set={set} /></div>}
    </div>
  );
}
