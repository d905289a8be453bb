import { Button, Modal, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { previewReceiver, receivers, testReceiver, type Integration, type PreviewMessage, type Previewed, type Tested } from "../api/receivers";
import { wordsFor } from "../api/http";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { parseLabels } from "../model/alerts/routing";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { fromNow } from "../model/time/format";
import { useSession } from "../state/session";
import { useEvery } from "../state/useEvery";
import { useLoad } from "../state/useLoad";
import { AlertmanagerPage, Of } from "./parts";

const looks: Readonly<Record<string, string>> = { delivered: "ok", retrying: "pending", failed: "bad" };

/** How the last try went, or that there was none. */
function Last({ one, now }: { one: Integration; now: number }) {
  if (one.disabled !== "") return <><span className="state unknown">switched off</span> <span className="panel-warn">{one.disabled}</span></>;
  if (one.last === undefined) return <><span className="state unknown">not tried</span> <span className="muted">since the start</span></>;
  const { outcome, at, words, tookMs, failures } = one.last;
  return (
    <>
      <span className={`state ${looks[outcome] ?? "unknown"}`}>{outcome}</span> <span className="muted">{fromNow(Date.parse(at), now)}, in {tookMs} ms{failures > 0 && `, ${failures} failures since it was delivered`}</span>
      {words !== "" && outcome !== "delivered" && <div className="panel-bad" style={{ overflowWrap: "anywhere" }}>{words}</div>}
    </>
  );
}

function MessageView({ message }: { message: PreviewMessage }) {
  const html = message.contentType.includes("html");
  const [as, setAs] = useState(html ? "shown" : "text");
  return (
    <div className="preview-line">
      <dl className="pairs">
        <dt>To</dt><dd className="mono">{message.to}</dd>
        {Object.entries(message.headers).map(([k, v]) => <div key={k} style={{ display: "contents" }}><dt>{k}</dt><dd className="mono">{v}</dd></div>)}
      </dl>
      {html && <SegmentedControl size="xs" my={8} aria-label="How the message is shown" data={[{ value: "shown", label: "As it looks" }, { value: "text", label: "As it is written" }]} value={as} onChange={setAs} />}
      {as === "shown" ? <iframe className="mail" title="The message as it looks" sandbox="" srcDoc={message.body} /> : <pre className="code" style={{ marginTop: 8 }}>{message.body}</pre>}
      {message.truncated && <p className="muted">The rest is not shown.</p>}
    </div>
  );
}

function PreviewBox({ source, one, onClose }: { source: DatasourceInfo; one: Integration; onClose: () => void }) {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const { data, error, loading } = useLoad(`${one.receiver} ${one.kind} ${one.index} ${asked}`, (signal) => previewReceiver(source, { receiver: one.receiver, integration: one.kind, index: one.index, labels: parseLabels(asked) }, signal));
  return (
    <Modal opened onClose={onClose} size="xl" title={`What ${one.receiver} would be told by ${one.kind}`}>
      <form onSubmit={(e) => { e.preventDefault(); setAsked(text); }} style={{ display: "flex", gap: 8, marginBottom: 10 }}>
        <TextInput aria-label="Labels of the alert" placeholder='alertname="ServiceDown", service="wallet-service"' value={text} onChange={(e) => setText(e.currentTarget.value)} style={{ flex: 1 }} />
        <Button type="submit" variant="default" loading={loading}>Show</Button>
      </form>
      {error !== undefined && !loading && <ErrorNote title="It could not be rendered" text={error} />}
      {data === undefined && error === undefined && <Loading what="the message" />}
      {data?.map((p: Previewed, i) => (
        <div key={i}>
          {p.error !== "" && <ErrorNote title="It could not be rendered" text={p.error} />}
          {asked !== "" && !p.routed && <p className="panel-warn">No route leads such an alert to this receiver.</p>}
          {p.messages.map((m, n) => <MessageView key={n} message={m} />)}
          {p.messages.length === 0 && p.error === "" && <Empty title="Nothing would be sent">{p.disabled === "" ? undefined : p.disabled}</Empty>}
        </div>
      ))}
    </Modal>
  );
}

function TestResult({ list }: { list: readonly Tested[] }) {
  return (
    <div className="note" role="status" style={{ display: "block" }}>
      {list.map((t, i) => (
        <div key={i}>
          <strong>{t.kind}</strong>{" "}
          {t.tries.length === 0 ? <span className="muted">not tried: {t.disabled || "nothing to send"}</span> : t.tries.map((one, n) => (
            <span key={n} style={{ marginRight: 12 }}>
              <span className={`state ${one.delivered ? "ok" : "bad"}`}>{one.status} {one.delivered ? "delivered" : "not delivered"}</span> <span className="muted">in {one.tookMs} ms{one.words !== "" && `: ${one.words}`}</span>
            </span>
          ))}
        </div>
      ))}
    </div>
  );
}

function Receiver({ source, name, list, onDone }: { source: DatasourceInfo; name: string; list: readonly Integration[]; onDone: () => void }) {
  const { user } = useSession();
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<readonly Tested[]>();
  const [error, setError] = useState<string>();
  const [shown, setShown] = useState<Integration>();
  const now = Date.now();
  const test = async () => {
    setBusy(true);
    setError(undefined);
    setResult(undefined);
    try {
      setResult(await testReceiver(source, { receiver: name }));
    } catch (caught) {
      setError(wordsFor(caught));
    } finally {
      setBusy(false);
      onDone();
    }
  };
  return (
    <section className="block" aria-label={`Receiver ${name}`}>
      <div className="block-head">
        <h2>{name}</h2>
        {user.role !== "Viewer" && list.some((i) => i.disabled === "") && <Button size="compact-sm" variant="default" loading={busy} onClick={() => void test()}>Send a test</Button>}
      </div>
      {error !== undefined && <ErrorNote title="The test failed" text={error} />}
      {result !== undefined && <TestResult list={result} />}
      {list.length === 0 && <p className="muted">It tells nobody.</p>}
      <div className="table-scroll" style={{ height: "auto" }}>
        <table className="data">
          <tbody>
            {list.map((one) => (
              <tr key={`${one.kind} ${one.index}`}>
                <td style={{ width: 130 }}><strong>{one.kind}</strong>{list.filter((o) => o.kind === one.kind).length > 1 && ` ${one.index + 1}`}<div className="muted">{one.sendResolved ? "and when it is over" : "firing only"}</div></td>
                <td><Last one={one} now={now} /></td>
                <td className="num">{one.disabled === "" && <Button size="compact-sm" variant="default" aria-label={`Preview of ${one.kind} of ${name}`} onClick={() => setShown(one)}>Preview</Button>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown !== undefined && <PreviewBox source={source} one={shown} onClose={() => setShown(undefined)} />}
    </section>
  );
}

function List({ source }: { source: DatasourceInfo }) {
  const tick = useEvery(10_000);
  const loaded = useLoad(`${source.uid} ${tick}`, (signal) => receivers(source, signal));
  return (
    <Of loaded={loaded} what="receivers">
      {(all) => all.length === 0 ? <Empty title="There are no receivers" /> : all.map((r) => <Receiver key={r.name} source={source} name={r.name} list={r.integrations} onDone={loaded.reload} />)}
    </Of>
  );
}

/** Who is told of alerts: how that went lately, what they would be told, and a test. */
export const ReceiversPage = () => <AlertmanagerPage>{(source) => <List source={source} />}</AlertmanagerPage>;
