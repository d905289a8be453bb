/** Every request of the app goes through here: same origin only, errors as one type, cancellable. */
import { asObject, asString, type Json } from "../model/json";

/** What a person can be told: the server's own words, and its status. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "HttpError";
  }
}

/** The path under which the app is served, with a slash at its end; the server writes it into the page. */
export const basePath = (): string => (typeof document === "undefined" ? "/" : new URL(document.baseURI).pathname);

export const urlOf = (path: string): string => basePath() + path.replace(/^\//, "");

export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

export function searchParams(query: Query): URLSearchParams {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue;
    if (Array.isArray(value)) for (const one of value as readonly string[]) params.append(key, one);
    else params.append(key, String(value));
  }
  return params;
}

type Listener = () => void;
const whenLoggedOut = new Set<Listener>();

/** Called when the server says that the session has ended. */
export function onLoggedOut(listener: Listener): Listener {
  whenLoggedOut.add(listener);
  return () => whenLoggedOut.delete(listener);
}

/** The server's words for an error: Grafana says `message`, Prometheus and Loki `error` or plain text. */
function wordsOf(text: string, status: number): string {
  try {
    const body = asObject(JSON.parse(text));
    return asString(body["message"]) || asString(body["error"]) || `HTTP ${status}`;
  } catch {
    return text.trim().slice(0, 500) || `HTTP ${status}`;
  }
}

let checking = false;

/** A 401 may be about something else (the old password, a data source behind a proxy): only who the server does not know is logged out. */
async function checkSession(): Promise<void> {
  if (checking || whenLoggedOut.size === 0) return;
  checking = true;
  try {
    const { status } = await fetch(urlOf("api/user"), { credentials: "same-origin" });
    if (status === 401) for (const listener of whenLoggedOut) listener();
  } catch {
    // Whoever asked says that the server does not answer.
  } finally {
    checking = false;
  }
}

async function read(response: Response): Promise<Json> {
  const text = await response.text();
  if (!response.ok) {
    if (response.status === 401) void checkSession();
    throw new HttpError(response.status, wordsOf(text, response.status));
  }
  if (text === "") return null;
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new HttpError(response.status, "The server's answer is no JSON.");
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(urlOf(path), { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new HttpError(0, "Reba does not answer.");
  }
}

export async function getJson(path: string, query: Query = {}, signal?: AbortSignal, headers: Readonly<Record<string, string>> = {}): Promise<Json> {
  const params = searchParams(query).toString();
  return read(await send(params === "" ? path : `${path}?${params}`, { headers, ...(signal === undefined ? {} : { signal }) }));
}

/** Long queries travel in the body, as forms. */
export async function postForm(path: string, query: Query, signal?: AbortSignal): Promise<Json> {
  return read(await send(path, { method: "POST", body: searchParams(query), ...(signal === undefined ? {} : { signal }) }));
}

export async function sendJson(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: Json, signal?: AbortSignal): Promise<Json> {
  return read(
    await send(path, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await send(path, signal === undefined ? {} : { signal });
  const text = await response.text();
  if (!response.ok) throw new HttpError(response.status, wordsOf(text, response.status));
  return text;
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
export const wordsFor = (error: unknown): string => (error instanceof Error ? error.message : String(error));
