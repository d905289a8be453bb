// Fails the build when what the first page loads exceeds its budget, gzipped.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const budget = 500 * 1000;
const dist = new URL("../dist", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

// The first page is a dashboard: the entry, the page, and the panels that nearly every dashboard has.
const firstPage = /^index\.html$|DashboardPage\.tsx$|panels\/(Stat|TimeSeries)[A-Za-z]*\.tsx$/;
const files = new Set();
function walk(key) {
  const chunk = manifest[key];
  if (chunk === undefined || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const dependency of chunk.imports ?? []) walk(dependency);
}
Object.keys(manifest).filter((key) => firstPage.test(key)).forEach(walk);

let total = 0;
for (const file of files) total += gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
console.log(`first page: ${files.size} files, ${(total / 1000).toFixed(1)} kB gzipped (budget ${budget / 1000} kB)`);
if (total > budget) {
  console.error("The first page is over its budget.");
  process.exit(1);
}
