// Much at once: a hundred panels that refresh by themselves, and ten thousand lines to scroll through.
// REBA_SOAK_MINUTES is how long the panels are watched (some cycles by default; 10 for a night).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { explore, start } from "./fake.mjs";

const folder = mkdtempSync(join(tmpdir(), "reba-boards-"));
const soak = Number(process.env.REBA_SOAK_MINUTES ?? 0);
let fake;

before(async () => {
  const kinds = ["timeseries", "stat", "gauge", "bargauge", "table"];
  const panels = Array.from({ length: 100 }, (_, i) => ({
    id: i + 1, type: kinds[i % kinds.length], title: `Panel ${i + 1}`, gridPos: { x: (i % 6) * 4, y: Math.floor(i / 6) * 4, w: 4, h: 4 }, interval: "1s",
    targets: [{ refId: "A", expr: `rate(http_requests_total{panel="${i}"}[$__rate_interval])` }],
  }));
  writeFileSync(join(folder, "hundred.json"), JSON.stringify({ uid: "hundred", title: "A hundred panels", schemaVersion: 39, time: { from: "now-5m", to: "now" }, refresh: "5s", panels }));
  fake = await start(folder);
});
after(async () => {
  await fake?.close();
  rmSync(folder, { recursive: true });
});

test("a hundred panels refresh every five seconds, and leave nothing behind", async (t) => {
  const { page, close } = await fake.open("/d/hundred");
  // Every panel is in sight, so that each asks.
  await page.setViewportSize({ width: 1600, height: 3200 });
  const drawn = () => page.waitForFunction(() => document.querySelectorAll('[data-panel][data-state="done"]').length === 100, undefined, { timeout: 60_000 });
  await drawn();
  fake.upstream.asked.splice(0);
  const asked = () => new Set(fake.upstream.asked.flatMap((a) => /panel="(\d+)"/.exec(a.query)?.[1] ?? [])).size;
  for (let i = 0; i < 300 && asked() < 100; i++) await page.waitForTimeout(100);
  assert.equal(asked(), 100, "each panel asks again by itself");
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const measure = async () => {
    await session.send("HeapProfiler.collectGarbage");
    await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    const of = (name) => metrics.find((m) => m.name === name).value;
    return { heap: of("JSHeapUsedSize"), nodes: of("Nodes"), listeners: of("JSEventListeners") };
  };
  const cycle = async () => {
    const before = fake.upstream.asked.length;
    await page.keyboard.press("r");
    for (let i = 0; i < 100 && fake.upstream.asked.length < before + 100; i++) await page.waitForTimeout(50);
    await drawn();
  };
  for (let i = 0; i < 3; i++) await cycle();
  const first = await measure();
  if (soak > 0) await page.waitForTimeout(soak * 60_000);
  for (let i = 0; i < 12; i++) await cycle();
  const last = await measure();
  const grown = (what) => last[what] / first[what];
  const mega = (n) => (n / 1e6).toFixed(1);
  t.diagnostic(`after ${soak} min and 12 rounds: heap ${mega(first.heap)} to ${mega(last.heap)} MB, nodes ${first.nodes} to ${last.nodes}, listeners ${first.listeners} to ${last.listeners}; ${fake.upstream.asked.length} queries`);
  assert.ok(grown("heap") < 1.3, `the heap grew from ${first.heap} to ${last.heap}`);
  assert.ok(grown("nodes") < 1.1, `nodes: ${first.nodes}, then ${last.nodes}`);
  assert.ok(grown("listeners") < 1.1, `listeners: ${first.listeners}, then ${last.listeners}`);
  await close();
});

test("ten thousand lines are read on and on, and scroll smoothly", async (t) => {
  const { page, close } = await fake.open(explore("loki", '{service="many"}', { from: "now-1h", to: "now+1m" }));
  const lines = page.getByRole("region", { name: "Log lines" });
  await lines.getByText("line 0 of many").waitFor();
  // To the end again and again: older lines come by themselves.
  const count = () => lines.locator(".log").count();
  for (let i = 0; i < 200 && (await count()) < 10_000; i++) {
    await lines.evaluate((e) => e.scrollTo(0, e.scrollHeight));
    await page.waitForTimeout(60);
  }
  assert.ok((await count()) >= 10_000, `${await count()} lines`);
  const frames = await lines.evaluate(async (e) => {
    const sorted = async (count, work) => {
      const took = [];
      let last = performance.now();
      for (let i = 0; i < count; i++) {
        work();
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        took.push(now - last);
        last = now;
      }
      return took.sort((a, b) => a - b);
    };
    const still = await sorted(60, () => undefined);
    const moving = [];
    // Quickly from three places: the beginning, the middle, near the end.
    for (const part of [0, 0.5, 0.9]) {
      e.scrollTo(0, e.scrollHeight * part);
      await sorted(3, () => undefined);
      moving.push(...(await sorted(60, () => e.scrollBy(0, 250))));
    }
    moving.sort((a, b) => a - b);
    const at = (list, share) => list[Math.floor(list.length * share)];
    return { still: at(still, 0.5), middle: at(moving, 0.5), slow: at(moving, 0.95) };
  });
  t.diagnostic(`${await count()} lines: a frame takes ${frames.middle.toFixed(1)} ms in the middle, ${frames.slow.toFixed(1)} ms one in twenty, ${frames.still.toFixed(1)} ms with nothing moving`);
  // Two cores that draw without a graphics card, and others at work on them: what counts is how much longer a frame takes than one in which nothing moves.
  const room = Math.max(17, frames.still);
  assert.ok(frames.middle < room * 2.5 && frames.slow < Math.max(120, room * 5), `a frame takes ${frames.middle.toFixed(0)} ms, one in twenty ${frames.slow.toFixed(0)} ms; ${frames.still.toFixed(0)} ms with nothing moving`);
  await lines.getByText(/line (?:9|1\d)\d{3} of many/).last().click();
  await lines.getByText("Fields of the line").waitFor();
  await close();
});

test("nothing failed on the way and no other host was asked", () => assert.deepEqual(fake.faults, []));
