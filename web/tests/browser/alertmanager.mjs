// An Alertmanager that keeps silences and holds four alerts, for the browser test.
const config = `route:
  receiver: default
  group_by: [alertname, service]
  group_wait: 10s
  routes:
    - matchers: ['severity="critical"']
      receiver: critical
      routes:
        - matchers: ['service=~"wallet.*"']
          receiver: money
    - matchers: ['severity="warning"']
      receiver: warning
      repeat_interval: 12h
receivers:
  - name: default
    email_configs: [{to: a@b.example}]
  - name: critical
    email_configs: [{to: a@b.example}]
    slack_configs: [{channel: '#alerts'}]
  - name: money
    pagerduty_configs: [{routing_key: x}]
  - name: warning
    email_configs: [{to: a@b.example}]
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="warning"']
    equal: [service]
`;

export function fakeAlertmanager(hostile) {
  const silences = new Map();
  let next = 1;
  const began = new Date(Date.now() - 600_000).toISOString();
  const alert = (alertname, service, severity, receiver) => ({
    fingerprint: `${alertname}${service}`, labels: { alertname, service, severity }, annotations: { summary: `${service}: ${hostile}` },
    startsAt: began, endsAt: new Date(Date.now() + 300_000).toISOString(), updatedAt: began, generatorURL: "", receivers: [{ name: receiver }],
  });
  const alerts = [alert("ServiceDown", "wallet-service", "critical", "money"), alert("ServiceDown", "voice-bridge", "critical", "critical"), alert("HighErrorRate", "wallet-service", "warning", "warning"), alert("HighErrorRate", "agent-core", "warning", "warning")];
  const state = (s) => (Date.parse(s.endsAt) <= Date.now() ? "expired" : Date.parse(s.startsAt) > Date.now() ? "pending" : "active");
  const fits = (s, a) => s.matchers.every((m) => {
    const value = a.labels[m.name] ?? "";
    return (m.isRegex ? new RegExp(`^(?:${m.value})$`).test(value) : value === m.value) === (m.isEqual ?? true);
  });
  const now = () => alerts.map((a) => {
    const silencedBy = [...silences.values()].filter((s) => state(s) === "active" && fits(s, a)).map((s) => s.id);
    return { ...a, status: { state: silencedBy.length > 0 ? "suppressed" : "active", silencedBy, inhibitedBy: [] } };
  });
  return (method, path, body) => {
    if (path === "/api/v2/alerts") return [200, now()];
    if (path === "/api/v2/alerts/groups") {
      const groups = new Map();
      for (const a of now()) {
        const { alertname, service } = a.labels;
        const key = `${alertname} ${service}`;
        groups.set(key, { labels: { alertname, service }, receiver: a.receivers[0], alerts: [...(groups.get(key)?.alerts ?? []), a] });
      }
      return [200, [...groups.values()]];
    }
    if (path === "/api/v2/status") return [200, { config: { original: config }, versionInfo: { version: "0.26.0" }, uptime: began, cluster: { status: "disabled" } }];
    if (path === "/api/v2/receivers") return [200, ["default", "critical", "money", "warning"].map((name) => ({ name }))];
    if (path === "/api/v2/silences" && method === "POST") {
      const draft = JSON.parse(body);
      if (draft.comment === "") return [400, "comment missing"];
      const old = silences.get(draft.id);
      const id = old?.id ?? `0000000${next++}-aaaa-bbbb-cccc-dddddddddddd`;
      silences.set(id, { ...draft, id, updatedAt: new Date().toISOString() });
      return [200, { silenceID: id }];
    }
    if (path === "/api/v2/silences") return [200, [...silences.values()].map((s) => ({ ...s, status: { state: state(s) } }))];
    const id = /^\/api\/v2\/silence\/(.+)$/.exec(path)?.[1];
    if (id !== undefined && method === "DELETE") {
      silences.set(id, { ...silences.get(id), endsAt: new Date(Date.now() - 1).toISOString() });
      return [200, ""];
    }
    return undefined;
  };
}
