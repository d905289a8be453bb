import { useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { Icon } from "../../components/Icon";
import { place } from "../../model/dashboard/edit";
import { COLUMNS, GAP, ROW_HEIGHT } from "../../model/dashboard/layout";
import type { Grid, Panel } from "../../model/dashboard/types";
import { PanelBox } from "../PanelBox";

interface Drag {
  id: number;
  how: "move" | "size";
  from: { x: number; y: number };
  start: Grid;
}

const PITCH = ROW_HEIGHT + GAP;

/** The panels of one row, which are dragged by their heads and sized by their corners; arrow keys do both. */
export function EditableGrid({ panels, onPlace }: { panels: readonly Panel[]; onPlace: (grids: ReadonlyMap<number, Grid>) => void }) {
  const grid = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag>(undefined);
  const [preview, setPreview] = useState<readonly Panel[]>();
  const shown = preview ?? panels;

  const placedAt = (id: number, to: Grid): readonly Panel[] => {
    const panel = panels.find((p) => p.id === id);
    return panel === undefined ? panels : place(panels, panel, to);
  };
  const put = (list: readonly Panel[]) => onPlace(new Map(list.map((p) => [p.id, p.grid])));

  const begin = (panel: Panel, how: Drag["how"]) => (event: PointerEvent<HTMLElement>) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { id: panel.id, how, from: { x: event.clientX, y: event.clientY }, start: panel.grid };
  };
  const move = (event: PointerEvent<HTMLElement>) => {
    const d = drag.current;
    const width = grid.current?.clientWidth;
    if (d === undefined || width === undefined) return;
    const dx = Math.round((event.clientX - d.from.x) / ((width + GAP) / COLUMNS));
    const dy = Math.round((event.clientY - d.from.y) / PITCH);
    setPreview(placedAt(d.id, d.how === "move" ? { ...d.start, x: d.start.x + dx, y: d.start.y + dy } : { ...d.start, w: Math.min(COLUMNS - d.start.x, d.start.w + dx), h: d.start.h + dy }));
  };
  const end = () => {
    if (drag.current !== undefined && preview !== undefined) put(preview);
    drag.current = undefined;
    setPreview(undefined);
  };
  const key = (panel: Panel) => (event: KeyboardEvent) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const [dx = 0, dy = 0] = step;
    const g = panel.grid;
    put(placedAt(panel.id, event.shiftKey ? { ...g, w: g.w + dx, h: g.h + dy } : { ...g, x: g.x + dx, y: g.y + (dy > 0 ? 1 + (panels.find((o) => o !== panel && o.grid.y >= g.y + g.h && o.grid.x < g.x + g.w && g.x < o.grid.x + o.grid.w)?.grid.h ?? 0) : dy) }));
  };
  return (
    <div className="grid editing" ref={grid}>
      {shown.map((panel) => {
        const name = panel.title || panel.type;
        const { x, y, w, h } = panel.grid;
        const held = drag.current?.id === panel.id && preview !== undefined;
        return (
          <div key={panel.key} className={held ? "edit-cell held" : "edit-cell"} style={{ gridColumn: `${x + 1} / span ${w}`, gridRow: `${y + 1} / span ${h}` }}>
            <PanelBox panel={panel} viewed={false} filling />
            <button type="button" className="grip" aria-label={`Move ${name}: arrow keys, with Shift they size it`} title="Drag to move; arrow keys move, Shift+arrow keys size" onPointerDown={begin(panel, "move")} onPointerMove={move} onPointerUp={end} onPointerCancel={end} onKeyDown={key(panel)}>
              <Icon name="grip" size={16} />
            </button>
            <span className="corner" aria-hidden="true" onPointerDown={begin(panel, "size")} onPointerMove={move} onPointerUp={end} onPointerCancel={end} />
          </div>
        );
      })}
    </div>
  );
}
