import { Button, Tabs } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { JsonBox } from "../../components/JsonBox";
import { Empty } from "../../components/Notes";
import type { Panel } from "../../model/dashboard/types";
import { asObject, asObjects, type JsonObject } from "../../model/json";
import { useShortcuts } from "../../state/shortcuts";
import { PanelBox } from "../PanelBox";
import { Options } from "./Options";
import { QueryEditor } from "./QueryEditor";

interface Props {
  /** As it is drawn. */
  panel: Panel | undefined;
  /** As it is written. */
  raw: JsonObject | undefined;
  onChange: (panel: JsonObject, name?: string) => void;
  onClose: () => void;
}

/** One panel, drawn above, with its queries below and its options beside. */
export function PanelEditor({ panel, raw, onChange, onClose }: Props) {
  useShortcuts([{ keys: "Esc", what: "Back from the panel to the dashboard", run: onClose }]);
  if (panel === undefined || raw === undefined) return <Empty title="There is no such panel"><Button variant="default" onClick={onClose}>Back to the dashboard</Button></Empty>;
  return (
    <div className="panel-editor">
      <div className="panel-editor-main">
        <div className="panel-editor-view"><PanelBox key={panel.key} panel={panel} viewed={false} filling /></div>
        <Button size="compact-sm" leftSection={<Icon name="check" size={14} />} onClick={onClose} className="panel-editor-done">Done</Button>
        <Tabs defaultValue={panel.type === "text" ? "json" : "queries"} keepMounted={false}>
          <Tabs.List mb="sm">
            <Tabs.Tab value="queries">Queries ({panel.targets.length})</Tabs.Tab>
            <Tabs.Tab value="transform">Transformations ({panel.transformations.length})</Tabs.Tab>
            <Tabs.Tab value="json">JSON</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="queries"><QueryEditor panel={raw} onChange={onChange} /></Tabs.Panel>
          <Tabs.Panel value="transform">
            <p className="muted">Applied one after the other, as Grafana writes them: {"{"}id, options{"}"}.</p>
            <JsonBox label="Transformations as JSON" rows={12} value={asObjects(raw["transformations"])} onChange={(v) => onChange({ ...raw, transformations: asObjects(v) })} />
          </Tabs.Panel>
          <Tabs.Panel value="json"><JsonBox label="Panel as JSON" value={raw} onChange={(v) => onChange(asObject(v))} /></Tabs.Panel>
        </Tabs>
      </div>
      <Options panel={raw} onChange={onChange} />
    </div>
  );
}
