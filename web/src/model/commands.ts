/** What the command palette offers, and in which order. */
/** How well a title fits: begins with it, a word begins with it, contains it, has its letters in order; undefined when it does not. */
export function fit(title: string, wanted: string): number | undefined {
  const [text, part] = [title.toLowerCase(), wanted.trim().toLowerCase()];
  if (part === "") return 0;
  if (text.startsWith(part)) return 4;
  if (new RegExp(`(?:^|[^\\p{L}\\p{N}])${part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}`, "u").test(text)) return 3;
  if (text.includes(part)) return 2;
  let at = 0;
  for (const c of text) if (c === part[at]) at++;
  return at === part.length ? 1 : undefined;
}

/** The best first; equals stay in their order. */
export function rankCommands<C extends { title: string }>(list: readonly C[], wanted: string): readonly C[] {
  return list
    .flatMap((command) => {
      const score = fit(command.title, wanted);
      return score === undefined ? [] : [{ command, score }];
    })
    .sort((a, b) => b.score - a.score)
    .map((x) => x.command);
}
