// Dashboards that are saved, people and tokens, kept in memory in the shapes of Grafana's API: for development and the browser test only.
import { randomUUID } from "node:crypto";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Obj = { [key: string]: Json };
export type Answer = readonly [status: number, body: Json];

const isObj = (v: unknown): v is Obj => typeof v === "object" && v !== null && !Array.isArray(v);
const text = (v: unknown): string => (typeof v === "string" ? v : "");

interface Kept {
  versions: { version: number; created: string; createdBy: string; message: string; data: Obj }[];
}

export class Store {
  readonly boards = new Map<string, Kept>();
  private home = "";
  readonly stars = new Set<string>();
  private readonly users: Obj[] = [
    { id: 1, uid: "admin", login: "admin", name: "Developer", email: "", orgRole: "Admin", isAdmin: true, isDisabled: false, lastSeenAtAge: "now" },
    { id: 2, uid: "aline", login: "aline", name: "Aline", email: "aline@example.org", orgRole: "Editor", isAdmin: false, isDisabled: false, lastSeenAtAge: "2h" },
  ];
  private readonly accounts: { account: Obj; tokens: Obj[] }[] = [];
  private readonly annotations: Obj[] = [];
  private next = 10;

  latest(uid: string): Kept["versions"][number] | undefined {
    return this.boards.get(uid)?.versions.at(-1);
  }

  /** `provisioned` says whether the uid belongs to a file. */
  save(body: Obj, provisioned: (uid: string) => boolean): Answer {
    const dashboard = isObj(body["dashboard"]) ? body["dashboard"] : {};
    const uid = text(dashboard["uid"]) || randomUUID().slice(0, 12);
    if (text(dashboard["title"]).trim() === "") return [400, { message: "Dashboard title cannot be empty", status: "empty-name" }];
    if (provisioned(uid)) return [400, { message: "Cannot save provisioned dashboard" }];
    const now = this.latest(uid)?.version ?? 0;
    if (now > 0 && body["overwrite"] !== true && dashboard["version"] !== now) return [412, { message: "The dashboard has been changed by someone else", status: "version-mismatch" }];
    const version = now + 1;
    const kept = this.boards.get(uid) ?? { versions: [] };
    kept.versions.push({ version, created: new Date().toISOString(), createdBy: "admin", message: text(body["message"]), data: { ...dashboard, uid, version } });
    this.boards.set(uid, kept);
    return [200, { id: 100, uid, url: `/d/${uid}/x`, status: "success", version, slug: "x", folderUid: text(body["folderUid"]) }];
  }

  private ofBoard(uid: string, rest: string, method: string, body: Obj): Answer | undefined {
    const kept = this.boards.get(uid);
    if (rest === "/versions") return [200, (kept?.versions ?? []).map(({ data: _, ...about }) => ({ ...about, id: about.version, parentVersion: about.version - 1 })).reverse()];
    const wanted = /^\/versions\/(\d+)$/.exec(rest)?.[1];
    if (wanted !== undefined) {
      const found = kept?.versions.find((v) => v.version === Number(wanted));
      return found === undefined ? [404, { message: "Dashboard version not found" }] : [200, { ...found }];
    }
    if (rest === "/restore" && method === "POST") {
      const old = kept?.versions.find((v) => v.version === body["version"]);
      if (old === undefined) return [404, { message: "Dashboard version not found" }];
      return this.save({ dashboard: { ...old.data }, overwrite: true, message: `Restored from version ${old.version}` }, () => false);
    }
    if (rest === "" && method === "DELETE") {
      if (kept === undefined) return [400, { message: "provisioned dashboard cannot be deleted" }];
      this.boards.delete(uid);
      return [200, { title: "", message: "Dashboard deleted", id: 100 }];
    }
    return undefined;
  }

