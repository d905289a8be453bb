import type { Field, Frame, Labels } from "./frame";

/** `{a="b", c="d"}`, with the metric's name before it. */
export function labelText(labels: Labels): string {
  const { __name__: metric = "", ...rest } = labels;
  const pairs = Object.keys(rest)
    .sort()
    .map((key) => `${key}=${JSON.stringify(rest[key])}`);
  return pairs.length === 0 && metric !== "" ? metric : `${metric}{${pairs.join(", ")}}`;
}

/** `{{label}}` of a legend; a missing label is empty. */
export function legendName(format: string, labels: Labels): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
}

/** The label whose value alone tells the series apart, if exactly one key is there on all. */
function onlyLabelKey(fields: readonly Field[]): string | undefined {
  const keys = new Set(fields.flatMap((f) => Object.keys(f.labels ?? {})));
  return keys.size === 1 ? [...keys][0] : undefined;
}

function templated(template: string, field: Field, frame: Frame): string {
  return template.replace(/\$\{(__field|__series|__cell)(?:[._]([^}]*))?\}/g, (whole, root: string, path = "") => {
    if (root === "__series") return frame.name ?? field.sourceName ?? field.name;
    if (root === "__field") {
      if (path === "name") return field.name;
      const label = /^labels(?:\.(.+)|\["(.+)"\])$/.exec(path);
      if (label !== null) return field.labels?.[label[1] ?? label[2] ?? ""] ?? "";
      return path === "labels" ? labelText(field.labels ?? {}) : whole;
    }
    return whole;
  });
}

/** What a field is called: its display name, the query's legend, else what tells it apart from the others. */
export function displayName(field: Field, frame: Frame, all: readonly Frame[]): string {
  if (field.config.displayName !== undefined && field.config.displayName !== "") return templated(field.config.displayName, field, frame);
  if (field.sourceName !== undefined && field.sourceName !== "") return field.sourceName;
  if (field.type === "time") return field.name;
  const labels = field.labels ?? {};
  if (Object.keys(labels).length > 0) {
    const others = all.flatMap((f) => f.fields.filter((x) => x.type === field.type && x.labels !== undefined));
    const key = onlyLabelKey(others);
    if (key !== undefined && others.length > 0) return labels[key] ?? "";
    return labelText(labels);
  }
  if (frame.name !== undefined && frame.name !== "" && (field.name === "Value" || all.length > 1)) return frame.name;
  return field.name;
}

/** Labels that people know series by, the best first. */
const known = ["service", "instance", "job", "pod", "container", "host", "name"];

/** What a set of labels is called among others: by one label if that is enough, else by those that differ. */
export function tellingName(all: readonly Labels[]): (labels: Labels) => string {
  const valuesOf = (key: string) => new Set(all.map((l) => l[key] ?? ""));
  const there = [...new Set(all.flatMap(Object.keys))].filter((k) => k !== "__name__");
  const ordered = [...known.filter((k) => there.includes(k)), ...there.filter((k) => !known.includes(k))];
  const alone = ordered.find((k) => valuesOf(k).size === all.length);
  const differ = ordered.filter((k) => valuesOf(k).size > 1);
  if (alone !== undefined) return (labels) => labels[alone] ?? "";
  return (labels) => labelText(Object.fromEntries(differ.flatMap((k) => (labels[k] === undefined ? [] : [[k, labels[k]]]))));
}

/** Series named by as little as tells them apart. */
export function namedByDifference(frames: readonly Frame[]): readonly Frame[] {
  const all = frames.flatMap((f) => f.fields.flatMap((x) => (x.type === "number" && x.labels !== undefined ? [x.labels] : [])));
  const nameOf = tellingName(all);
  return all.every((l) => Object.keys(l).length === 0) ? frames : frames.map((f) => ({ ...f, fields: f.fields.map((x) => (x.type === "number" && x.labels !== undefined ? { ...x, sourceName: nameOf(x.labels) } : x)) }));
}
