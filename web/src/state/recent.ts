/** Which dashboards this browser showed lately, the newest first. */
const KEY = "reba.recent";
const MOST = 20;

export function recentBoards(): readonly string[] {
  try {
    const list: unknown = JSON.parse(window.localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((x): x is string => typeof x === "string") : [];
  } catch {
    return [];
  }
}

export function noteBoard(uid: string): void {
  try {
    window.localStorage.setItem(KEY, JSON.stringify([uid, ...recentBoards().filter((u) => u !== uid)].slice(0, MOST)));
  } catch {
    // A browser that keeps nothing: then nothing was looked at lately.
  }
}
