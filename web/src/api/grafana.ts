/** Grafana's HTTP API, the part that the app uses. */
import { asBool, asNumber, asObject, asObjects, asString, asStrings, type Json, type JsonObject } from "../model/json";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { getJson, sendJson } from "./http";

export interface User {
  id: number;
  login: string;
  name: string;
  email: string;
  role: "Viewer" | "Editor" | "Admin";
  theme: string;
}

export async function currentUser(signal?: AbortSignal): Promise<User> {
  const o = asObject(await getJson("api/user", {}, signal));
  const role = asString(o["orgRole"]);
  return {
    id: asNumber(o["id"]) ?? 0,
    login: asString(o["login"]),
    name: asString(o["name"]) || asString(o["login"]),
    email: asString(o["email"]),
    role: role === "Admin" || role === "Editor" ? role : asBool(o["isGrafanaAdmin"]) ? "Admin" : "Viewer",
    theme: asString(o["theme"]),
  };
}

export async function logIn(user: string, password: string): Promise<void> {
  await sendJson("POST", "login", { user, password });
}

export async function logOut(): Promise<void> {
  await getJson("logout").catch(() => null);
}

export interface SearchHit {
  uid: string;
  title: string;
  url: string;
  kind: "dashboard" | "folder";
  tags: readonly string[];
  isStarred: boolean;
  folderTitle: string;
  folderUid: string;
}

export async function searchDashboards(query: { query?: string; tag?: readonly string[]; type?: string }, signal?: AbortSignal): Promise<readonly SearchHit[]> {
  return asObjects(await getJson("api/search", { ...query, limit: 1000 }, signal)).map((o) => ({
    uid: asString(o["uid"]),
    title: asString(o["title"]),
    url: asString(o["url"]),
    kind: o["type"] === "dash-folder" ? "folder" : "dashboard",
    tags: asStrings(o["tags"]),
    isStarred: asBool(o["isStarred"]),
    folderTitle: asString(o["folderTitle"]),
    folderUid: asString(o["folderUid"]),
  }));
}

export interface DashboardAnswer {
  dashboard: JsonObject;
  meta: { canSave: boolean; provisioned: boolean; provisionedFile: string; folderTitle: string; folderUid: string; canEdit: boolean; canDelete: boolean; isStarred: boolean; createdBy: string; updatedBy: string; url: string; updated: string; version: number };
}

export async function dashboardByUid(uid: string, signal?: AbortSignal): Promise<DashboardAnswer> {
  const answer = asObject(await getJson(`api/dashboards/uid/${encodeURIComponent(uid)}`, {}, signal));
  const meta = asObject(answer["meta"]);
  return {
    dashboard: asObject(answer["dashboard"]),
    meta: {
      canSave: asBool(meta["canSave"]),
      provisioned: asBool(meta["provisioned"]),
      provisionedFile: asString(meta["provisionedExternalId"]),
      folderTitle: asString(meta["folderTitle"]),
      folderUid: asString(meta["folderUid"]),
      canEdit: asBool(meta["canEdit"]),
      canDelete: asBool(meta["canDelete"]),
      isStarred: asBool(meta["isStarred"]),
      createdBy: asString(meta["createdBy"]),
      updatedBy: asString(meta["updatedBy"]),
      url: asString(meta["url"]),
      updated: asString(meta["updated"]),
      version: asNumber(meta["version"]) ?? 0,
    },
  };
}

export interface Saved {
  uid: string;
  url: string;
  version: number;
}

/** A conflict with somebody else's change is an `HttpError` of status 412, unless `overwrite`. */
export async function saveDashboard({ dashboard, message = "", overwrite = false, folderUid }: { dashboard: JsonObject; message?: string; overwrite?: boolean; folderUid?: string }): Promise<Saved> {
  const o = asObject(await sendJson("POST", "api/dashboards/db", { dashboard, message, overwrite, ...(folderUid === undefined ? {} : { folderUid }) }));
  return { uid: asString(o["uid"]), url: asString(o["url"]), version: asNumber(o["version"]) ?? 0 };
}

const ofDashboard = (uid: string, rest = "") => `api/dashboards/uid/${encodeURIComponent(uid)}${rest}`;

export async function deleteDashboard(uid: string): Promise<void> {
  await sendJson("DELETE", ofDashboard(uid));
}

