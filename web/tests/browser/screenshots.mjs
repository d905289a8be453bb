// The pictures of the README, of a really running Reba: `tests/browser/run.py screenshots` starts one. They land in docs/images.
// Names on the command line choose some; REBA_PICTURES names another folder, and then phones are taken, too.
import { mkdirSync, writeFileSync } from "node:fs";
import { at, closeBrowser, explore, logIn, newContext, session, until, watched } from "./real.mjs";

const folder = process.env.REBA_PICTURES ?? new URL("../../../docs/images", import.meta.url).pathname;
const phones = process.env.REBA_PICTURES !== undefined;
/** A README is fetched with every look at the repository. */
const LARGEST = 200_000;
mkdirSync(folder, { recursive: true });

const admin = await session();
/** The slowest of some requests: there is something to see in it. */
const trace = await until("a trace", async () => {
  const { body } = await admin.ask("GET", `/api/datasources/proxy/uid/tempo/api/search?q=${encodeURIComponent("{ nestedSetParent < 0 && duration > 30ms }")}&limit=50`);
  return (body?.traces ?? []).sort((a, b) => b.durationMs - a.durationMs)[0]?.traceID;
});

const pages = {
  overview: { path: "/d/easymo-system-overview?from=now-5m&to=now&refresh=" },
  payments: { path: "/d/easymo-payments?from=now-5m&to=now&refresh=" },
  service: { path: "/d/easymo-service?from=now-5m&to=now&refresh=" },
  metrics: { path: explore("prometheus", "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[30s])))", "now-5m") },
  logs: { path: explore("loki", '{job="services", service=~"wallet-service|agent-core"}', "now-5m"), ready: async (page) => { await page.getByRole("region", { name: "Log lines" }).locator(".log").nth(3).click(); } },
  trace: { path: explore("tempo", trace.padStart(32, "0")) },
  alerts: { path: "/alerting/list", ready: async (page) => { await page.locator(".rule summary").first().click(); await page.getByRole("region", { name: "History" }).or(page.getByText("neither pending nor firing")).first().waitFor(); } },
  inbox: { path: "/alerting/demo", ready: async (page) => { await page.getByRole("region", { name: "Inbox" }).locator("summary").first().click({ timeout: 10_000 }); } },
  dashboards: { path: "/dashboards", only: phones },
  infrastructure: { path: "/d/easymo-infrastructure?from=now-5m&to=now&refresh=", only: phones },
  traces: { path: "/d/easymo-traces?from=now-5m&to=now&refresh=", only: phones },
  reba: { path: "/d/reba-itself?from=now-5m&to=now&refresh=", only: phones },
  builder: { path: explore("prometheus", "sum by (service) (rate(http_requests_total[1m]))"), only: phones, ready: async (page) => { await page.getByRole("button", { name: "Builder" }).click(); await page.getByRole("group", { name: "Query builder" }).waitFor(); } },
  logbuilder: { path: explore("loki", '{service="wallet-service"} |= "error" | json'), only: phones, ready: async (page) => { if ((await page.getByRole("group", { name: "Query builder" }).count()) === 0) await page.getByRole("button", { name: "Builder" }).click(); await page.getByRole("group", { name: "Query builder" }).waitFor(); } },
  groups: { path: "/alerting/groups", only: phones },
  receivers: { path: "/alerting/notifications", only: phones },
  routes: { path: "/alerting/routes", only: phones },
  silence: { path: "/alerting/silence/new", only: phones },
  backtest: { path: "/alerting/list?search=ServiceDown", only: phones, ready: async (page) => { await page.locator(".rule summary").first().click(); await page.getByRole("button", { name: "Change it and try it on past data" }).click(); await page.getByRole("button", { name: "Try it", exact: true }).click(); await page.getByRole("row", { name: /As you wrote it/ }).waitFor(); await page.getByRole("region", { name: "Back-test" }).scrollIntoViewIfNeeded(); } },
  limits: { path: "/status?tab=limits", only: phones },
  store: { path: "/status?tab=tsdb&metric=http_requests_total", only: phones },
  targets: { path: "/status", only: phones },
  queries: { path: "/status?tab=queries", only: phones },
  edit: { path: "/d/easymo-payments?from=now-5m&to=now&refresh=&editPanel=1", only: phones },
  search: { path: explore("tempo", "{ duration > 50ms }"), only: phones },
  users: { path: "/admin/users", only: phones },
  login: { path: "/", only: phones, anonymous: true },
};

// Something to see among the alerts.
await admin.ask("POST", "/api/datasources/proxy/uid/reba-demo-incidents/incidents/service-down/start?service=voice-bridge");
await new Promise((done) => setTimeout(done, Number(process.env.REBA_PATIENCE ?? 60) * 1000));

const painter = phones ? undefined : await (await newContext()).newPage();

/** Writes the picture, as WebP where others fetch it: a third of the size. Returns its bytes. */
async function keep(png, file) {
  if (painter === undefined) {
    writeFileSync(file, png);
    return png.length;
  }
  const webp = await painter.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.9).split(",")[1];
  }, png.toString("base64"));
  const bytes = Buffer.from(webp, "base64");
  writeFileSync(file, bytes);
  return bytes.length;
}

const wanted = process.argv.slice(2);
for (const colorScheme of ["dark", "light"]) {
  for (const [device, viewport] of Object.entries({ "": { width: 1280, height: 800 }, ...(phones ? { "-phone": { width: 390, height: 844 } } : {}) })) {
    const context = await newContext({ viewport, colorScheme });
    const stranger = await newContext({ viewport, colorScheme });
    await logIn(context);
    for (const [name, { path, ready, only = true, anonymous = false }] of Object.entries(pages)) {
      const file = `${name}-${colorScheme}${device}.${phones ? "png" : "webp"}`;
      if (!only || (wanted.length > 0 && !wanted.some((w) => file.startsWith(w)))) continue;
      const page = watched(await (anonymous ? stranger : context).newPage(), path);
      await page.goto(at(path));
      await page.waitForLoadState("networkidle", { timeout: 10_000 }).catch(() => undefined);
      await page.waitForFunction(() => [...document.querySelectorAll("[data-panel]")].every((p) => p.dataset.state !== "loading" || p.getBoundingClientRect().top > innerHeight));
      try {
        await ready?.(page);
      } catch (error) {
        console.error(file, error.message.split("\n")[0]);
      }
      await page.mouse.move(0, 0);
      await page.waitForTimeout(700);
      const size = await keep(await page.screenshot(), `${folder}/${file}`);
      console.log(`${file} ${Math.round(size / 1000)} kB`);
      if (size > LARGEST && !phones) process.exitCode = 1;
      await page.close();
    }
    await context.close();
    await stranger.close();
  }
}
await closeBrowser();
