import { Button, Modal, TagsInput, Textarea } from "@mantine/core";
import { useState } from "react";
import { useAct } from "../admin/useAct";
import { addAnnotation } from "../api/grafana";
import { ErrorNote } from "../components/Notes";
import { formatDateTime } from "../model/time/format";
import type { Range } from "../model/time/range";
import { useDashboard } from "./context";

/** A remark on a moment or a stretch, which everybody sees on the charts of this dashboard. */
export function Remark({ panelId, range, onClose, onDone }: { panelId: number; range: Range; onClose: () => void; onDone: () => void }) {
  const { dashboard, zone } = useDashboard();
  const [text, setText] = useState("");
  const [tags, setTags] = useState<string[]>([]);
  const { busy, error, act } = useAct(onDone);
  const submit = async () => {
    if (await act(() => addAnnotation({ dashboardUID: dashboard.uid, panelId, from: range.from, to: range.to, text: text.trim(), tags }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title="Remark">
      <form onSubmit={(e) => { e.preventDefault(); void submit(); }} style={{ display: "flex", flexDirection: "column", gap: 12 }}>
        <p className="muted" style={{ margin: 0 }}>{formatDateTime(range.from, zone)}{range.to > range.from && ` to ${formatDateTime(range.to, zone)}`}</p>
        {error !== undefined && <ErrorNote title="It was not kept" text={error} />}
        <Textarea label="What happened" value={text} onChange={(e) => setText(e.currentTarget.value)} autosize minRows={2} data-autofocus required />
        <TagsInput label="Tags" value={tags} onChange={setTags} />
        <Button type="submit" loading={busy} disabled={text.trim() === ""}>Keep it</Button>
      </form>
    </Modal>
  );
}
