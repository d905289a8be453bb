/** Services and the calls between them, from the metrics that the generator makes of spans; and where to draw them. */
import { field, type Frame } from "../data/frame";
import type { PromSample } from "../data/prometheus";

export interface GraphNode {
  id: string;
  title: string;
  subtitle: string;
  /** Calls answered per second. */
  rate: number;
  /** Share of them that failed, 0 to 1. */
  errors: number;
  /** Seconds that 95 of 100 calls stay below. */
  p95?: number;
}

export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  rate: number;
  errors: number;
  p95?: number;
}

export interface Graph {
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
}

const kinds: Readonly<Record<string, string>> = { database: "database", messaging_system: "messages", virtual_node: "outside" };

interface Answers {
  total: readonly PromSample[];
  failed: readonly PromSample[];
  p95: readonly PromSample[];
}

const edgeId = (labels: Readonly<Record<string, string>>): string => JSON.stringify([labels["client"] ?? "", labels["server"] ?? ""]);

function sums(samples: readonly PromSample[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const s of samples) {
    const value = Number(s.value[1]);
    if (Number.isFinite(value)) found.set(edgeId(s.metric), (found.get(edgeId(s.metric)) ?? 0) + value);
  }
  return found;
}

/** A service's numbers are those of the calls to it; one that nobody calls shows what it calls. */
export function buildGraph({ total, failed, p95 }: Answers): Graph {
  const [rates, failures] = [sums(total), sums(failed)];
  const times = new Map(p95.flatMap((s) => (Number.isFinite(Number(s.value[1])) ? [[edgeId(s.metric), Number(s.value[1])] as const] : [])));
  const type = new Map<string, string>();
  const edges = new Map<string, GraphEdge>();
  for (const { metric } of total) {
    const [source, target, id] = [metric["client"] ?? "", metric["server"] ?? "", edgeId(metric)];
    if (source === "" || target === "") continue;
    const kind = kinds[metric["connection_type"] ?? ""];
    if (kind !== undefined) type.set(kind === "outside" && source === "user" ? source : target, kind);
    const rate = rates.get(id) ?? 0;
    const time = times.get(id);
    edges.set(id, { id, source, target, rate, errors: rate > 0 ? Math.min(1, (failures.get(id) ?? 0) / rate) : 0, ...(time === undefined ? {} : { p95: time }) });
  }
  const list = [...edges.values()];
  const names = [...new Set(list.flatMap((e) => [e.source, e.target]))].sort();
  const nodes = names.map((name): GraphNode => {
    const into = list.filter((e) => e.target === name && e.source !== name);
    const used = into.length > 0 ? into : list.filter((e) => e.source === name);
    const rate = used.reduce((n, e) => n + e.rate, 0);
    const slow = used.flatMap((e) => e.p95 ?? []);
    return {
      id: name,
      title: name,
      subtitle: type.get(name) ?? "",
      rate,
      errors: rate > 0 ? used.reduce((n, e) => n + e.rate * e.errors, 0) / rate : 0,
      ...(slow.length === 0 ? {} : { p95: Math.max(...slow) }),
    };
  });
  return { nodes, edges: list };
}

const column = <T>(name: string, list: readonly T[], read: (item: T) => string | number | undefined, type: "string" | "number") =>
  field(name, type, list.map((item) => read(item) ?? null));

/** As node graph panels expect it: a frame of nodes and one of edges. */
export function graphFrames(graph: Graph, refId: string): readonly Frame[] {
  const { nodes, edges } = graph;
  if (nodes.length === 0) return [];
  return [
    {
      refId, name: "nodes", kind: "table",
      fields: [
        column("id", nodes, (n) => n.id, "string"), column("title", nodes, (n) => n.title, "string"), column("subtitle", nodes, (n) => n.subtitle, "string"),
        column("mainstat", nodes, (n) => n.p95, "number"), column("secondarystat", nodes, (n) => n.rate, "number"),
        column("arc__success", nodes, (n) => 1 - n.errors, "number"), column("arc__failed", nodes, (n) => n.errors, "number"),
      ],
    },
    {
      refId, name: "edges", kind: "table",
      fields: [
        column("id", edges, (e) => e.id, "string"), column("source", edges, (e) => e.source, "string"), column("target", edges, (e) => e.target, "string"),
        column("mainstat", edges, (e) => e.p95, "number"), column("secondarystat", edges, (e) => e.rate, "number"), column("arc__failed", edges, (e) => e.errors, "number"),
      ],
    },
  ];
}

