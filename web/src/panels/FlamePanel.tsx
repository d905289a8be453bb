import { useMemo } from "react";
import { traceById } from "../api/tempo";
import { Loading } from "../components/Notes";
import { FlameGraph, Flames } from "../explore/FlameGraph";
import type { Frame } from "../model/data/frame";
import { flamesOfLevels } from "../model/traces/path";
import { useSource } from "../state/session";
import { useLoad } from "../state/useLoad";
import type { PanelProps } from "./types";

/** The boxes of a profile; undefined where the columns are not those of one. */
function profileOf(frame: Frame) {
  const column = (name: string) => frame.fields.find((f) => f.name.toLowerCase() === name);
  const [level, value, own, label] = [column("level"), column("value"), column("self"), column("label")];
  if (level === undefined || value === undefined || label === undefined) return undefined;
  const rows = level.values.map((l, i) => ({ level: Number(l), value: Number(value.values[i] ?? 0), own: Number(own?.values[i] ?? 0), name: String(label.values[i] ?? "") }));
  return { flames: flamesOfLevels(rows), unit: value.config.unit };
}

function OfTrace({ id }: { id: string }) {
  const tempo = useSource("tempo");
  const { data, error } = useLoad(tempo === undefined ? undefined : `${tempo.uid} ${id}`, async (signal) => (tempo === undefined ? {} : { trace: await traceById(tempo, id, signal) }));
  if (tempo === undefined) return <div className="panel-message">There is no Tempo data source.</div>;
  if (error !== undefined) return <div className="panel-message panel-bad">{error}</div>;
  if (data === undefined) return <Loading what="the trace" />;
  return data.trace === undefined ? <div className="panel-message">There is no trace {id}.</div> : <FlameGraph trace={data.trace} />;
}

/** The flame graph of a profile, or of the first trace that the query found. */
export function FlamePanel({ frames }: PanelProps) {
  const profile = useMemo(() => frames.map(profileOf).find((p) => p !== undefined), [frames]);
  const id = frames.flatMap((f) => f.fields.find((x) => /^trace ?id$/i.test(x.name))?.values ?? [])[0];
  if (profile !== undefined) return <div className="prose"><Flames list={profile.flames} unit={profile.unit === "" ? "short" : profile.unit} /></div>;
  if (typeof id === "string") return <div className="prose"><OfTrace id={id} /></div>;
  return <div className="panel-message">A flame graph needs a profile (columns level, value, self, label) or a trace.</div>;
}
