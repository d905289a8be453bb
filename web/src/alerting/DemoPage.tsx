import { Button, Select } from "@mantine/core";
import { useState } from "react";
import { demoIncidents, inboxMessages, switchIncident, type InboxMessage } from "../api/demo";
import { useAct } from "../admin/useAct";
import { Empty, ErrorNote } from "../components/Notes";
import { Link } from "../components/Link";
import { PageHead } from "../components/Shell";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatDateTime, fromNow } from "../model/time/format";
import { useSession, useSource } from "../state/session";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";
import { AlertingNav } from "./AlertingNav";
import { Of } from "./parts";

const MOST = 200;

/** What can go wrong in the simulated fleet, at a click. */
function Incidents({ source }: { source: DatasourceInfo }) {
  const { user } = useSession();
  const tick = useEvery(3000);
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) => demoIncidents(source, signal));
  const { busy, error, act } = useAct(loaded.reload);
  return (
    <section className="block" aria-label="Incidents">
      <div className="block-head"><h2>Incidents</h2><span className="muted">of the simulated fleet: start one, watch its alert fire, read the message</span></div>
      {error !== undefined && <ErrorNote title="The incident was not switched" text={error} />}
      <Of loaded={loaded} what="incidents">
        {(list) => (
          <div className="table-scroll" style={{ height: "auto" }}>
            <table className="data">
              <tbody>
                {list.map((i) => (
                  <tr key={i.name}>
                    <td style={{ width: 70 }}><span className={`state ${i.active ? "firing" : "unknown"}`}>{i.active ? "on" : "off"}</span></td>
                    <td><strong>{i.name}</strong> <span className="muted">{i.summary}</span></td>
                    <td><Link to="/alerting/list" params={new URLSearchParams({ search: i.alert })} className="tag">{i.alert}</Link></td>
                    <td className="num">{user.role !== "Viewer" && <Button size="compact-sm" variant={i.active ? "filled" : "default"} disabled={busy} aria-label={`${i.active ? "Stop" : "Start"} ${i.name}`} onClick={() => void act(() => switchIncident(source, i.name, !i.active))}>{i.active ? "Stop" : "Start"}</Button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Of>
    </section>
  );
}

function Message({ message, now }: { message: InboxMessage; now: number }) {
  return (
    <details className="rule">
      <summary style={{ gridTemplateColumns: "90px minmax(0, 1fr) auto" }}>
        <span className="chip" style={{ justifySelf: "start" }}>{message.channel}</span>
        <span><strong>{message.subject || "(no subject)"}</strong> <span className="muted">to {message.to}</span></span>
        <span className="muted" title={formatDateTime(message.atMs, "browser")}>{fromNow(message.atMs, now)}</span>
      </summary>
      <div className="rule-body"><pre className="code">{message.text}</pre></div>
    </details>
  );
}

/** What the alerts of the demo sent, in the place of mailboxes and channels. */
function Inbox({ source }: { source: DatasourceInfo }) {
  const tick = useEvery(2000);
  const [channel, setChannel] = useState("");
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) => inboxMessages(source, signal));
  return (
    <Of loaded={loaded} what="inbox">
      {({ received, messages }) => {
        const shown = messages.filter((m) => channel === "" || m.channel === channel);
        return (
          <section className="block" aria-label="Inbox" style={{ padding: 0 }}>
            <div className="block-head" style={{ padding: "10px 10px 0" }}>
              <h2>Inbox</h2>
              <span className="muted">{received === 1 ? "1 message" : `${received} messages`}</span>
              <Select size="xs" aria-label="Which way they came" data={[{ value: "", label: "Every way" }, ...[...new Set(messages.map((m) => m.channel))].sort()]} value={channel} onChange={(v) => setChannel(v ?? "")} allowDeselect={false} w={120} />
            </div>
            {shown.slice(0, MOST).map((m) => <Message key={m.id} message={m} now={Date.now()} />)}
            {shown.length === 0 && <Empty title="Nothing has arrived">Messages come when an alert has fired for as long as its group waits.</Empty>}
          </section>
        );
      }}
    </Of>
  );
}

/** The demo's own page: incidents, and what was sent because of them. */
export function DemoPage() {
  const inbox = useSource("reba-demo-inbox");
  const incidents = useSource("reba-demo-incidents");
  return (
    <div className="page">
      <PageHead title="Alerts" />
      <AlertingNav />
      {inbox === undefined && incidents === undefined && <Empty title="This is no demo">Incidents and the inbox belong to the simulated fleet of reba demo.</Empty>}
      {incidents !== undefined && <Incidents source={incidents} />}
      {inbox !== undefined && <Inbox source={inbox} />}
    </div>
  );
}
