import { Button, Drawer, Select, Tabs } from "@mantine/core";
import { useState } from "react";
import { DataTable } from "../components/DataTable";
import { save } from "../components/save";
import type { Panel } from "../model/dashboard/types";
import { frameToCsv } from "../model/data/csv";
import { rowCount } from "../model/data/frame";
import { displayName } from "../model/data/names";
import { asksSource } from "../model/query/plan";
import { useIsDark } from "../state/scheme";
import { useDashboard } from "./context";
import type { PanelData } from "./usePanelData";

/** What a panel asked, what it got, and what it is. */
export function Inspect({ panel, data, title, onClose }: { panel: Panel; data: PanelData; title: string; onClose: () => void }) {
  const { zone } = useDashboard();
  const isDark = useIsDark();
  const [chosen, setChosen] = useState("0");
  const frame = data.frames[Number(chosen)];
  const names = data.frames.map((f, i) => ({ value: String(i), label: `${f.refId}: ${f.fields.filter((x) => x.type !== "time").map((x) => displayName(x, f, data.frames)).slice(0, 3).join(", ")} (${rowCount(f)} rows)` }));
  return (
    <Drawer opened onClose={onClose} position="right" size="xl" title={`Inspect: ${title}`}>
      <Tabs defaultValue="data" keepMounted={false}>
        <Tabs.List mb="sm">
          <Tabs.Tab value="data">Data</Tabs.Tab>
          <Tabs.Tab value="query">Query</Tabs.Tab>
          <Tabs.Tab value="json">Panel JSON</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="data">
          <div className="block-head">
            <Select aria-label="Frame" data={names} value={chosen} onChange={(v) => setChosen(v ?? "0")} allowDeselect={false} style={{ flex: 1 }} />
            {frame !== undefined && (
              <Button variant="default" onClick={() => save(`${title || "panel"}.csv`, "text/csv", frameToCsv(frame, data.frames))}>
                Download CSV
              </Button>
            )}
          </div>
          {frame === undefined ? <p className="muted">No data</p> : <DataTable frame={frame} all={data.frames} isDark={isDark} context={{ zone, now: data.range.to }} limit={500} />}
        </Tabs.Panel>
        <Tabs.Panel value="query">
          {data.results.map((r, i) => (
            <div key={i} className="block">
              <dl className="pairs">
                <dt>{r.plan.refId}</dt>
                <dd>{r.plan.kind}</dd>
                {asksSource(r.plan) && (
                  <>
                    <dt>Source</dt>
                    <dd>{r.plan.source.name}</dd>
                    {"stepMs" in r.plan && (
                      <>
                        <dt>Step</dt>
                        <dd>{r.plan.stepMs / 1000} s</dd>
                      </>
                    )}
                  </>
                )}
                <dt>Took</dt>
                <dd>{r.tookMs} ms</dd>
                <dt>Frames</dt>
                <dd>{r.frames.length}</dd>
              </dl>
              {asksSource(r.plan) && <pre className="code">{r.plan.expr}</pre>}
              {r.plan.kind === "expression" && <pre className="code">{JSON.stringify(r.plan.raw, null, 2)}</pre>}
              {r.error !== undefined && <p className="panel-bad">{r.error}</p>}
            </div>
          ))}
        </Tabs.Panel>
        <Tabs.Panel value="json">
          <pre className="code">{JSON.stringify(panel.raw, null, 2)}</pre>
        </Tabs.Panel>
      </Tabs>
    </Drawer>
  );
}
