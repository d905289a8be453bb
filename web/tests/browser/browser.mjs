// What the browser tests share: a preview server of the built app, and Debian's Chromium.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { preview } from "vite";

const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function chromiumPath() {
  return candidates.find((path) => path && existsSync(path));
}

export async function openBrowser() {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error("No Chromium: `apt-get install chromium`, or name one in CHROMIUM.");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"] });
}

/** Serves dist/ with the development backend; its settings are environment variables (see dev/backend.ts). */
export async function serve() {
  const server = await preview({ preview: { port: 0, host: "127.0.0.1", strictPort: false }, logLevel: "error" });
  const { port } = server.httpServer.address();
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((done) => server.httpServer.close(done)) };
}
