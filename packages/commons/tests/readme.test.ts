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
    const tracing = commons.init("wallet-service");
    metrics.expose().then((page) => tracing.shutdown().then(() => {
      console.log(${JSON.stringify(names)}.every((name) => typeof commons[name] === "function"), page.includes("payment_amount_usd_count"));
    }));`;

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

describe("the README's examples", () => {
  test("are there", () => expect(examples.map(({ name }) => name)).toEqual(["express", "fastify", "logs", "traces"]));

  test.each(examples)("$name runs and type-checks", ({ name, code }) => {
    writeFileSync(`${folder}/${name}.mts`, code);
    const flags = ["--strict", "--module", "nodenext", "--skipLibCheck", "--target", "es2022", "--types", "node", "--ignoreConfig"];
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const checked = spawnSync(process.execPath, [tsc, ...flags, `${name}.mts`], { cwd: folder, encoding: "utf8" });
    expect(checked.stdout).toBe("");
    const { stdout, stderr, status } = node(`${name}.mjs`);
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const printed = [...code.matchAll(/\/\/ prints (.*)$/gm)].map(([, line]) => line ?? "");
    expect(printed.length).toBeGreaterThan(0);
    for (const line of printed) expect(stdout).toContain(line);
  });
});
