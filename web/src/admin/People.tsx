import { Button, Modal, PasswordInput, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { addPerson, listPeople, removePerson, roles, setPassword, setRole, type Person, type Role } from "../api/people";
import { Of } from "../alerting/parts";
import { Icon } from "../components/Icon";
import { ErrorNote } from "../components/Notes";
import { useSession } from "../state/session";
import { useLoad } from "../state/useLoad";
import { useAct } from "./useAct";

function NewPerson({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setSecret] = useState("");
  const [role, setTheRole] = useState<Role>("Viewer");
  const { busy, error, act } = useAct(onDone);
  const submit = async () => {
    if (await act(() => addPerson({ login: login.trim(), name: name.trim(), email: email.trim(), password, role }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title="New user">
      <form className="silence-form" onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        {error !== undefined && <ErrorNote title="The user was not made" text={error} />}
        <TextInput label="Log-in name" value={login} onChange={(e) => setLogin(e.currentTarget.value)} required data-autofocus />
        <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} />
        <TextInput label="Email" type="email" value={email} onChange={(e) => setEmail(e.currentTarget.value)} />
        <PasswordInput label="Password" value={password} onChange={(e) => setSecret(e.currentTarget.value)} autoComplete="new-password" required />
        <Select label="Role" data={[...roles]} value={role} onChange={(v) => setTheRole(roles.find((r) => r === v) ?? "Viewer")} allowDeselect={false} description="Viewers read, editors change dashboards and silences, admins all." />
        <Button type="submit" loading={busy} disabled={login.trim() === "" || password === ""}>Make the user</Button>
      </form>
    </Modal>
  );
}

function NewPassword({ person, onClose }: { person: Person; onClose: () => void }) {
  const [password, setSecret] = useState("");
  const { busy, error, act } = useAct(onClose);
  return (
    <Modal opened onClose={onClose} title={`New password for ${person.login}`}>
      <form className="silence-form" onSubmit={(e) => { e.preventDefault(); void act(() => setPassword(person.id, password)); }}>
        {error !== undefined && <ErrorNote title="The password was not changed" text={error} />}
        <PasswordInput label="New password" value={password} onChange={(e) => setSecret(e.currentTarget.value)} autoComplete="new-password" required data-autofocus />
        <Button type="submit" loading={busy} disabled={password === ""}>Change it</Button>
      </form>
    </Modal>
  );
}

/** Who may log in, and what each may do. */
export function People() {
  const { user } = useSession();
  const loaded = useLoad("people", listPeople);
  const { error, act } = useAct(loaded.reload);
  const [making, setMaking] = useState(false);
  const [changing, setChanging] = useState<Person>();
  return (
    <>
      {error !== undefined && <ErrorNote title="That did not work" text={error} />}
      <div className="page-actions" style={{ marginBottom: 10 }}><Button size="sm" leftSection={<Icon name="plus" size={15} />} onClick={() => setMaking(true)}>New user</Button></div>
      <Of loaded={loaded} what="users">
        {(list) => (
          <div className="block table-scroll" style={{ height: "auto" }} tabIndex={0} role="region" aria-label="Users">
            <table className="data">
              <thead><tr><th>Log-in</th><th>Name</th><th>Email</th><th>Role</th><th>Seen</th><th /></tr></thead>
              <tbody>
                {list.map((p) => (
                  <tr key={p.id}>
                    <td><strong>{p.login}</strong>{p.isDisabled && <span className="muted"> disabled</span>}</td>
                    <td>{p.name}</td>
                    <td className="muted">{p.email}</td>
                    <td><Select size="xs" aria-label={`Role of ${p.login}`} data={[...roles]} value={p.role} onChange={(v) => { const role = roles.find((r) => r === v); if (role !== undefined) void act(() => setRole(p.id, role)); }} allowDeselect={false} w={110} disabled={p.login === user.login} /></td>
                    <td className="muted">{p.seen}</td>
                    <td className="num">
                      <span className="chips" style={{ justifyContent: "flex-end" }}>
                        <Button size="compact-sm" variant="default" onClick={() => setChanging(p)}>Password</Button>
                        {p.login !== user.login && <Button size="compact-sm" variant="default" onClick={() => { if (window.confirm(`Delete the user ${p.login}?`)) void act(() => removePerson(p.id)); }}>Delete</Button>}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Of>
      {making && <NewPerson onDone={loaded.reload} onClose={() => setMaking(false)} />}
      {changing !== undefined && <NewPassword person={changing} onClose={() => setChanging(undefined)} />}
    </>
  );
}
