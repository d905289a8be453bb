import { useMemo } from "react";
import { ServiceGraph } from "../components/ServiceGraph";
import { explorePath } from "../dashboard/links";
import { readGraph } from "../model/traces/graph";
import { useSource } from "../state/session";
import type { PanelProps } from "./types";

export function NodeGraphPanel({ panel, frames, range, width, height }: PanelProps) {
  const graph = useMemo(() => readGraph(frames), [frames]);
  const tempo = useSource("tempo");
  if (graph === undefined || graph.nodes.length === 0) return <div className="panel-message">A node graph needs a table of nodes with an id, and one of edges with source and target.</div>;
  const open = (id: string) => {
    if (tempo !== undefined) window.location.assign(explorePath(tempo.uid, [{ refId: "A", expr: `{ resource.service.name = ${JSON.stringify(id)} }` }], { from: String(Math.round(range.from)), to: String(Math.round(range.to)) }));
  };
  return <ServiceGraph graph={graph} width={width} height={height} title={panel.title || "Service map"} {...(tempo === undefined ? {} : { onOpen: open })} />;
}
