// Screenshots for people's eyes, of a running Reba: `REBA_PORT_OFFSET=0 npm run shots [name…]`. They land in tests/browser/out.
import { mkdirSync } from "node:fs";
import { openBrowser, serve } from "./browser.mjs";

process.env.REBA_DASHBOARDS ??= new URL("dashboards", import.meta.url).pathname;
const out = new URL("out", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
const explore = (expr, uid = "prometheus") => `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: { datasource: uid, queries: [{ refId: "A", expr }], range: { from: "now-30m", to: "now" } } }))}`;
const pages = {
  dashboards: "/dashboards",
  overview: "/d/easymo-system-overview?from=now-30m&to=now",
  panels: "/d/every-panel",
  explore: explore("sum by (service) (rate(http_requests_total[1m]))"),
  logs: explore("{service=\"wallet-service\"}", "loki"),
  alerts: "/alerting/list",
  groups: "/alerting/groups",
  silences: "/alerting/silences",
  silence: "/alerting/silence/new",
  routes: "/alerting/routes",
  business: "/d/easymo-business?from=now-30m&to=now",
  payments: "/d/easymo-payments?from=now-30m&to=now",
  service: "/d/easymo-service?from=now-30m&to=now",
  traces: "/d/easymo-traces?from=now-30m&to=now",
  edit: "/d/easymo-business?from=now-30m&to=now&editPanel=8",
  search: explore("{ duration > 100ms }", "tempo"),
  users: "/admin/users",
  status: "/status",
  store: "/status?tab=tsdb",
};
const wanted = process.argv.slice(2);
const { url, close } = await serve();
const browser = await openBrowser();
for (const scheme of ["dark", "light"]) {
  for (const [device, viewport] of Object.entries({ desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } })) {
    const context = await browser.newContext({ viewport, colorScheme: scheme, deviceScaleFactor: 1 });
    for (const [name, path] of Object.entries(pages)) {
      const id = `${name}-${scheme}-${device}`;
      if (wanted.length > 0 && !wanted.some((w) => id.includes(w))) continue;
      const page = await context.newPage();
      page.on("pageerror", (error) => console.error(id, error.message));
      page.on("console", (m) => m.type() === "error" && console.error(id, m.text()));
      const tall = name === "panels" && device === "desktop";
      if (tall) await page.setViewportSize({ width: 1440, height: 2300 });
      await page.goto(url + path, { waitUntil: "networkidle" });
      await page.waitForTimeout(600);
      await page.screenshot({ path: `${out}/${id}.png` });
      await page.close();
      console.log(id);
    }
    await context.close();
  }
}
await browser.close();
await close();
