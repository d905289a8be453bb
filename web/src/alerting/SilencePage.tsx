import { ActionIcon, Button, Select, Switch, TextInput } from "@mantine/core";
import { useState } from "react";
import { amAlerts, putSilence, silences, type AmAlert, type Silence } from "../api/alertmanager";
import { wordsFor } from "../api/http";
import { Chips } from "../components/Chips";
import { Icon } from "../components/Icon";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { faultOf, matchesAll, operators, parseMatchers, type Matcher } from "../model/alerts/matchers";
import { humanDuration, parseDuration } from "../model/time/duration";
import { formatDateTime } from "../model/time/format";
import { navigate, usePlace } from "../state/location";
import { useSession } from "../state/session";
import { useLoad } from "../state/useLoad";
import { AlertmanagerPage } from "./parts";

const durations = ["30m", "1h", "2h", "4h", "8h", "1d", "3d", "1w"];

function Matchers({ list, onChange, names }: { list: readonly Matcher[]; onChange: (list: readonly Matcher[]) => void; names: readonly string[] }) {
  const put = (i: number, change: Partial<Matcher>) => onChange(list.map((m, n) => (n === i ? { ...m, ...change } : m)));
  return (
    <div className="matchers" role="group" aria-label="Matchers">
      <datalist id="label-names">{names.map((n) => <option key={n} value={n} />)}</datalist>
      {list.map((m, i) => (
        <div key={i} className="matcher">
          <TextInput aria-label={`Label ${i + 1}`} placeholder="label" list="label-names" value={m.name} onChange={(e) => put(i, { name: e.currentTarget.value })} />
          <Select aria-label={`How label ${i + 1} compares`} data={[...operators]} value={m.operator} onChange={(v) => put(i, { operator: operators.find((o) => o === v) ?? "=" })} allowDeselect={false} w={72} />
          <TextInput aria-label={`Value ${i + 1}`} placeholder="value" value={m.value} onChange={(e) => put(i, { value: e.currentTarget.value })} className="matcher-value" style={{ flex: 1 }} />
          <ActionIcon variant="subtle" color="gray" size={34} aria-label={`Remove matcher ${i + 1}`} onClick={() => onChange(list.filter((_, n) => n !== i))}><Icon name="close" size={16} /></ActionIcon>
        </div>
      ))}
      <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => onChange([...list, { name: "", operator: "=", value: "" }])}>Add a matcher</Button>
    </div>
  );
}

/** What the silence would mute, of what is there now. */
function Preview({ alerts, matchers, fault }: { alerts: readonly AmAlert[]; matchers: readonly Matcher[]; fault: string | undefined }) {
  const hits = fault === undefined ? alerts.filter((a) => matchesAll(matchers, a.labels)) : [];
  return (
    <section className="block" aria-label="Preview">
      <div className="block-head">
        <h2>{fault !== undefined ? "Preview" : hits.length === 0 ? "Mutes nothing that is there now" : `Mutes ${hits.length} of ${alerts.length} alerts`}</h2>
      </div>
      {fault !== undefined && <p className="muted">{fault}</p>}
      {fault === undefined && hits.length === 0 && <p className="muted">Alerts that come later and match are muted all the same.</p>}
      {hits.slice(0, 100).map((a) => (
        <div key={a.fingerprint} className="preview-line">
          <strong>{a.labels["alertname"]}</strong> <Chips labels={a.labels} without={["alertname"]} />
          <div className="muted">{a.annotations["summary"] ?? ""}</div>
        </div>
      ))}
    </section>
  );
}

interface Start {
  matchers: readonly Matcher[];
  comment: string;
  edited?: Silence;
}

