// The built app in a real browser: `npm run build && npm run test:browser`.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { explore, start } from "./fake.mjs";

const axe = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
let upstream, app, open, faults, stop;

before(async () => {
  ({ upstream, app, open, faults, close: stop } = await start(new URL("dashboards", import.meta.url).pathname));
});
after(() => stop?.());

/** Every panel in turn is scrolled to, since unseen ones ask nothing. */
async function panelStates(page) {
  await page.waitForSelector("[data-panel]");
  for (const panel of await page.$$("[data-panel]")) await panel.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.querySelectorAll("[data-panel]")].every((p) => p.dataset.state !== "loading"));
  await page.waitForTimeout(300);
  return page.$$eval("[data-panel]", (list) => list.map((p) => ({ name: p.getAttribute("aria-label"), state: p.dataset.state, text: p.innerText })));
}

test("the system overview opens from the list and every panel has data", async () => {
  const { page, close } = await open("/");
  await page.getByRole("link", { name: /System Overview/ }).click();
  const panels = await panelStates(page);
  assert.equal(panels.length, 12);
  for (const p of panels) {
    assert.equal(p.state, "done", p.name);
    assert.doesNotMatch(p.text, /No data|could not be drawn/, p.name);
  }
  await close();
});

test("every kind of panel draws, and hostile text stays text", async () => {
  const { page, close } = await open("/d/every-panel");
  for (const p of await panelStates(page)) {
    assert.equal(p.state, "done", p.name);
    assert.doesNotMatch(p.text, /could not be drawn/, p.name);
  }
  await page.getByRole("button", { name: /Repeated for/ }).click();
  await page.getByRole("region", { name: "wallet-service" }).or(page.locator('[data-panel][aria-label="wallet-service"]')).first().waitFor();
  assert.match(await page.title(), /Every panel/);
  assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
  await close();
});

test("a variable changes the URL and the questions", async () => {
  const { page, close } = await open("/d/every-panel");
  await panelStates(page);
  await page.getByRole("button", { name: /^Service:/ }).click();
  await page.getByRole("option", { name: "wallet-service" }).click();
  await page.waitForURL(/var-service=wallet-service/);
  await page.waitForTimeout(300);
  assert.ok(upstream.asked.some((a) => a.query.includes('service=~"wallet-service"')));
  await close();
});

test("dragging over a chart zooms, keys zoom out, and the browser's back undoes", async () => {
  const { page, close } = await open("/d/easymo-system-overview");
  const chart = page.locator('[data-panel="7"] .u-over');
  await chart.waitFor();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + 40, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + 140, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+/);
  const width = () => Number(new URL(page.url()).searchParams.get("to")) - Number(new URL(page.url()).searchParams.get("from"));
  const zoomed = width();
  assert.ok(zoomed < 3_000_000, String(zoomed));
  await page.keyboard.press("t");
  await page.keyboard.press("z");
  await page.waitForFunction((before) => { const p = new URLSearchParams(location.search); return Number(p.get("to")) - Number(p.get("from")) > before; }, zoomed);
  await page.goBack();
  await page.goBack();
  assert.doesNotMatch(page.url(), /from=\d/);
  await close();
});

