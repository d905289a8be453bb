import { OneTrace } from "../explore/OneTrace";
import { useSource } from "../state/session";
import type { PanelProps } from "./types";

/** The waterfall of the trace that the panel's query names. */
export function TracesPanel({ frames, zone }: PanelProps) {
  const tempo = useSource("tempo");
  const id = frames.flatMap((f) => f.fields.find((x) => /^trace ?id$/i.test(x.name))?.values ?? [])[0];
  if (tempo === undefined) return <div className="panel-message">There is no Tempo data source.</div>;
  if (typeof id !== "string") return <div className="panel-message">The query names no trace.</div>;
  return <div className="prose"><OneTrace source={tempo} id={id} zone={zone} /></div>;
}