function Form({ source, alerts, start }: { source: DatasourceInfo; alerts: readonly AmAlert[]; start: Start }) {
  const { user } = useSession();
  const { edited } = start;
  const [matchers, setMatchers] = useState(start.matchers);
  const [comment, setComment] = useState(start.comment);
  const [author, setAuthor] = useState(edited?.createdBy ?? user.login);
  const [lasts, setLasts] = useState(edited === undefined ? "2h" : "");
  const [resolved, setResolved] = useState(edited?.untilResolved ?? false);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [now] = useState(() => Date.now());
  const ms = parseDuration(lasts);
  const endsAt = lasts === "" && edited !== undefined ? Date.parse(edited.endsAt) : ms === undefined ? undefined : now + ms;
  const fault = faultOf(matchers);
  const names = [...new Set(alerts.flatMap((a) => Object.keys(a.labels)))].sort();
  const ready = fault === undefined && endsAt !== undefined && comment.trim() !== "" && author.trim() !== "";
  const submit = async () => {
    if (!ready) return;
    setBusy(true);
    try {
      await putSilence(source, { ...(edited === undefined ? {} : { id: edited.id }), matchers, startsAt: edited?.startsAt ?? new Date().toISOString(), endsAt: new Date(endsAt).toISOString(), createdBy: author.trim(), comment: comment.trim(), ...(resolved ? { untilResolved: true } : {}) });
      navigate("/alerting/silences");
    } catch (caught) {
      setError(wordsFor(caught));
      setBusy(false);
    }
  };
  return (
    <div className="two">
      <form className="block silence-form" onSubmit={(e) => { e.preventDefault(); void submit(); }} aria-label={edited === undefined ? "New silence" : "Edit the silence"}>
        <h2>{edited === undefined ? "New silence" : "Edit the silence"}</h2>
        {error !== undefined && <ErrorNote title="The silence was refused" text={error} />}
        <Matchers list={matchers} onChange={setMatchers} names={names} />
        <div>
          <TextInput label="Lasts" placeholder={edited === undefined ? "2h, 1d, 1w" : "as before"} value={lasts} onChange={(e) => setLasts(e.currentTarget.value)} error={lasts !== "" && ms === undefined ? "Such as 45m, 2h or 3d" : undefined} description={endsAt === undefined ? undefined : `until ${formatDateTime(endsAt, "browser")}, ${humanDuration(Math.max(0, endsAt - now))} from now`} />
          <div className="tags" style={{ marginTop: 6 }}>{durations.map((d) => <button key={d} type="button" className="tag" aria-pressed={d === lasts} onClick={() => setLasts(d)}>{d}</button>)}</div>
        </div>
        <Switch size="sm" label="Ends sooner, once the alerts that it mutes are resolved" checked={resolved} onChange={(e) => setResolved(e.currentTarget.checked)} />
        <TextInput label="Why" placeholder="What is going on, who is on it" value={comment} onChange={(e) => setComment(e.currentTarget.value)} required />
        <TextInput label="Who" value={author} onChange={(e) => setAuthor(e.currentTarget.value)} required />
        <div className="page-actions">
          <Button type="submit" disabled={!ready} loading={busy}>{edited === undefined ? "Silence" : "Save"}</Button>
          <Button variant="default" onClick={() => navigate("/alerting/silences")}>Cancel</Button>
        </div>
      </form>
      <Preview alerts={alerts} matchers={matchers} fault={fault} />
    </div>
  );
}

function Loaded({ source }: { source: DatasourceInfo }) {
  const { params } = usePlace();
  const edit = params.get("edit");
  const { data, error, reload } = useLoad(`${source.uid} ${edit ?? ""}`, async (signal) => {
    const [alerts, list] = await Promise.all([amAlerts(source, signal), edit === null ? Promise.resolve([]) : silences(source, signal)]);
    return { alerts, edited: list.find((s) => s.id === edit) };
  });
  if (error !== undefined) return <ErrorNote title="Alertmanager could not be asked" text={error} onRetry={reload} />;
  if (data === undefined) return <Loading what="the alerts" />;
  if (edit !== null && data.edited === undefined) return <Empty title="There is no such silence" />;
  const written = params.getAll("matcher").flatMap((text) => parseMatchers(text) ?? []);
  const start: Start = data.edited === undefined
    ? { matchers: written.length > 0 ? written : [{ name: "alertname", operator: "=", value: "" }], comment: params.get("comment") ?? "" }
    : { matchers: data.edited.matchers, comment: data.edited.comment, edited: data.edited };
  return <Form source={source} alerts={data.alerts} start={start} />;
}

export const SilencePage = () => <AlertmanagerPage>{(source) => <Loaded source={source} />}</AlertmanagerPage>;
