import { ActionIcon, Autocomplete, Button, ColorInput, MultiSelect, NumberInput, Select, Switch, Textarea, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { Icon } from "../../components/Icon";
import { JsonBox } from "../../components/JsonBox";
import { setAt } from "../../model/dashboard/edit";
import { asBool, asNumber, asObjects, asString, asStrings, at, type Json, type JsonObject } from "../../model/json";
import { units } from "../../model/units/table";
import { kindList } from "../../panels/registry";
import { choicesFor, type Choice } from "./choices";

interface Props {
  panel: JsonObject;
  onChange: (panel: JsonObject, name?: string) => void;
}

const calcs = ["lastNotNull", "last", "first", "min", "max", "mean", "median", "sum", "count", "range", "delta", "diff", "p95"];
const colors = ["green", "yellow", "orange", "red", "blue", "purple", "text", "transparent"];
const swatches = ["#73BF69", "#FADE2A", "#FF9830", "#F2495C", "#5794F2", "#B877D9"];

function Group({ title, children, open = true }: { title: string; children: ReactNode; open?: boolean }) {
  return (
    <details className="option-group" open={open}>
      <summary>{title}</summary>
      <div className="options">{children}</div>
    </details>
  );
}

/** One option, as its kind asks for. */
function Option({ choice, panel, onChange }: { choice: Choice } & Props) {
  const value = at(panel, choice.path);
  const set = (v: Json | undefined) => onChange(setAt(panel, choice.path, v), choice.path);
  switch (choice.kind) {
    case "select":
      return <Select size="xs" label={choice.label} data={choice.data.map((d) => ({ ...d }))} value={asString(value, choice.initial)} onChange={(v) => set(v ?? undefined)} allowDeselect={false} />;
    case "number":
      return <NumberInput size="xs" label={choice.label} placeholder={choice.hint} value={asNumber(value) ?? ""} min={choice.min} max={choice.max} onChange={(v) => set(typeof v === "number" ? v : undefined)} />;
    case "switch":
      return <Switch size="xs" label={choice.label} checked={asBool(value, choice.initial)} onChange={(e) => set(e.currentTarget.checked)} />;
    case "text":
      return <TextInput size="xs" label={choice.label} placeholder={choice.hint} value={asString(value)} onChange={(e) => set(e.currentTarget.value || undefined)} />;
    case "long":
      return <Textarea size="xs" label={choice.label} value={asString(value)} onChange={(e) => set(e.currentTarget.value)} autosize minRows={4} maxRows={20} classNames={{ input: "mono" }} />;
    case "calcs":
      return <MultiSelect size="xs" label={choice.label} data={calcs} value={[...asStrings(value)]} onChange={(v) => set(v)} maxValues={choice.most ?? 20} searchable clearable />;
  }
}

function Thresholds({ panel, onChange }: Props) {
  const steps = asObjects(at(panel, "fieldConfig.defaults.thresholds.steps"));
  const list = steps.length > 0 ? steps : [{ color: "green", value: null }];
  const put = (next: readonly JsonObject[]) => {
    const [base, ...rest] = next;
    const sorted = [...(base === undefined ? [] : [base]), ...rest.sort((a, b) => (asNumber(a["value"]) ?? 0) - (asNumber(b["value"]) ?? 0))];
    onChange(setAt(setAt(panel, "fieldConfig.defaults.thresholds.mode", asString(at(panel, "fieldConfig.defaults.thresholds.mode"), "absolute")), "fieldConfig.defaults.thresholds.steps", sorted), "thresholds");
  };
  return (
    <>
      {list.map((s, i) => (
        <div key={i} className="matcher">
          <ColorInput size="xs" aria-label={`Colour of limit ${i + 1}`} value={asString(s["color"])} onChange={(c) => put(list.map((o, n) => (n === i ? { ...o, color: c } : o)))} swatches={swatches} fixOnBlur={false} withEyeDropper={false} style={{ flex: 1 }} />
          {i === 0 ? <span className="muted" style={{ width: 90, alignSelf: "center" }}>from the start</span> : <NumberInput size="xs" aria-label={`Limit ${i + 1}`} value={asNumber(s["value"]) ?? ""} onChange={(v) => put(list.map((o, n) => (n === i ? { ...o, value: typeof v === "number" ? v : 0 } : o)))} w={90} />}
          {i > 0 && <ActionIcon size={30} variant="subtle" color="gray" aria-label={`Remove limit ${i + 1}`} onClick={() => put(list.filter((_, n) => n !== i))}><Icon name="close" size={14} /></ActionIcon>}
        </div>
      ))}
      <Button size="compact-xs" variant="default" onClick={() => put([...list, { color: colors[Math.min(3, list.length)] ?? "red", value: (asNumber(list[list.length - 1]?.["value"]) ?? 0) + 10 }])}>Add a limit</Button>
    </>
  );
}

/** Everything of a panel beside its queries; what has no field here can be changed as JSON. */
export function Options({ panel, onChange }: Props) {
  const type = asString(panel["type"]);
  const field = (path: string, value: Json | undefined) => onChange(setAt(panel, path, value), path);
  const defaults = "fieldConfig.defaults";
  const overrides = asObjects(at(panel, "fieldConfig.overrides"));
  return (
    <div className="option-list">
      <Group title="Panel">
        <Select size="xs" label="Kind" data={kindList.map((k) => ({ value: k.type, label: k.title }))} value={kindList.some((k) => k.type === type) ? type : null} placeholder={type} onChange={(v) => field("type", v ?? undefined)} searchable allowDeselect={false} />
        <TextInput size="xs" label="Title" value={asString(panel["title"])} onChange={(e) => field("title", e.currentTarget.value)} />
        <Textarea size="xs" label="Description" value={asString(panel["description"])} onChange={(e) => field("description", e.currentTarget.value)} autosize minRows={2} />
        <Switch size="xs" label="Without a frame" checked={asBool(panel["transparent"])} onChange={(e) => field("transparent", e.currentTarget.checked || undefined)} />
        <TextInput size="xs" label="Repeated for each value of" placeholder="name of a variable" value={asString(panel["repeat"])} onChange={(e) => field("repeat", e.currentTarget.value || undefined)} />
      </Group>
      {choicesFor(type).length > 0 && <Group title="Look">{choicesFor(type).map((c) => <Option key={c.path} choice={c} panel={panel} onChange={onChange} />)}</Group>}
      {type !== "text" && (
        <>
          <Group title="Values">
            <Autocomplete size="xs" label="Unit" placeholder="such as s, bytes, percentunit" data={Object.keys(units)} value={asString(at(panel, `${defaults}.unit`))} onChange={(v) => field(`${defaults}.unit`, v || undefined)} limit={60} />
            <NumberInput size="xs" label="Decimals" placeholder="as needed" min={0} max={12} value={asNumber(at(panel, `${defaults}.decimals`)) ?? ""} onChange={(v) => field(`${defaults}.decimals`, typeof v === "number" ? v : undefined)} />
            <NumberInput size="xs" label="Least" placeholder="of the data" value={asNumber(at(panel, `${defaults}.min`)) ?? ""} onChange={(v) => field(`${defaults}.min`, typeof v === "number" ? v : undefined)} />
            <NumberInput size="xs" label="Greatest" placeholder="of the data" value={asNumber(at(panel, `${defaults}.max`)) ?? ""} onChange={(v) => field(`${defaults}.max`, typeof v === "number" ? v : undefined)} />
            <TextInput size="xs" label="Without a value" placeholder="-" value={asString(at(panel, `${defaults}.noValue`))} onChange={(e) => field(`${defaults}.noValue`, e.currentTarget.value || undefined)} />
          </Group>
          <Group title="Limits"><Thresholds panel={panel} onChange={onChange} /></Group>
          <Group title={`Overrides (${overrides.length})`} open={false}>
            <JsonBox label="Overrides as JSON" rows={10} value={overrides} onChange={(v) => field("fieldConfig.overrides", asObjects(v))} />
          </Group>
          <Group title={`Mappings (${asObjects(at(panel, `${defaults}.mappings`)).length})`} open={false}>
            <JsonBox label="Mappings as JSON" rows={8} value={asObjects(at(panel, `${defaults}.mappings`))} onChange={(v) => field(`${defaults}.mappings`, asObjects(v))} />
          </Group>
        </>
      )}
    </div>
  );
}
