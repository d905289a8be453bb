// The app against a running Reba: `REBA_URL=http://127.0.0.1:3001 REBA_PASSWORD=… node --test tests/browser/real.test.mjs`.
// REBA_USER is who logs in (admin); REBA_FULL=1 says that every panel must have data, which takes a Reba with its fleet for some minutes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser } from "./browser.mjs";

const { REBA_URL, REBA_USER = "admin", REBA_PASSWORD = "", REBA_FULL } = process.env;
const options = { skip: REBA_URL === undefined ? "REBA_URL names no server" : false };
const explore = (uid, expr) => `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: { datasource: uid, queries: [{ refId: "A", expr }], range: { from: "now-15m", to: "now" } } }))}`;
const at = (path) => REBA_URL.replace(/\/$/, "") + path;
const faults = [];
let browser, context;

before(async () => {
  if (REBA_URL === undefined) return;
  browser = await openBrowser();
  context = await browser.newContext({ viewport: { width: 1400, height: 900 }, reducedMotion: "reduce" });
  const page = await open("/");
  await page.getByLabel("User").fill(REBA_USER);
  await page.locator("input[type=password]").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await page.locator("input[type=password]").fill(REBA_PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Main" }).waitFor();
  await page.close();
});
after(() => browser?.close());

async function open(path) {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => faults.push(`${path}: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.host !== new URL(REBA_URL).host) faults.push(`${path}: asked ${request.url()}`);
  });
  await page.goto(at(path));
  return page;
}

async function panels(page) {
  await page.locator("[data-panel]").first().waitFor();
  for (const panel of await page.$$("[data-panel]")) await panel.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.querySelectorAll("[data-panel]")].every((p) => p.dataset.state !== "loading"), undefined, { timeout: 60_000 });
  return page.$$eval("[data-panel]", (all) => all.map((p) => ({ name: p.ariaLabel, state: p.dataset.state, text: p.innerText })));
}

test("every dashboard of the mission opens, and none of its panels fails", options, async () => {
  const page = await open("/dashboards");
  await page.getByText("EasyMO - System Overview").waitFor();
  const uids = await page.$$eval('a.card[href*="/d/"]', (all) => all.map((a) => new URL(a.href).pathname));
  assert.ok(uids.length >= 12, uids.join());
  for (const path of uids) {
    await page.goto(new URL(path, REBA_URL).href + "?from=now-15m&to=now&refresh=");
    for (const p of await panels(page)) {
      assert.equal(p.state, "done", `${path} ${p.name}: ${p.text}`);
      assert.doesNotMatch(p.text, /could not be drawn/, `${path} ${p.name}`);
      if (REBA_FULL === "1") assert.doesNotMatch(p.text, /^No data$/m, `${path} ${p.name}`);
    }
  }
  await page.close();
});

test("metrics, logs and traces are explored", options, async () => {
  const page = await open(explore("prometheus", "sum by (service) (rate(http_requests_total[1m]))"));
  await page.getByRole("img", { name: /Graph: chart/ }).waitFor();
  await page.goto(at(explore("loki", '{job="services"}')));
  await page.getByRole("region", { name: "Log lines" }).locator(".log").first().waitFor();
  await page.goto(at(explore("tempo", "{}")));
  await page.getByRole("form", { name: "Search traces" }).waitFor();
  await page.waitForFunction(() => document.body.innerText.includes("No traces") || document.querySelector("tbody .tag") !== null);
  await page.close();
});

test("a dashboard is made, saved, found, changed against an older version, and deleted", options, async () => {
  const title = `Browser test ${Date.now()}`;
  const page = await open("/dashboard/new");
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Add a panel" }).click();
  await page.getByRole("textbox", { name: "Query A" }).click();
  await page.keyboard.type("up");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("dialog").getByLabel("Title").fill(title);
  await page.keyboard.press("Escape");
  const save = async (message) => {
    await page.getByRole("toolbar").getByRole("button", { name: "Save" }).click();
    await page.getByLabel("What changed").fill(message);
    await page.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  };
  await save("first");
  await page.waitForURL(/\/d\/[\w-]+$/);
  const home = page.url();
  const other = await open(new URL(home).pathname.replace(new URL(at("/")).pathname, "/"));
  for (const p of [page, other]) {
    await p.locator("[data-panel]").first().waitFor();
    await p.keyboard.press("e");
    await p.locator(".grip").focus();
    await p.keyboard.press("ArrowRight");
  }
  await save("second");
  await page.locator(".edit-bar").waitFor({ state: "detached" });
  await other.getByRole("toolbar").getByRole("button", { name: "Save" }).click();
  await other.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  await other.getByText("Somebody else has changed it").waitFor();
  await other.getByRole("button", { name: "Save over it" }).click();
  await other.locator(".edit-bar").waitFor({ state: "detached" });
  await other.close();
  await page.goto(home);
  await page.getByRole("button", { name: "More for this dashboard" }).click();
  await page.getByRole("menuitem", { name: "Versions" }).click();
  await page.getByText("Version 3").waitFor();
  await page.getByText("second", { exact: true }).waitFor();
  await page.goto(at("/dashboards"));
  await page.getByText(title).click();
  await page.locator("[data-panel]").first().waitFor();
  await page.keyboard.press("e");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Delete the dashboard" }).click();
  await page.waitForURL(/\/dashboards$/);
  assert.equal(await page.getByText(title).count(), 0);
  await page.close();
});

test("users, service accounts and tokens are made and deleted", options, async () => {
  const name = `test${Date.now()}`;
  const page = await open("/admin/users");
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "New user" }).click();
  await page.getByLabel("Log-in name").fill(name);
  await page.getByRole("dialog").locator("input[type=password]").fill("a long enough password 1");
  await page.getByRole("button", { name: "Make the user" }).click();
  const row = page.getByRole("region", { name: "Users" }).getByRole("row", { name: new RegExp(name) });
  await row.waitFor();
  await row.getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  await page.goto(at("/admin/serviceaccounts"));
  await page.getByLabel("Name of the account").fill(name);
  await page.getByRole("button", { name: "New service account" }).click();
  const account = page.locator(".rule", { hasText: name });
  await account.getByRole("button", { name: "Tokens" }).click();
  await account.getByLabel("Name of the token").fill("t");
  await account.getByRole("button", { name: "Make a token" }).click();
  await account.getByText(/^glsa_/).waitFor();
  await account.getByRole("button", { name: "Delete" }).first().click();
  await account.waitFor({ state: "detached" });
  await page.goto(at("/connections/datasources"));
  await page.getByRole("row", { name: /Prometheus/ }).getByRole("button", { name: "Test" }).click();
  await page.getByRole("row", { name: /Prometheus/ }).locator(".state.ok").waitFor();
  await page.close();
});

test("silences are made and ended where Alertmanager answers", options, async (t) => {
  const page = await open("/alerting/silences");
  await page.waitForFunction(() => /There are no silences|No silence fits|could not be read/.test(document.body.innerText) || document.querySelector('[aria-label="Silences"] tr') !== null);
  if (await page.getByText("could not be read").count()) return t.skip("Alertmanager does not answer");
  await page.goto(at("/alerting/silence/new?matcher=" + encodeURIComponent('alertname="BrowserTest"')));
  await page.getByLabel("Why").fill("browser test");
  await page.getByRole("button", { name: "Silence", exact: true }).click();
  const row = page.getByRole("region", { name: "Silences" }).getByRole("row", { name: /BrowserTest/ }).first();
  await row.getByRole("button", { name: "Expire" }).click();
  await row.waitFor({ state: "detached" });
  await page.goto(at("/alerting/routes"));
  await page.locator(".route").first().waitFor();
  await page.close();
});

test("nothing failed on the way and no other host was asked", options, () => assert.deepEqual(faults, []));
