/** Names that a person may have meant. */
function trigrams(text: string): ReadonlySet<string> {
  const padded = `  ${text.toLowerCase()} `;
  return new Set(Array.from({ length: padded.length - 2 }, (_, i) => padded.slice(i, i + 3)));
}

/** The share of trigrams that both have (Jaccard): 1 is equal, 0 nothing in common. */
export function similarity(a: string, b: string): number {
  const [x, y] = [trigrams(a), trigrams(b)];
  let both = 0;
  for (const t of x) if (y.has(t)) both++;
  return both / (x.size + y.size - both);
}

/** The closest existing names, best first. A name that only lacks or has a prefix is the closest of all. */
export function closest(name: string, existing: readonly string[], count = 3): readonly string[] {
  const score = (other: string) => similarity(name, other) + (other.endsWith(name) || name.endsWith(other) ? 1 : 0);
  return existing
    .map((other) => ({ other, score: score(other) }))
    .filter((s) => s.score > 0.3)
    .sort((a, b) => b.score - a.score || a.other.localeCompare(b.other))
    .slice(0, count)
    .map((s) => s.other);
}
