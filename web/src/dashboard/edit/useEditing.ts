import { useCallback, useMemo, useState } from "react";
import { startEditing } from "../../model/dashboard/edit";
import type { Dashboard } from "../../model/dashboard/types";
import type { JsonObject } from "../../model/json";

export interface Editing {
  /** What is being edited; undefined while nobody edits. */
  draft: JsonObject | undefined;
  dirty: boolean;
  canUndo: boolean;
  canRedo: boolean;
  begin: () => void;
  stop: () => void;
  /** Steps that follow each other quickly under one name (typing) are undone together. */
  change: (to: (json: JsonObject) => JsonObject, name?: string) => void;
  undo: () => void;
  redo: () => void;
}

interface State {
  first?: JsonObject;
  now?: JsonObject;
  past: readonly JsonObject[];
  future: readonly JsonObject[];
  name?: string;
}

const none: State = { past: [], future: [] };
const MOST = 100;

/** A draft of the dashboard with its history. */
export function useEditing(loaded: Dashboard): Editing {
  const [state, setState] = useState<State>(none);
  const begin = useCallback(() => setState((s) => {
    if (s.now !== undefined) return s;
    const first = startEditing(loaded);
    return { ...none, first, now: first };
  }), [loaded]);
  const stop = useCallback(() => setState(none), []);
  const change = useCallback((to: (json: JsonObject) => JsonObject, name?: string) => setState((s) => {
    if (s.now === undefined) return s;
    const now = to(s.now);
    if (now === s.now) return s;
    const same = name !== undefined && name === s.name;
    return { ...(s.first === undefined ? {} : { first: s.first }), now, past: same ? s.past : [...s.past, s.now].slice(-MOST), future: [], ...(name === undefined ? {} : { name }) };
  }), []);
  const undo = useCallback(() => setState((s) => {
    const before = s.past[s.past.length - 1];
    if (before === undefined || s.now === undefined) return s;
    return { ...(s.first === undefined ? {} : { first: s.first }), now: before, past: s.past.slice(0, -1), future: [s.now, ...s.future] };
  }), []);
  const redo = useCallback(() => setState((s) => {
    const [after, ...future] = s.future;
    if (after === undefined || s.now === undefined) return s;
    return { ...(s.first === undefined ? {} : { first: s.first }), now: after, past: [...s.past, s.now], future };
  }), []);
  return useMemo(
    () => ({ draft: state.now, dirty: state.now !== undefined && state.now !== state.first, canUndo: state.past.length > 0, canRedo: state.future.length > 0, begin, stop, change, undo, redo }),
    [state, begin, stop, change, undo, redo],
  );
}
