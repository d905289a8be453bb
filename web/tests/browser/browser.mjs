// What the browser tests share: a preview server of the built app, and Debian's Chromium.
import { existsSync, readFileSync } from "node:fs";
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

/** The policy that the program sends with its pages: what it forbids must fail here, too. */
export const policy = readFileSync(new URL("../../../crates/api/src/grafana/security.rs", import.meta.url), "utf8")
  .match(/const PAGE: &str = "([^"]+)"/)[1]
  .replace(/\\\n/g, "");

/** Tells what the policy refused. Handlers in hostile text are refused already while it is parsed to be made clean: that is no fault of the app. */
export const onRefusal = (page, tell) =>
  page.on("console", (message) => message.type() === "error" && /Content Security Policy/.test(message.text()) && !/inline event handler/.test(message.text()) && tell(message.text().slice(0, 300)));

/** Serves dist/ with the development backend; its settings are environment variables (see dev/backend.ts). */
export async function serve() {
  const server = await preview({ preview: { port: 0, host: "127.0.0.1", strictPort: false, headers: { "Content-Security-Policy": policy } }, logLevel: "error" });
  const { port } = server.httpServer.address();
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((done) => server.httpServer.close(done)) };
}
