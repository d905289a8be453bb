import type { Exemplar } from "../api/prometheus";
import type { Panel } from "../model/dashboard/types";
import type { Frame } from "../model/data/frame";
import type { Range } from "../model/time/range";
import type { FormatContext } from "../model/units/format";

/** A moment or a stretch marked over a chart. */
export interface Mark {
  from: number;
  to: number;
  color: string;
  title: string;
  text: string;
}

/** What every panel is given. The frames have the panel's field config and transformations. */
export interface PanelProps {
  panel: Panel;
  frames: readonly Frame[];
  exemplars: readonly Exemplar[];
  marks: readonly Mark[];
  range: Range;
  zone: string;
  isDark: boolean;
  width: number;
  height: number;
  context: FormatContext;
  /** Panels with the same key share their crosshair. */
  syncKey?: string;
  onZoom: (range: Range) => void;
  /** A stretch that somebody wants to remark on; absent where nobody may. */
  onAnnotate?: (range: Range) => void;
  /** Variables written into text or a URL. */
  text: (template: string, style: "text" | "url") => string;
}
