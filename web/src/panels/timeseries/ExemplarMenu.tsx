import { Menu } from "@mantine/core";
import type { Exemplar } from "../../api/prometheus";
import { formatDateTimeMs } from "../../model/time/format";
import { formatValue } from "../../model/units/format";
import { traceIdOfLabels } from "../../model/traces/trace";

const MOST = 12;

/** The greatest exemplars by name, for those who do not point at dots. */
export function ExemplarMenu({ exemplars, unit, zone, onOpen }: { exemplars: readonly Exemplar[]; unit: string; zone: string; onOpen: (exemplar: Exemplar) => void }) {
  const list = exemplars.filter((e) => traceIdOfLabels(e.labels) !== undefined && Number.isFinite(e.value)).sort((a, b) => b.value - a.value);
  if (list.length === 0) return null;
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <button type="button" className="exemplar-menu" aria-label={`Traces of ${list.length} exemplars`} title="Traces behind the diamonds">◆ {list.length}</button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>The greatest</Menu.Label>
        {list.slice(0, MOST).map((e, i) => (
          <Menu.Item key={i} onClick={() => onOpen(e)} rightSection={<span className="muted">{formatDateTimeMs(e.timeMs, zone)}</span>}>
            <b>{formatValue(e.value, unit)}</b> <span className="mono muted">{(traceIdOfLabels(e.labels) ?? "").slice(0, 8)}…</span>
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
