import { isObject, type Json } from "../json";
import type { DatasourceRef } from "./types";

export interface DatasourceInfo {
  uid: string;
  name: string;
  type: string;
  isDefault: boolean;
  jsonData: { readonly [key: string]: Json | undefined };
}

/** A reference as any version writes it: a name, an object, null, or nothing. */
export function readDatasource(v: Json | undefined): DatasourceRef | null {
  if (typeof v === "string") return v === "" || v === "default" ? null : { uid: v };
  if (!isObject(v)) return null;
  const { uid, type } = v;
  const ref = {
    ...(typeof uid === "string" && uid !== "" ? { uid } : {}),
    ...(typeof type === "string" && type !== "" ? { type } : {}),
  };
  return Object.keys(ref).length === 0 ? null : ref;
}

export type Special = "mixed" | "dashboard" | "grafana" | "expression";

export function specialOf(ref: DatasourceRef | null): Special | undefined {
  switch (ref?.uid) {
    case "-- Mixed --":
      return "mixed";
    case "-- Dashboard --":
      return "dashboard";
    case "-- Grafana --":
    case "grafana":
      return "grafana";
    case "__expr__":
    case "-100":
      return "expression";
    default:
      return ref?.type === "__expr__" ? "expression" : ref?.type === "datasource" && ref.uid === undefined ? "grafana" : undefined;
  }
}

export interface Resolved {
  source: DatasourceInfo;
  /** How it was found, when it was not by uid: said to the reader. */
  guess?: string;
}

/** By uid, by name, by type if exactly one has it, else the default. `${DS_X}` left unresolved by an import counts as no name. */
export function resolveDatasource(ref: DatasourceRef | null, all: readonly DatasourceInfo[]): Resolved | undefined {
  const wanted = ref?.uid;
  if (wanted !== undefined && !wanted.startsWith("${")) {
    const byUid = all.find((d) => d.uid === wanted);
    if (byUid !== undefined) return { source: byUid };
    const byName = all.find((d) => d.name === wanted) ?? all.find((d) => d.name.toLowerCase() === wanted.toLowerCase());
    if (byName !== undefined) return { source: byName };
  }
  const type = ref?.type ?? wanted?.toLowerCase();
  const ofType = all.filter((d) => d.type === type);
  const only = ofType.length === 1 ? ofType[0] : ofType.find((d) => d.isDefault);
  if (only !== undefined) return { source: only, ...(wanted === undefined ? {} : { guess: `no data source "${wanted}": took "${only.name}", the one of type ${only.type}` }) };
  const fallback = all.find((d) => d.isDefault) ?? all[0];
  if (fallback === undefined || (ref?.type !== undefined && ref.type !== fallback.type)) return undefined;
  return { source: fallback, ...(wanted === undefined ? {} : { guess: `no data source "${wanted}": took the default, "${fallback.name}"` }) };
}
