import { memo, useCallback, useMemo, useState, type CSSProperties } from "react";
import { ansiSpans, hasAnsi } from "../model/logs/ansi";
import { fieldsOfLine, prettyLine, traceIdOf } from "../model/logs/fields";
import { readableLine } from "../model/logs/readable";
import { levelColor, levelOf } from "../model/logs/level";
import { allFields, foldRepeats, type Dedup } from "../model/logs/view";
import type { LogRow } from "../model/data/loki";
import { formatLayout } from "../model/time/format";
import { Icon } from "./Icon";

export interface LogActions {
  filter?: (key: string, operator: "=" | "!=", value: string, row: LogRow) => void;
  statistics?: (key: string) => void;
  context?: (row: LogRow) => void;
  openTrace?: (id: string) => void;
}

interface Props {
  rows: readonly LogRow[];
  zone: string;
  isDark: boolean;
  showTime?: boolean;
  showLabels?: boolean;
  wrap?: boolean;
  pretty?: boolean;
  /** The message of structured lines, then what is particular about them, in place of the whole line. */
  readable?: boolean;
  dedup?: Dedup;
  /** In place of the line: these fields and labels of it. */
  fields?: readonly string[];
  details?: boolean;
  marked?: string;
  actions?: LogActions;
  /** Told when the reader comes to the last line. */
  onEnd?: () => void;
}

function Line({ text }: { text: string }) {
  if (!hasAnsi(text)) return <>{text}</>;
  return ansiSpans(text).map((s, i) => (
    <span key={i} style={{ color: s.color, fontWeight: s.bold === true ? 700 : undefined }}>
      {s.text}
    </span>
  ));
}

