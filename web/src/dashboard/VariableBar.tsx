import { Button, Checkbox, Popover, TextInput } from "@mantine/core";
import { useState } from "react";
import { Icon } from "../components/Icon";
import { ALL, type AdhocFilter, type Option, type VariableState } from "../model/variables/types";
import { filterToUrl } from "../model/variables/url";
import { setParams } from "../state/location";

const choose = (name: string, values: readonly string[]) => setParams({ [`var-${name}`]: values });

function Options({ state, onDone }: { state: VariableState; onDone: () => void }) {
  const { variable, options, selected } = state;
  const [filter, setFilter] = useState("");
  const all: readonly Option[] = variable.includeAll ? [{ text: "All", value: ALL }] : [];
  const shown = [...all, ...options].filter((o) => o.text.toLowerCase().includes(filter.toLowerCase()));
  const chosen = new Set(selected.map((o) => o.value));
  const pick = (value: string) => {
    if (!variable.multi) {
      choose(variable.name, [value]);
      return onDone();
    }
    if (value === ALL) return choose(variable.name, [ALL]);
    const next = new Set(chosen);
    next.delete(ALL);
    if (!next.delete(value)) next.add(value);
    const values = [...next];
    choose(variable.name, values.length > 0 ? values : variable.includeAll ? [ALL] : [value]);
  };
  return (
    <>
      <TextInput size="xs" placeholder="Search, Enter takes it" aria-label={`Search ${variable.name}`} value={filter} onChange={(e) => setFilter(e.currentTarget.value)} data-autofocus
        onKeyDown={(e) => {
          if (e.key !== "Enter" || filter === "") return;
          // What is not in the list may be typed.
          pick(shown[0]?.value ?? filter);
        }}
      />
      <div className="variable-options" role="listbox" aria-label={variable.name} aria-multiselectable={variable.multi}>
        {shown.slice(0, 500).map((o) => (
          <button key={o.value} type="button" role="option" className="range-option" aria-selected={chosen.has(o.value)} aria-pressed={chosen.has(o.value)} onClick={() => pick(o.value)}>
            {variable.multi ? <Checkbox size="xs" label={o.text} checked={chosen.has(o.value)} readOnly tabIndex={-1} style={{ pointerEvents: "none" }} /> : o.text}
          </button>
        ))}
        {shown.length > 500 && <span className="muted">{shown.length - 500} more: search for them</span>}
        {shown.length === 0 && <span className="muted">Nothing. Enter takes what you typed.</span>}
      </div>
    </>
  );
}

function Choice({ state }: { state: VariableState }) {
  const [open, setOpen] = useState(false);
  const shown = state.selected.map((o) => o.text).join(" + ") || "none";
  const name = state.variable.label || state.variable.name;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-start" width={280} shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button variant="default" h={32} size="sm" className="variable-button" onClick={() => setOpen(!open)} aria-label={`${name}: ${shown}`} aria-expanded={open} rightSection={<Icon name={state.error === undefined ? "down" : "warning"} size={14} />} title={state.error ?? state.variable.description}>
          <span style={{ maxWidth: 220, overflow: "hidden", textOverflow: "ellipsis" }}>{shown}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown p={8}>
        {state.error !== undefined && <p className="panel-bad">{state.error}</p>}
        <Options state={state} onDone={() => setOpen(false)} />
      </Popover.Dropdown>
    </Popover>
  );
}

function TextBox({ state }: { state: VariableState }) {
  const current = state.selected[0]?.value ?? "";
  const [text, setText] = useState(current);
  const [from, setFrom] = useState(current);
  if (from !== current) {
    setFrom(current);
    setText(current);
  }
  const send = () => text !== current && choose(state.variable.name, [text]);
  return <TextInput h={32} size="sm" aria-label={state.variable.label || state.variable.name} value={text} onChange={(e) => setText(e.currentTarget.value)} onBlur={send} onKeyDown={(e) => e.key === "Enter" && send()} w={150} />;
}

function Adhoc({ state }: { state: VariableState }) {
  const [draft, setDraft] = useState("");
  const put = (filters: readonly AdhocFilter[]) => choose(state.variable.name, filters.length === 0 ? [""] : filters.map(filterToUrl));
  const add = () => {
    const hit = /^\s*([\w.]+)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$/.exec(draft);
    if (hit === null) return;
    put([...state.filters, { key: hit[1] ?? "", operator: hit[2] ?? "=", value: hit[3] ?? "" }]);
    setDraft("");
  };
  return (
    <span className="chips">
      {state.filters.map((f, i) => (
        <button key={filterToUrl(f)} type="button" className="chip" title="Remove this filter" onClick={() => put(state.filters.filter((_, n) => n !== i))}>
          {f.key}
          {f.operator}
          {f.value} ×
        </button>
      ))}
      <TextInput size="sm" h={32} w={190} placeholder='label = "value", Enter' aria-label={`Add a filter to ${state.variable.name}`} value={draft} onChange={(e) => setDraft(e.currentTarget.value)} onKeyDown={(e) => e.key === "Enter" && add()} />
    </span>
  );
}

export function VariableBar({ states }: { states: readonly VariableState[] }) {
  const shown = states.filter((s) => s.variable.hide !== 2 && s.variable.kind !== "constant" && s.variable.kind !== "system");
  return (
    <>
      {shown.map((state) => (
        <div key={state.variable.name} className="variable">
          {state.variable.hide === 0 && <span className="variable-label">{state.variable.label || state.variable.name}</span>}
          {state.variable.kind === "textbox" ? <TextBox state={state} /> : state.variable.kind === "adhoc" ? <Adhoc state={state} /> : <Choice state={state} />}
        </div>
      ))}
    </>
  );
}
