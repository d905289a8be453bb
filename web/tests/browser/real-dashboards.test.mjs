// Every panel of every dashboard of a running Reba, with its data: tests/browser/run.py starts one with a fleet, a database and a cache.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeBrowser, faults, full, options, session, until } from "./real.mjs";

// What fires and what fails is drawn as well. The service that stops is one that no payment needs.
const incidents = ["service-down/start?service=support-service", "payments-down/start", "whatsapp-delivery-failures/start", "error-burst/start"];
const incident = (path) => admin.ask("POST", `/api/datasources/proxy/uid/reba-demo-incidents/incidents/${path}`);
let boards = [];
let admin;

before(async () => {
  if (options.skip !== false) return;
  admin = await session();
  boards = (await admin.ask("GET", "/api/search?type=dash-db")).body;
  for (const path of incidents) await incident(path);
});
after(async () => {
  if (admin !== undefined) for (const path of incidents) await incident(path.replace(/start.*/, "stop"));
  await closeBrowser();
});

/** What each panel shows now; folded rows are opened, and every panel is scrolled to, since unseen ones ask nothing. */
async function panels(page) {
  await page.locator("[data-panel]").first().waitFor();
  for (const row of await page.$$('.row-head[aria-expanded="false"]')) await row.click();
  for (const panel of await page.$$("[data-panel]")) await panel.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.querySelectorAll("[data-panel]")].every((p) => p.dataset.state !== "loading"), undefined, { timeout: 60_000 });
  return page.$$eval("[data-panel]", (all) => all.map((p) => ({ name: p.ariaLabel, state: p.dataset.state, text: p.innerText })));
}

const fault = ({ state, text }) => (state !== "done" ? `${state}: ${text}` : /could not be drawn|are not drawn here/.test(text) ? text : full && /^(?:No data|There are no .*|No alerts.*|NaN)$/m.test(text) ? `empty: ${text}` : undefined);

test("every panel of every dashboard shows data, and none fails", options, async (t) => {
  assert.ok(boards.length >= 12, boards.map((b) => b.title).join());
  for (const board of boards) {
    await t.test(board.title, async () => {
      const page = await admin.open(`${board.url}?from=now-15m&to=now&refresh=`);
      let bad = [];
      // A panel may be opened before its first samples: it is given the time of a few scrapes.
      await until("all panels", async () => {
        const all = await panels(page);
        assert.ok(all.length > 0);
        bad = all.flatMap((p) => (fault(p) === undefined ? [] : [`${p.name}: ${fault(p)}`]));
        if (bad.length > 0) {
          await page.getByRole("button", { name: "Refresh" }).click();
          await page.waitForTimeout(2000);
        }
        return bad.length === 0;
      }, full ? 30 : 5).catch(() => undefined);
      assert.deepEqual(bad, []);
      await page.close();
    });
  }
});

test("nothing failed on the way and no other host was asked", options, () => assert.deepEqual(faults, []));
