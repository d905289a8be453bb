import { useCallback, useState } from "react";
import { wordsFor } from "../api/http";

/** Runs what a button asks for: busy meanwhile, and with the server's words when it fails. */
export function useAct(after: () => void) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const act = useCallback(
    async (work: () => Promise<unknown>): Promise<boolean> => {
      setBusy(true);
      setError(undefined);
      try {
        await work();
        after();
        return true;
      } catch (caught) {
        setError(wordsFor(caught));
        return false;
      } finally {
        setBusy(false);
      }
    },
    [after],
  );
  return { busy, error, act };
}
