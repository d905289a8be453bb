import { useCallback, useState } from "react";

/** A small choice of the reader that outlives the page (a folded menu, wrapped lines). */
export function useStored(name: string, initial: string): readonly [string, (value: string) => void] {
  const key = `reba.${name}`;
  const [value, setValue] = useState(() => {
    try {
      return localStorage.getItem(key) ?? initial;
    } catch {
      return initial;
    }
  });
  const set = useCallback(
    (next: string) => {
      setValue(next);
      try {
        localStorage.setItem(key, next);
      } catch {
        // As in scheme.ts.
      }
    },
    [key],
  );
  return [value, set];
}