test("a stretch is marked with Ctrl and a drag, and its remark is kept for everybody", async () => {
  const { page, close } = await open("/d/easymo-system-overview");
  const chart = page.locator('[data-panel="7"] .u-over');
  await chart.waitFor();
  const box = await chart.boundingBox();
  await page.keyboard.down("Control");
  await page.mouse.move(box.x + 40, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + 140, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Control");
  await page.getByLabel("What happened").fill(upstream.hostile);
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const [kept] = await (await page.request.get(`${app.url}/api/annotations`)).json();
  assert.equal(kept.text, upstream.hostile);
  assert.ok(kept.timeEnd - kept.time > 60_000 && kept.dashboardUID === "easymo-system-overview" && kept.panelId === 7, JSON.stringify(kept));
  assert.doesNotMatch(page.url(), /from=\d/);
  await close();
});

test("a panel is saved as a picture of what it shows", async () => {
  const { page, close } = await open("/d/easymo-system-overview");
  await page.locator('[data-panel="7"] .u-over').waitFor();
  for (const title of ["HTTP requests per second", "Services up"]) {
    await page.getByRole("button", { name: `Menu of ${title}` }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "Save as a picture" }).click()]);
    assert.equal(download.suggestedFilename(), `${title}.png`);
    const bytes = readFileSync(await download.path());
    assert.equal(bytes.subarray(1, 4).toString(), "PNG");
    // Not empty: the picture has many colours, the ground among them.
    const colours = await page.evaluate(async (data) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      const paint = canvas.getContext("2d");
      paint.drawImage(image, 0, 0);
      const found = new Set();
      const { data: pixels } = paint.getImageData(0, 0, image.width, image.height);
      for (let i = 0; i < pixels.length; i += 4) found.add(`${pixels[i]},${pixels[i + 1]},${pixels[i + 2]}`);
      return found.size;
    }, bytes.toString("base64"));
    assert.ok(colours > 20, `${title}: ${colours} colours`);
  }
  await close();
});

test("a form builds a query of each language, and shows what was written", async () => {
  const { page, close } = await open(explore("prometheus", "sum by (service) (rate(http_requests_total[5m]))"));
  await page.getByRole("button", { name: "Builder" }).click();
  const form = page.getByRole("group", { name: "Query builder" });
  assert.equal(await form.getByLabel("Metric").inputValue(), "http_requests_total");
  await form.getByRole("button", { name: "Label", exact: true }).click();
  await form.getByRole("combobox", { name: "Label 1" }).or(form.getByLabel("Label 1", { exact: true })).first().fill("service");
  await form.getByLabel("Value of label 1").fill("wallet-service");
  await form.getByLabel("Range").fill("1m");
  await page.locator(".cm-content").getByText('service="wallet-service"').or(page.locator(".cm-content", { hasText: 'sum by (service) (rate(http_requests_total{service="wallet-service"}[1m]))' })).first().waitFor();
  await page.getByRole("button", { name: "Run" }).click();
  await page.waitForURL(/wallet-service/);
  await page.goto(app.url + explore("prometheus", "a / b"));
  await page.getByText("The query says more than the form can hold").waitFor();
  await page.goto(app.url + explore("loki", '{service="wallet-service"} |= "line"'));
  assert.equal(await form.getByLabel("Text 1", { exact: true }).inputValue(), "line");
  await close();
});

test("an expression is worked out of the panel's queries", async () => {
  const { page, close } = await open("/dashboard/new");
  await page.getByRole("button", { name: "Add a panel" }).click();
  await page.getByRole("textbox", { name: "Query A" }).click();
  await page.keyboard.type("up");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("button", { name: "Add an expression" }).click();
  await page.getByRole("textbox", { name: "Expression B" }).fill("$A * 0 + 42");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Hide query A" }).click();
  await page.locator(".panel-editor-view .legend").getByText(/service|agent-core/).first().waitFor();
  await page.getByRole("textbox", { name: "Expression B" }).fill("$A +");
  await page.keyboard.press("Enter");
  await page.locator(".panel-editor-view").getByText("the expression ends too early").waitFor();
  await close();
});

test("a panel is viewed alone, inspected, and left by Escape", async () => {
  const { page, close } = await open("/d/easymo-system-overview");
  await page.locator('[data-panel="7"]').hover();
  await page.getByRole("button", { name: "Menu of HTTP requests per second" }).click();
  await page.getByRole("menuitem", { name: "Inspect" }).click();
  await page.getByRole("button", { name: "Download CSV" }).waitFor();
  await page.keyboard.press("Escape");
  await page.goto(`${app.url}/d/easymo-system-overview?viewPanel=7`);
  await page.waitForFunction(() => document.querySelectorAll("[data-panel]").length === 1);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelectorAll("[data-panel]").length === 12);
  await close();
});

