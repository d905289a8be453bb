import { ActionIcon, Button, Drawer, Select, Switch, Tabs, TagsInput, Textarea, TextInput } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { JsonBox } from "../../components/JsonBox";
import { setAt } from "../../model/dashboard/edit";
import { asBool, asNumber, asObject, asObjects, asString, asStrings, at, isObject, type Json, type JsonObject } from "../../model/json";
import { useSession } from "../../state/session";

interface Props {
  json: JsonObject;
  onChange: (to: (json: JsonObject) => JsonObject, name?: string) => void;
  onDelete?: () => void;
  onClose: () => void;
}

const kinds = [["query", "What a data source lists"], ["custom", "A list written here"], ["textbox", "Text from the reader"], ["constant", "A constant"], ["interval", "Intervals"], ["datasource", "Data sources"], ["adhoc", "Filters on all queries"]] as const;

function Variable({ v, set, remove, up }: { v: JsonObject; set: (path: string, value: Json | undefined) => void; remove: () => void; up: (() => void) | undefined }) {
  const { sources } = useSession();
  const name = asString(v["name"]);
  const type = asString(v["type"], "query");
  const query = isObject(v["query"]) ? asString(v["query"]["query"]) : asString(v["query"]);
  const object = isObject(v["query"]) && v["query"]["query"] === undefined;
  return (
    <div className="block">
      <div className="block-head">
        <h2>${name}</h2>
        {up !== undefined && <Button size="compact-xs" variant="default" onClick={up}>Up</Button>}
        <ActionIcon size={28} variant="subtle" color="gray" aria-label={`Remove the variable ${name}`} onClick={remove}><Icon name="close" size={14} /></ActionIcon>
      </div>
      <div className="options">
        <TextInput size="xs" label="Name" value={name} onChange={(e) => set("name", e.currentTarget.value.replace(/\W/g, "_"))} />
        <TextInput size="xs" label="Label" value={asString(v["label"])} onChange={(e) => set("label", e.currentTarget.value)} />
        <Select size="xs" label="Kind" data={kinds.map(([value, label]) => ({ value, label }))} value={type} onChange={(t) => set("type", t ?? type)} allowDeselect={false} />
        {(type === "query" || type === "adhoc") && <Select size="xs" label="Data source" data={sources.map((s) => ({ value: s.uid, label: s.name }))} value={asString(at(v, "datasource.uid")) || null} onChange={(uid) => { const s = sources.find((x) => x.uid === uid); if (s !== undefined) set("datasource", { type: s.type, uid: s.uid }); }} />}
        {type !== "adhoc" && !object && <TextInput size="xs" label={type === "query" ? "Query" : "Values"} placeholder={type === "query" ? "label_values(up, service)" : "a, b, shown : value"} value={query} onChange={(e) => set("query", isObject(v["query"]) ? { ...v["query"], query: e.currentTarget.value } : e.currentTarget.value)} style={{ gridColumn: "1 / -1" }} />}
        {object && <JsonBox label={`Query of ${name} as JSON`} rows={6} value={asObject(v["query"])} onChange={(q) => set("query", asObject(q))} />}
        {type === "query" && <TextInput size="xs" label="Only what fits" placeholder="/regex/" value={asString(v["regex"])} onChange={(e) => set("regex", e.currentTarget.value)} />}
        {type === "query" && <Select size="xs" label="Listed anew" data={[{ value: "1", label: "When it is opened" }, { value: "2", label: "When the time changes" }]} value={String(asNumber(v["refresh"]) ?? 1)} onChange={(r) => set("refresh", Number(r ?? 1))} allowDeselect={false} />}
        {(type === "query" || type === "custom") && <Switch size="xs" label="Several at once" checked={asBool(v["multi"])} onChange={(e) => set("multi", e.currentTarget.checked)} />}
        {(type === "query" || type === "custom") && <Switch size="xs" label="With “All”" checked={asBool(v["includeAll"])} onChange={(e) => set("includeAll", e.currentTarget.checked)} />}
        {asBool(v["includeAll"]) && <TextInput size="xs" label="“All” is written as" placeholder=".*" value={asString(v["allValue"])} onChange={(e) => set("allValue", e.currentTarget.value)} />}
        <Select size="xs" label="Shown" data={[{ value: "0", label: "With its label" }, { value: "1", label: "Without label" }, { value: "2", label: "Not" }]} value={String(asNumber(v["hide"]) ?? 0)} onChange={(h) => set("hide", Number(h ?? 0))} allowDeselect={false} />
      </div>
    </div>
  );
}

