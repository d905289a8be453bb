import { useMemo, useState, type CSSProperties } from "react";
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
  details?: boolean;
  marked?: string;
  actions?: LogActions;
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

/** Lines of logs. Text stays text: nothing in a line is ever taken for markup. */
export function LogLines({ rows, zone, isDark, showTime = true, showLabels = false, wrap = false, pretty = false, readable = false, dedup = "none", details = true, marked, actions = {} }: Props) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState(PAGE);
  const folded = useMemo(() => foldRepeats(rows, dedup), [rows, dedup]);
  const toggle = (id: string) =>
    setOpen((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  return (
    <div
      className={wrap || pretty ? "logs wrap" : "logs"}
      tabIndex={0}
      role="region"
      aria-label="Log lines"
      onScroll={(e) => {
        const { scrollTop, scrollHeight, clientHeight } = e.currentTarget;
        if (scrollHeight - scrollTop - clientHeight < 600 && shown < folded.length) setShown((n) => n + PAGE);
      }}
    >
      {folded.slice(0, shown).map(({ row, repeats }) => {
        const style = { "--level": levelColor(levelOf(row.labels, row.fields, row.line), isDark) } as CSSProperties;
        const text = pretty ? prettyLine(row.line) : readable ? (readableLine(row.line) ?? row.line) : row.line;
        return (
          <div key={row.id}>
            <button type="button" className={row.id === marked ? "log marked" : "log"} style={style} aria-expanded={details ? open.has(row.id) : undefined} onClick={() => details && toggle(row.id)}>
              {showTime && <time>{formatLayout(row.timeMs, "MM-DD HH:mm:ss.SSS", zone)}</time>}
              {repeats > 0 && <span className="log-repeat">×{repeats + 1}</span>}
              {showLabels && <span className="log-labels">{Object.values(row.labels).join(" ")}</span>}
              <span className="log-line">
                <Line text={text} />
              </span>
            </button>
            {open.has(row.id) && <Details row={row} actions={actions} style={style} />}
          </div>
        );
      })}
      {folded.length > shown && (
        <button type="button" className="range-option" onClick={() => setShown((n) => n + PAGE)}>
          {folded.length - shown} more lines
        </button>
      )}
    </div>
  );
}
