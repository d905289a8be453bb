import { defineConfig } from "vitest/config";

export default defineConfig({ test: { dir: "tests", testTimeout: 20_000, maxWorkers: 1 } });