/** Back from frames, of this app or of any other source that follows the same names. */
export function readGraph(frames: readonly Frame[]): Graph | undefined {
  const has = (f: Frame, name: string) => f.fields.some((x) => x.name === name);
  const edgeFrame = frames.find((f) => has(f, "source") && has(f, "target"));
  const nodeFrame = frames.find((f) => f !== edgeFrame && has(f, "id"));
  if (nodeFrame === undefined && edgeFrame === undefined) return undefined;
  const cell = (f: Frame | undefined, name: string, row: number) => f?.fields.find((x) => x.name.toLowerCase() === name)?.values[row];
  const text = (f: Frame | undefined, name: string, row: number) => String(cell(f, name, row) ?? "");
  const number = (f: Frame | undefined, name: string, row: number) => {
    const v = cell(f, name, row);
    return typeof v === "number" && Number.isFinite(v) ? v : undefined;
  };
  const rows = (f: Frame | undefined) => f?.fields[0]?.values ?? [];
  const edges = rows(edgeFrame).map((_, i): GraphEdge => {
    const p95 = number(edgeFrame, "mainstat", i);
    return { id: text(edgeFrame, "id", i) || String(i), source: text(edgeFrame, "source", i), target: text(edgeFrame, "target", i), rate: number(edgeFrame, "secondarystat", i) ?? 0, errors: number(edgeFrame, "arc__failed", i) ?? 0, ...(p95 === undefined ? {} : { p95 }) };
  });
  const nodes = rows(nodeFrame).map((_, i): GraphNode => {
    const p95 = number(nodeFrame, "mainstat", i);
    const id = text(nodeFrame, "id", i);
    return { id, title: text(nodeFrame, "title", i) || id, subtitle: text(nodeFrame, "subtitle", i), rate: number(nodeFrame, "secondarystat", i) ?? 0, errors: number(nodeFrame, "arc__failed", i) ?? 0, ...(p95 === undefined ? {} : { p95 }) };
  });
  const known = new Set(nodes.map((n) => n.id));
  const missing = [...new Set(edges.flatMap((e) => [e.source, e.target]))].filter((id) => !known.has(id));
  return { nodes: [...nodes, ...missing.map((id) => ({ id, title: id, subtitle: "", rate: 0, errors: 0 }))], edges };
}

export interface Placed {
  node: GraphNode;
  /** Column and row, both from 0 to 1. */
  x: number;
  y: number;
}

/** How far from where calls begin: the longest way, with edges that lead back left out. */
function ranks({ nodes, edges }: Graph): ReadonlyMap<string, number> {
  const out = new Map<string, string[]>();
  for (const e of edges) out.set(e.source, [...(out.get(e.source) ?? []), e.target]);
  const called = new Set(edges.filter((e) => e.source !== e.target).map((e) => e.target));
  const roots = nodes.filter((n) => !called.has(n.id)).map((n) => n.id);
  const order = [...roots, ...nodes.map((n) => n.id)];
  const state = new Map<string, "open" | "done">();
  const back = new Set<string>();
  const finished: string[] = [];
  for (const root of order) {
    const stack: { id: string; next: number }[] = state.has(root) ? [] : [{ id: root, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as { id: string; next: number };
      if (top.next === 0) state.set(top.id, "open");
      const to = (out.get(top.id) ?? [])[top.next++];
      if (to === undefined) {
        state.set(top.id, "done");
        finished.push(top.id);
        stack.pop();
      } else if (state.get(to) === "open") back.add(`${top.id}\u0000${to}`);
      else if (!state.has(to)) stack.push({ id: to, next: 0 });
    }
  }
  const rank = new Map<string, number>(nodes.map((n) => [n.id, 0]));
  for (const id of finished.reverse()) {
    for (const to of out.get(id) ?? []) {
      if (!back.has(`${id}\u0000${to}`)) rank.set(to, Math.max(rank.get(to) ?? 0, (rank.get(id) ?? 0) + 1));
    }
  }
  return rank;
}

/** Layers from left to right (Sugiyama's way): nodes of a layer in the order of the middle of their neighbours. */
export function layoutGraph(graph: Graph): readonly Placed[] {
  const rank = ranks(graph);
  const layers: string[][] = [];
  for (const n of graph.nodes) (layers[rank.get(n.id) ?? 0] ??= []).push(n.id);
  const columns = layers.filter((l) => l.length > 0).map((l) => l.sort());
  const place = new Map<string, number>();
  const note = () => columns.forEach((l) => l.forEach((id, i) => place.set(id, (i + 0.5) / l.length)));
  note();
  for (let round = 0; round < 8; round++) {
    const sweep = round % 2 === 0 ? columns : [...columns].reverse();
    for (const layer of sweep) {
      const middle = new Map(
        layer.map((id) => {
          const near = graph.edges.flatMap((e) => (e.target === id && e.source !== id ? [e.source] : e.source === id && e.target !== id ? [e.target] : []));
          return [id, near.length === 0 ? (place.get(id) ?? 0) : near.reduce((sum, n) => sum + (place.get(n) ?? 0), 0) / near.length] as const;
        }),
      );
      layer.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0) || a.localeCompare(b));
    }
    note();
  }
  const byId = new Map(graph.nodes.map((n) => [n.id, n]));
  return columns.flatMap((layer, c) => layer.flatMap((id, i): Placed[] => {
    const node = byId.get(id);
    // Neighbouring columns stand half a step apart, so that straight lines do not run through a node.
    const shift = layer.length > 1 && c % 2 === 1 ? 0.12 / layer.length : 0;
    return node === undefined ? [] : [{ node, x: columns.length === 1 ? 0.5 : c / (columns.length - 1), y: Math.min(1, (i + 0.5) / layer.length + shift) }];
  }));
}
