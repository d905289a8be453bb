/**
 * The two text formats, and which of them a scraper wants.
 *
 * prom-client writes one format a registry, and exemplars only in OpenMetrics 1.0. Ours is of that kind; text format
 * 0.0.4 is made from its pages line by line: counters' metadata takes the name with `_total`, exemplars and the end
 * mark go.
 */

/** A format of `/metrics`. */
export type Format = "text" | "openmetrics";

/** The values of the `Content-Type` header. */
export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** The format that an `Accept` header asks for; text where it does not say, as for a person with curl. */
export function negotiate(accept: string | readonly string[] | null | undefined): Format {
  const header = typeof accept === "string" ? accept : (accept ?? []).join(",");
  let [open, text] = [0, 0];
  for (const range of header.split(",")) {
    const [media, ...parameters] = range.split(";").map((part) => part.trim());
    const q = parameters.find((p) => p.startsWith("q="));
    const quality = q === undefined ? 1 : Number(q.slice(2)) || 0;
    if (media === "application/openmetrics-text") open = Math.max(open, quality);
    if (media === "text/plain" || media === "text/*") text = Math.max(text, quality);
  }
  return open > 0 && open >= text ? "openmetrics" : "text";
}

/** Rewrites an OpenMetrics page as text format 0.0.4. */
export function toText004(page: string): string {
  const out: string[] = [];
  let help = "";
  for (const line of page.split("\n")) {
    if (line.startsWith("# HELP ")) {
      help = line;
    } else if (line.startsWith("# TYPE ")) {
      const [, , name = "", kind = ""] = line.split(" ");
      const suffix = kind === "counter" ? "_total" : "";
      if (help !== "") out.push(`# HELP ${name}${suffix}${help.slice(`# HELP ${name}`.length)}`);
      out.push(`# TYPE ${name}${suffix} ${kind}`);
      help = "";
    } else if (line !== "" && !line.startsWith("#")) {
      out.push(withoutExemplar(line));
    }
  }
  return out.length === 0 ? "" : `${out.join("\n")}\n`;
}

/** Cuts a sample's exemplar; the ` # ` that begins it stands behind the labels, never in their quoted values. */
function withoutExemplar(line: string): string {
  const at = line.indexOf(" # ", seriesEnd(line));
  return at < 0 ? line : line.slice(0, at);
}

/** Where the name and labels of a sample line end. */
function seriesEnd(line: string): number {
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const c = line[at];
    if (quoted && c === "\\") at++;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && (c === " " || c === "}")) return at;
  }
  return line.length;
}
