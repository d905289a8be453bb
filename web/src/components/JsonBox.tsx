import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { isObject, type JsonObject } from "../model/json";

/** JSON that a person may change: it is taken when it reads, and says where when it does not. */
export function JsonBox({ label, value, onChange, rows = 22 }: { label: string; value: JsonObject | readonly JsonObject[]; onChange: (value: unknown) => void; rows?: number }) {
  const written = JSON.stringify(value, null, 2);
  const [draft, setDraft] = useState<string>();
  const [error, setError] = useState<string>();
  const apply = () => {
    try {
      const read: unknown = JSON.parse(draft ?? written);
      if (!isObject(read) && !Array.isArray(read)) throw new Error("An object is expected.");
      onChange(read);
      setDraft(undefined);
      setError(undefined);
    } catch (caught) {
      setError(caught instanceof Error ? caught.message : String(caught));
    }
  };
  return (
    <div>
      <Textarea aria-label={label} value={draft ?? written} onChange={(e) => setDraft(e.currentTarget.value)} rows={rows} error={error} classNames={{ input: "mono" }} spellCheck={false} />
      <div className="page-actions" style={{ marginTop: 6 }}>
        <Button size="compact-sm" disabled={draft === undefined || draft === written} onClick={apply}>Apply</Button>
        <Button size="compact-sm" variant="default" disabled={draft === undefined} onClick={() => { setDraft(undefined); setError(undefined); }}>Reset</Button>
      </div>
    </div>
  );
}
