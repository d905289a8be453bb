/** The demo's inbox and its incidents, through the data sources that only a demo has. */
import { asArray, asBool, asNumber, asObject, asObjects, asString } from "../model/json";
import { proxyPath } from "./grafana";
import { getJson, sendJson } from "./http";
import type { Source } from "./prometheus";

export interface InboxMessage {
  id: number;
  atMs: number;
  channel: string;
  to: string;
  subject: string;
  text: string;
}

/** What arrived, the newest first. */
export async function inboxMessages(source: Source, signal?: AbortSignal): Promise<{ received: number; messages: readonly InboxMessage[] }> {
  const o = asObject(await getJson(proxyPath(source, "messages"), {}, signal));
  const messages = asObjects(o["messages"]).map((m) => ({ id: asNumber(m["id"]) ?? 0, atMs: asNumber(m["at_ms"]) ?? 0, channel: asString(m["channel"]), to: asString(m["to"]), subject: asString(m["subject"]), text: asString(m["text"]) }));
  return { received: asNumber(o["received"]) ?? messages.length, messages: messages.reverse() };
}

export interface DemoIncident {
  name: string;
  summary: string;
  alert: string;
  active: boolean;
  service: string;
}

export async function demoIncidents(source: Source, signal?: AbortSignal): Promise<readonly DemoIncident[]> {
  return asArray(await getJson(proxyPath(source, "incidents"), {}, signal)).map((v) => {
    const o = asObject(v);
    return { name: asString(o["name"]), summary: asString(o["summary"]), alert: asString(o["alert"]), active: asBool(o["active"]), service: asString(o["service"]) };
  });
}

export async function switchIncident(source: Source, name: string, on: boolean): Promise<void> {
  await sendJson("POST", proxyPath(source, `incidents/${encodeURIComponent(name)}/${on ? "start" : "stop"}`));
}
