// Dashboards of one's own: stars, a panel alone, what was found in Explore, and panels whose samples, places and shapes lead somewhere.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { explore, start } from "./fake.mjs";

const folder = mkdtempSync(join(tmpdir(), "reba-boards-"));
const rate = (refId, legendFormat) => ({ refId, expr: `rate(http_requests_total{part="${refId}"}[1m])`, legendFormat });
let n = 0;
const panel = (type, title, targets, more = {}) => ({ id: ++n, type, title, gridPos: { x: ((n - 1) % 3) * 8, y: Math.floor((n - 1) / 3) * 8, w: 8, h: 8 }, targets, ...more });
let fake;

before(async () => {
  const text = (fixed) => ({ config: { text: { fixed } } });
  const panels = [
    panel("candlestick", "Candles", [rate("A", "{{service}} close")]),
    panel("trend", "Trend", [rate("A", "{{service}}")]),
    panel("geomap", "Places", [rate("A", "{{service}}")]),
    panel("canvas", "Drawing", [], { options: { root: { elements: [{ name: "a", type: "rectangle", placement: { left: 10, top: 10, width: 90, height: 40 }, ...text("<b>Clients</b>") }] } } }),
    panel("timeseries", "Linked", [rate("A", "{{service}}")], { fieldConfig: { defaults: { links: [{ title: "About ${__field.labels.service}", url: "/d/shapes?var-service=${__field.labels.service}&at=${__value.time}" }, { title: "Never", url: "javascript:alert(1)" }] }, overrides: [] } }),
    panel("barchart", "Shares", [{ ...rate("A", "{{service}}"), instant: true, range: false, format: "table" }], { options: { stacking: "percent", xTickLabelRotation: -45, showValue: "always" } }),
    panel("stat", "Change", [rate("A", "{{service}}")], { options: { showPercentChange: true } }),
  ];
  writeFileSync(join(folder, "shapes.json"), JSON.stringify({ uid: "shapes", title: "Shapes", schemaVersion: 39, time: { from: "now-30m", to: "now" }, timepicker: { quick_ranges: [{ display: "The last shift", from: "now-8h", to: "now" }] }, panels }));
  fake = await start(folder);
});
after(async () => {
  await fake?.close();
  rmSync(folder, { recursive: true });
});

const panelOf = (page, name) => page.getByRole("region", { name, exact: true }).or(page.locator(`[data-panel][aria-label="${name}"]`)).first();

test("a star puts a dashboard first, also after the page is loaded anew, and is taken away again", async () => {
  const { page, close } = await fake.open("/dashboards");
  await page.getByRole("button", { name: "Star Shapes" }).click();
  const starred = page.getByRole("region", { name: "Starred" });
  await starred.getByRole("link", { name: /Shapes/ }).waitFor();
  await page.reload();
  await starred.getByRole("link", { name: /Shapes/ }).click();
  const star = page.getByRole("button", { name: "Star Shapes" });
  await star.waitFor();
  assert.equal(await star.getAttribute("aria-pressed"), "true");
  await star.click();
  await page.goBack();
  await page.reload();
  await page.getByRole("button", { name: "Star Shapes" }).waitFor();
  assert.equal(await starred.count(), 0);
  await close();
});

test("a chosen start page is opened first, until the list is chosen again", async () => {
  const { page, close } = await fake.open("/d/shapes?theme=light");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.mantineColorScheme), "light");
  await page.getByRole("button", { name: "More for this dashboard" }).click();
  await page.getByRole("menuitem", { name: "Open it first" }).click();
  await page.goto(fake.app.url);
  await page.waitForURL(/\/d\/shapes/);
  await page.goto(`${fake.app.url}/profile`);
  const choice = page.getByRole("combobox", { name: "Opened first" }).or(page.getByLabel("Opened first")).first();
  await choice.click();
  await page.getByRole("option", { name: "The list of dashboards" }).click();
  await page.getByRole("status").filter({ hasText: "Saved." }).waitFor();
  await page.goto(fake.app.url);
  await page.getByRole("heading", { name: "Dashboards" }).waitFor();
  await close();
});

test("candles, trends, places, drawings, shares and changes are drawn, and say in words what they lack", async () => {
  const { page, close } = await fake.open("/d/shapes");
  await page.setViewportSize({ width: 1400, height: 1300 });
  await panelOf(page, "Candles").getByRole("img", { name: /Candles: \d+ candles/ }).waitFor();
  await panelOf(page, "Trend").getByRole("img", { name: /Trend: \d+ points/ }).waitFor();
  await panelOf(page, "Places").getByText("call them latitude and longitude").waitFor();
  await panelOf(page, "Drawing").getByText("<b>Clients</b>").waitFor();
  await panelOf(page, "Shares").getByText("100%").first().waitFor();
  await panelOf(page, "Change").getByText(/[↑↓] [\d.]+%/).first().waitFor();
  await page.getByRole("button", { name: /Time range/ }).click();
  await page.getByText("The last shift").click();
  await page.waitForURL(/from=now-8h/);
  await close();
});

test("a click on a sample shows where it leads, with what its series says, and no script", async () => {
  const { page, close } = await fake.open("/d/shapes");
  await page.setViewportSize({ width: 1400, height: 1300 });
  const plot = panelOf(page, "Linked").locator(".u-over");
  await plot.waitFor();
  const links = page.locator(".sample-links");
  // Somewhere on the way down a line is near.
  const box = await plot.boundingBox();
  for (let y = 4; y < box.height && (await links.count()) === 0; y += 12) {
    await page.mouse.move(box.x + box.width / 2, box.y + y);
    await page.mouse.click(box.x + box.width / 2, box.y + y);
  }
  const link = links.getByRole("link", { name: /About (?:agent-core|wallet-service|voice-bridge)/ });
  assert.match(await link.getAttribute("href"), /^\/d\/shapes\?var-service=[a-z-]+&at=\d{13}$/);
  assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
  await page.keyboard.press("Escape");
  await links.waitFor({ state: "detached" });
  await close();
});

test("one panel alone, at the address that frames of other pages use", async () => {
  const { page, close } = await fake.open("/d-solo/shapes/shapes?panelId=1");
  await panelOf(page, "Candles").getByRole("img").waitFor();
  assert.equal(await page.locator("[data-panel]").count(), 1);
  assert.equal(await page.getByRole("navigation", { name: "Main" }).isVisible(), false);
  await close();
});

test("what Explore shows becomes a panel of a new dashboard, and then of that one", async () => {
  const { page, close } = await fake.open(explore("prometheus", "rate(http_requests_total[2m])"));
  const put = async (title, board) => {
    await page.getByRole("button", { name: "To a dashboard" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Title of the panel").fill(title);
    if (board === undefined) await dialog.getByLabel("Its title").fill("Kept");
    else {
      await dialog.getByRole("combobox", { name: "Dashboard" }).or(dialog.getByLabel("Dashboard")).first().click();
      await page.getByRole("option", { name: board }).click();
    }
    await dialog.getByRole("button", { name: "Put it there" }).click();
    await panelOf(page, title).waitFor();
  };
  await put("First", undefined);
  await page.goBack();
  await put("Second", "Kept");
  assert.equal(await page.locator("[data-panel]").count(), 2);
  assert.match(await page.title(), /^Kept/);
  await close();
});

test("nothing failed on the way and no other host was asked", () => assert.deepEqual(fake.faults, []));
