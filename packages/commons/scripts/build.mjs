// Builds the package twice: ECMAScript modules in dist/esm, CommonJS in dist/cjs, each with its types.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
for (const kind of ["esm", "cjs"]) {
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const { status } = spawnSync(process.execPath, [tsc, "-p", `tsconfig.${kind}.json`], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
writeFileSync(`${root}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
