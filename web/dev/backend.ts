// What Reba's own server answers, as far as the client needs it, for `npm run dev` and the browser test:
// dashboards and data sources from ../monitoring, data from a running Reba. Never part of the build.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { parse } from "yaml";
import type { Plugin } from "vite";
import { jsonBody, Store } from "./store";

type Next = () => void;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Obj = { [key: string]: Json };

const isObj = (v: unknown): v is Obj => typeof v === "object" && v !== null && !Array.isArray(v);

export interface BackendOptions {
  monitoring: string;
  extraDashboards: string[];
  /** Where each kind of data source answers. */
  targets: Record<string, string>;
}

export function optionsFromEnvironment(): BackendOptions {
  const offset = Number(process.env["REBA_PORT_OFFSET"] ?? 0);
  const at = (port: number) => `http://127.0.0.1:${port + offset}`;
  return {
    monitoring: process.env["REBA_MONITORING"] ?? "../monitoring",
    extraDashboards: (process.env["REBA_DASHBOARDS"] ?? "").split(":").filter(Boolean),
    targets: {
      prometheus: process.env["REBA_PROMETHEUS"] ?? at(9090),
      loki: process.env["REBA_LOKI"] ?? at(3100),
      tempo: process.env["REBA_TEMPO"] ?? at(3200),
      alertmanager: process.env["REBA_ALERTMANAGER"] ?? at(9093),
    },
  };
}

/** The data sources of the provisioning folder, in the shape of `GET /api/datasources`. */
export function datasources(options: BackendOptions): Obj[] {
  const file = join(options.monitoring, "grafana/provisioning/datasources/datasources.yml");
  if (!existsSync(file)) return [];
  const doc: unknown = parse(readFileSync(file, "utf8"));
  const list = isObj(doc) && Array.isArray(doc["datasources"]) ? doc["datasources"] : [];
  return list.filter(isObj).map((d, i) => {
    const name = String(d["name"] ?? "");
    const hash = createHash("sha256").update(name).digest("hex").slice(0, 16).toUpperCase();
    return {
      id: i + 1,
      uid: d["uid"] ?? `P${hash}`,
      orgId: 1,
      name,
      type: d["type"] ?? "",
      access: d["access"] ?? "proxy",
      url: d["url"] ?? "",
      isDefault: d["isDefault"] === true,
      readOnly: true,
      jsonData: d["jsonData"] ?? {},
    };
  });
}

interface Found {
  file: string;
  dashboard?: Obj;
  error?: string;
}

export function dashboards(options: BackendOptions): Found[] {
  const folders = [join(options.monitoring, "grafana/dashboards"), ...options.extraDashboards];
  return folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .sort()
      .map((name): Found => {
        const file = join(folder, name);
        try {
          const read: unknown = JSON.parse(readFileSync(file, "utf8"));
          const inner = isObj(read) && isObj(read["dashboard"]) ? read["dashboard"] : read;
          if (!isObj(inner)) return { file, error: "not an object" };
          return { file, dashboard: { ...inner, uid: inner["uid"] ?? name.replace(/\.json$/, "") } };
        } catch (error) {
          return { file, error: String(error) };
        }
      }),
  );
}

const slug = (title: string) =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

function search(options: BackendOptions, store: Store): Obj[] {
  const saved = [...store.boards.keys()].map((uid): Found => ({ file: "", dashboard: store.latest(uid)?.data ?? {} }));
  return [...dashboards(options), ...saved].flatMap(({ dashboard }, i) => {
    if (dashboard === undefined) return [];
    const title = String(dashboard["title"] ?? dashboard["uid"]);
    const uid = String(dashboard["uid"]);
    return [
      {
        id: i + 1,
        uid,
        title,
        uri: `db/${slug(title)}`,
        url: `/d/${uid}/${slug(title)}`,
        slug: "",
        type: "dash-db",
        tags: dashboard["tags"] ?? [],
        isStarred: store.stars.has(uid),
        folderId: 1,
        folderUid: "easymo",
        folderTitle: "EasyMO",
        folderUrl: "/dashboards/f/easymo",
        sortMeta: 0,
      },
    ];
  });
}

function send(res: ServerResponse, status: number, body: Json) {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}

function proxy(req: IncomingMessage, res: ServerResponse, target: string, path: string) {
  const to = new URL(path, target);
  const headers = { ...req.headers, host: to.host };
  delete headers.cookie;
  const upstream = request(to, { method: req.method ?? "GET", headers }, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(res);
  });
  upstream.on("error", (error) => {
    if (res.headersSent) res.end();
    else send(res, 502, { message: `${target} does not answer: ${error.message}` });
  });
  res.on("close", () => upstream.destroy());
  req.pipe(upstream);
}

const proxied = /^\/api\/datasources\/(?:proxy\/)?uid\/([^/]+)\/(?:resources\/)?(.*)$/s;