test("Explore completes names, runs on Enter, and shows what failed", async () => {
  const { page, close } = await open("/dashboards");
  await page.locator("h1").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  const editor = page.locator(".cm-content");
  await editor.click();
  await page.keyboard.type("http_req");
  await page.locator(".cm-tooltip-autocomplete").getByText("http_requests_total").first().waitFor();
  // The editor takes no key for the list in the first moments after it has appeared.
  await page.waitForTimeout(300);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/http_requests_total/);
  await page.getByRole("region", { name: "Table" }).getByText("wallet-service").waitFor();
  await page.goto(app.url + explore("prometheus", "broken("));
  await page.getByRole("alert").getByText("unknown function").waitFor();
  await page.goto(app.url + explore("prometheus", "rate(wallet_http_requests_total[5m])"));
  await page.getByText("Did you mean http_requests_total").waitFor();
  await page.goto(`${app.url}/explore`);
  await page.getByRole("button", { name: "Metrics" }).click();
  await page.getByRole("textbox", { name: "Search metrics" }).fill("requests");
  await page.getByRole("dialog").getByText("http_requests_total").click();
  await page.waitForURL(/sum%28rate%28http_requests_total/);
  await close();
});

test("Explore reads logs: levels, fields, filters, statistics, context and the live tail", async () => {
  const { page, close } = await open(explore("loki", '{service="wallet-service"}'));
  const lines = page.getByRole("region", { name: "Log lines" });
  await lines.getByText(/^line 1\b/).first().waitFor();
  await lines.getByText("onerror").first().waitFor();
  await page.getByRole("img", { name: /Lines by level/ }).waitFor();
  await lines.getByText(/^line 1\b/).first().click();
  await page.getByRole("button", { name: "Count the values of user" }).click();
  await page.getByRole("dialog").getByText("2 different values").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Show the lines around it" }).click();
  await page.getByRole("dialog").getByText("line 20").first().waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Only lines with this user" }).click();
  await page.waitForURL(/user%3D/);
  await page.getByRole("button", { name: "Live" }).click();
  await lines.getByText(/live \d/).first().waitFor();
  assert.doesNotMatch(await page.title(), /hacked/);
  await close();
});

test("a line leads to its trace, and the trace back to its lines", async () => {
  const { page, close } = await open(explore("loki", '{service="wallet-service"}'));
  await page.getByRole("region", { name: "Log lines" }).getByText(/^line 1\b/).first().click();
  await page.getByRole("button", { name: /^Trace 01234567/ }).click();
  const spans = page.getByRole("region", { name: "Spans" });
  await spans.getByText("SELECT drivers").waitFor();
  await spans.getByText("charge").click();
  await spans.getByText("declined").waitFor();
  await page.getByRole("button", { name: "Logs of this trace" }).click();
  await page.getByRole("region", { name: "Log lines" }).getByText(/^line 1\b/).first().waitFor();
  await page.goto(app.url + explore("tempo", "{ status = error }"));
  await page.getByRole("button", { name: /^123456789abc/ }).click();
  await spans.getByText("SELECT drivers").waitFor();
  await close();
});

test("patterns fold lines that say the same, and lead to them", async () => {
  const { page, close } = await open(explore("loki", '{service="wallet-service"}'));
  await page.getByText("Patterns", { exact: true }).click();
  const patterns = page.getByRole("region", { name: "Patterns" });
  await patterns.getByText("line <…>").waitFor();
  await patterns.getByRole("row", { name: /line <…>/ }).getByRole("button", { name: "Only these" }).click();
  await page.waitForURL(/%7C%3D/);
  await close();
});

