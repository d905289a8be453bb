import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { devBackend } from "./dev/backend";

export default defineConfig({
  base: "./",
  plugins: [react(), devBackend()],
  build: {
    target: "es2022",
    manifest: true,
    // Mantine styles are imported by component; everything heavy is a dynamic import.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
});
