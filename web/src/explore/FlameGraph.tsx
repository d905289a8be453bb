import { useMemo, useState } from "react";
import { textOn } from "../model/color/named";
import { colorByName } from "../model/color/palette";
import { flames, type Flame } from "../model/traces/path";
import type { Trace } from "../model/traces/trace";
import { formatValue } from "../model/units/format";
import { useIsDark } from "../state/scheme";

const ROW = 22;
const words = (f: Flame, unit: string) => `${f.service === "" ? "" : `${f.service}: `}${f.name}, ${formatValue(f.total, unit)}${f.spans > 1 ? ` in ${f.spans} spans` : ""}, ${formatValue(f.own, unit)} of its own`;

/** Equal stacks of spans laid together, as wide as they took. */
export function FlameGraph({ trace }: { trace: Trace }) {
  return <Flames list={useMemo(() => flames(trace.lines), [trace])} unit="ns" />;
}

/** Boxes upon boxes; a click zooms in. */
export function Flames({ list, unit }: { list: readonly Flame[]; unit: string }) {
  const isDark = useIsDark();
  const [zoom, setZoom] = useState<{ x: number; width: number; depth: number }>({ x: 0, width: 1, depth: 0 });
  const deepest = Math.max(0, ...list.map((f) => f.depth));
  const shown = list.flatMap((f) => {
    const left = (f.x - zoom.x) / zoom.width;
    const width = f.width / zoom.width;
    const above = f.depth < zoom.depth && f.x <= zoom.x + 1e-9 && f.x + f.width >= zoom.x + zoom.width - 1e-9;
    if (above) return [{ f, left: 0, width: 1 }];
    return left + width <= 1e-6 || left >= 1 - 1e-6 || width < 0.0005 ? [] : [{ f, left: Math.max(0, left), width: Math.min(1 - Math.max(0, left), width) }];
  });
  return (
    <div className="flames" style={{ height: (deepest + 1) * ROW }} role="region" aria-label="Flame graph" tabIndex={0}>
      {shown.map(({ f, left, width }, i) => {
        const color = colorByName(f.service === "" ? f.name : f.service, isDark);
        return (
          <button key={i} type="button" className="flame" title={words(f, unit)} aria-label={words(f, unit)} onClick={() => setZoom(f.width === zoom.width && f.depth === zoom.depth ? { x: 0, width: 1, depth: 0 } : { x: f.x, width: f.width, depth: f.depth })}
            style={{ left: `${left * 100}%`, width: `calc(${width * 100}% - 1px)`, top: f.depth * ROW, background: color, color: textOn(color) }}>
            {f.name} {width > 0.12 && <span style={{ opacity: 0.8 }}>{formatValue(f.total, unit)}</span>}
          </button>
        );
      })}
    </div>
  );
}