test("traces are searched by a form, drawn as flames, and followed along their critical path", async () => {
  const { page, close } = await open(explore("tempo", ""));
  const form = page.getByRole("form", { name: "Search traces" });
  await form.getByRole("combobox", { name: "Service" }).fill("agent-core");
  await form.getByLabel("Longer than").fill("10ms");
  await form.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/duration/);
  await page.getByRole("button", { name: /^123456789abc/ }).click();
  await page.getByRole("region", { name: "Spans" }).getByText("charge").waitFor();
  await page.getByRole("switch", { name: "Critical path" }).check();
  assert.deepEqual(await page.locator('[data-critical="yes"] .legend-name').allInnerTexts(), ["agent-core POST /rides", "agent-core SELECT drivers", "wallet-service charge"]);
  await page.getByText("Flame graph").click();
  await page.getByRole("region", { name: "Flame graph" }).getByRole("button", { name: /charge/ }).click();
  await page.getByText("Services", { exact: true }).click();
  await page.getByRole("row", { name: /wallet-service/ }).waitFor();
  await page.goto(app.url + explore("tempo", ""));
  await page.getByText("Service map").click();
  await page.getByRole("region", { name: "Calls between services" }).getByRole("row").nth(1).waitFor();
  await page.getByRole("button", { name: /^wallet-service: / }).click();
  await page.waitForURL(/wallet-service/);
  await close();
});

test("alerts and status show what the server says", async () => {
  const { page, close } = await open("/alerting/list");
  await page.getByText("ServiceDown").first().click();
  await page.getByRole("img", { name: /ServiceDown: chart/ }).waitFor();
  await page.goto(`${app.url}/status`);
  await page.getByText("http://wallet-service/metrics").waitFor();
  for (const tab of ["Discovery", "Rules", "Runtime", "Store", "Logs", "Queries", "Configuration", "Flags"]) {
    await page.getByRole("tab", { name: tab }).click();
    await page.getByRole("tabpanel").locator("table, dl, pre, details").first().waitFor();
  }
  assert.doesNotMatch(await page.title(), /hacked/);
  await close();
});

test("an alert leads to a silence that mutes it, which can be extended and ended", async () => {
  const { page, close } = await open("/alerting/groups");
  const group = page.getByRole("region", { name: /Group .*ServiceDown.*voice-bridge/ });
  await group.getByText("active").waitFor();
  await group.getByRole("link", { name: "Silence", exact: true }).click();
  await page.getByText("Mutes 1 of 4 alerts").waitFor();
  await page.getByRole("button", { name: "Remove matcher 2" }).click();
  await page.getByRole("button", { name: "Remove matcher 2" }).click();
  await page.getByText("Mutes 2 of 4 alerts").waitFor();
  assert.ok(await page.getByRole("button", { name: "Silence", exact: true }).isDisabled(), "a reason is needed");
  await page.getByLabel("Why").fill(upstream.hostile);
  await page.getByRole("button", { name: "4h" }).click();
  await page.getByRole("button", { name: "Silence", exact: true }).click();
  const list = page.getByRole("region", { name: "Silences" });
  await list.getByText("Mutes 2 alerts").waitFor();
  await page.goto(`${app.url}/alerting/groups`);
  await page.getByRole("region", { name: /Group .*voice-bridge/ }).getByText("silenced", { exact: true }).waitFor();
  await page.goto(`${app.url}/alerting/silences`);
  await list.getByRole("button", { name: "Extend" }).click();
  await page.getByRole("menuitem", { name: "by 1 day" }).click();
  await list.getByText(/1d 3h left|1d 4h left/).waitFor();
  await list.getByRole("button", { name: "Expire" }).click();
  await page.getByText("No silence fits the filters").waitFor();
  assert.doesNotMatch(await page.title(), /hacked/);
  await close();
});

test("the routing tree says where an alert goes", async () => {
  const { page, close } = await open("/alerting/routes");
  await page.getByRole("button", { name: /ServiceDown/ }).click();
  const answer = page.getByRole("region", { name: "Where this alert goes" });
  await answer.getByText(/slack/).waitFor();
  await page.getByLabel(/Where would an alert/).fill('severity="critical", service="wallet-service"');
  await answer.getByText("money").waitFor();
  assert.equal(await page.locator(".route.here").innerText().then((t) => t.includes("money")), true);
  await close();
});

