/** Alertmanager's HTTP API v2, through the proxy of a data source. */
import type { Matcher } from "../model/alerts/matchers";
import type { Labels } from "../model/data/frame";
import { asBool, asObject, asObjects, asString, asStrings, type Json, type JsonObject } from "../model/json";
import { proxyPath } from "./grafana";
import { getJson, sendJson } from "./http";
import { labelsOf, type Source } from "./prometheus";

export interface AmAlert {
  fingerprint: string;
  labels: Labels;
  annotations: Labels;
  startsAt: string;
  endsAt: string;
  updatedAt: string;
  generatorUrl: string;
  state: "active" | "suppressed" | "unprocessed";
  silencedBy: readonly string[];
  inhibitedBy: readonly string[];
  receivers: readonly string[];
}

export interface AmGroup {
  labels: Labels;
  receiver: string;
  alerts: readonly AmAlert[];
}

export interface Silence {
  id: string;
  matchers: readonly Matcher[];
  startsAt: string;
  endsAt: string;
  updatedAt: string;
  createdBy: string;
  comment: string;
  state: "active" | "pending" | "expired";
  untilResolved: boolean;
}

function readAlert(o: JsonObject): AmAlert {
  const status = asObject(o["status"]);
  const state = status["state"];
  return {
    fingerprint: asString(o["fingerprint"]),
    labels: labelsOf(o["labels"]),
    annotations: labelsOf(o["annotations"]),
    startsAt: asString(o["startsAt"]),
    endsAt: asString(o["endsAt"]),
    updatedAt: asString(o["updatedAt"]),
    generatorUrl: asString(o["generatorURL"]),
    state: state === "suppressed" || state === "unprocessed" ? state : "active",
    silencedBy: asStrings(status["silencedBy"]),
    inhibitedBy: asStrings(status["inhibitedBy"]),
    receivers: asObjects(o["receivers"]).map((r) => asString(r["name"])),
  };
}

function readMatcher(o: JsonObject): Matcher {
  const regex = asBool(o["isRegex"]);
  const equal = asBool(o["isEqual"], true);
  return { name: asString(o["name"]), value: asString(o["value"]), operator: regex ? (equal ? "=~" : "!~") : equal ? "=" : "!=" };
}

function readSilence(o: JsonObject): Silence {
  const state = asObject(o["status"])["state"];
  return {
    id: asString(o["id"]),
    matchers: asObjects(o["matchers"]).map(readMatcher),
    startsAt: asString(o["startsAt"]),
    endsAt: asString(o["endsAt"]),
    updatedAt: asString(o["updatedAt"]),
    createdBy: asString(o["createdBy"]),
    comment: asString(o["comment"]),
    untilResolved: asBool(o["untilResolved"]),
    state: state === "expired" || state === "pending" ? state : "active",
  };
}

export async function amAlerts(source: Source, signal?: AbortSignal): Promise<readonly AmAlert[]> {
  return asObjects(await getJson(proxyPath(source, "api/v2/alerts"), {}, signal)).map(readAlert);
}

export async function amGroups(source: Source, signal?: AbortSignal): Promise<readonly AmGroup[]> {
  return asObjects(await getJson(proxyPath(source, "api/v2/alerts/groups"), {}, signal)).map((g) => ({
    labels: labelsOf(g["labels"]),
    receiver: asString(asObject(g["receiver"])["name"]),
    alerts: asObjects(g["alerts"]).map(readAlert),
  }));
}

export async function silences(source: Source, signal?: AbortSignal): Promise<readonly Silence[]> {
  return asObjects(await getJson(proxyPath(source, "api/v2/silences"), {}, signal)).map(readSilence);
}

export interface SilenceDraft {
  /** Set when an existing one is changed; the server expires it and makes another where it must. */
  id?: string;
  matchers: readonly Matcher[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
  /** It ends when the alerts that it muted are resolved, at the latest at its end; Reba's own. */
  untilResolved?: boolean;
}

export async function putSilence(source: Source, draft: SilenceDraft): Promise<string> {
  const matchers: Json = draft.matchers.map((m) => ({ name: m.name.trim(), value: m.value, isRegex: m.operator.endsWith("~"), isEqual: m.operator.startsWith("=") }));
  const answer = await sendJson("POST", proxyPath(source, "api/v2/silences"), { ...draft, matchers });
  return asString(asObject(answer)["silenceID"]);
}

export async function expireSilence(source: Source, id: string): Promise<void> {
  await sendJson("DELETE", proxyPath(source, `api/v2/silence/${encodeURIComponent(id)}`));
}

export interface AmStatus {
  configYaml: string;
  version: string;
  uptime: string;
  cluster: string;
}

export async function amStatus(source: Source, signal?: AbortSignal): Promise<AmStatus> {
  const o = asObject(await getJson(proxyPath(source, "api/v2/status"), {}, signal));
  return {
    configYaml: asString(asObject(o["config"])["original"]),
    version: asString(asObject(o["versionInfo"])["version"]),
    uptime: asString(o["uptime"]),
    cluster: asString(asObject(o["cluster"])["status"]),
  };
}