/** What holds for the whole dashboard. */
export function Settings({ json, onChange, onDelete, onClose }: Props) {
  const set = (path: string, value: Json | undefined) => onChange((j) => setAt(j, path, value), `settings ${path}`);
  const variables = asObjects(at(json, "templating.list"));
  const putVariables = (list: readonly JsonObject[], name?: string) => onChange((j) => setAt(j, "templating.list", list), name);
  return (
    <Drawer opened onClose={onClose} position="right" size="xl" title="Settings of the dashboard">
      <Tabs defaultValue="general" keepMounted={false}>
        <Tabs.List mb="sm">
          <Tabs.Tab value="general">General</Tabs.Tab>
          <Tabs.Tab value="variables">Variables ({variables.length})</Tabs.Tab>
          <Tabs.Tab value="annotations">Annotations</Tabs.Tab>
          <Tabs.Tab value="links">Links</Tabs.Tab>
          <Tabs.Tab value="json">JSON</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="general">
          <div className="silence-form">
            <TextInput label="Title" value={asString(json["title"])} onChange={(e) => set("title", e.currentTarget.value)} required />
            <Textarea label="Description" value={asString(json["description"])} onChange={(e) => set("description", e.currentTarget.value)} autosize minRows={2} />
            <TagsInput label="Tags" value={[...asStrings(json["tags"])]} onChange={(tags) => set("tags", tags)} />
            <div className="options">
              <TextInput label="From" value={asString(at(json, "time.from"))} onChange={(e) => set("time.from", e.currentTarget.value)} />
              <TextInput label="To" value={asString(at(json, "time.to"))} onChange={(e) => set("time.to", e.currentTarget.value)} />
              <Select label="Refresh" data={["", "5s", "10s", "15s", "30s", "1m", "5m", "15m", "1h"].map((v) => ({ value: v, label: v === "" ? "Off" : v }))} value={asString(json["refresh"])} onChange={(v) => set("refresh", v ?? "")} allowDeselect={false} />
              <Select label="Time zone" data={[{ value: "browser", label: "Of the browser" }, { value: "utc", label: "UTC" }]} value={asString(json["timezone"]) === "utc" ? "utc" : "browser"} onChange={(v) => set("timezone", v ?? "browser")} allowDeselect={false} />
              <Select label="Crosshair" data={[{ value: "0", label: "Each panel alone" }, { value: "1", label: "Shared" }, { value: "2", label: "Shared with tooltips" }]} value={String(asNumber(json["graphTooltip"]) ?? 0)} onChange={(v) => set("graphTooltip", Number(v ?? 0))} allowDeselect={false} />
            </div>
            {onDelete !== undefined && <Button color="red" variant="outline" onClick={onDelete}>Delete the dashboard</Button>}
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="variables">
          {variables.map((v, i) => (
            <Variable key={i} v={v} remove={() => putVariables(variables.filter((_, n) => n !== i))} up={i === 0 ? undefined : () => putVariables([...variables.slice(0, i - 1), v, ...variables.slice(i - 1, i), ...variables.slice(i + 1)])}
              set={(path, value) => putVariables(variables.map((o, n) => (n === i ? setAt(o, path, value) : o)), `variable ${i} ${path}`)} />
          ))}
          <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => putVariables([...variables, { name: `var${variables.length + 1}`, type: "query", query: "", refresh: 1, multi: false, includeAll: false, hide: 0 }])}>Add a variable</Button>
        </Tabs.Panel>
        <Tabs.Panel value="annotations"><JsonBox label="Annotations as JSON" value={asObjects(at(json, "annotations.list"))} onChange={(v) => set("annotations.list", asObjects(v))} /></Tabs.Panel>
        <Tabs.Panel value="links"><JsonBox label="Links as JSON" value={asObjects(json["links"])} onChange={(v) => set("links", asObjects(v))} /></Tabs.Panel>
        <Tabs.Panel value="json"><JsonBox label="Dashboard as JSON" rows={32} value={json} onChange={(v) => onChange(() => asObject(v))} /></Tabs.Panel>
      </Tabs>
    </Drawer>
  );
}
