import { Button, Modal, Select, Textarea, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { listFolders, saveDashboard, type Saved } from "../../api/grafana";
import { HttpError, wordsFor } from "../../api/http";
import { ErrorNote } from "../../components/Notes";
import { save as download } from "../../components/save";
import { asString, type JsonObject } from "../../model/json";
import { useLoad } from "../../state/useLoad";
import { changedLines, Diff } from "./Diff";

interface Props {
  before: JsonObject;
  after: JsonObject;
  /** Why it cannot be saved where it is, if it cannot. */
  locked?: string;
  folderUid: string;
  onSaved: (saved: Saved) => void;
  onClose: () => void;
}

/** Saves with a message, as a copy, or as a file; a change by somebody else in between is shown before it is overwritten. */
export function SaveDialog({ before, after, locked, folderUid, onSaved, onClose }: Props) {
  const [message, setMessage] = useState("");
  const [copy, setCopy] = useState(locked !== undefined);
  const [title, setTitle] = useState(locked === undefined ? asString(after["title"]) : `${asString(after["title"])} (copy)`);
  const [folder, setFolder] = useState<string>(folderUid);
  const [error, setError] = useState<{ text: string; conflict: boolean }>();
  const [busy, setBusy] = useState(false);
  const [showing, setShowing] = useState(false);
  const folders = useLoad(copy ? "folders" : undefined, (signal) => listFolders(signal).catch(() => []));
  const changed = useMemo(() => changedLines(before, after), [before, after]);
  const submit = async (overwrite: boolean) => {
    setBusy(true);
    setError(undefined);
    const dashboard: JsonObject = copy ? { ...after, id: null, uid: "", title: title.trim(), version: 0 } : after;
    try {
      onSaved(await saveDashboard({ dashboard, message: message.trim(), overwrite, folderUid: copy ? folder : folderUid }));
    } catch (caught) {
      setError({ text: wordsFor(caught), conflict: caught instanceof HttpError && caught.status === 412 });
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title="Save the dashboard" size="lg">
      <form className="silence-form" onSubmit={(e) => { e.preventDefault(); void submit(false); }}>
        {locked !== undefined && <div className="note">{locked}</div>}
        {error !== undefined && <ErrorNote title={error.conflict ? "Somebody else has changed it" : "It was not saved"} text={error.text} />}
        {copy && <TextInput label="Title of the copy" value={title} onChange={(e) => setTitle(e.currentTarget.value)} required />}
        {copy && <Select label="Folder" data={[{ value: "", label: "General" }, ...(folders.data ?? []).map((f) => ({ value: f.uid, label: f.title }))]} value={folder} onChange={(v) => setFolder(v ?? "")} allowDeselect={false} />}
        <Textarea label="What changed" placeholder="For those who read the history" value={message} onChange={(e) => setMessage(e.currentTarget.value)} autosize minRows={2} data-autofocus />
        <p className="muted" style={{ margin: 0 }}>
          {changed.added} lines added, {changed.removed} removed. <button type="button" className="tag" aria-expanded={showing} onClick={() => setShowing(!showing)}>{showing ? "Hide" : "Show"} them</button>
        </p>
        {showing && <Diff before={before} after={after} />}
        <div className="page-actions">
          {error?.conflict === true ? <Button color="red" loading={busy} onClick={() => void submit(true)}>Save over it</Button> : <Button type="submit" loading={busy} disabled={copy && title.trim() === ""}>{copy ? "Save the copy" : "Save"}</Button>}
          {locked === undefined && <Button variant="default" onClick={() => { setCopy(!copy); setTitle(copy ? asString(after["title"]) : `${asString(after["title"])} (copy)`); }}>{copy ? "Not as a copy" : "As a copy"}</Button>}
          <Button variant="default" onClick={() => download(`${asString(after["title"], "dashboard")}.json`, "application/json", `${JSON.stringify(after, null, 2)}\n`)}>Download JSON</Button>
          <Button variant="subtle" color="gray" onClick={onClose}>Cancel</Button>
        </div>
      </form>
    </Modal>
  );
}
