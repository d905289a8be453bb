import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";

const apps = fileURLToPath(new URL("apps", import.meta.url));

interface Seen {
  spans: { name: string; kind: number; scope: string; id: string; trace: string }[];
  lines: Record<string, unknown>[];
  page: string;
}

const major = Number(process.versions.node.split(".")[0]);
/** `COMMONS_FULL=1 ./test.sh` installs them. The generation for Node 22 does not run on Node 20. */
const generations = [
  { generation: "auto20", from: 20 },
  { generation: "auto22", from: 22 },
].map((one) => ({ ...one, folder: `${apps}/${one.generation}` }));

describe.each(generations)("with OpenTelemetry's instrumentations ($generation)", ({ folder, from }) => {
  test.skipIf(!existsSync(`${folder}/node_modules`) || major < from)(
    "register is all it takes, and a request still is one span of a server",
    () => {
      const { stdout, stderr } = spawnSync(process.execPath, [`${apps}/auto.cjs`, folder], { encoding: "utf8", timeout: 60_000 });
      expect(stderr).toBe("");
      const { spans, lines, page } = JSON.parse(stdout) as Seen;
      const servers = spans.filter(({ kind }) => kind === 1);
      expect(servers).toMatchObject([{ name: "GET /wallets/:id", scope: "@opentelemetry/instrumentation-http" }]);
      // Express' own middleware and handlers are spans, too, in the same trace.
      expect(spans.filter(({ scope }) => scope === "@opentelemetry/instrumentation-express").length).toBeGreaterThan(0);
      expect(lines[0]).toMatchObject({ trace_id: servers[0]?.trace, phone: "+2507******56" });
      expect(page).toContain(`span_id="${servers[0]?.id}"`);
    },
    90_000,
  );
});

/** A port that was free a moment ago. */
const freePort = () =>
  new Promise<number>((given) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => given(port));
    });
  });

const next = `${apps}/next`;

test.skipIf(!existsSync(`${next}/node_modules`))(
  "a Next.js application has one registry for all its routes, and tells it at /api/metrics",
  async () => {
    const command = `${next}/node_modules/next/dist/bin/next`;
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ENVIRONMENT: "test", NODE_ENV: "production" };
    const built = spawnSync(process.execPath, [command, "build"], { cwd: next, env, encoding: "utf8" });
    expect(built.stderr).toBe("");
    expect(built.status).toBe(0);
    const port = await freePort();
    const server = spawn(process.execPath, [command, "start", "-H", "127.0.0.1", "-p", String(port)], { cwd: next, env, stdio: "ignore" });
    onTestFinished(() => void server.kill("SIGKILL"));
    const base = `http://127.0.0.1:${port}`;
    const up = () => fetch(`${base}/api/metrics`).catch(() => undefined);
    while ((await up()) === undefined) await new Promise((resolve) => setTimeout(resolve, 100));
    for (let n = 0; n < 3; n++) await (await fetch(`${base}/riders`, { method: "POST" })).text();
    const page = await (await up())?.text();
    expect(page).toContain('user_signups_total{user_type="rider",service="admin-app",environment="test"} 3\n');
    expect(page).toContain("# TYPE process_cpu_seconds_total counter\n");
  },
  300_000,
);
