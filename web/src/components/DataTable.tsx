import { Button } from "@mantine/core";
import { useMemo, useState, type ReactNode } from "react";
import { safeHref } from "../dashboard/links";
import { boundsOf, colorOf, displayCell, plainText } from "../model/data/display";
import { rowCount, type Cell, type Field, type Frame } from "../model/data/frame";
import { displayName } from "../model/data/names";
import { reduceValues } from "../model/data/reducers";
import { textOn } from "../model/color/named";
import { asBool, asNumber, asString, at } from "../model/json";
import { sortRows } from "../model/transform/tables";
import type { FormatContext } from "../model/units/format";

interface Props {
  frame: Frame;
  all: readonly Frame[];
  isDark: boolean;
  context: FormatContext;
  limit?: number;
  showHeader?: boolean;
  footer?: readonly string[];
  sortBy?: { name: string; desc: boolean };
  link?: (field: Field, row: number) => string | undefined;
}

function CellView({ field, cell, isDark, context, row, href }: { field: Field; cell: Cell; isDark: boolean; context: FormatContext; row: number; href: string | undefined }) {
  const type = asString(at(field.config.custom, "cellOptions.type"), "auto");
  const shown = displayCell(field, cell, isDark, context, row);
  const text = plainText(shown);
  const inner: ReactNode = href === undefined ? text : <a href={safeHref(href)}>{text}</a>;
  if (type === "color-text") return <span style={{ color: shown.color }}>{inner}</span>;
  if (type === "color-background" && shown.color !== undefined && shown.color !== "transparent") {
    return <span style={{ background: shown.color, color: textOn(shown.color), borderRadius: 4, padding: "1px 8px", display: "inline-block" }}>{text}</span>;
  }
  if (type === "gauge" && typeof cell === "number") {
    const [min, max] = boundsOf(field);
    const share = Math.min(1, Math.max(0, (cell - min) / (max - min)));
    return (
      <span style={{ display: "flex", gap: 8, alignItems: "center" }}>
        <span className="bar-track" style={{ flex: 1, height: 12, minWidth: 60 }}>
          <span className="bar-fill" style={{ width: `${share * 100}%`, background: colorOf(field, cell, row, field.name, isDark) }} />
        </span>
        <span style={{ minWidth: 60, textAlign: "right" }}>{text}</span>
      </span>
    );
  }
  if (type === "json-view") return <pre className="code">{typeof cell === "string" ? cell : JSON.stringify(cell, null, 1)}</pre>;
  return <>{inner}</>;
}

/** Rows in pages; a click on a head sorts. */
export function DataTable({ frame, all, isDark, context, limit = 200, showHeader = true, footer = [], sortBy, link }: Props) {
  const [sort, setSort] = useState(sortBy);
  const [shown, setShown] = useState(limit);
  const columns = useMemo(() => frame.fields.filter((f) => !asBool(f.config.custom["hidden"])).map((field) => ({ field, name: displayName(field, frame, all) })), [frame, all]);
  const sorted = useMemo(() => {
    const by = columns.find((c) => c.name === sort?.name)?.field;
    return by === undefined || sort === undefined ? frame : sortRows(frame, by, sort.desc);
  }, [frame, columns, sort]);
  const cells = new Map(frame.fields.map((f, i) => [f, sorted.fields[i]?.values ?? []]));
  const rows = Math.min(rowCount(frame), shown);
  const align = (f: Field) => (f.type === "number" && asString(f.config.custom["align"], "auto") !== "left" ? "num" : undefined);
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label="Table">
      <table className="data">
        {showHeader && (
          <thead>
            <tr>
              {columns.map(({ field, name }) => (
                <th key={name} className={align(field)} style={{ width: asNumber(field.config.custom["width"]) }} aria-sort={sort?.name === name ? (sort.desc ? "descending" : "ascending") : undefined}>
                  <button type="button" onClick={() => setSort((s) => ({ name, desc: s?.name === name ? !s.desc : field.type === "number" }))}>
                    {name}
                    {sort?.name === name ? (sort.desc ? " ▾" : " ▴") : ""}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            <tr key={row}>
              {columns.map(({ field, name }) => (
                <td key={name} className={align(field)}>
                  <CellView field={field} cell={cells.get(field)?.[row]} isDark={isDark} context={context} row={row} href={link?.(field, row)} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {footer.length > 0 && (
          <tfoot>
            {footer.map((calc) => (
              <tr key={calc}>
                {columns.map(({ field, name }, i) => (
                  <td key={name} className={align(field)}>
                    {field.type === "number" ? plainText(displayCell(field, reduceValues(field.values, calc), isDark, context)) : i === 0 ? calc : ""}
                  </td>
                ))}
              </tr>
            ))}
          </tfoot>
        )}
      </table>
      {rowCount(frame) > shown && (
        <div className="table-foot">
          <Button size="compact-sm" variant="default" onClick={() => setShown(shown + 500)}>
            {rowCount(frame) - shown} more rows
          </Button>
        </div>
      )}
    </div>
  );
}
