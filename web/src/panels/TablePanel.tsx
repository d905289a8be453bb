import { Select } from "@mantine/core";
import { useMemo, useState } from "react";
import { DataTable } from "../components/DataTable";
import { displayName } from "../model/data/names";
import { displayCell, plainText } from "../model/data/display";
import type { Frame } from "../model/data/frame";
import { linkTemplate } from "../model/data/links";
import { asBool, asObjects, asOneOf, asString, asStrings, at } from "../model/json";
import { joinBy } from "../model/transform/rows";
import { timeField } from "../model/data/frame";
import { explorePath } from "../dashboard/links";
import { traceIdFrom } from "../model/traces/trace";
import { useSource } from "../state/session";
import type { PanelProps } from "./types";

/** Many series over the same time read best as one table with a column each. */
function tablesOf(frames: readonly Frame[]): readonly Frame[] {
  if (frames.length < 2 || !frames.every((f) => f.kind === "series")) return frames;
  const joined = joinBy(frames, timeField, "outer");
  return joined === undefined ? frames : [joined];
}

export function TablePanel({ panel, frames, isDark, context, text, range, height }: PanelProps) {
  const tempo = useSource("tempo");
  const o = panel.options;
  const tables = useMemo(() => tablesOf(frames), [frames]);
  const [chosen, setChosen] = useState("0");
  const frame = tables[Number(chosen)] ?? tables[0];
  const sort = asObjects(o["sortBy"])[0];
  if (frame === undefined) return null;
  const names = tables.map((f, i) => ({ value: String(i), label: f.fields.filter((x) => x.type !== "time").map((x) => displayName(x, f, tables)).join(", ").slice(0, 80) || f.refId }));
  return (
    <div style={{ display: "flex", flexDirection: "column", height: "100%", gap: 4 }}>
      <div style={{ flex: 1, minHeight: 0 }}>
        <DataTable
          key={chosen}
          frame={frame}
          all={tables}
          isDark={isDark}
          context={context}
          showHeader={asBool(o["showHeader"], true)}
          footer={asBool(at(o, "footer.show")) ? (asBool(at(o, "footer.countRows")) ? ["count"] : asStrings(at(o, "footer.reducer"))) : []}
          footerFields={asStrings(at(o, "footer.fields"))}
          cellHeight={asOneOf(o["cellHeight"], ["sm", "md", "lg"], "sm")}
          {...(asBool(at(o, "footer.enablePagination")) ? { pageSize: Math.max(3, Math.floor((height - 90) / 32)) } : {})}
          {...(sort === undefined ? {} : { sortBy: { name: asString(sort["displayName"]), desc: asBool(sort["desc"]) } })}
          link={(field, row) => {
            const link = field.config.links[0];
            const cell = field.values[row];
            // A trace's id leads to the trace, whatever the panel says.
            if (link === undefined) return tempo !== undefined && /^trace ?id$/i.test(field.name) && typeof cell === "string" && traceIdFrom(cell) !== undefined ? explorePath(tempo.uid, [{ refId: "A", expr: cell.padStart(32, "0") }], { from: String(Math.round(range.from)), to: String(Math.round(range.to)) }) : undefined;
            return text(linkTemplate(link.url, { field, frame, all: tables, row, shown: plainText(displayCell(field, cell, isDark, context, row)) }), "url");
          }}
        />
      </div>
      {tables.length > 1 && <Select size="xs" aria-label="Which table" data={names} value={chosen} onChange={(v) => setChosen(v ?? "0")} allowDeselect={false} />}
    </div>
  );
}