  private people(method: string, path: string, body: Obj): Answer | undefined {
    if (path === "/api/org/users") return [200, this.users.map((u) => ({ userId: u["id"] ?? 0, login: u["login"] ?? "", name: u["name"] ?? "", email: u["email"] ?? "", role: u["orgRole"] ?? "", lastSeenAtAge: u["lastSeenAtAge"] ?? "", isDisabled: u["isDisabled"] ?? false }))];
    const member = /^\/api\/org\/users\/(\d+)$/.exec(path)?.[1];
    if (member !== undefined && method === "PATCH") {
      const user = this.users.find((u) => u["id"] === Number(member));
      if (user === undefined) return [404, { message: "User not found" }];
      user["orgRole"] = body["role"] ?? "Viewer";
      return [200, { message: "Organization user updated" }];
    }
    if (path === "/api/admin/users" && method === "POST") {
      if (this.users.some((u) => u["login"] === body["login"])) return [412, { message: "User with email or username already exists" }];
      const id = this.next++;
      this.users.push({ id, uid: `u${id}`, login: text(body["login"]), name: text(body["name"]), email: text(body["email"]), orgRole: "Viewer", isAdmin: false, isDisabled: false, lastSeenAtAge: "10 years" });
      return [200, { id, uid: `u${id}`, message: "User created" }];
    }
    const admin = /^\/api\/admin\/users\/(\d+)(\/password)?$/.exec(path);
    if (admin !== null && method === "PUT") return [200, { message: "User password updated" }];
    if (admin !== null && method === "DELETE") {
      this.users.splice(this.users.findIndex((u) => u["id"] === Number(admin[1])), 1);
      return [200, { message: "User deleted" }];
    }
    if (path === "/api/user/password" && method === "PUT") return text(body["oldPassword"]) === "wrong" ? [401, { message: "invalid old password" }] : [200, { message: "User password changed" }];
    return undefined;
  }

  private tokens(method: string, path: string, body: Obj): Answer | undefined {
    if (path === "/api/serviceaccounts/search") return [200, { totalCount: this.accounts.length, serviceAccounts: this.accounts.map((a) => ({ ...a.account, tokens: a.tokens.length })), page: 1, perPage: 1000 }];
    if (path === "/api/serviceaccounts" && method === "POST") {
      const account: Obj = { id: this.next++, name: text(body["name"]), login: `sa-${text(body["name"])}`, role: body["role"] ?? "Viewer", isDisabled: false };
      this.accounts.push({ account, tokens: [] });
      return [201, account];
    }
    const hit = /^\/api\/serviceaccounts\/(\d+)(?:\/tokens(?:\/(\d+))?)?$/.exec(path);
    const found = this.accounts.find((a) => a.account["id"] === Number(hit?.[1]));
    if (hit === null) return undefined;
    if (found === undefined) return [404, { message: "Service account not found" }];
    if (path.endsWith("/tokens") && method === "POST") {
      const token: Obj = { id: this.next++, name: text(body["name"]), created: new Date().toISOString(), expiration: null, hasExpired: false };
      found.tokens.push(token);
      return [200, { id: token["id"] ?? 0, name: token["name"] ?? "", key: `glsa_${randomUUID().replaceAll("-", "")}_00000000` }];
    }
    if (path.endsWith("/tokens")) return [200, found.tokens];
    if (hit[2] !== undefined && method === "DELETE") found.tokens.splice(found.tokens.findIndex((t) => t["id"] === Number(hit[2])), 1);
    else if (method === "DELETE") this.accounts.splice(this.accounts.indexOf(found), 1);
    return [200, { message: "Deleted" }];
  }

  private remarks(method: string, body: Obj): Answer {
    if (method !== "POST") return [200, this.annotations];
    this.annotations.push({ id: this.next++, ...body });
    return [200, { message: "Annotation added", id: this.next - 1 }];
  }

  /** What a path answers, if it is one of these. */
  answer(method: string, path: string, body: Obj, provisioned: (uid: string) => boolean): Answer | undefined {
    if (path === "/api/dashboards/db" && method === "POST") return this.save(body, provisioned);
    if (path === "/api/annotations") return this.remarks(method, body);
    if (path === "/api/user/preferences") {
      if (method !== "GET") this.home = text(body["homeDashboardUID"]);
      return [200, method === "GET" ? { homeDashboardUID: this.home } : { message: "Preferences updated" }];
    }
    if (path === "/api/dashboards/home") return [200, this.home === "" ? { meta: { isHome: true }, dashboard: {} } : { redirectUri: `/d/${this.home}/x` }];
    const starred = /^\/api\/user\/stars\/dashboard\/uid\/([^/]+)$/.exec(path)?.[1];
    if (starred !== undefined) {
      if (method === "POST") this.stars.add(decodeURIComponent(starred));
      else this.stars.delete(decodeURIComponent(starred));
      return [200, { message: method === "POST" ? "Dashboard starred!" : "Dashboard unstarred" }];
    }
    if (path === "/api/folders") return [200, [{ id: 1, uid: "easymo", title: "EasyMO" }]];
    const board = /^\/api\/dashboards\/uid\/([^/]+)(.*)$/.exec(path);
    if (board !== null) return this.ofBoard(decodeURIComponent(board[1] ?? ""), board[2] ?? "", method, body);
    return this.people(method, path, body) ?? this.tokens(method, path, body);
  }
}

/** The body of a request as an object; anything else is an empty one. */
export async function jsonBody(req: AsyncIterable<Buffer>): Promise<Obj> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part);
  try {
    const read: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
    return isObj(read) ? read : {};
  } catch {
    return {};
  }
}
