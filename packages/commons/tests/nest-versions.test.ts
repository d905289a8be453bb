import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const apps = fileURLToPath(new URL("apps", import.meta.url));

/** `test.sh` installs them; NestJS 12 is what the package itself is tested with (nest.test.ts). */
const versions = ["nest10", "nest11"].map((version) => ({ version, folder: `${apps}/${version}` }));

describe.each(versions)("$version", ({ folder }) => {
  test.skipIf(!existsSync(`${folder}/node_modules`)).each(["express", "fastify"])(
    "is instrumented on %s",
    (adapter) => {
      const { stdout, stderr } = spawnSync(process.execPath, [`${apps}/nest.cjs`, folder, adapter], { encoding: "utf8", timeout: 60_000 });
      expect(stderr).toBe("");
      const { page, names } = JSON.parse(stdout) as { page: string; names: string[] };
      const labels = 'service="agent-core",environment="test"';
      for (const line of [
        `http_requests_total{method="GET",route="/wallets/:id",status_code="200",${labels}} 2`,
        `http_requests_total{method="POST",route="/wallets/:id/payments",status_code="500",${labels}} 1`,
        `http_requests_total{method="GET",route="unmatched",status_code="404",${labels}} 2`,
        `ride_requests_total{status="pending",service_type="motorbike",${labels}} 1`,
      ]) {
        expect(page).toContain(`${line}\n`);
      }
      expect(names.toSorted()).toEqual([
        "GET /wallets/:id", "GET /wallets/:id", "GET unmatched", "GET unmatched", "POST /wallets/:id/payments",
      ]);
    },
    90_000,
  );
});
