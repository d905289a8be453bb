// The page behind upstream's links (#/alerts, #/silences, #/status) until the web app takes them over. Texts of strangers are set as
// text, never as markup.
"use strict";

const main = document.getElementById("main");

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

async function ask(path, options) {
  const answer = await fetch("api/v2/" + path, options);
  const text = await answer.text();
  let body = text;
  try { body = JSON.parse(text); } catch { /* not JSON: shown as it is */ }
  if (!answer.ok) throw new Error(typeof body === "string" ? body || answer.statusText : body.message);
  return body;
}

function labels(node, all) {
  for (const [name, value] of Object.entries(all)) node.append(make("code", `${name}=${JSON.stringify(value)}`));
}

function matcherText(m) {
  const op = m.isEqual === false ? (m.isRegex ? "!~" : "!=") : (m.isRegex ? "=~" : "=");
  return `${m.name}${op}${JSON.stringify(m.value)}`;
}

const when = (text) => new Date(text).toLocaleString();

async function alerts(params) {
  const query = new URLSearchParams();
  for (const key of ["receiver", "filter"]) for (const value of params.getAll(key)) query.append(key, value);
  const groups = await ask("alerts/groups?" + query);
  const out = document.createDocumentFragment();
  if (groups.length === 0) out.append(make("p", "No alerts."));
  for (const group of groups) {
    const title = make("h2", group.receiver.name + " ");
    labels(title, group.labels);
    out.append(title);
    for (const alert of group.alerts) {
      const box = make("article", undefined, alert.status.state);
      const line = make("p");
      line.append(make("strong", alert.labels.alertname || "(no name)"), ` since ${when(alert.startsAt)}`);
      box.append(line);
      const own = Object.fromEntries(Object.entries(alert.labels).filter(([n]) => n !== "alertname" && !(n in group.labels)));
      const list = make("p");
      labels(list, own);
      box.append(list);
      for (const [name, text] of Object.entries(alert.annotations)) box.append(make("p", `${name}: ${text}`));
      const why = [];
      if (alert.status.silencedBy.length) why.push("silenced by " + alert.status.silencedBy.join(", "));
      if (alert.status.inhibitedBy.length) why.push("inhibited by " + alert.status.inhibitedBy.join(", "));
      if (alert.status.mutedBy && alert.status.mutedBy.length) why.push("muted by " + alert.status.mutedBy.join(", "));
      if (why.length) box.append(make("p", why.join("; "), "small"));
      const silence = make("a", "Silence");
      const filter = Object.entries(alert.labels).map(([n, v]) => `${n}=${JSON.stringify(v)}`).join(",");
      silence.href = "#/silences/new?filter=" + encodeURIComponent(`{${filter}}`);
      box.append(silence);
      out.append(box);
    }
  }
  return out;
}

// `{a="b",c=~"d"}` into matchers; values are JSON strings, as links have them.
function parseMatchers(text) {
  const list = [];
  const pattern = /\s*([^\s=!~{},]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^,}]*)\s*(?:,|$)/gy;
  const inner = text.trim().replace(/^\{|\}$/g, "");
  while (pattern.lastIndex < inner.length) {
    const found = pattern.exec(inner);
    if (!found) throw new Error(`cannot read matchers: ${text}`);
    const value = found[3].startsWith('"') ? JSON.parse(found[3]) : found[3].trim();
    list.push({ name: found[1], value, isRegex: found[2].endsWith("~"), isEqual: found[2].startsWith("=") });
  }
  return list;
}

function silenceForm(filter) {
  const form = make("form");
  const field = (name, hint, value) => {
    const input = make("input");
    Object.assign(input, { name, placeholder: hint, value: value || "", required: true });
    input.setAttribute("aria-label", hint);
    form.append(input);
    return input;
  };
  const matchers = field("matchers", 'matchers: alertname="X", service=~"a|b"', (filter || "").replace(/^\{|\}$/g, ""));
  const hours = field("hours", "hours", "2");
  const author = field("author", "your name", localStorage.getItem("author"));
  const comment = field("comment", "why");
  const problem = make("p", "", "error");
  form.append(make("button", "Silence"), problem);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      localStorage.setItem("author", author.value);
      const length = Number(hours.value) * 3600e3;
      if (!(length > 0)) throw new Error("hours must be a number above zero");
      await ask("silences", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          matchers: parseMatchers(matchers.value),
          startsAt: new Date().toISOString(), endsAt: new Date(Date.now() + length).toISOString(),
          createdBy: author.value, comment: comment.value,
        }),
      });
      location.hash = "#/silences";
      show();
    } catch (error) { problem.textContent = error.message; }
  });
  return form;
}

async function silences(params, id) {
  const out = document.createDocumentFragment();
  if (!id || id === "new") {
    out.append(make("h2", "New silence"), silenceForm(params.get("filter")));
  }
  if (id === "new") return out;
  const all = id ? [await ask("silence/" + encodeURIComponent(id))] : await ask("silences");
  out.append(make("h2", "Silences"));
  if (all.length === 0) out.append(make("p", "No silences."));
  for (const silence of all) {
    const box = make("article", undefined, "silence " + silence.status.state);
    const line = make("p");
    for (const m of silence.matchers) line.append(make("code", matcherText(m)));
    box.append(line, make("p", `${silence.comment} (${silence.createdBy})`));
    box.append(make("p", `${silence.status.state}: ${when(silence.startsAt)} to ${when(silence.endsAt)}`, "small"));
    if (silence.status.state !== "expired") {
      const button = make("button", "Expire");
      button.addEventListener("click", async () => {
        await ask("silence/" + encodeURIComponent(silence.id), { method: "DELETE" });
        show();
      });
      box.append(button);
    }
    out.append(box);
  }
  return out;
}

async function status() {
  const answer = await ask("status");
  const out = document.createDocumentFragment();
  out.append(make("p", `Version ${answer.versionInfo.version} (${answer.versionInfo.revision}), up since ${when(answer.uptime)}`));
  out.append(make("h2", "Configuration"), make("pre", answer.config.original));
  return out;
}

let turn = 0;
async function show() {
  const mine = ++turn;
  const [path, query] = (location.hash.slice(1) || "/alerts").split("?");
  const params = new URLSearchParams(query || "");
  const [page, id] = path.split("/").filter(Boolean);
  let content;
  try {
    if (page === "silences") content = await silences(params, id);
    else if (page === "status") content = await status();
    else content = await alerts(params);
  } catch (error) { content = make("p", error.message, "error"); }
  if (mine === turn) main.replaceChildren(content);
}

addEventListener("hashchange", show);
show();
