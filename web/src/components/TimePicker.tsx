import { ActionIcon, Button, Group, Popover, ScrollArea, Select, TextInput, Tooltip } from "@mantine/core";
import { useMemo, useState } from "react";
import { formatDateTime } from "../model/time/format";
import { describeRange, quickRanges, refreshIntervals, type QuickRange } from "../model/time/quick";
import { parseTime } from "../model/time/range";
import { resolveZone } from "../model/time/zone";
import { useShortcuts } from "../state/shortcuts";
import type { TimeState } from "../state/time";
import { Icon } from "./Icon";

function zones(): { value: string; label: string }[] {
  const own = resolveZone("browser");
  const rest = Intl.supportedValuesOf("timeZone").map((z) => ({ value: z, label: z.replaceAll("_", " ") }));
  return [{ value: "browser", label: `Browser time (${own.replaceAll("_", " ")})` }, { value: "utc", label: "UTC" }, ...rest.filter((z) => z.value !== "UTC")];
}

function RangeForm({ time, onDone }: { time: TimeState; onDone: () => void }) {
  const shown = (text: string) => (/^\d{9,}$/.test(text) ? formatDateTime(Number(text), time.zone) : text);
  const [from, setFrom] = useState(shown(time.raw.from));
  const [to, setTo] = useState(shown(time.raw.to));
  const now = Date.now();
  const start = parseTime(from, now, false, time.zone);
  const end = parseTime(to, now, true, time.zone);
  const bad = (ms: number | undefined) => (ms === undefined ? "Such as now-6h, now/d or 2026-11-23 08:00:00" : undefined);
  const order = start !== undefined && end !== undefined && start >= end ? "The end is not after the start" : undefined;
  const raw = (text: string, ms: number) => (text.trim().startsWith("now") ? text.trim() : String(ms));
  return (
    <form
      className="range-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (start === undefined || end === undefined || order !== undefined) return;
        time.setRaw({ from: raw(from, start), to: raw(to, end) });
        onDone();
      }}
    >
      <TextInput label="From" value={from} onChange={(e) => setFrom(e.currentTarget.value)} error={bad(start)} data-autofocus />
      <TextInput label="To" value={to} onChange={(e) => setTo(e.currentTarget.value)} error={bad(end) ?? order} />
      <Button type="submit" size="sm">
        Apply
      </Button>
      <Select label="Time zone" data={zones()} value={time.zone === "" ? "browser" : time.zone} onChange={(v) => time.setZone(v ?? "browser")} searchable limit={200} comboboxProps={{ withinPortal: false }} />
    </form>
  );
}

/** Range, shift, zoom and refresh: the same on every page that shows time. */
export function TimePicker({ time, intervals = refreshIntervals, ranges = quickRanges, children }: { time: TimeState; intervals?: readonly string[]; ranges?: readonly QuickRange[]; children?: React.ReactNode }) {
  const [open, setOpen] = useState(false);
  const [filter, setFilter] = useState("");
  const quick = useMemo(() => ranges.filter((q) => q.label.toLowerCase().includes(filter.toLowerCase())), [ranges, filter]);
  useShortcuts([
    { keys: "t z", what: "Zoom the time range out", run: time.zoomOut },
    { keys: "Ctrl+z", what: "Zoom the time range out", run: time.zoomOut },
    { keys: "t ←", what: "Move the time range back", run: () => time.shift(-1) },
    { keys: "t →", what: "Move the time range forward", run: () => time.shift(1) },
    { keys: "t o", what: "Open the time picker", run: () => setOpen(true) },
    { keys: "r", what: "Refresh", run: time.refreshNow },
  ]);
  const label = describeRange(time.raw, time.zone);
  const exact = `${formatDateTime(time.range.from, time.zone)} to ${formatDateTime(time.range.to, time.zone)}`;
  return (
    <Group gap={4} wrap="nowrap" className="time-picker">
      <Tooltip label="Half a range back (t ←)">
        <ActionIcon variant="default" size={32} aria-label="Move the time range back" onClick={() => time.shift(-1)} className="wide-only">
          <Icon name="left" size={16} />
        </ActionIcon>
      </Tooltip>
      <Popover opened={open} onChange={setOpen} position="bottom-end" shadow="md" trapFocus returnFocus withinPortal>
        <Popover.Target>
          <Button variant="default" size="sm" h={32} leftSection={<Icon name="clock" size={16} />} onClick={() => setOpen(!open)} title={exact} aria-label={`Time range: ${label}`} aria-expanded={open}>
            {label}
          </Button>
        </Popover.Target>
        <Popover.Dropdown p={0}>
          <div className="range-panel">
            <RangeForm key={`${time.raw.from} ${time.raw.to} ${time.zone}`} time={time} onDone={() => setOpen(false)} />
            <div className="range-quick">
              <TextInput placeholder="Search ranges" aria-label="Search ranges" size="xs" value={filter} onChange={(e) => setFilter(e.currentTarget.value)} />
              <ScrollArea.Autosize mah={280} type="auto">
                {quick.map((q) => (
                  <button
                    key={q.label}
                    type="button"
                    className="range-option"
                    aria-pressed={q.from === time.raw.from && q.to === time.raw.to}
                    onClick={() => {
                      time.setRaw({ from: q.from, to: q.to });
                      setOpen(false);
                    }}
                  >
                    {q.label}
                  </button>
                ))}
              </ScrollArea.Autosize>
            </div>
          </div>
        </Popover.Dropdown>
      </Popover>
      <Tooltip label="Half a range forward (t →)">
        <ActionIcon variant="default" size={32} aria-label="Move the time range forward" onClick={() => time.shift(1)} className="wide-only">
          <Icon name="right" size={16} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label="Zoom out (t z)">
        <ActionIcon variant="default" size={32} aria-label="Zoom the time range out" onClick={time.zoomOut}>
          <Icon name="zoomOut" size={16} />
        </ActionIcon>
      </Tooltip>
      <div className="joined">
        <Tooltip label="Refresh (r)">
          <ActionIcon variant="default" size={32} aria-label="Refresh" onClick={time.refreshNow}>
            <Icon name="refresh" size={16} />
          </ActionIcon>
        </Tooltip>
        <Select
          aria-label="Refresh by itself"
          data={[{ value: "", label: "Off" }, ...[...new Set([...intervals, ...(time.refresh === "" ? [] : [time.refresh])])].map((i) => ({ value: i, label: i }))]}
          value={time.refresh}
          onChange={(v) => time.setRefresh(v ?? "")}
          w={72}
          size="sm"
          allowDeselect={false}
          comboboxProps={{ width: 90, position: "bottom-end" }}
          classNames={{ input: "refresh-input" }}
        />
      </div>
      {children}
    </Group>
  );
}
