import { useMemo } from "react";
import { around, diffLines } from "../../model/diff";
import type { JsonObject } from "../../model/json";

const signs = { same: " ", removed: "−", added: "+", skipped: "⋯" } as const;

const text = (json: JsonObject) => JSON.stringify(json, null, 2);

/** What changed between two versions, line by line. */
export function Diff({ before, after }: { before: JsonObject; after: JsonObject }) {
  const lines = useMemo(() => around(diffLines(text(before), text(after))), [before, after]);
  if (lines.every((l) => l.kind === "same" || l.kind === "skipped")) return <p className="muted">Nothing differs.</p>;
  return (
    <div className="code diff" role="region" aria-label="Differences" tabIndex={0}>
      {lines.map((l, i) => <div key={i} className={l.kind}>{signs[l.kind]} {l.text}</div>)}
    </div>
  );
}

export function changedLines(before: JsonObject, after: JsonObject): { added: number; removed: number } {
  const lines = diffLines(text(before), text(after));
  return { added: lines.filter((l) => l.kind === "added").length, removed: lines.filter((l) => l.kind === "removed").length };
}
