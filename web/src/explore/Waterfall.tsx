import { SegmentedControl, Switch, TextInput } from "@mantine/core";
import { useMemo, useState, type ReactNode } from "react";
import { colorByName } from "../model/color/palette";
import { formatDateTimeMs } from "../model/time/format";
import { criticalPath, timeByService } from "../model/traces/path";
import type { Attributes, Line, Span, Trace } from "../model/traces/trace";
import { formatValue } from "../model/units/format";
import { useIsDark } from "../state/scheme";
import { FlameGraph } from "./FlameGraph";

const time = (ns: number) => formatValue(ns, "ns");

export interface SpanLink {
  title: string;
  href: string;
}

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

function Details({ line, links }: { line: Line; links: readonly SpanLink[] }) {
  const { span } = line;
  return (
    <div className="log-details">
      <div className="chips">
        <span className="chip">{span.kind || "span"}</span>
        <span className="chip">starts at {time(span.start)}</span>
        <span className="chip">takes {time(span.duration)}</span>
        <span className="chip">{time(line.own)} of its own</span>
        <span className="chip">{span.id}</span>
        {links.map((l) => <a key={l.title} className="tag" href={l.href}>{l.title}</a>)}
      </div>
      {span.message !== "" && <p className="panel-bad">{span.message}</p>}
      <Pairs title="Attributes" list={span.attributes} />
      <Pairs title="Resource" list={span.resource} />
      {span.events.map((e, i) => <Pairs key={i} title={`Event ${e.name} at ${time(e.at)}`} list={{ ...e.attributes, name: e.name }} />)}
      {span.links.length > 0 && <Pairs title="Linked traces" list={Object.fromEntries(span.links.map((l, i) => [String(i + 1), l.traceId]))} />}
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

const says = (span: Span, text: string) => `${span.service} ${span.name} ${span.message} ${Object.entries(span.attributes).flat().join(" ")}`.toLowerCase().includes(text);

const MOST = 1000;

/** Round moments along the top. */
function Ruler({ duration }: { duration: number }) {
  return (
    <div className="span-line span-ruler" aria-hidden="true">
      <span />
      <span className="span-track plain">{[0, 0.25, 0.5, 0.75].map((p) => <i key={p} style={{ left: `${p * 100}%` }}>{p === 0 ? "0" : time(p * duration)}</i>)}</span>
      <span className="span-time">{time(duration)}</span>
    </div>
  );
}

function Waterfall({ trace, find, critical, links }: { trace: Trace; find: string; critical: ReadonlySet<string> | undefined; links: (span: Span) => readonly SpanLink[] }) {
  const isDark = useIsDark();
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const shown = useMemo(() => visible(trace.lines, folded), [trace, folded]);
  return (
    <div className="waterfall" role="region" aria-label="Spans" tabIndex={0}>
      <Ruler duration={trace.duration} />
      {shown.slice(0, MOST).map(([i, line]) => {
        const { span } = line;
        const color = colorByName(span.service, isDark);
        const away = (find !== "" && !says(span, find)) || (critical !== undefined && !critical.has(span.id));
        return (
          <div key={i} style={away ? { opacity: 0.35 } : undefined} data-critical={critical?.has(span.id) === true ? "yes" : undefined}>
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
                {span.events.map((e, n) => <span key={n} className="span-event" title={`${e.name} at ${time(e.at)}`} style={{ left: `${Math.min(100, (e.at / trace.duration) * 100)}%` }} />)}
              </span>
              <span className="span-time">{time(span.duration)}</span>
            </div>
            {open.has(i) && <Details line={line} links={links(span)} />}
          </div>
        );
      })}
      {shown.length > MOST && <p className="muted">{shown.length - MOST} more spans: fold some.</p>}
    </div>
  );
}

function Services({ trace }: { trace: Trace }) {
  const isDark = useIsDark();
  const list = useMemo(() => timeByService(trace), [trace]);
  const most = Math.max(1, ...list.map((s) => s.own));
  return (
    <table className="data">
      <thead><tr><th>Service</th><th className="num">Spans</th><th className="num">Failed</th><th>Time of its own</th></tr></thead>
      <tbody>
        {list.map((s) => (
          <tr key={s.service}>
            <td><span className="swatch" style={{ background: colorByName(s.service, isDark), display: "inline-block", marginRight: 8, verticalAlign: "middle" }} />{s.service}</td>
            <td className="num">{s.spans}</td>
            <td className={s.failed > 0 ? "num panel-bad" : "num"}>{s.failed}</td>
            <td style={{ width: "50%" }}><span style={{ display: "flex", gap: 8, alignItems: "center" }}><span className="bar-track" style={{ flex: 1, height: 10 }}><span className="bar-fill" style={{ width: `${(s.own / most) * 100}%`, background: colorByName(s.service, isDark) }} /></span><span style={{ minWidth: 70, textAlign: "right" }}>{time(s.own)}</span></span></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A trace as a waterfall, as a flame graph, or by service. */
export function TraceView({ trace, zone, links, children }: { trace: Trace; zone: string; links: (span: Span) => readonly SpanLink[]; children?: ReactNode }) {
  const [view, setView] = useState("waterfall");
  const [find, setFind] = useState("");
  const [onPath, setOnPath] = useState(false);
  const critical = useMemo(() => (onPath ? criticalPath(trace) : undefined), [trace, onPath]);
  return (
    <div className="block">
      <div className="block-head">
        <h2>{trace.lines[0]?.span.service}: {trace.lines[0]?.span.name}</h2>
        <span className="muted">{formatDateTimeMs(trace.startMs, zone)} · {time(trace.duration)} · {trace.lines.length} spans · {trace.services.length} services{trace.errors > 0 ? ` · ${trace.errors} failed` : ""}</span>
        {children}
      </div>
      <div className="block-head">
        <SegmentedControl size="xs" data={[{ value: "waterfall", label: "Waterfall" }, { value: "flames", label: "Flame graph" }, { value: "services", label: "Services" }]} value={view} onChange={setView} aria-label="How the trace is drawn" />
        {view === "waterfall" && (
          <>
            <TextInput size="xs" aria-label="Find spans" placeholder="Find spans" value={find} onChange={(e) => setFind(e.currentTarget.value)} />
            <Switch size="xs" label="Critical path" checked={onPath} onChange={(e) => setOnPath(e.currentTarget.checked)} />
          </>
        )}
      </div>
      {view === "waterfall" && <Waterfall trace={trace} find={find.trim().toLowerCase()} critical={critical} links={links} />}
      {view === "flames" && <FlameGraph trace={trace} />}
      {view === "services" && <Services trace={trace} />}
    </div>
  );
}
