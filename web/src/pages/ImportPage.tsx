import { Button, FileButton, Select, Textarea } from "@mantine/core";
import { useState } from "react";
import { listFolders } from "../api/grafana";
import { ErrorNote } from "../components/Notes";
import { Icon } from "../components/Icon";
import { PageHead } from "../components/Shell";
import { parseDashboard } from "../model/dashboard/edit";
import { loadDashboard } from "../model/dashboard/load";
import type { JsonObject } from "../model/json";
import { useLoad } from "../state/useLoad";
import { NewDashboard } from "./DashboardPage";

/** A dashboard from a file or the clipboard: shown as it will be, then saved. */
export function ImportPage() {
  const [text, setText] = useState("");
  const [folder, setFolder] = useState("");
  const [error, setError] = useState<string>();
  const [taken, setTaken] = useState<JsonObject>();
  const folders = useLoad("folders", (signal) => listFolders(signal).catch(() => []));
  const take = () => {
    const read = parseDashboard(text);
    if ("message" in read) return setError(read.line === undefined ? read.message : `Line ${read.line}: ${read.message}`);
    setTaken({ ...read.json, id: null });
  };
  if (taken !== undefined) return <NewDashboard json={taken} folderUid={folder} />;
  const found = text.trim() === "" ? undefined : parseDashboard(text);
  const about = found !== undefined && "json" in found ? loadDashboard(found.json) : undefined;
  return (
    <div className="page">
      <PageHead title="Import a dashboard" />
      <form className="block silence-form" onSubmit={(e) => { e.preventDefault(); take(); }}>
        {error !== undefined && <ErrorNote title="It could not be read" text={error} />}
        <FileButton accept="application/json,.json" onChange={(file) => void file?.text().then((t) => { setText(t); setError(undefined); })}>
          {(props) => <Button {...props} variant="default" leftSection={<Icon name="upload" size={15} />} style={{ alignSelf: "flex-start" }}>Choose a file</Button>}
        </FileButton>
        <Textarea label="Or paste its JSON" value={text} onChange={(e) => { setText(e.currentTarget.value); setError(undefined); }} rows={16} classNames={{ input: "mono" }} spellCheck={false} />
        <Select label="Folder" data={[{ value: "", label: "General" }, ...(folders.data ?? []).map((f) => ({ value: f.uid, label: f.title }))]} value={folder} onChange={(v) => setFolder(v ?? "")} allowDeselect={false} style={{ maxWidth: 320 }} />
        {about !== undefined && <p className="muted" style={{ margin: 0 }}>“{about.title}”: {about.sections.flatMap((s) => s.panels).length} panels, {about.variables.length} variables.</p>}
        <Button type="submit" disabled={text.trim() === ""} style={{ alignSelf: "flex-start" }}>Look at it</Button>
      </form>
    </div>
  );
}