test("a dashboard is made, saved with a message, changed by keyboard, and its history leads back", async () => {
  const { page, close } = await open("/dashboard/new");
  await page.getByRole("button", { name: "Add a panel" }).click();
  await page.waitForURL(/editPanel=1/);
  await page.getByLabel("Title", { exact: true }).fill(upstream.hostile);
  await page.getByRole("textbox", { name: "Query A" }).click();
  await page.keyboard.type("rate(http_requests_total[$__rate_interval])");
  await page.keyboard.press("Control+Enter");
  await page.locator(".panel-editor-view .u-over").waitFor();
  await page.getByRole("combobox", { name: "Unit" }).fill("reqps");
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Settings" }).click();
  const settings = page.getByRole("dialog");
  await settings.getByLabel("Title").fill("Made by hand");
  await page.keyboard.press("Escape");
  await page.getByRole("toolbar").getByRole("button", { name: "Save" }).click();
  await page.getByLabel("What changed").fill("first");
  await page.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  await page.waitForURL(/\/d\/[\w-]+$/);
  await page.getByRole("heading", { name: /Made by hand/ }).waitFor();
  const home = page.url();
  await page.keyboard.press("e");
  const grip = page.locator(".grip");
  await grip.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowDown");
  await page.getByText("not saved yet").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: "Redo" }).click();
  await page.keyboard.press("Control+s");
  await page.getByLabel("What changed").fill("second");
  await page.getByRole("button", { name: /Show them/ }).click();
  await page.getByRole("region", { name: "Differences" }).getByText('+         "x": 1').waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  await page.locator(".edit-bar").waitFor({ state: "detached" });
  assert.equal(await page.locator('[data-panel="1"]').evaluate((e) => e.style.gridArea || e.style.gridColumn).then((t) => t.includes("2")), true);
  await page.getByRole("button", { name: "More for this dashboard" }).click();
  await page.getByRole("menuitem", { name: "Versions" }).click();
  await page.getByRole("button", { name: "What changed" }).click();
  await page.getByRole("region", { name: "Differences" }).getByText('"x": 1').waitFor();
  await page.getByRole("button", { name: "Restore" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.goto(home);
  await page.waitForFunction(() => document.querySelector('[data-panel="1"]')?.style.gridColumn.startsWith("1"));
  assert.doesNotMatch(await page.title(), /hacked/);
  await close();
});

test("a panel is dragged and sized with the pointer, and a dashboard of a file is saved as a copy", async () => {
  const { page, close } = await open("/d/easymo-business");
  await page.getByRole("button", { name: "Edit the dashboard" }).click();
  const cell = page.locator(".edit-cell", { has: page.locator('[aria-label="Sign-ups"]') }).first();
  await cell.waitFor();
  const before = await cell.boundingBox();
  const grip = await cell.locator(".grip").boundingBox();
  await page.mouse.move(grip.x + 8, grip.y + 8);
  await page.mouse.down();
  await page.mouse.move(grip.x - 500, grip.y + 10, { steps: 6 });
  await page.mouse.up();
  await page.getByText("not saved yet").waitFor();
  const after = await cell.boundingBox();
  assert.ok(after.x < before.x - 300, `${before.x} ${after.x}`);
  const corner = await cell.locator(".corner").boundingBox();
  await page.mouse.move(corner.x + 9, corner.y + 9);
  await page.mouse.down();
  await page.mouse.move(corner.x + 9, corner.y + 90, { steps: 4 });
  await page.mouse.up();
  assert.ok((await cell.boundingBox()).height > before.height + 40);
  await page.getByRole("button", { name: "Menu of Turnover" }).click();
  await page.getByRole("menuitem", { name: "Remove" }).click();
  await page.getByRole("toolbar").getByRole("button", { name: "Save" }).click();
  await page.getByText(/comes from the file/).waitFor();
  await page.getByLabel("Title of the copy").fill("My business");
  await page.getByRole("button", { name: "Save the copy" }).click();
  await page.getByRole("heading", { name: /My business/ }).waitFor();
  assert.equal(await page.locator('[aria-label="Turnover"][data-panel]').count(), 0);
  await close();
});

