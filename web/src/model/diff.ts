/** What changed between two texts, line by line. */
export interface DiffLine {
  kind: "same" | "removed" | "added" | "skipped";
  text: string;
}

const CELLS = 4_000_000;

/** Longest common subsequence of the middle that differs; a middle too large for that is shown as replaced whole. */
export function diffLines(before: string, after: string): readonly DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const [ma, mb] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const same = (text: string): DiffLine => ({ kind: "same", text });
  return [...a.slice(0, head).map(same), ...middle(ma, mb), ...a.slice(a.length - tail).map(same)];
}

function middle(a: readonly string[], b: readonly string[]): readonly DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: "removed", text });
  const added = (text: string): DiffLine => ({ kind: "added", text });
  if (a.length * b.length > CELLS) return [...a.map(removed), ...b.map(added)];
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  const cell = (i: number, j: number) => table[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) table[i * width + j] = a[i] === b[j] ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1));
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i++] ?? "" });
      j++;
    } else if (cell(i + 1, j) >= cell(i, j + 1)) lines.push(removed(a[i++] ?? ""));
    else lines.push(added(b[j++] ?? ""));
  }
  return [...lines, ...a.slice(i).map(removed), ...b.slice(j).map(added)];
}

/** Only what changed, with some lines around it. */
export function around(lines: readonly DiffLine[], context = 3): readonly DiffLine[] {
  const near = lines.map((_, i) => lines.slice(Math.max(0, i - context), i + context + 1).some((l) => l.kind !== "same"));
  const result: DiffLine[] = [];
  let skipped = 0;
  const flush = () => {
    if (skipped > 0) result.push({ kind: "skipped", text: `${skipped} lines` });
    skipped = 0;
  };
  lines.forEach((line, i) => {
    if (near[i] !== true) skipped++;
    else {
      flush();
      result.push(line);
    }
  });
  flush();
  return result;
}
