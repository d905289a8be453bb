import { parser } from "@prometheus-io/lezer-promql";

/** The metric names that a query reads, from the official grammar's tree. */
export function metricNames(query: string): readonly string[] {
  const names = new Set<string>();
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.name === "VectorSelector") {
        const child = node.node.firstChild;
        if (child?.name === "Identifier") names.add(query.slice(child.from, child.to));
      }
    },
  });
  return [...names];
}
