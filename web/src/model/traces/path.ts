/** What of a trace made it as long as it is, and where its time went. */
import type { Line, Span, Trace } from "./trace";

/**
 * The spans on the critical path: those without which the trace would have ended sooner. From the end of a span backwards, the child that ended
 * last before the moment is where the time went; from that child's start the search goes on (as in CRISP, Zhang et al., USENIX ATC 2022).
 */
export function criticalPath(trace: Trace): ReadonlySet<string> {
  const children = new Map<string, Span[]>();
  const known = new Set(trace.lines.map((l) => l.span.id));
  const roots: Span[] = [];
  for (const { span } of trace.lines) {
    if (span.parent !== "" && span.parent !== span.id && known.has(span.parent)) children.set(span.parent, [...(children.get(span.parent) ?? []), span]);
    else roots.push(span);
  }
  const end = (s: Span) => s.start + s.duration;
  const path = new Set<string>();
  const last = roots.reduce<Span | undefined>((best, s) => (best === undefined || end(s) > end(best) ? s : best), undefined);
  const stack = last === undefined ? [] : [{ span: last, until: end(last) }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { span, until } = top;
    if (path.has(span.id)) continue;
    path.add(span.id);
    let cursor = Math.min(until, end(span));
    const below = [...(children.get(span.id) ?? [])].sort((a, b) => end(b) - end(a));
    for (const child of below) {
      // A child that outlives its parent (work handed over) does not hold it up.
      if (child.start >= cursor || child.start < span.start) continue;
      if (end(child) > cursor && end(child) > end(span)) continue;
      if (end(child) > cursor) continue;
      stack.push({ span: child, until: end(child) });
      cursor = child.start;
    }
  }
  return path;
}

export interface ServiceTime {
  service: string;
  spans: number;
  failed: number;
  /** Nanoseconds in which the service itself worked, not what it called. */
  own: number;
}

export function timeByService(trace: Trace): readonly ServiceTime[] {
  const found = new Map<string, ServiceTime>();
  for (const { span, own } of trace.lines) {
    const so = found.get(span.service) ?? { service: span.service, spans: 0, failed: 0, own: 0 };
    found.set(span.service, { ...so, spans: so.spans + 1, failed: so.failed + (span.failed ? 1 : 0), own: so.own + own });
  }
  return [...found.values()].sort((a, b) => b.own - a.own);
}

export interface Flame {
  name: string;
  service: string;
  depth: number;
  /** Where it begins and how wide it is, as parts of the whole. */
  x: number;
  width: number;
  spans: number;
  /** Nanoseconds, all spans of this stack together. */
  total: number;
  own: number;
}

/** Spans with the same names on the way to them laid together: how often and how long, in place of when. */
export function flames(lines: readonly Line[]): readonly Flame[] {
  interface Box { name: string; service: string; spans: number; total: number; own: number; below: Map<string, Box> }
  const box = (name: string, service: string): Box => ({ name, service, spans: 0, total: 0, own: 0, below: new Map() });
  const root = box("", "");
  const way: Box[] = [root];
  for (const { span, depth, own } of lines) {
    way.length = depth + 1;
    const parent = way[depth] ?? root;
    const key = JSON.stringify([span.service, span.name]);
    const mine = parent.below.get(key) ?? box(span.name, span.service);
    parent.below.set(key, mine);
    mine.spans += 1;
    mine.total += span.duration;
    mine.own += own;
    way.push(mine);
  }
  const whole = [...root.below.values()].reduce((n, b) => n + b.total, 0);
  const result: Flame[] = [];
  const stack = [{ list: [...root.below.values()], depth: 0, from: 0, room: 1, parent: whole }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const sum = top.list.reduce((n, b) => n + b.total, 0);
    // Work side by side may take longer together than its parent: it shares the parent's width.
    const scale = sum > top.parent ? top.room / sum : top.parent === 0 ? 0 : top.room / top.parent;
    let x = top.from;
    for (const b of [...top.list].sort((a, c) => c.total - a.total)) {
      const width = b.total * scale;
      result.push({ name: b.name, service: b.service, depth: top.depth, x, width, spans: b.spans, total: b.total, own: b.own });
      stack.push({ list: [...b.below.values()], depth: top.depth + 1, from: x, room: width, parent: b.total });
      x += width;
    }
  }
  return result;
}

/** A profile as Grafana's flame graphs have it: boxes in the order of a walk, each with its level. */
export function flamesOfLevels(rows: readonly { level: number; value: number; own: number; name: string }[]): readonly Flame[] {
  const whole = rows.filter((r) => r.level === 0).reduce((n, r) => n + r.value, 0);
  // Where the next box of each level begins.
  const next: number[] = [0];
  return rows.flatMap((r): readonly Flame[] => {
    const x = next[r.level];
    if (x === undefined || whole <= 0) return [];
    const width = r.value / whole;
    next.length = r.level + 1;
    next[r.level] = x + width;
    next.push(x);
    return [{ name: r.name, service: "", depth: r.level, x, width, spans: 1, total: r.value, own: r.own }];
  });
}
