import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}dist/examples`;
const node = (file: string) => spawnSync(process.execPath, [file], { cwd: folder, encoding: "utf8", timeout: 15_000 });

/** The examples of the README that say what they print. */
const examples = [...readFileSync(`${root}README.md`, "utf8").matchAll(/```ts\n(\/\/ example: (\S+)\n[\s\S]*?)```/g)].map(
  ([, code = "", name = ""]) => ({ name, code }),
);

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const built = spawnSync(process.execPath, [`${root}scripts/build.mjs`], { encoding: "utf8" });
  expect(built.stdout + built.stderr).toBe("");
  mkdirSync(folder, { recursive: true });
}, 120_000);

describe("the package as it is installed", () => {
  const names = ["createMetricsRegistry", "createBusinessMetrics", "metricsMiddleware", "metricsHandler", "childLogger"];
  const use = `
    const metrics = commons.createMetricsRegistry("wallet-service", { environment: "test" });
    commons.createBusinessMetrics(metrics).trackPayment("momo", 1, "success");
    // None of OpenTelemetry's instrumentations is installed, which is fine.
    commons.register("wallet-service").then(async (tracing) => {
      const page = await metrics.expose();
      await tracing.shutdown();
      console.log(${JSON.stringify(names)}.every((name) => typeof commons[name] === "function"), page.includes("payment_amount_usd_count"));
    });`;

  test.each([
    ["an ECMAScript module", "use.mjs", 'import * as commons from "@easymo/commons";'],
    ["CommonJS", "use.cjs", 'const commons = require("@easymo/commons");'],
  ])("can be used from %s", (_kind, file, header) => {
    writeFileSync(`${folder}/${file}`, header + use);
    const { stdout, stderr } = node(file);
    expect(stderr).toBe("");
    expect(stdout).toBe("true true\n");
  });

  test("brings its types to both", () => {
    for (const [file, header] of [
      ["typed.mts", 'import { createMetricsRegistry, type MetricsRegistry } from "@easymo/commons";'],
      ["typed.cts", 'import { createMetricsRegistry, type MetricsRegistry } from "@easymo/commons";'],
    ] as const) {
      writeFileSync(
        `${folder}/${file}`,
        `${header}\nconst metrics: MetricsRegistry = createMetricsRegistry("x");\n// @ts-expect-error a closed set\nmetrics.business().trackPayment("bitcoin", 1, "success");\n`,
      );
    }
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const flags = ["--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck", "--target", "es2022", "--ignoreConfig"];
    const checked = spawnSync(process.execPath, [tsc, ...flags, "typed.mts", "typed.cts"], { cwd: folder, encoding: "utf8" });
    expect(checked.stdout).toBe("");
  });
});

test("with an instrumentation of OpenTelemetry there is one span a request, and metrics lead to it", () => {
  writeFileSync(
    `${folder}/instrumented.cjs`,
    `const { createMetricsRegistry, metricsMiddleware, register } = require("@easymo/commons");
     const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");
     const spans = [];
     const exporter = { export: (found, done) => (spans.push(...found), done({ code: 0 })), shutdown: async () => {} };
     register("wallet-service", { exporter, instrumentations: [new HttpInstrumentation()] }).then((tracing) => {
       const metrics = createMetricsRegistry("wallet-service");
       const app = require("express")();
       app.use(metricsMiddleware(metrics));
       app.get("/wallets/:id", (_req, res) => void res.send("balance"));
       const server = app.listen(0, "127.0.0.1", async () => {
         await (await fetch("http://127.0.0.1:" + server.address().port + "/wallets/7")).text();
         server.close(async () => {
           const page = await metrics.expose("openmetrics");
           await tracing.shutdown();
           const id = spans[0]?.spanContext().spanId;
           console.log(JSON.stringify({
             names: spans.map((span) => span.name),
             scope: spans[0]?.instrumentationScope.name,
             exemplar: page.includes('span_id="' + id + '"'),
           }));
         });
         server.closeAllConnections();
       });
     });`,
  );
  const { stdout, stderr } = node("instrumented.cjs");
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({
    names: ["GET /wallets/:id"],
    scope: "@opentelemetry/instrumentation-http",
    exemplar: true,
  });
});

describe("the README's examples", () => {
  test("are there", () => expect(examples.map(({ name }) => name)).toEqual(["express", "fastify", "logs", "traces"]));

  beforeAll(() => {
    for (const { name, code } of examples) writeFileSync(`${folder}/${name}.mts`, code);
    const flags = ["--strict", "--module", "nodenext", "--skipLibCheck", "--target", "es2022", "--types", "node", "--ignoreConfig"];
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const files = examples.map(({ name }) => `${name}.mts`);
    const checked = spawnSync(process.execPath, [tsc, ...flags, ...files], { cwd: folder, encoding: "utf8" });
    expect(checked.stdout).toBe("");
  }, 120_000);

  test.each(examples)("$name type-checks and prints what it says", ({ name, code }) => {
    const { stdout, stderr, status } = node(`${name}.mjs`);
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const printed = [...code.matchAll(/\/\/ prints (.*)$/gm)].map(([, line]) => line ?? "");
    expect(printed.length).toBeGreaterThan(0);
    for (const line of printed) expect(stdout).toContain(line);
  });
});
