import { ActionIcon, Button, Menu, TextInput, Tooltip } from "@mantine/core";
import { useState } from "react";
import type { DashboardAnswer, Saved } from "../../api/grafana";
import { deleteDashboard } from "../../api/grafana";
import { wordsFor } from "../../api/http";
import { Icon } from "../../components/Icon";
import { Empty, ErrorNote } from "../../components/Notes";
import { addPanel, addRow, changePanel, panelById, removeRow, renameRow, setGrids, startEditing } from "../../model/dashboard/edit";
import type { Dashboard, Section } from "../../model/dashboard/types";
import { navigate, setParams, usePlace } from "../../state/location";
import { useShortcuts } from "../../state/shortcuts";
import { EditableGrid } from "./EditableGrid";
import { PanelEditor } from "./PanelEditor";
import { SaveDialog } from "./SaveDialog";
import { Settings } from "./Settings";
import type { Editing } from "./useEditing";

interface Props {
  /** As it was loaded. */
  loaded: Dashboard;
  /** As it is drawn now. */
  dashboard: Dashboard;
  meta: DashboardAnswer["meta"];
  editing: Editing;
  onSaved: (saved: Saved) => void;
}

const rowIdOf = (section: Section): number => Number(section.key.replace(/^row-/, ""));

function RowHead({ section, editing }: { section: Section; editing: Editing }) {
  const id = rowIdOf(section);
  return (
    <div className="row-head editing">
      <TextInput size="xs" aria-label="Title of the row" value={section.title ?? ""} onChange={(e) => editing.change((j) => renameRow(j, id, e.currentTarget.value), `row ${id}`)} style={{ flex: "0 1 320px" }} />
      <Tooltip label="Remove the row; its panels stay">
        <ActionIcon variant="subtle" color="gray" aria-label={`Remove the row ${section.title ?? ""}`} onClick={() => editing.change((j) => removeRow(j, id))}><Icon name="close" size={14} /></ActionIcon>
      </Tooltip>
    </div>
  );
}

function locked(meta: DashboardAnswer["meta"]): string | undefined {
  if (meta.canSave) return undefined;
  return meta.provisioned ? `This dashboard comes from the file ${meta.provisionedFile || "of the provisioning folder"}, which wins over what is saved here. Save a copy, or download the JSON and put it in place of the file.` : "You may not save this dashboard; a copy may be possible.";
}

/** What is done with a dashboard while it is edited. */
export function EditMode({ loaded, dashboard, meta, editing, onSaved }: Props) {
  const { params } = usePlace();
  const [saving, setSaving] = useState(false);
  const [settings, setSettings] = useState(false);
  const [failed, setFailed] = useState<string>();
  const draft = editing.draft;
  const edited = params.get("editPanel");
  const leave = () => {
    if (editing.dirty && !window.confirm("Leave without saving what you changed?")) return;
    setParams({ editPanel: undefined });
    editing.stop();
  };
  const closePanel = () => setParams({ editPanel: undefined });
  const add = () => editing.change((j) => {
    const { json, id } = addPanel(j);
    queueMicrotask(() => setParams({ editPanel: String(id) }));
    return json;
  });
  useShortcuts([
    { keys: "Ctrl+s", what: "Save the dashboard", run: () => setSaving(true) },
    { keys: "Ctrl+z", what: "Undo", run: editing.undo },
    { keys: "Ctrl+y", what: "Redo", run: editing.redo },
    { keys: "Ctrl+Z", what: "Redo", run: editing.redo },
  ]);
  if (draft === undefined) return null;
  const remove = async () => {
    if (!window.confirm(`Delete “${dashboard.title}” for everybody?`)) return;
    try {
      await deleteDashboard(dashboard.uid);
      navigate("/dashboards");
    } catch (error) {
      setFailed(wordsFor(error));
    }
  };
  const panel = edited === null ? undefined : dashboard.sections.flatMap((s) => s.panels).find((p) => p.key === edited || String(p.id) === edited);
  return (
    <>
      <div className="edit-bar" role="toolbar" aria-label="Editing">
        <strong>{edited === null ? "Editing" : `Editing “${panel?.title || "a panel"}”`}</strong>
        {editing.dirty && <span className="muted">not saved yet</span>}
        <span style={{ flex: 1 }} />
        {edited === null && (
          <Menu position="bottom-end">
            <Menu.Target><Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />}>Add</Button></Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={add}>A panel</Menu.Item>
              <Menu.Item onClick={() => editing.change((j) => addRow(j, "New row"))}>A row</Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
        <Button size="compact-sm" variant="default" disabled={!editing.canUndo} onClick={editing.undo} title="Ctrl+Z">Undo</Button>
        <Button size="compact-sm" variant="default" disabled={!editing.canRedo} onClick={editing.redo} title="Ctrl+Y">Redo</Button>
        <Button size="compact-sm" variant="default" leftSection={<Icon name="settings" size={14} />} onClick={() => setSettings(true)}>Settings</Button>
        <Button size="compact-sm" leftSection={<Icon name="save" size={14} />} onClick={() => setSaving(true)}>Save</Button>
        <Button size="compact-sm" variant="subtle" color="gray" onClick={leave}>Leave</Button>
      </div>
      {failed !== undefined && <ErrorNote title="It was not deleted" text={failed} />}
      {edited !== null ? (
        <PanelEditor key={edited} panel={panel} raw={panel === undefined ? undefined : panelById(draft, panel.id)} onClose={closePanel} onChange={(raw, name) => editing.change((j) => (panel === undefined ? j : changePanel(j, panel.id, () => raw)), name === undefined ? undefined : `${edited} ${name}`)} />
      ) : (
        <>
          {dashboard.sections.length === 0 && <Empty title="An empty dashboard"><Button onClick={add}>Add a panel</Button></Empty>}
          {dashboard.sections.map((section) => (
            <section key={section.key}>
              {section.title !== undefined && <RowHead section={section} editing={editing} />}
              <EditableGrid panels={section.panels} onPlace={(grids) => editing.change((j) => setGrids(j, grids))} />
            </section>
          ))}
        </>
      )}
      {settings && <Settings json={draft} onChange={editing.change} onClose={() => setSettings(false)} {...(meta.canDelete && dashboard.uid !== "" ? { onDelete: () => void remove() } : {})} />}
      {saving && <SaveDialog before={startEditing(loaded)} after={draft} folderUid={meta.folderUid} onClose={() => setSaving(false)} onSaved={(saved) => { setSaving(false); onSaved(saved); }} {...(locked(meta) === undefined ? {} : { locked: locked(meta) ?? "" })} />}
    </>
  );
}