function targetOf(options: BackendOptions, url: string): { target: string; path: string } | undefined {
  const hit = proxied.exec(url);
  if (hit === null || !url.startsWith("/api/datasources/proxy/")) return undefined;
  const uid = decodeURIComponent(hit[1] ?? "");
  const source = datasources(options).find((d) => d["uid"] === uid || d["name"] === uid);
  const target = options.targets[String(source?.["type"] ?? uid)];
  return target === undefined ? undefined : { target, path: `/${hit[2] ?? ""}` };
}

export function handler(options: BackendOptions) {
  const store = new Store();
  const fromFile = (uid: string) => dashboards(options).some((d) => d.dashboard?.["uid"] === uid);
  const plain = (req: IncomingMessage, res: ServerResponse, path: string) => {
    const uid = /^\/api\/dashboards\/uid\/([^/]+)$/.exec(path)?.[1];
    const kept = uid === undefined ? undefined : store.latest(decodeURIComponent(uid));
    if (uid !== undefined && kept !== undefined) {
      const meta = { type: "db", canSave: true, canEdit: true, canAdmin: true, canStar: true, canDelete: true, isStarred: store.stars.has(uid), slug: "x", url: `/d/${uid}/x`, version: kept.version, isFolder: false, folderId: 0, folderUid: "", folderTitle: "General", provisioned: false, provisionedExternalId: "" };
      return send(res, 200, { meta, dashboard: kept.data });
    }
    return fromFiles(req, res, path);
  };
  const fromFiles = (_req: IncomingMessage, res: ServerResponse, path: string) => {
    const uid = /^\/api\/dashboards\/uid\/([^/]+)$/.exec(path)?.[1];
    const found = dashboards(options).find((d) => d.dashboard?.["uid"] === decodeURIComponent(uid ?? ""));
    if (uid === undefined || found?.dashboard === undefined) {
      return send(res, 404, { message: uid === undefined ? "Not found" : "Dashboard not found" });
    }
    const title = slug(String(found.dashboard["title"] ?? ""));
    return send(res, 200, {
      meta: {
        type: "db", canSave: false, canEdit: true, canAdmin: true, canStar: true, canDelete: false, isStarred: store.stars.has(uid), slug: title,
        url: `/d/${uid}/${title}`, version: 1, isFolder: false, folderId: 1, folderUid: "easymo",
        folderTitle: "EasyMO", folderUrl: "/dashboards/f/easymo", provisioned: true, provisionedExternalId: found.file,
      },
      dashboard: found.dashboard,
    });
  };
  return (req: IncomingMessage, res: ServerResponse, next: Next) => {
    const url = req.url ?? "/";
    const path = url.replace(/\?.*$/s, "");
    if (!path.startsWith("/api/") && path !== "/login") return next();
    if (path === "/login") {
      if (req.method === "POST") return send(res, 200, { message: "Logged in", redirectUrl: "/" });
      return next();
    }
    const to = targetOf(options, url);
    if (to !== undefined) return proxy(req, res, to.target, to.path);
    if (path === "/api/user") {
      return send(res, 200, {
        id: 1, uid: "admin", login: "admin", name: "Developer", email: "", theme: "", orgId: 1, orgRole: "Admin",
        isGrafanaAdmin: true,
      });
    }
    if (path === "/api/health") return send(res, 200, { commit: "dev", database: "ok", version: "10.2.2" });
    if (path === "/api/search") return send(res, 200, search(options, store));
    if (path === "/api/datasources") return send(res, 200, datasources(options));
    void jsonBody(req).then((body) => {
      const method = req.method ?? "GET";
      const answer = method === "GET" && /^\/api\/dashboards\/uid\/[^/]+$/.test(path) ? undefined : store.answer(method, path, body, fromFile);
      if (answer === undefined) plain(req, res, path);
      else send(res, answer[0], answer[1]);
    });
  };
}

/** WebSockets (the live tail of logs) are passed on byte for byte. */
export function upgrade(options: BackendOptions) {
  return (req: IncomingMessage, socket: import("node:stream").Duplex, head: Buffer) => {
    const to = targetOf(options, req.url ?? "");
    if (to === undefined) return;
    const { hostname, port } = new URL(to.target);
    const upstream = connect(Number(port), hostname, () => {
      const headers = Object.entries({ ...req.headers, host: `${hostname}:${port}` });
      upstream.write(`GET ${to.path} HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  };
}

export function devBackend(): Plugin {
  const options = optionsFromEnvironment();
  return {
    name: "reba-dev-backend",
    configureServer(server) {
      server.middlewares.use(handler(options));
      server.httpServer?.on("upgrade", upgrade(options));
    },
    configurePreviewServer(server) {
      server.middlewares.use(handler(options));
      server.httpServer.on("upgrade", upgrade(options));
    },
  };
}
