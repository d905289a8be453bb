import { Button } from "@mantine/core";
import { useMemo, useState, type ReactNode } from "react";
import { safeHref } from "../dashboard/links";
import { Pager } from "./Pager";
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
  /** The columns that the footer counts; none: all. */
  footerFields?: readonly string[];
  cellHeight?: "sm" | "md" | "lg";
  /** Rows of a page, where the panel asks for pages. */
  pageSize?: number;
  sortBy?: { name: string; desc: boolean };
  link?: (field: Field, row: number) => string | undefined;
}

/** A line as small as a word. */
function Sparkline({ values, color }: { values: readonly (number | null)[]; color: string }) {
  const present = values.filter((v): v is number => v !== null);
  const [low, high] = [Math.min(...present), Math.max(...present)];
  const points = values.flatMap((v, i) => (v === null ? [] : [`${((i / Math.max(1, values.length - 1)) * 100).toFixed(1)},${(22 - ((v - low) / (high - low || 1)) * 20).toFixed(1)}`]));
  return (
    <svg viewBox="0 0 100 24" preserveAspectRatio="none" style={{ width: "100%", minWidth: 80, height: 24, display: "block" }} role="img" aria-label={`from ${low} to ${high}`}>
      <polyline points={points.join(" ")} fill="none" stroke={color} strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

function CellView({ field, cell, isDark, context, row, href }: { field: Field; cell: Cell; isDark: boolean; context: FormatContext; row: number; href: string | undefined }) {
  const type = asString(at(field.config.custom, "cellOptions.type"), "auto");
  const shown = displayCell(field, cell, isDark, context, row);
  const text = plainText(shown);
  // The id of a trace is a link more than something to read: its beginning is enough to tell it from others.
  const brief = href !== undefined && /^[0-9a-f]{24,32}$/.test(text) ? `${text.slice(0, 12)}…` : text;
  const inner: ReactNode = href === undefined ? text : <a href={safeHref(href)} title={brief === text ? undefined : text}>{brief}</a>;
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
  // Only pictures that lie in the cell itself: one from another host would tell that host who looks.
  if (type === "image" && typeof cell === "string" && /^data:image\/(png|jpeg|gif|webp|svg\+xml);/.test(cell)) return <img src={cell} alt={field.name} style={{ maxHeight: 40, display: "block" }} />;
  if ((type === "sparkline" || type === "auto") && Array.isArray(cell) && cell.every((v) => v === null || typeof v === "number")) {
    const last = reduceValues(cell, "lastNotNull");
    return (
      <span style={{ display: "flex", gap: 8, alignItems: "center" }}>
        <Sparkline values={cell} color={typeof last === "number" ? colorOf(field, last, row, field.name, isDark) : "var(--accent)"} />
        <span className="num" style={{ minWidth: 60 }}>{plainText(displayCell(field, last, isDark, context, row))}</span>
      </span>
    );
  }
  if (asBool(at(field.config.custom, "cellOptions.wrapText"))) return <span style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{inner}</span>;
  if (type === "json-view") return <pre className="code">{typeof cell === "string" ? cell : JSON.stringify(cell, null, 1)}</pre>;
  return <>{inner}</>;
}

/** Rows in pages; a click on a head sorts. */
export function DataTable({ frame, all, isDark, context, limit = 200, showHeader = true, footer = [], footerFields = [], cellHeight = "sm", pageSize, sortBy, link }: Props) {
  const [sort, setSort] = useState(sortBy);
  const [shown, setShown] = useState(limit);
  const columns = useMemo(() => frame.fields.filter((f) => !asBool(f.config.custom["hidden"])).map((field) => ({ field, name: displayName(field, frame, all) })), [frame, all]);
  const sorted = useMemo(() => {
    const by = columns.find((c) => c.name === sort?.name)?.field;
    return by === undefined || sort === undefined ? frame : sortRows(frame, by, sort.desc);
  }, [frame, columns, sort]);
  const [filters, setFilters] = useState<Readonly<Record<string, string>>>({});
  const [page, setPage] = useState(0);
  const cells = new Map(frame.fields.map((f, i) => [f, sorted.fields[i]?.values ?? []]));
  const filterable = columns.some((c) => c.field.config.filterable || asBool(c.field.config.custom["filterable"]));
  const fits = (row: number) => columns.every(({ field, name }) => {
    const wanted = filters[name] ?? "";
    return wanted === "" || plainText(displayCell(field, cells.get(field)?.[row], isDark, context, row)).toLowerCase().includes(wanted.toLowerCase());
  });
  const everyRow = Array.from({ length: rowCount(frame) }, (_, row) => row);
  const found = Object.values(filters).some((f) => f !== "") ? everyRow.filter(fits) : everyRow;
  const pages = pageSize === undefined ? 1 : Math.max(1, Math.ceil(found.length / pageSize));
  const here = Math.min(page, pages - 1);
  const rows = pageSize === undefined ? found.slice(0, shown) : found.slice(here * pageSize, (here + 1) * pageSize);
  const align = (f: Field) => {
    const wanted = asString(f.config.custom["align"], "auto");
    return wanted === "center" ? "mid" : wanted === "right" || (f.type === "number" && wanted !== "left") ? "num" : undefined;
  };
  const table = (
    <div className="table-scroll" tabIndex={0} role="region" aria-label="Table">
      <table className={`data ${cellHeight}`}>
        {showHeader && (
          <thead>
            <tr>
              {columns.map(({ field, name }) => (
                <th key={name} className={align(field)} style={{ width: asNumber(field.config.custom["width"]), minWidth: asNumber(field.config.custom["minWidth"]) }} aria-sort={sort?.name === name ? (sort.desc ? "descending" : "ascending") : undefined}>
                  <button type="button" onClick={() => setSort((s) => ({ name, desc: s?.name === name ? !s.desc : field.type === "number" }))}>
                    {name}
                    {sort?.name === name ? (sort.desc ? " ▾" : " ▴") : ""}
                  </button>
                </th>
              ))}
            </tr>
            {filterable && (
              <tr className="filters">
                {columns.map(({ field, name }) => (
                  <th key={name}>
                    {(field.config.filterable || asBool(field.config.custom["filterable"])) && (
                      <input aria-label={`Only rows whose ${name} has`} placeholder="filter" value={filters[name] ?? ""} onChange={(e) => { const text = e.currentTarget.value; setFilters((f) => ({ ...f, [name]: text })); }} />
                    )}
                  </th>
                ))}
              </tr>
            )}
          </thead>
        )}
        <tbody>
          {rows.map((row) => (
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
                    {calc === "count" ? (i === 0 ? `${found.length} rows` : "") : field.type === "number" && (footerFields.length === 0 || footerFields.includes(name)) ? plainText(displayCell(field, reduceValues(field.values, calc), isDark, context)) : i === 0 ? calc : ""}
                  </td>
                ))}
              </tr>
            ))}
          </tfoot>
        )}
      </table>
      {pageSize === undefined && found.length > shown && (
        <div className="table-foot">
          <Button size="compact-sm" variant="default" onClick={() => setShown(shown + 500)}>
            {found.length - shown} more rows
          </Button>
        </div>
      )}
    </div>
  );
  return pages > 1 ? <div className="table-paged">{table}<Pager page={here} pages={pages} onPage={setPage} /></div> : table;
}
