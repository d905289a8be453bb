/** What Reba's Alertmanager says of its receivers beyond upstream's API: how they are, what they would be told, and a test. */
import { asBool, asNumber, asObject, asObjects, asString, type Json, type JsonObject } from "../model/json";
import { proxyPath } from "./grafana";
import { getJson, sendJson } from "./http";
import { labelsOf, type Source } from "./prometheus";
import type { Labels } from "../model/data/frame";

export interface LastTry {
  at: string;
  tookMs: number;
  outcome: string;
  /** What the service answered, or why it was not reached. */
  words: string;
  deliveredAt: string;
  failures: number;
}

export interface Integration {
  receiver: string;
  kind: string;
  index: number;
  sendResolved: boolean;
  /** Why it tells nobody, if it is switched off. */
  disabled: string;
  last?: LastTry;
}

function readIntegration(receiver: string, i: JsonObject): Integration {
  const last = i["last"] == null ? undefined : asObject(i["last"]);
  return {
    receiver, kind: asString(i["integration"]), index: asNumber(i["index"]) ?? 0, sendResolved: asBool(i["sendResolved"]), disabled: asString(i["disabled"]),
    ...(last === undefined ? {} : { last: { at: asString(last["at"]), tookMs: asNumber(last["tookMs"]) ?? 0, outcome: asString(last["outcome"]), words: asString(last["error"]) || asString(last["answer"]), deliveredAt: asString(last["deliveredAt"]), failures: asNumber(last["failures"]) ?? 0 } }),
  };
}

/** Every receiver with its integrations, in the order of the configuration. */
export async function receivers(source: Source, signal?: AbortSignal): Promise<readonly { name: string; integrations: readonly Integration[] }[]> {
  return asObjects(await getJson(proxyPath(source, "api/v2/reba/receivers"), {}, signal)).map((r) => {
    const name = asString(r["name"]);
    return { name, integrations: asObjects(r["integrations"]).map((i) => readIntegration(name, i)) };
  });
}

/** The same in one list; empty where the server does not know it. */
export async function integrations(source: Source, signal?: AbortSignal): Promise<readonly Integration[]> {
  return (await receivers(source, signal).catch(() => [])).flatMap((r) => r.integrations);
}

/** Whom a preview or a test is about, and with which alert: a sample if none is given. */
export interface Rehearsed {
  receiver: string;
  integration?: string;
  index?: number;
  labels?: Labels;
}

function bodyOf({ receiver, integration, index, labels }: Rehearsed): Json {
  return {
    receiver,
    ...(integration === undefined ? {} : { integration }),
    ...(index === undefined ? {} : { index }),
    ...(labels === undefined || Object.keys(labels).length === 0 ? {} : { alerts: [{ labels, annotations: { summary: `${labels["alertname"] ?? "An alert"}, as it would be told` } }] }),
  };
}

export interface PreviewMessage {
  to: string;
  headers: Labels;
  contentType: string;
  body: string;
  truncated: boolean;
}

export interface Previewed {
  kind: string;
  index: number;
  disabled: string;
  error: string;
  routed: boolean;
  messages: readonly PreviewMessage[];
}

/** What would be sent, rendered; nothing is sent. */
export async function previewReceiver(source: Source, asked: Rehearsed, signal?: AbortSignal): Promise<readonly Previewed[]> {
  const answer = asObject(await sendJson("POST", proxyPath(source, "api/v2/reba/preview"), bodyOf(asked), signal));
  return asObjects(answer["notifications"]).flatMap((n) =>
    asObjects(n["integrations"]).map((i): Previewed => ({
      kind: asString(i["integration"]), index: asNumber(i["index"]) ?? 0, disabled: asString(i["disabled"]), error: asString(i["error"]), routed: asBool(n["routed"]),
      messages: asObjects(i["messages"]).map((m) => ({ to: asString(m["to"]), headers: labelsOf(m["headers"]), contentType: asString(m["contentType"]), body: asString(m["body"]), truncated: asBool(m["truncated"]) })),
    })),
  );
}

export interface Tested {
  kind: string;
  index: number;
  disabled: string;
  tries: readonly { status: string; delivered: boolean; words: string; tookMs: number }[];
}

/** Sends a marked test alert and waits for the answers. */
export async function testReceiver(source: Source, asked: Rehearsed): Promise<readonly Tested[]> {
  const answer = asObject(await sendJson("POST", proxyPath(source, "api/v2/reba/test"), bodyOf(asked)));
  return asObjects(answer["integrations"]).map((i) => ({
    kind: asString(i["integration"]), index: asNumber(i["index"]) ?? 0, disabled: asString(i["disabled"]),
    tries: asObjects(i["tries"]).map((t) => ({ status: asString(t["status"]), delivered: asBool(t["delivered"]), words: asString(t["error"]) || asString(t["answer"]), tookMs: asNumber(t["tookMs"]) ?? 0 })),
  }));
}
