import { useMemo, useState } from "react";
import { displayCell, plainText } from "../model/data/display";
import { keepsUnit, reduceValues, reducerTitle } from "../model/data/reducers";
import type { LegendOptions } from "../model/panels/options";
import type { Field } from "../model/data/frame";
import type { FormatContext } from "../model/units/format";

export interface LegendItem {
  name: string;
  color: string;
  field: Field;
  /** Said beside the name. */
  note?: string;
}

interface Props {
  items: readonly LegendItem[];
  options: LegendOptions;
  hidden: ReadonlySet<string>;
  /** `alone` is a plain click: only this one; else it is switched on or off beside the others. */
  onToggle: (name: string, alone: boolean) => void;
  onHover: (name: string | undefined) => void;
  context: FormatContext;
  isDark: boolean;
}

function Name({ item, hidden, onToggle, onHover }: Pick<Props, "hidden" | "onToggle" | "onHover"> & { item: LegendItem }) {
  return (
    <button
      type="button"
      className="legend-name"
      aria-pressed={!hidden.has(item.name)}
      title={`${item.name}\nClick: only this. Ctrl+click: on or off.`}
      onClick={(e) => onToggle(item.name, !(e.ctrlKey || e.metaKey || e.shiftKey))}
      onMouseEnter={() => onHover(item.name)}
      onMouseLeave={() => onHover(undefined)}
    >
      <span className="swatch" style={{ background: item.color }} />
      <span>{item.name}</span>
    </button>
  );
}

export function Legend(props: Props) {
  const { items, options, context, isDark } = props;
  const [sort, setSort] = useState<{ by: string; desc: boolean }>({ by: options.sortBy, desc: options.sortDesc });
  const rows = useMemo(() => {
    const list = items.map((item) => ({ item, values: options.calcs.map((c) => reduceValues(item.field.values, c)) }));
    const column = options.calcs.findIndex((c) => reducerTitle(c) === sort.by || c === sort.by);
    if (sort.by === "Name") list.sort((a, b) => a.item.name.localeCompare(b.item.name));
    else if (column >= 0) list.sort((a, b) => Number(a.values[column] ?? -Infinity) - Number(b.values[column] ?? -Infinity));
    else return list;
    return sort.desc ? list.reverse() : list;
  }, [items, options.calcs, sort]);
  const shown = (item: LegendItem, calc: string, value: unknown) => {
    const field = keepsUnit(calc) ? item.field : { ...item.field, config: { ...item.field.config, unit: "none" } };
    return plainText(displayCell(field, typeof value === "number" || typeof value === "string" || typeof value === "boolean" ? value : null, isDark, context));
  };
  const noted = items.some((i) => (i.note ?? "") !== "");
  const sortBy = (by: string) => setSort((s) => ({ by, desc: s.by === by ? !s.desc : true }));
  const style = options.placement === "right" && options.width !== undefined ? { width: options.width, maxWidth: "60%" } : undefined;
  if (options.mode === "list") {
    return (
      <div className="legend" style={style}>
        <ul className="legend-list">
          {rows.map(({ item, values }) => (
            <li key={item.name}>
              <Name {...props} item={item} />
              {(item.note ?? "") !== "" && <span className="legend-calc">{item.note}</span>}
              {options.calcs.map((c, i) => (
                <span key={c} className="legend-calc">
                  {reducerTitle(c)}: {shown(item, c, values[i])}
                </span>
              ))}
            </li>
          ))}
        </ul>
      </div>
    );
  }
  return (
    <div className="legend tabular" style={style === undefined ? undefined : { ...style, flexBasis: style.width }}>
      <table>
        <thead>
          <tr>
            <th>
              <button type="button" onClick={() => sortBy("Name")}>
                Name
              </button>
            </th>
            {noted && <th>Value</th>}
            {options.calcs.map((c) => (
              <th key={c} aria-sort={sort.by === reducerTitle(c) ? (sort.desc ? "descending" : "ascending") : undefined}>
                <button type="button" onClick={() => sortBy(reducerTitle(c))}>
                  {reducerTitle(c)}
                  {sort.by === reducerTitle(c) ? (sort.desc ? " ▾" : " ▴") : ""}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ item, values }) => (
            <tr key={item.name}>
              <td>
                <Name {...props} item={item} />
              </td>
              {noted && <td>{item.note}</td>}
              {options.calcs.map((c, i) => (
                <td key={c}>{shown(item, c, values[i])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
