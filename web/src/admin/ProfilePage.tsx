import { Button, PasswordInput, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { chosenHome, searchDashboards, setHome } from "../api/grafana";
import { changeMe, changeMyPassword } from "../api/people";
import { ErrorNote } from "../components/Notes";
import { PageHead } from "../components/Shell";
import { useSession } from "../state/session";
import { useLoad } from "../state/useLoad";
import { useAct } from "./useAct";

function Password() {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [done, setDone] = useState(false);
  const { busy, error, act } = useAct(() => {
    setDone(true);
    setOld("");
    setFresh("");
    setAgain("");
  });
  const differ = again !== "" && fresh !== again;
  return (
    <form className="block silence-form" onSubmit={(e) => { e.preventDefault(); setDone(false); void act(() => changeMyPassword(old, fresh)); }}>
      <h2>Password</h2>
      {error !== undefined && <ErrorNote title="The password was not changed" text={error} />}
      {done && <div className="note" role="status">The password is changed.</div>}
      <PasswordInput label="Present password" value={old} onChange={(e) => setOld(e.currentTarget.value)} autoComplete="current-password" required />
      <PasswordInput label="New password" value={fresh} onChange={(e) => setFresh(e.currentTarget.value)} autoComplete="new-password" required />
      <PasswordInput label="Once more" value={again} onChange={(e) => setAgain(e.currentTarget.value)} autoComplete="new-password" error={differ ? "The two differ" : undefined} required />
      <Button type="submit" loading={busy} disabled={old === "" || fresh === "" || fresh !== again} style={{ alignSelf: "flex-start" }}>Change it</Button>
    </form>
  );
}

/** What this person sees first. */
function StartPage() {
  const boards = useLoad("boards", (signal) => searchDashboards({ type: "dash-db" }, signal));
  const chosen = useLoad("chosen home", chosenHome);
  const [picked, setPicked] = useState<string>();
  const [done, setDone] = useState(false);
  const { error, act } = useAct(() => setDone(true));
  const value = picked ?? chosen.data;
  if (value === undefined) return null;
  return (
    <div className="block silence-form">
      <h2>Start page</h2>
      {error !== undefined && <ErrorNote title="That was not saved" text={error} />}
      {done && <div className="note" role="status">Saved.</div>}
      <Select label="Opened first" data={[{ value: "", label: "The list of dashboards" }, ...(boards.data ?? []).filter((h) => h.kind === "dashboard").map((h) => ({ value: h.uid, label: h.title }))]} value={value} searchable allowDeselect={false}
        onChange={(uid) => {
          setPicked(uid ?? "");
          setDone(false);
          void act(() => setHome(uid ?? ""));
        }}
      />
    </div>
  );
}

/** What a person may change of their own. */
export function ProfilePage() {
  const { user } = useSession();
  const [name, setName] = useState(user.name);
  const [email, setEmail] = useState(user.email);
  const [done, setDone] = useState(false);
  const { busy, error, act } = useAct(() => setDone(true));
  return (
    <div className="page">
      <PageHead title="Your account" />
      <div className="two">
        <form className="block silence-form" onSubmit={(e) => { e.preventDefault(); setDone(false); void act(() => changeMe({ name, email, login: user.login })); }}>
          <h2>{user.login} <span className="muted">{user.role}</span></h2>
          {error !== undefined && <ErrorNote title="That was not saved" text={error} />}
          {done && <div className="note" role="status">Saved.</div>}
          <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} autoComplete="name" />
          <TextInput label="Email" type="email" value={email} onChange={(e) => setEmail(e.currentTarget.value)} autoComplete="email" />
          <Button type="submit" loading={busy} style={{ alignSelf: "flex-start" }}>Save</Button>
        </form>
        <Password />
        <StartPage />
      </div>
    </div>
  );
}