test("JSON is imported, and what is wrong with it is said", async () => {
  const { page, close } = await open("/dashboard/import");
  const box = page.getByLabel("Or paste its JSON");
  await box.fill('{"title": 1');
  await page.getByRole("button", { name: "Look at it" }).click();
  await page.getByText("It could not be read").waitFor();
  await box.fill(JSON.stringify({ dashboard: { title: "Brought along", rows: [{ panels: [{ type: "graph", title: "Old", span: 12, targets: [{ expr: "up" }] }] }] } }));
  await page.getByRole("button", { name: "Look at it" }).click();
  await page.locator('.edit-cell [data-state="done"]').waitFor();
  await page.getByRole("heading", { name: /Brought along/ }).waitFor();
  await close();
});

test("the palette finds pages and dashboards by keyboard", async () => {
  const { page, close } = await open("/dashboards");
  await page.locator("h1").waitFor();
  await page.keyboard.press("Control+k");
  const box = page.getByRole("combobox", { name: "Go to or do" });
  await box.fill("paym");
  await page.getByRole("option", { name: /Payment Analytics/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/easymo-payments/);
  await page.keyboard.press("Control+k");
  await box.fill("silences");
  await page.keyboard.press("Enter");
  await page.waitForURL(/alerting\/silences/);
  await close();
});

test("an admin makes users and tokens, and changes the own password", async () => {
  const { page, close } = await open("/admin/users");
  await page.getByRole("button", { name: "New user" }).click();
  await page.getByLabel("Log-in name").fill("grace");
  await page.getByRole("dialog").locator("input[type=password]").fill("a long enough one");
  await page.getByRole("button", { name: "Make the user" }).click();
  const users = page.getByRole("region", { name: "Users" });
  await users.getByText("grace").waitFor();
  await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Service accounts" }).click();
  await page.getByLabel("Name of the account").fill("deploy-bot");
  await page.getByRole("button", { name: "New service account" }).click();
  await page.getByRole("button", { name: "Tokens" }).click();
  await page.getByLabel("Name of the token").fill("ci");
  await page.getByRole("button", { name: "Make a token" }).click();
  await page.getByText(/^glsa_/).waitFor();
  await page.goto(`${app.url}/profile`);
  await page.getByLabel("Present password").fill("wrong");
  await page.getByLabel("New password").fill("something new");
  await page.getByLabel("Once more").fill("something new");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByText("invalid old password").waitFor();
  await close();
});

test("nothing serious stands in the way of assistive technology, in either scheme", async () => {
  const pages = ["/admin/users", "/profile", "/d/easymo-business?editPanel=8", "/d/easymo-system-overview", explore("loki", '{a="b"}'), "/alerting/list", "/alerting/groups", "/alerting/silence/new?matcher=a%3D%22b%22", "/alerting/routes", "/dashboards", explore("prometheus", "up"), explore("tempo", "0123456789abcdef0123456789abcdef"), "/status"];
  for (const [scheme, paths] of [["dark", pages], ["light", pages.slice(0, 6)]]) {
    const { page, close } = await open("/dashboards", { scheme });
    for (const path of paths) {
      await page.goto(app.url + path, { waitUntil: "networkidle" });
      await page.evaluate(axe);
      const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
      const serious = result.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
      assert.deepEqual(serious, [], `${path} (${scheme})`);
    }
    await close();
  }
});

test("a phone needs no scrolling sideways", async () => {
  const { page, close } = await open("/dashboards", { phone: true });
  for (const path of ["/dashboards", "/d/easymo-system-overview", "/d/every-panel", explore("prometheus", "up"), "/alerting/list", "/alerting/groups", "/alerting/silences", "/alerting/silence/new", "/alerting/routes", "/admin/users", "/admin/serviceaccounts", "/profile", "/dashboard/import", "/status"]) {
    await page.goto(app.url + path, { waitUntil: "networkidle" });
    const over = await page.evaluate(() => { const m = document.querySelector("main"); return m.scrollWidth - m.clientWidth; });
    assert.ok(over <= 0, `${path}: ${over}px too wide`);
  }
  await close();
});

test("nothing failed on the way and no other host was asked", () => assert.deepEqual(faults, []));
