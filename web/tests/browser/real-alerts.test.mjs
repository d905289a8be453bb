// Alerts of a running Reba, from the incident to the message: tests/browser/run.py starts what is needed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { at, closeBrowser, faults, options, session, until } from "./real.mjs";

let admin, open, demo;

before(async () => {
  if (options.skip !== false) return;
  admin = await session();
  open = admin.open;
  demo = (await admin.ask("GET", "/api/datasources")).body.some((d) => d.type === "reba-demo-inbox");
});
after(async () => {
  if (demo) await admin.ask("POST", "/api/datasources/proxy/uid/reba-demo-incidents/incidents/service-down/stop");
  await closeBrowser();
});

/** What belongs to the simulated fleet is not tested elsewhere. */
const inDemo = (t) => demo || (t.skip("this Reba is no demo"), false);

test("an incident makes its alert fire, and its message arrives in the inbox", options, async (t) => {
  if (!inDemo(t)) return;
  const page = await open("/alerting/demo");
  await page.getByRole("button", { name: "Start service-down" }).click();
  await page.getByRole("button", { name: "Stop service-down" }).waitFor();
  const inbox = page.getByRole("region", { name: "Inbox" });
  const mail = inbox.locator(".rule", { hasText: /FIRING.*ServiceDown/ }).first();
  await mail.waitFor({ timeout: 60_000 });
  await mail.locator("summary").click();
  // Messages of other receivers arrive meanwhile and come first: what was opened is what can be seen.
  await inbox.locator("pre:visible", { hasText: /ServiceDown/ }).first().waitFor();
  await page.getByRole("combobox", { name: "Which way they came" }).or(page.getByLabel("Which way they came")).first().click();
  await page.getByRole("option", { name: "slack" }).click();
  await inbox.locator(".rule", { hasText: /ServiceDown/ }).first().waitFor({ timeout: 60_000 });
  await page.close();
});

test("the alert is found, explained, and silenced from where it stands", options, async (t) => {
  if (!inDemo(t)) return;
  const page = await open("/alerting/list?search=ServiceDown");
  const rule = page.locator(".rule", { hasText: "ServiceDown" }).first();
  await rule.getByText("firing", { exact: true }).first().waitFor();
  await rule.locator("summary").first().click();
  await rule.getByRole("img", { name: /ServiceDown: chart of/ }).waitFor();
  await rule.getByRole("region", { name: "History" }).waitFor();
  await page.goto(at("/alerting/groups?search=ServiceDown"));
  const group = page.getByRole("region", { name: /^Group .*ServiceDown/ }).first();
  await group.getByText("active", { exact: true }).first().waitFor();
  await group.getByRole("link", { name: "Silence", exact: true }).first().click();
  await page.getByText(/^Mutes 1 of \d+ alerts$/).waitFor();
  await page.getByLabel("Why").fill("tried in a browser");
  await page.getByRole("button", { name: "Silence", exact: true }).click();
  const row = page.getByRole("region", { name: "Silences" }).getByRole("row", { name: /tried in a browser/ }).first();
  await row.getByText(/Mutes one alert/).waitFor();
  await page.goto(at("/alerting/groups?search=ServiceDown"));
  await until("the alert is silenced", async () => {
    await page.reload();
    await page.getByRole("region", { name: /^Group .*ServiceDown/ }).first().waitFor();
    return (await page.getByRole("region", { name: /^Group .*ServiceDown/ }).getByText("silenced", { exact: true }).count()) > 0;
  });
  await page.goto(at("/alerting/silences"));
  await row.getByRole("button", { name: "Expire" }).click();
  await row.waitFor({ state: "detached" });
  await page.goto(at("/alerting/routes"));
  await page.getByRole("button", { name: /ServiceDown/ }).first().click();
  await page.getByRole("region", { name: "Where this alert goes" }).getByText("on-call").first().waitFor();
  await page.close();
});

test("an edited rule is tried on past data beside the present one", options, async () => {
  const page = await open("/alerting/list?search=ServiceDown");
  const rule = page.locator(".rule", { hasText: "ServiceDown" }).first();
  await rule.locator("summary").first().click();
  await rule.getByRole("button", { name: "Change it and try it on past data" }).click();
  const trial = rule.getByRole("region", { name: "Back-test" });
  await trial.getByRole("textbox", { name: "Expression to try" }).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type('up{job="agent-core"} >= 0');
  await trial.getByLabel("Holds for").fill("0s");
  await trial.getByLabel("In the last").first().click();
  await page.getByRole("option", { name: "hour", exact: true }).click();
  await trial.getByRole("button", { name: "Try it", exact: true }).click();
  await trial.getByRole("row", { name: /As you wrote it 1 once/ }).waitFor();
  await trial.getByRole("row", { name: /As it is/ }).waitFor();
  await trial.getByText("The rule, for its file").click();
  await trial.getByText("- alert: ServiceDown").waitFor();
  await page.close();
});

test("receivers say how they are, what they would be told, and take a test", options, async (t) => {
  const page = await open("/alerting/notifications");
  const receiver = page.getByRole("region", { name: "Receiver on-call" });
  await receiver.waitFor();
  const preview = receiver.getByRole("button", { name: /^Preview of email/ }).first();
  if ((await admin.ask("POST", "/api/datasources/proxy/uid/alertmanager/api/v2/reba/preview", {})).status === 404) return t.skip("this Alertmanager knows no previews");
  await preview.click();
  const box = page.getByRole("dialog");
  await box.getByLabel("Labels of the alert").fill('alertname="ServiceDown", service="wallet-service", severity="critical"');
  await box.getByRole("button", { name: "Show", exact: true }).click();
  await box.frameLocator("iframe").first().getByText(/wallet-service/).first().waitFor();
  await page.keyboard.press("Escape");
  await receiver.getByRole("button", { name: "Send a test" }).click();
  await receiver.getByRole("status").getByText("firing delivered").first().waitFor({ timeout: 60_000 });
  if (!demo) return;
  await page.goto(at("/alerting/demo"));
  await page.getByRole("region", { name: "Inbox" }).getByText(/TEST|ReceiverTest/).first().waitFor();
  await page.close();
});

test("nothing failed on the way and no other host was asked", options, () => assert.deepEqual(faults, []));
