import { useMemo } from "react";
import type { LogRow } from "../model/data/loki";
import { levelColor } from "../model/logs/level";
import { findPatterns, fixedPart } from "../model/logs/patterns";
import { useIsDark } from "../state/scheme";

/** What the lines say, each kind once, with how often and when. */
export function Patterns({ rows, range, onPick }: { rows: readonly LogRow[]; range: { from: number; to: number }; onPick: (text: string, operator: "|=" | "!=") => void }) {
  const isDark = useIsDark();
  const list = useMemo(() => {
    // Of a few lines the range says little: the lines' own stretch is what is drawn.
    const times = rows.map((r) => r.timeMs);
    return findPatterns(rows, rows.length < 2 ? range : { from: Math.min(...times), to: Math.max(...times) + 1 });
  }, [rows, range]);
  return (
    <div className="table-scroll" style={{ maxHeight: "60vh" }} tabIndex={0} role="region" aria-label="Patterns">
      <table className="data">
        <thead><tr><th className="num">Lines</th><th>When</th><th>Pattern</th><th /></tr></thead>
        <tbody>
          {list.slice(0, 200).map((p) => {
            const most = Math.max(...p.over);
            const text = fixedPart(p);
            return (
              <tr key={p.text}>
                <td className="num"><strong>{p.count}</strong><div className="muted">{Math.round((p.count / rows.length) * 100)}%</div></td>
                <td style={{ width: 130 }}>
                  <svg width="120" height="26" aria-hidden="true">{p.over.map((n, i) => <rect key={i} x={i * 5} width="4" y={26 - (n / most) * 24} height={(n / most) * 24} fill={levelColor(p.level, isDark)} />)}</svg>
                </td>
                <td><span className="mono" style={{ overflowWrap: "anywhere" }}>{p.text}</span></td>
                <td className="num">
                  {text !== "" && (
                    <span className="chips" style={{ justifyContent: "flex-end" }}>
                      <button type="button" className="tag" onClick={() => onPick(text, "|=")}>Only these</button>
                      <button type="button" className="tag" onClick={() => onPick(text, "!=")}>None of these</button>
                    </span>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p className="muted" style={{ margin: "6px 10px" }}>{list.length} patterns in the {rows.length} lines that are loaded.</p>
    </div>
  );
}
