// The app against a running Reba: `REBA_URL=http://127.0.0.1:3001 REBA_PASSWORD=… npm run test:real`; tests/browser/run.py starts one.
// REBA_USER is who logs in (admin); REBA_FULL=1 says that every panel must have data, which takes the whole fleet.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { at, closeBrowser, explore, faults, newContext, options, port, seriousFindings, session, until, watched } from "./real.mjs";

let admin, open;

before(async () => {
  if (options.skip !== false) return;
  admin = await session();
  open = admin.open;
});
after(closeBrowser);

test("who has no password is not let in, and is told so", options, async () => {
  const context = await newContext();
  const page = watched(await context.newPage(), "/login");
  await page.goto(at("/d/easymo-system-overview"));
  await page.getByLabel("User").fill("nobody");
  await page.locator("input[type=password]").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("Invalid username or password").waitFor();
  assert.equal(await page.getByRole("navigation", { name: "Main" }).count(), 0);
  assert.equal((await context.request.get(at("/api/search"))).status(), 401);
  await context.close();
});

test("a viewer looks, an editor makes dashboards, an admin governs", options, async () => {
  const password = "a long enough password 1";
  const stamp = Date.now();
  for (const [role, sees, sees_not] of [["Viewer", [], ["New", "Import"]], ["Editor", ["New", "Import"], []]]) {
    const login = `${role.toLowerCase()}${stamp}`;
    const made = await admin.ask("POST", "/api/admin/users", { name: login, login, password });
    assert.equal(made.status, 200, JSON.stringify(made.body));
    await admin.ask("PATCH", `/api/org/users/${made.body.id}`, { role });
    const user = await session(login, password);
    const page = await user.open("/dashboards");
    await page.getByText("EasyMO - System Overview").waitFor();
    for (const name of sees) await page.getByRole("link", { name, exact: true }).waitFor();
    for (const name of sees_not) assert.equal(await page.getByRole("link", { name, exact: true }).count(), 0, `${role} sees ${name}`);
    await page.getByRole("button", { name: /^Account of/ }).click();
    await page.getByRole("menuitem", { name: "Your account" }).waitFor();
    assert.equal(await page.getByRole("menuitem", { name: "Administration" }).count(), 0, role);
    await page.goto(at("/d/easymo-system-overview"));
    await page.locator('[data-panel][data-state="done"]').first().waitFor();
    assert.equal(await page.getByRole("button", { name: "Edit the dashboard" }).count(), role === "Viewer" ? 0 : 1, role);
    const save = await user.ask("POST", "/api/dashboards/db", { dashboard: { id: null, title: `Of ${login}`, panels: [] } });
    assert.equal(save.status, role === "Viewer" ? 403 : 200, `${role}: ${JSON.stringify(save.body)}`);
    assert.equal((await user.ask("POST", "/api/admin/users", { login: "x", password })).status, 403, role);
    if (save.body.uid !== undefined) await admin.ask("DELETE", `/api/dashboards/uid/${save.body.uid}`);
    await user.context.close();
    await admin.ask("DELETE", `/api/admin/users/${made.body.id}`);
  }
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

test("a slow request leads from its exemplar to its trace, to its log lines, and on to its service's metrics", options, async () => {
  const start = explore("prometheus", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))");
  const page = await open(start);
  const menu = page.getByRole("button", { name: /^Traces of \d+ exemplars/ });
  await until("exemplars arrive", async () => {
    if (await menu.count()) return true;
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.waitForTimeout(1000);
    return false;
  });
  const spans = page.getByRole("region", { name: "Spans" });
  const lines = page.getByRole("region", { name: "Log lines" });
  let metrics;
  // Of the newest requests spans and lines may still be under way, and not every request has a line: one of the list has both.
  for (let i = 0; metrics === undefined && i < 12; i++) {
    await page.goto(at(start));
    await menu.click();
    await page.getByRole("menuitem").nth(i).click();
    await spans.or(page.getByText("There is no such trace")).first().waitFor();
    if ((await spans.count()) === 0) continue;
    await spans.locator(".span-line .legend-name").first().click();
    const href = await spans.getByRole("link", { name: "Metrics of this service" }).first().getAttribute("href");
    await page.getByRole("button", { name: "Logs of this trace" }).click();
    await lines.locator(".log").first().or(page.getByText("No lines", { exact: true })).first().waitFor();
    if ((await lines.count()) > 0) metrics = href;
  }
  assert.ok(metrics, "no exemplar leads to a trace with lines");
  await lines.locator(".log").first().click();
  await page.getByRole("button", { name: /^Trace [0-9a-f]{8}/ }).click();
  await spans.locator(".span-line").nth(1).waitFor();
  await page.goto(new URL(metrics, at("/")).href);
  await page.getByRole("img", { name: /Graph: chart of [1-9]/ }).waitFor();
  await page.close();
});

test("the pointer finds an exemplar on the graph, and a click opens its trace", options, async () => {
  const page = await open(explore("prometheus", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))", "now-5m"));
  await page.getByRole("button", { name: /^Traces of \d+ exemplars/ }).waitFor();
  const over = page.getByRole("img", { name: /Graph: chart/ }).locator(".u-over");
  const box = await over.boundingBox();
  const found = async () => {
    for (let x = box.width - 4; x > box.width * 0.3; x -= 5) {
      for (let y = 3; y < box.height; y += 9) {
        await page.mouse.move(box.x + x, box.y + y);
        if (await page.locator(".tooltip").getByText("A click opens the trace").count()) return true;
      }
    }
    return false;
  };
  assert.ok(await found(), "no exemplar lies under the pointer anywhere");
  await page.mouse.down();
  await page.mouse.up();
  await page.getByRole("region", { name: "Spans" }).or(page.getByText("There is no such trace")).first().waitFor();
  await page.close();
});

test("names and lines that would be markup are shown as text, wherever they come", options, async () => {
  const hostile = `<img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;
  const escaped = hostile.replace(/([\\ ,=])/g, "\\$1");
  // The last step of a range lies up to a step before now: a sample of this moment would be after it, and the graph empty.
  const ago = `${Date.now() - 60_000}000000`;
  const pushed = await fetch(`${port(9090)}/api/v2/write`, { method: "POST", body: `hostile,job=${escaped},service=hostile value=1 ${ago}\n` });
  assert.ok(pushed.ok, `${pushed.status} ${await pushed.text()}`);
  const logs = await fetch(`${port(3100)}/loki/api/v1/push`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ streams: [{ stream: { job: "hostile", service: hostile }, values: [[ago, `level=error msg="${hostile}" trace_id="${hostile}"`], [ago, `{"msg": ${JSON.stringify(hostile)}, "level": 50}`]] }] }) });
  assert.ok(logs.ok, `${logs.status} ${await logs.text()}`);
  const page = await open(explore("prometheus", '{__name__=~"hostile.*"}'));
  await page.getByText("onerror").first().waitFor();
  await page.getByRole("img", { name: /Graph: chart/ }).hover();
  await page.goto(at(explore("loki", '{job="hostile"}')));
  const lines = page.getByRole("region", { name: "Log lines" });
  await lines.getByText("onerror").first().waitFor();
  await lines.locator(".log").first().click();
  await lines.locator(".log-details").getByText("onerror").first().waitFor();
  await page.getByText("Patterns", { exact: true }).click();
  await page.getByRole("region", { name: "Patterns" }).waitFor();
  const made = await admin.ask("POST", "/api/dashboards/db", {
    dashboard: {
      id: null, title: hostile, panels: [
        { id: 1, type: "text", title: hostile, description: hostile, gridPos: { x: 0, y: 0, w: 12, h: 6 }, options: { mode: "html", content: `${hostile}<a href="javascript:document.title='hacked'">x</a><b>bold</b>` } },
        { id: 2, type: "timeseries", title: "s", gridPos: { x: 12, y: 0, w: 12, h: 6 }, links: [{ title: hostile, url: "javascript:document.title='hacked'" }], targets: [{ refId: "A", expr: '{__name__=~"hostile.*"}', legendFormat: "{{job}}" }] },
        { id: 3, type: "table", title: "t", gridPos: { x: 0, y: 6, w: 24, h: 6 }, targets: [{ refId: "A", expr: '{__name__=~"hostile.*"}', instant: true, range: false, format: "table" }] },
      ], templating: { list: [{ name: "job", type: "query", query: 'label_values({__name__=~"hostile.*"}, job)', datasource: { uid: "prometheus", type: "prometheus" }, refresh: 1 }] },
    },
  });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  await page.goto(at(`/d/${made.body.uid}`));
  await page.getByRole("region", { name: "Table" }).getByText("onerror").first().waitFor();
  await page.locator("b", { hasText: "bold" }).waitFor();
  assert.equal(await page.locator('a[href^="javascript" i]').count(), 0);
  assert.equal(await page.locator("main [onerror], main script").count(), 0);
  await page.goto(at("/dashboards"));
  await page.getByText("onerror").first().waitFor();
  assert.doesNotMatch(await page.title(), /^hacked/);
  assert.equal(await page.evaluate(() => document.title), "Reba");
  await admin.ask("DELETE", `/api/dashboards/uid/${made.body.uid}`);
  await page.close();
});

/** Tab by Tab to what has this name; a person without a mouse goes no other way. */
async function tabTo(page, name, most = 80) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(() => {
      const e = document.activeElement;
      const label = e?.labels?.[0]?.innerText ?? "";
      const outlined = e === null ? false : (({ outlineStyle, outlineWidth, borderColor, boxShadow }) => outlineStyle !== "none" || outlineWidth !== "0px" || boxShadow !== "none" || borderColor !== "")(getComputedStyle(e));
      return { text: `${e?.ariaLabel ?? ""} ${label} ${e?.innerText ?? ""}`.trim(), outlined };
    });
    if (name.test(here.text)) {
      assert.ok(here.outlined, `nobody sees that ${here.text} has the focus`);
      return;
    }
  }
  throw new Error(`${name} is not reached by Tab`);
}

test("a person without a mouse logs in, reads a dashboard, explores, and silences an alert", options, async () => {
  const context = await newContext();
  const page = watched(await context.newPage(), "keyboard");
  await page.goto(at("/"));
  await page.getByLabel("User").waitFor();
  await tabTo(page, /User/);
  await page.keyboard.press("Control+a");
  await page.keyboard.type(process.env.REBA_USER ?? "admin");
  await tabTo(page, /Password/);
  await page.keyboard.type(process.env.REBA_PASSWORD ?? "");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Dashboards" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("payment");
  await tabTo(page, /Payment Analytics/);
  await page.keyboard.press("Enter");
  await page.locator('[data-panel][data-state="done"]').first().waitFor();
  await tabTo(page, /^Menu of/);
  await page.keyboard.press("Enter");
  await page.getByRole("menuitem", { name: "View alone" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("[data-panel]").length === 1);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelectorAll("[data-panel]").length > 1);
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await page.locator(".cm-content").waitFor();
  await tabTo(page, /Query A/);
  await page.keyboard.type("sum(up)");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("img", { name: /Graph: chart of 1/ }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to or do" }).waitFor();
  await page.keyboard.type("new silence");
  await page.keyboard.press("Enter");
  await page.getByRole("form", { name: "New silence" }).waitFor();
  await tabTo(page, /Value 1/);
  await page.keyboard.type("NoSuchAlert");
  await tabTo(page, /Why/);
  await page.keyboard.type("without a mouse");
  await tabTo(page, /^Silence$/);
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Silences" }).getByText("without a mouse").waitFor();
  await tabTo(page, /^Expire/);
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Silences" }).getByText("without a mouse").waitFor({ state: "detached" });
  await context.close();
});

test("what runs and what is kept is told: targets, store, limits, queries, configuration", options, async () => {
  const page = await open("/status");
  await page.getByRole("region", { name: "Targets" }).getByText("agent-core").first().waitFor();
  await page.getByRole("tab", { name: "Store" }).click();
  await page.getByRole("combobox", { name: "Metric or selector" }).or(page.getByLabel("Metric or selector")).first().fill("http_requests_total");
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Series of a metric" }).getByRole("row", { name: /status_code/ }).waitFor();
  await page.getByRole("tab", { name: "Logs" }).click();
  await page.getByText("streams", { exact: true }).waitFor();
  await page.getByRole("tab", { name: "Limits" }).click();
  await page.getByRole("region", { name: "Metrics" }).getByText("query.max_concurrency").waitFor();
  await page.getByRole("region", { name: "Refused in the last hour" }).getByRole("row").first().waitFor();
  await page.getByRole("tab", { name: "Queries" }).click();
  await page.getByRole("region", { name: "Queries of metrics" }).waitFor();
  await page.getByRole("tab", { name: "Configuration" }).click();
  await page.getByText("scrape_configs:").waitFor();
  await page.close();
});

test("with the real data, too, nothing serious stands in the way of assistive technology", options, async () => {
  const page = await open("/dashboards");
  for (const path of ["/d/easymo-system-overview", "/d/easymo-logs", explore("loki", '{job="services"}'), "/alerting/list", "/alerting/notifications", "/status?tab=limits", "/status?tab=tsdb"]) {
    await page.goto(at(path));
    await page.waitForTimeout(1500);
    assert.deepEqual(await seriousFindings(page), [], path);
  }
  await page.close();
});

test("nothing failed on the way and no other host was asked", options, () => assert.deepEqual(faults, []));
