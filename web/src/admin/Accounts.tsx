import { Button, CopyButton, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { addServiceAccount, addToken, removeServiceAccount, removeToken, roles, serviceAccounts, tokensOf, type Role, type ServiceAccount } from "../api/people";
import { Of } from "../alerting/parts";
import { Icon } from "../components/Icon";
import { Empty, ErrorNote } from "../components/Notes";
import { formatDateTime } from "../model/time/format";
import { useLoad } from "../state/useLoad";
import { useAct } from "./useAct";

const lives = [{ value: "", label: "for ever" }, { value: "86400", label: "1 day" }, { value: "604800", label: "1 week" }, { value: "2592000", label: "30 days" }, { value: "31536000", label: "1 year" }];

function Tokens({ account, onChange }: { account: ServiceAccount; onChange: () => void }) {
  const loaded = useLoad(`tokens ${account.id}`, (signal) => tokensOf(account.id, signal));
  const [name, setName] = useState("");
  const [life, setLife] = useState("");
  const [made, setMade] = useState<string>();
  const { busy, error, act } = useAct(() => { loaded.reload(); onChange(); });
  const add = () => act(async () => {
    setMade(await addToken(account.id, name.trim(), life === "" ? undefined : Number(life)));
    setName("");
  });
  return (
    <div className="rule-body">
      {error !== undefined && <ErrorNote title="That did not work" text={error} />}
      {made !== undefined && (
        <div className="note" role="status">
          <div>
            <strong>Copy the token now: it is not shown again.</strong>
            <pre className="code">{made}</pre>
            <CopyButton value={made}>{({ copied, copy }) => <Button size="compact-sm" variant="default" onClick={copy}>{copied ? "Copied" : "Copy"}</Button>}</CopyButton>
          </div>
        </div>
      )}
      <Of loaded={loaded} what="tokens">
        {(list) => list.length === 0 ? <p className="muted">No tokens yet.</p> : (
          <table className="data"><tbody>{list.map((t) => (
            <tr key={t.id}>
              <td>{t.name}</td>
              <td className="muted">made {formatDateTime(Date.parse(t.created), "browser")}</td>
              <td className={t.hasExpired ? "panel-bad" : "muted"}>{t.hasExpired ? "expired" : t.expiration === "" ? "lasts for ever" : `until ${formatDateTime(Date.parse(t.expiration), "browser")}`}</td>
              <td className="num"><Button size="compact-sm" variant="default" onClick={() => void act(() => removeToken(account.id, t.id))}>Delete</Button></td>
            </tr>
          ))}</tbody></table>
        )}
      </Of>
      <form className="variables" onSubmit={(e) => { e.preventDefault(); void add(); }}>
        <TextInput size="sm" aria-label="Name of the token" placeholder="Name of the token" value={name} onChange={(e) => setName(e.currentTarget.value)} required />
        <Select size="sm" aria-label="How long the token lasts" data={lives} value={life} onChange={(v) => setLife(v ?? "")} allowDeselect={false} w={130} />
        <Button type="submit" size="sm" loading={busy} disabled={name.trim() === ""}>Make a token</Button>
      </form>
    </div>
  );
}

/** Accounts for programs. */
export function Accounts() {
  const loaded = useLoad("accounts", serviceAccounts);
  const [name, setName] = useState("");
  const [role, setTheRole] = useState<Role>("Viewer");
  const [open, setOpen] = useState<number>();
  const { busy, error, act } = useAct(loaded.reload);
  const add = () => act(async () => {
    await addServiceAccount(name.trim(), role);
    setName("");
  });
  return (
    <>
      {error !== undefined && <ErrorNote title="That did not work" text={error} />}
      <form className="variables" onSubmit={(e) => { e.preventDefault(); void add(); }}>
        <TextInput size="sm" aria-label="Name of the account" placeholder="Name, such as deploy-bot" value={name} onChange={(e) => setName(e.currentTarget.value)} required />
        <Select size="sm" aria-label="Role of the account" data={[...roles]} value={role} onChange={(v) => setTheRole(roles.find((r) => r === v) ?? "Viewer")} allowDeselect={false} w={120} />
        <Button type="submit" size="sm" leftSection={<Icon name="plus" size={15} />} loading={busy} disabled={name.trim() === ""}>New service account</Button>
      </form>
      <Of loaded={loaded} what="service accounts">
        {(list) => list.length === 0 ? <Empty title="There are no service accounts">Programs that read or write dashboards log in with the token of one.</Empty> : (
          <div className="block" style={{ padding: 0 }}>
            {list.map((a) => (
              <div className="rule" key={a.id}>
                <div className="block-head" style={{ padding: "8px 12px", margin: 0 }}>
                  <strong>{a.name}</strong><span className="muted" style={{ flex: 1 }}>{a.role}, {a.tokens === 1 ? "1 token" : `${a.tokens} tokens`}{a.isDisabled && ", disabled"}</span>
                  <Button size="compact-sm" variant="default" aria-expanded={open === a.id} onClick={() => setOpen(open === a.id ? undefined : a.id)}>Tokens</Button>
                  <Button size="compact-sm" variant="default" onClick={() => { if (window.confirm(`Delete ${a.name} and its tokens?`)) void act(() => removeServiceAccount(a.id)); }}>Delete</Button>
                </div>
                {open === a.id && <Tokens account={a} onChange={loaded.reload} />}
              </div>
            ))}
          </div>
        )}
      </Of>
    </>
  );
}
