import { Button, Menu, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { amAlerts, expireSilence, putSilence, silences, type AmAlert, type Silence } from "../api/alertmanager";
import { wordsFor } from "../api/http";
import { Icon } from "../components/Icon";
import { Link } from "../components/Link";
import { Empty, ErrorNote } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { formatMatcher, formatMatchers, matchesAll } from "../model/alerts/matchers";
import { humanDuration } from "../model/time/duration";
import { formatDateTime } from "../model/time/format";
import { navigate, setParams, usePlace } from "../state/location";
import { useSession } from "../state/session";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";
import { AlertmanagerPage, MatcherChips, Of } from "./parts";

const extensions = [["30 minutes", 30], ["1 hour", 60], ["4 hours", 240], ["1 day", 1440], ["1 week", 10_080]] as const;

function remaining(s: Silence, now: number): string {
  if (s.state === "expired") return `ended ${humanDuration(Math.max(0, now - Date.parse(s.endsAt)))} ago`;
  if (s.state === "pending") return `begins in ${humanDuration(Math.max(0, Date.parse(s.startsAt) - now))}`;
  return `${humanDuration(Math.max(0, Date.parse(s.endsAt) - now))} left`;
}

/** The form with the same matchers, for making a new one. */
const again = (s: Silence) => navigate("/alerting/silence/new", new URLSearchParams([...s.matchers.map((m) => ["matcher", formatMatcher(m)]), ["comment", s.comment]]));

function Row({ silence, muted, canEdit, onDone, source }: { silence: Silence; muted: readonly AmAlert[]; canEdit: boolean; onDone: (error?: string) => void; source: DatasourceInfo }) {
  const [busy, setBusy] = useState(false);
  const now = Date.now();
  const act = async (work: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await work();
      onDone();
    } catch (error) {
      onDone(wordsFor(error));
    } finally {
      setBusy(false);
    }
  };
  const extend = (minutes: number) => act(() => putSilence(source, { id: silence.id, matchers: silence.matchers, startsAt: silence.startsAt, createdBy: silence.createdBy, comment: silence.comment, ...(silence.untilResolved ? { untilResolved: true } : {}), endsAt: new Date(Math.max(now, Date.parse(silence.endsAt)) + minutes * 60_000).toISOString() }));
  return (
    <tr>
      <td style={{ width: 90 }}><span className={`state ${silence.state === "active" ? "ok" : silence.state === "pending" ? "pending" : "unknown"}`}>{silence.state}</span></td>
      <td>
        <MatcherChips list={silence.matchers} />
        <div>{silence.comment}</div>
        <div className="muted">{silence.createdBy}, {formatDateTime(Date.parse(silence.startsAt), "browser")} to {formatDateTime(Date.parse(silence.endsAt), "browser")} <span className="mono">{silence.id.slice(0, 8)}</span>{silence.untilResolved && " · until its alerts are resolved"}</div>
        {silence.state === "active" && muted.length > 0 && (
          <details>
            <summary className="muted">{muted.length === 1 ? "Mutes one alert" : `Mutes ${muted.length} alerts`}</summary>
            {muted.map((a) => <div key={a.fingerprint} className="muted">{a.labels["alertname"]} {a.annotations["summary"] ?? ""}</div>)}
          </details>
        )}
      </td>
      <td className="num">{remaining(silence, now)}</td>
      <td className="num">
        {canEdit && (
          <span className="chips" style={{ justifyContent: "flex-end" }}>
            {silence.state === "expired" ? <Button size="compact-sm" variant="default" onClick={() => again(silence)}>Make again</Button> : (
              <>
                <Menu position="bottom-end">
                  <Menu.Target><Button size="compact-sm" variant="default" loading={busy}>Extend</Button></Menu.Target>
                  <Menu.Dropdown>{extensions.map(([label, minutes]) => <Menu.Item key={label} onClick={() => void extend(minutes)}>by {label}</Menu.Item>)}</Menu.Dropdown>
                </Menu>
                <Button size="compact-sm" variant="default" onClick={() => navigate("/alerting/silence/new", new URLSearchParams({ edit: silence.id }))}>Edit</Button>
                <Button size="compact-sm" variant="default" loading={busy} onClick={() => void act(() => expireSilence(source, silence.id))}>Expire</Button>
              </>
            )}
          </span>
        )}
      </td>
    </tr>
  );
}

const order = { active: 0, pending: 1, expired: 2 } as const;

function List({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const { user } = useSession();
  const tick = useEvery(15_000);
  const loaded = useLoad(`${source.uid} ${tick}`, async (signal) => {
    const [list, alerts] = await Promise.all([silences(source, signal), amAlerts(source, signal)]);
    return { list, alerts };
  });
  const [failed, setFailed] = useState<string>();
  const text = (params.get("search") ?? "").toLowerCase();
  const show = params.get("show") ?? "current";
  const done = (error?: string) => {
    setFailed(error);
    loaded.reload();
  };
  return (
    <>
      {failed !== undefined && <ErrorNote title="That did not work" text={failed} />}
      <div className="variables">
        <TextInput aria-label="Search silences" placeholder="Search matchers, comments, people" leftSection={<Icon name="search" size={16} />} defaultValue={text} onChange={(e) => setParams({ search: e.currentTarget.value || undefined }, "replace")} style={{ flex: "1 1 240px" }} />
        <SegmentedControl aria-label="Which silences" data={[{ value: "current", label: "Active and coming" }, { value: "expired", label: "Expired" }, { value: "all", label: "All" }]} value={show} onChange={(v) => setParams({ show: v }, "replace")} />
      </div>
      <Of loaded={loaded} what="silences">
        {({ list, alerts }) => {
          const fits = (s: Silence) => (show === "all" || (show === "expired") === (s.state === "expired")) && `${formatMatchers(s.matchers)} ${s.comment} ${s.createdBy} ${s.id}`.toLowerCase().includes(text);
          const shown = list.filter(fits).sort((a, b) => order[a.state] - order[b.state] || (a.state === "expired" ? b.endsAt.localeCompare(a.endsAt) : a.endsAt.localeCompare(b.endsAt)));
          if (shown.length === 0) return <Empty title={list.length === 0 ? "There are no silences" : "No silence fits the filters"}>A silence keeps alerts that match it from being sent, for as long as it lasts.</Empty>;
          return (
            <div className="block table-scroll" style={{ height: "auto" }} tabIndex={0} role="region" aria-label="Silences">
              <table className="data"><tbody>{shown.map((s) => <Row key={s.id} silence={s} source={source} canEdit={user.role !== "Viewer"} onDone={done} muted={alerts.filter((a) => matchesAll(s.matchers, a.labels))} />)}</tbody></table>
            </div>
          );
        }}
      </Of>
    </>
  );
}

export function SilencesPage() {
  const { user } = useSession();
  return (
    <AlertmanagerPage actions={user.role === "Viewer" ? undefined : <Link to="/alerting/silence/new" className="button-link"><Icon name="plus" size={15} /> New silence</Link>}>
      {(source) => <List source={source} />}
    </AlertmanagerPage>
  );
}
