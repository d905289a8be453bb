// The built app in Chromium over data that is always the same: what tests of the app alone share.
import { onRefusal, openBrowser, serve } from "./browser.mjs";
import { startUpstream } from "./upstream.mjs";

export const explore = (uid, expr, range = { from: "now-30m", to: "now" }) => `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: { datasource: uid, queries: [{ refId: "A", expr }], range } }))}`;

/** `dashboards` is a folder of further ones. */
export async function start(dashboards) {
  const upstream = await startUpstream();
  for (const part of ["PROMETHEUS", "LOKI", "TEMPO", "ALERTMANAGER"]) process.env[`REBA_${part}`] = upstream.url;
  process.env.REBA_DASHBOARDS = dashboards;
  const app = await serve();
  const browser = await openBrowser();
  const faults = [];
  const open = async (path, { phone = false, scheme = "dark" } = {}) => {
    const context = await browser.newContext({ viewport: phone ? { width: 390, height: 844 } : { width: 1400, height: 900 }, colorScheme: scheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    onRefusal(page, (text) => faults.push(`${path}: ${text}`));
    page.on("pageerror", (error) => faults.push(`${path}: ${error.message}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (!["data:", "blob:"].includes(url.protocol) && url.host !== new URL(app.url).host) faults.push(`${path}: asked ${request.url()}`);
    });
    await page.goto(app.url + path);
    return { page, close: () => context.close() };
  };
  const close = async () => {
    await browser.close();
    upstream.close();
    await app.close();
  };
  return { upstream, app, browser, faults, open, close };
}