function FieldRows({ title, fields, row, actions }: { title: string; fields: Readonly<Record<string, string>>; row: LogRow; actions: LogActions }) {
  const names = Object.keys(fields).sort();
  if (names.length === 0) return null;
  return (
    <>
      <h4>{title}</h4>
      <table>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <td className="log-tools">
                {actions.filter !== undefined && (
                  <>
                    <button type="button" aria-label={`Only lines with this ${name}`} title="Only these" onClick={() => actions.filter?.(name, "=", fields[name] ?? "", row)}>
                      <Icon name="plus" />
                    </button>
                    <button type="button" aria-label={`No lines with this ${name}`} title="None of these" onClick={() => actions.filter?.(name, "!=", fields[name] ?? "", row)}>
                      <Icon name="minus" />
                    </button>
                  </>
                )}
                {actions.statistics !== undefined && (
                  <button type="button" aria-label={`Count the values of ${name}`} title="Count the values" onClick={() => actions.statistics?.(name)}>
                    <Icon name="chart" />
                  </button>
                )}
              </td>
              <td className="muted">{name}</td>
              <td className="value">{fields[name]}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Details({ row, actions, style }: { row: LogRow; actions: LogActions; style: CSSProperties }) {
  const parsed = useMemo(() => fieldsOfLine(row.line), [row.line]);
  const trace = traceIdOf(row.line, allFields(row));
  return (
    <div className="log-details" style={style}>
      <div className="page-actions">
        {actions.context !== undefined && (
          <button type="button" className="tag" onClick={() => actions.context?.(row)}>
            Show the lines around it
          </button>
        )}
        <button type="button" className="tag" onClick={() => void navigator.clipboard.writeText(row.line)}>
          Copy the line
        </button>
        {trace !== undefined && actions.openTrace !== undefined && (
          <button type="button" className="tag" onClick={() => actions.openTrace?.(trace)}>
            Trace {trace.slice(0, 8)}…
          </button>
        )}
      </div>
      <FieldRows title="Fields of the line" fields={{ ...parsed, ...row.fields }} row={row} actions={actions} />
      <FieldRows title="Labels of the stream" fields={row.labels} row={row} actions={actions} />
    </div>
  );
}

const PAGE = 300;

interface OneProps {
  row: LogRow;
  repeats: number;
  isOpen: boolean;
  marked: boolean;
  zone: string;
  isDark: boolean;
  showTime: boolean;
  showLabels: boolean;
  pretty: boolean;
  readable: boolean;
  details: boolean;
  fields: readonly string[];
  actions: LogActions;
  toggle: (id: string) => void;
}

function chosen(row: LogRow, names: readonly string[]): string {
  const all = { ...fieldsOfLine(row.line), ...allFields(row) };
  return names.flatMap((n) => (all[n] === undefined ? [] : [`${n}=${all[n]}`])).join("  ");
}

const noFields: readonly string[] = [];

/** One line; of ten thousand only those that change are drawn again. */
const One = memo(function One({ row, repeats, isOpen, marked, zone, isDark, showTime, showLabels, pretty, readable, fields, details, actions, toggle }: OneProps) {
  const style = { "--level": levelColor(levelOf(row.labels, row.fields, row.line), isDark) } as CSSProperties;
  const text = fields.length > 0 ? chosen(row, fields) : pretty ? prettyLine(row.line) : readable ? (readableLine(row.line) ?? row.line) : row.line;
  return (
    <div>
      <button type="button" className={marked ? "log marked" : "log"} style={style} aria-expanded={details ? isOpen : undefined} onClick={() => details && toggle(row.id)}>
        {showTime && <time>{formatLayout(row.timeMs, "MM-DD HH:mm:ss.SSS", zone)}</time>}
        {repeats > 0 && <span className="log-repeat">×{repeats + 1}</span>}
        {showLabels && <span className="log-labels">{Object.values(row.labels).join(" ")}</span>}
        <span className="log-line">
          <Line text={text} />
        </span>
      </button>
      {isOpen && <Details row={row} actions={actions} style={style} />}
    </div>
  );
});

const noActions: LogActions = {};

/** Lines that the browser lays out together, and only while they are near what is seen. */
const CHUNK = 50;
/** Of a line that is not wrapped, in pixels: what lies ahead is reckoned with it. */
const LINE_HEIGHT = 20;

function chunksOf<T>(list: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

/** Lines of logs. Text stays text: nothing in a line is ever taken for markup. */
export function LogLines({ rows, zone, isDark, showTime = true, showLabels = false, wrap = false, pretty = false, readable = false, dedup = "none", fields = noFields, details = true, marked, actions = noActions, onEnd }: Props) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState(PAGE);
  const folded = useMemo(() => foldRepeats(rows, dedup), [rows, dedup]);
  const chunks = useMemo(() => chunksOf(folded.slice(0, shown), CHUNK), [folded, shown]);
  const toggle = useCallback((id: string) => setOpen((now) => {
    const next = new Set(now);
    if (!next.delete(id)) next.add(id);
    return next;
  }), []);
  return (
    <div
      className={wrap || pretty ? "logs wrap" : "logs"}
      tabIndex={0}
      role="region"
      aria-label="Log lines"
      onScroll={(e) => {
        const { scrollTop, scrollHeight, clientHeight } = e.currentTarget;
        if (scrollHeight - scrollTop - clientHeight > 1200) return;
        if (shown < folded.length) setShown((n) => n + PAGE);
        else onEnd?.();
      }}
    >
      {chunks.map((chunk) => (
        <div key={chunk[0]?.row.id} className="log-chunk" style={{ containIntrinsicSize: `auto ${chunk.length * LINE_HEIGHT}px` }}>
          {chunk.map(({ row, repeats }) => (
            <One key={row.id} row={row} repeats={repeats} isOpen={open.has(row.id)} marked={row.id === marked} zone={zone} isDark={isDark} showTime={showTime} showLabels={showLabels} pretty={pretty} readable={readable} fields={fields} details={details} actions={actions} toggle={toggle} />
          ))}
        </div>
      ))}
      {folded.length > shown && (
        <button type="button" className="range-option" onClick={() => setShown((n) => n + PAGE)}>
          {folded.length - shown} more lines
        </button>
      )}
    </div>
  );
}