export interface Version {
  version: number;
  created: string;
  createdBy: string;
  message: string;
}

/** Newest first. Newer servers wrap the list into `versions`. */
export async function dashboardVersions(uid: string, signal?: AbortSignal): Promise<readonly Version[]> {
  const answer = await getJson(ofDashboard(uid, "/versions"), { limit: 50 }, signal);
  return asObjects(asObject(answer)["versions"] ?? answer)
    .map((v) => ({ version: asNumber(v["version"]) ?? 0, created: asString(v["created"]), createdBy: asString(v["createdBy"]), message: asString(v["message"]) }))
    .sort((a, b) => b.version - a.version);
}

export async function dashboardVersion(uid: string, version: number, signal?: AbortSignal): Promise<JsonObject> {
  return asObject(asObject(await getJson(ofDashboard(uid, `/versions/${version}`), {}, signal))["data"]);
}

export async function restoreVersion(uid: string, version: number): Promise<void> {
  await sendJson("POST", ofDashboard(uid, "/restore"), { version });
}

export interface Folder {
  uid: string;
  title: string;
}

export async function listFolders(signal?: AbortSignal): Promise<readonly Folder[]> {
  return asObjects(await getJson("api/folders", { limit: 1000 }, signal)).map((f) => ({ uid: asString(f["uid"]), title: asString(f["title"]) }));
}

export async function listDatasources(signal?: AbortSignal): Promise<readonly DatasourceInfo[]> {
  return asObjects(await getJson("api/datasources", {}, signal)).map((o) => ({
    uid: asString(o["uid"]),
    name: asString(o["name"]),
    type: asString(o["type"]),
    isDefault: asBool(o["isDefault"]),
    jsonData: asObject(o["jsonData"]),
  }));
}

/** What the server says of a data source; an `HttpError` when it cannot be reached. */
export async function datasourceHealth(source: { uid: string }): Promise<string> {
  return asString(asObject(await getJson(`api/datasources/uid/${encodeURIComponent(source.uid)}/health`))["message"], "OK");
}

/** Where the person's or the organisation's home dashboard lies; undefined when none is chosen. */
export async function homeDashboard(signal?: AbortSignal): Promise<string | undefined> {
  return asString(asObject(await getJson("api/dashboards/home", {}, signal))["redirectUri"]) || undefined;
}

/** The dashboard that the person chose; empty is none. */
export async function chosenHome(signal?: AbortSignal): Promise<string> {
  return asString(asObject(await getJson("api/user/preferences", {}, signal))["homeDashboardUID"]);
}

/** What is opened first from now on; an empty uid is the list. */
export async function setHome(uid: string): Promise<void> {
  await sendJson("PATCH", "api/user/preferences", { homeDashboardUID: uid });
}

export async function star(uid: string, on: boolean): Promise<void> {
  await sendJson(on ? "POST" : "DELETE", `api/user/stars/dashboard/uid/${encodeURIComponent(uid)}`);
}

export interface StoredAnnotation {
  id: number;
  timeMs: number;
  timeEndMs: number;
  text: string;
  tags: readonly string[];
}

export async function storedAnnotations(query: { from: number; to: number; dashboardUID?: string; tags?: readonly string[]; limit?: number }, signal?: AbortSignal): Promise<readonly StoredAnnotation[]> {
  const list: Json = await getJson("api/annotations", { ...query, from: Math.round(query.from), to: Math.round(query.to) }, signal);
  return asObjects(list).map((o) => {
    const time = asNumber(o["time"]) ?? 0;
    return { id: asNumber(o["id"]) ?? 0, timeMs: time, timeEndMs: asNumber(o["timeEnd"]) ?? time, text: asString(o["text"]), tags: asStrings(o["tags"]) };
  });
}

/** A remark on a moment or a stretch of a dashboard, for everybody. */
export async function addAnnotation({ from, to, ...rest }: { dashboardUID: string; panelId: number; from: number; to: number; text: string; tags: readonly string[] }): Promise<void> {
  await sendJson("POST", "api/annotations", { ...rest, time: Math.round(from), timeEnd: Math.round(to) });
}

/** Where a data source answers through this server. */
export const proxyPath = (source: { uid: string }, path: string): string => `api/datasources/proxy/uid/${encodeURIComponent(source.uid)}/${path}`;
