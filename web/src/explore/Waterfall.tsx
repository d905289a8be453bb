import { useMemo, useState } from "react";
import { colorByName } from "../model/color/palette";
import { formatDateTimeMs } from "../model/time/format";
import type { Attributes, Line, Trace } from "../model/traces/trace";
import { formatValue } from "../model/units/format";
import { useIsDark } from "../state/scheme";

const time = (ns: number) => formatValue(ns, "ns");

function Pairs({ title, list }: { title: string; list: Attributes }) {
  const names = Object.keys(list).sort();
  if (names.length === 0) return null;
  return (
    <>
      <h4>{title}</h4>
      <table><tbody>{names.map((n) => <tr key={n}><td className="muted">{n}</td><td className="value">{list[n]}</td></tr>)}</tbody></table>
    </>
  );
}

function Details({ line }: { line: Line }) {
  const { span } = line;
  return (
    <div className="log-details">
      <div className="chips">
        <span className="chip">{span.kind || "span"}</span>
        <span className="chip">starts at {time(span.start)}</span>
        <span className="chip">takes {time(span.duration)}</span>
        <span className="chip">{time(line.own)} of its own</span>
        <span className="chip">{span.id}</span>
      </div>
      {span.message !== "" && <p className="panel-bad">{span.message}</p>}
      <Pairs title="Attributes" list={span.attributes} />
      <Pairs title="Resource" list={span.resource} />
      {span.events.map((e, i) => <Pairs key={i} title={`Event ${e.name} at ${time(e.at)}`} list={{ ...e.attributes, name: e.name }} />)}
    </div>
  );
}

/** Lines whose parents are all unfolded. */
function visible(lines: readonly Line[], folded: ReadonlySet<number>): readonly (readonly [number, Line])[] {
  const shown: (readonly [number, Line])[] = [];
  let below = Infinity;
  lines.forEach((line, i) => {
    if (line.depth > below) return;
    below = folded.has(i) ? line.depth : Infinity;
    shown.push([i, line]);
  });
  return shown;
}

const toggledIn = (set: ReadonlySet<number>, i: number): ReadonlySet<number> => {
  const next = new Set(set);
  if (!next.delete(i)) next.add(i);
  return next;
};

const MOST = 1000;

export function Waterfall({ trace, zone, onLogs }: { trace: Trace; zone: string; onLogs?: () => void }) {
  const isDark = useIsDark();
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const shown = useMemo(() => visible(trace.lines, folded), [trace, folded]);
  return (
    <div className="block">
      <div className="block-head">
        <h2>{trace.lines[0]?.span.service}: {trace.lines[0]?.span.name}</h2>
        <span className="muted">{formatDateTimeMs(trace.startMs, zone)} · {time(trace.duration)} · {trace.lines.length} spans · {trace.services.length} services{trace.errors > 0 ? ` · ${trace.errors} failed` : ""}</span>
        {onLogs !== undefined && <button type="button" className="tag" onClick={onLogs}>Logs of this trace</button>}
      </div>
      <div className="waterfall" role="region" aria-label="Spans" tabIndex={0}>
        {shown.slice(0, MOST).map(([i, line]) => {
          const { span } = line;
          const color = colorByName(span.service, isDark);
          return (
            <div key={i}>
              <div className="span-line">
                <span className="span-name" style={{ paddingLeft: Math.min(line.depth, 20) * 14 }}>
                  {line.children > 0 ? (
                    <button type="button" className="panel-tool" aria-label={folded.has(i) ? `Unfold ${span.name}` : `Fold ${span.name}`} aria-expanded={!folded.has(i)} onClick={() => setFolded((f) => toggledIn(f, i))}>{folded.has(i) ? "▸" : "▾"}</button>
                  ) : <span style={{ width: 16 }} />}
                  <span className="swatch" style={{ background: color }} />
                  <button type="button" className="legend-name" aria-expanded={open.has(i)} onClick={() => setOpen((o) => toggledIn(o, i))} title={`${span.service}: ${span.name}`}>
                    <span><b>{span.service}</b> {span.name}</span>
                  </button>
                  {span.failed && <span className="state bad">failed</span>}
                </span>
                <span className="span-track">
                  <span className="span-bar" style={{ left: `${(span.start / trace.duration) * 100}%`, width: `max(2px, ${(span.duration / trace.duration) * 100}%)`, background: span.failed ? "var(--bad)" : color }} />
                </span>
                <span className="span-time">{time(span.duration)}</span>
              </div>
              {open.has(i) && <Details line={line} />}
            </div>
          );
        })}
        {shown.length > MOST && <p className="muted">{shown.length - MOST} more spans: fold some.</p>}
      </div>
    </div>
  );
}
