import { useState } from "react";
import { Button } from "@mantine/core";
import { datasourceHealth } from "../api/grafana";
import { wordsFor } from "../api/http";
import { Link } from "../components/Link";
import { Empty } from "../components/Notes";
import { PageHead } from "../components/Shell";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { usePlace } from "../state/location";
import { useSession } from "../state/session";
import { Accounts } from "./Accounts";
import { People } from "./People";

function Sources() {
  const { sources } = useSession();
  const [said, setSaid] = useState<Readonly<Record<string, { ok: boolean; text: string }>>>({});
  const ask = async (s: DatasourceInfo) => {
    const answer = await datasourceHealth(s).then((text) => ({ ok: true, text }), (error: unknown) => ({ ok: false, text: wordsFor(error) }));
    setSaid((all) => ({ ...all, [s.uid]: answer }));
  };
  return (
    <div className="block table-scroll" style={{ height: "auto" }} tabIndex={0} role="region" aria-label="Data sources">
      <table className="data">
        <thead><tr><th>Name</th><th>Kind</th><th>uid</th><th>Health</th></tr></thead>
        <tbody>
          {sources.map((s) => (
            <tr key={s.uid}>
              <td><strong>{s.name}</strong>{s.isDefault && <span className="muted"> the default</span>}</td>
              <td>{s.type}</td>
              <td className="mono">{s.uid}</td>
              <td>{said[s.uid] === undefined ? <Button size="compact-sm" variant="default" onClick={() => void ask(s)}>Test</Button> : <span className={`state ${said[s.uid]?.ok === true ? "ok" : "bad"}`}>{said[s.uid]?.text}</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const pages = [
  ["/admin/users", "Users"],
  ["/admin/serviceaccounts", "Service accounts"],
  ["/connections/datasources", "Data sources"],
] as const;

/** Who and what may use Reba, and where its data comes from. */
export function AdminPage() {
  const { path } = usePlace();
  const { user } = useSession();
  const here = pages.find(([to]) => path.startsWith(to))?.[0] ?? "/admin/users";
  return (
    <div className="page">
      <PageHead title="Administration" />
      <nav className="subnav" aria-label="Administration">{pages.map(([to, label]) => <Link key={to} to={to} current={to === here}>{label}</Link>)}</nav>
      {user.role !== "Admin" ? <Empty title="For admins only">Ask one of them, if you need something changed here.</Empty> : here === "/admin/serviceaccounts" ? <Accounts /> : here === "/connections/datasources" ? <Sources /> : <People />}
    </div>
  );
}
