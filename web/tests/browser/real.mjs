// What the tests against a really running Reba share: where it is, and who logs in.
import { existsSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { onRefusal, openBrowser, policy } from "./browser.mjs";

const { REBA_URL, REBA_USER = "admin", REBA_PASSWORD = "", REBA_PORT_OFFSET = "0" } = process.env;
export const options = { skip: REBA_URL === undefined ? "REBA_URL names no server" : false };
export const full = process.env.REBA_FULL === "1";

export const at = (path) => REBA_URL.replace(/\/$/, "") + path;
/** Another port of the same program, for pushing what the app shall show. */
export const port = (number) => `http://127.0.0.1:${number + Number(REBA_PORT_OFFSET)}`;
export const explore = (uid, expr, from = "now-15m") => `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: { datasource: uid, queries: [{ refId: "A", expr }], range: { from, to: "now" } } }))}`;

/** What went wrong on the way, whatever was being tested: scripts that failed, other hosts that were asked. */
export const faults = [];

export function watched(page, name) {
  page.setDefaultTimeout(30_000);
  onRefusal(page, (text) => faults.push(`${name}: ${text}`));
  page.on("pageerror", (error) => faults.push(`${name}: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.host !== new URL(REBA_URL).host) faults.push(`${name}: asked ${request.url()}`);
  });
  return page;
}

let browser;

export async function newContext(more = {}) {
  browser ??= await openBrowser();
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, reducedMotion: "reduce", ...more });
  // REBA_DIST=1 takes the app from web/dist rather than from the program, so that working on it needs no other program.
  if (process.env.REBA_DIST === "1") await context.route((url) => url.host === new URL(REBA_URL).host && !/^\/(api|login$|logout|avatar|public)\b/.test(url.pathname), fromDist);
  return context;
}

const kinds = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };

async function fromDist(route) {
  if (route.request().method() !== "GET") return route.fallback();
  const { pathname } = new URL(route.request().url());
  const file = new URL(`../../dist${pathname}`, import.meta.url);
  const found = extname(pathname) !== "" && existsSync(file) ? file : new URL("../../dist/index.html", import.meta.url);
  return route.fulfill({ body: readFileSync(found), contentType: kinds[extname(found.pathname)] ?? "application/octet-stream", headers: { "content-security-policy": policy } });
}

export async function logIn(context, user = REBA_USER, password = REBA_PASSWORD) {
  const page = watched(await context.newPage(), "/login");
  await page.goto(at("/"));
  await page.getByLabel("User").fill(user);
  await page.locator("input[type=password]").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("navigation", { name: "Main" }).waitFor();
  await page.close();
}

/** A context that is logged in, and a way to open pages of it. */
export async function session(user, password) {
  const context = await newContext();
  await logIn(context, user, password);
  return {
    context,
    open: async (path) => {
      const page = watched(await context.newPage(), path);
      await page.goto(at(path));
      return page;
    },
    /** Asks the API as who is logged in. */
    ask: async (method, path, data) => {
      const answer = await context.request.fetch(at(path), { method, headers: { "content-type": "application/json" }, ...(data === undefined ? {} : { data }) });
      const text = await answer.text();
      let body = text;
      try {
        body = text === "" ? null : JSON.parse(text);
      } catch {
        // A data source that is not there, or answers in words.
      }
      return { status: answer.status(), body };
    },
  };
}

export const closeBrowser = async () => {
  await browser?.close();
  browser = undefined;
};

/** Waits for what comes sooner or later on a slow machine. */
export async function until(what, check, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((done) => setTimeout(done, 300));
  }
}

const axe = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** What would keep people with assistive technology from using the page. */
export async function seriousFindings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
  return violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
}
