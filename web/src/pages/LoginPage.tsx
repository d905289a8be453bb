import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { logIn } from "../api/grafana";
import { HttpError, wordsFor } from "../api/http";

export function LoginPage({ onDone }: { onDone: () => void }) {
  const [user, setUser] = useState("admin");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await logIn(user, password);
      onDone();
    } catch (caught) {
      setError(caught instanceof HttpError && caught.status === 429 ? "Too many attempts. Wait five minutes." : wordsFor(caught));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <img src="icon.svg" alt="" width="48" height="48" />
        <h1>Reba</h1>
        <TextInput label="User" name="user" autoComplete="username" value={user} onChange={(e) => setUser(e.currentTarget.value)} required />
        <PasswordInput label="Password" name="password" autoComplete="current-password" value={password} onChange={(e) => setPassword(e.currentTarget.value)} required autoFocus />
        {error !== undefined && (
          <p role="alert" className="login-error">
            {error}
          </p>
        )}
        <Button type="submit" loading={busy} fullWidth>
          Log in
        </Button>
      </form>
    </main>
  );
}
