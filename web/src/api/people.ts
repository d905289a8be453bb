/** People, and accounts for programs with their tokens. */
import { asBool, asNumber, asObject, asObjects, asString } from "../model/json";
import type { User } from "./grafana";
import { getJson, sendJson } from "./http";

export type Role = User["role"];
export const roles: readonly Role[] = ["Viewer", "Editor", "Admin"];

const roleOf = (v: unknown): Role => roles.find((r) => r === v) ?? "Viewer";

export interface Person {
  id: number;
  login: string;
  name: string;
  email: string;
  role: Role;
  isDisabled: boolean;
  seen: string;
}

export async function listPeople(signal?: AbortSignal): Promise<readonly Person[]> {
  return asObjects(await getJson("api/org/users", {}, signal)).map((u) => ({
    id: asNumber(u["userId"]) ?? 0,
    login: asString(u["login"]),
    name: asString(u["name"]),
    email: asString(u["email"]),
    role: roleOf(u["role"]),
    isDisabled: asBool(u["isDisabled"]),
    seen: asString(u["lastSeenAtAge"]),
  }));
}

/** Makes a person and gives the role. */
export async function addPerson(person: { login: string; name: string; email: string; password: string; role: Role }): Promise<void> {
  const { role, ...fields } = person;
  const made = asObject(await sendJson("POST", "api/admin/users", { ...fields, OrgId: 1 }));
  await setRole(asNumber(made["id"]) ?? 0, role);
}

export async function setRole(id: number, role: Role): Promise<void> {
  await sendJson("PATCH", `api/org/users/${id}`, { role });
}

export async function setPassword(id: number, password: string): Promise<void> {
  await sendJson("PUT", `api/admin/users/${id}/password`, { password });
}

export async function removePerson(id: number): Promise<void> {
  await sendJson("DELETE", `api/admin/users/${id}`);
}

export async function changeMyPassword(oldPassword: string, newPassword: string): Promise<void> {
  await sendJson("PUT", "api/user/password", { oldPassword, newPassword, confirmNew: newPassword });
}

export async function changeMe(me: { name: string; email: string; login: string }): Promise<void> {
  await sendJson("PUT", "api/user", me);
}

export interface ServiceAccount {
  id: number;
  name: string;
  login: string;
  role: Role;
  tokens: number;
  isDisabled: boolean;
}

export async function serviceAccounts(signal?: AbortSignal): Promise<readonly ServiceAccount[]> {
  return asObjects(asObject(await getJson("api/serviceaccounts/search", { perpage: 1000 }, signal))["serviceAccounts"]).map((a) => ({
    id: asNumber(a["id"]) ?? 0,
    name: asString(a["name"]),
    login: asString(a["login"]),
    role: roleOf(a["role"]),
    tokens: asNumber(a["tokens"]) ?? 0,
    isDisabled: asBool(a["isDisabled"]),
  }));
}

export async function addServiceAccount(name: string, role: Role): Promise<void> {
  await sendJson("POST", "api/serviceaccounts", { name, role });
}

export async function removeServiceAccount(id: number): Promise<void> {
  await sendJson("DELETE", `api/serviceaccounts/${id}`);
}

export interface Token {
  id: number;
  name: string;
  created: string;
  expiration: string;
  hasExpired: boolean;
}

export async function tokensOf(account: number, signal?: AbortSignal): Promise<readonly Token[]> {
  return asObjects(await getJson(`api/serviceaccounts/${account}/tokens`, {}, signal)).map((t) => ({ id: asNumber(t["id"]) ?? 0, name: asString(t["name"]), created: asString(t["created"]), expiration: asString(t["expiration"]), hasExpired: asBool(t["hasExpired"]) }));
}

/** The token's text, which the server says this once. */
export async function addToken(account: number, name: string, secondsToLive: number | undefined): Promise<string> {
  return asString(asObject(await sendJson("POST", `api/serviceaccounts/${account}/tokens`, { name, ...(secondsToLive === undefined ? {} : { secondsToLive }) }))["key"]);
}

export async function removeToken(account: number, token: number): Promise<void> {
  await sendJson("DELETE", `api/serviceaccounts/${account}/tokens/${token}`);
}
