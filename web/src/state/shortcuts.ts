/** Keys and sequences of keys (`g d`). They rest while a person types into a field. */
import { useEffect, useRef } from "react";

export interface Shortcut {
  keys: string;
  what: string;
  run: () => void;
}

const active = new Set<{ current: readonly Shortcut[] }>();
export const activeShortcuts = (): readonly Shortcut[] => [...active].flatMap((r) => r.current);

let pending = "";
let pendingAt = 0;

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function nameOf(event: KeyboardEvent): string {
  const arrows: Record<string, string> = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
  const key = arrows[event.key] ?? event.key;
  return event.ctrlKey || event.metaKey ? `Ctrl+${key}` : key;
}

function onKey(event: KeyboardEvent) {
  if (event.altKey || event.defaultPrevented) return;
  const name = nameOf(event);
  if (typing(event.target) && name !== "Esc" && !name.startsWith("Ctrl+")) return;
  const now = event.timeStamp;
  const sequence = pending !== "" && now - pendingAt < 1200 ? `${pending} ${name}` : name;
  const list = activeShortcuts();
  // The newest registration wins: a page's keys go before the shell's.
  const hit = list.findLast((s) => s.keys === sequence) ?? list.findLast((s) => s.keys === name);
  pending = "";
  if (hit !== undefined) {
    event.preventDefault();
    hit.run();
  } else if (list.some((s) => s.keys.startsWith(`${name} `))) {
    pending = name;
    pendingAt = now;
  }
}

export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const ref = useRef(shortcuts);
  useEffect(() => {
    ref.current = shortcuts;
  });
  useEffect(() => {
    if (active.size === 0) window.addEventListener("keydown", onKey);
    active.add(ref);
    return () => {
      active.delete(ref);
      if (active.size === 0) window.removeEventListener("keydown", onKey);
    };
  }, []);
}
