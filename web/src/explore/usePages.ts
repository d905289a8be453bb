import { useCallback, useEffect, useRef, useState } from "react";
import { isAbort, wordsFor } from "../api/http";
import { lokiRange, nanos } from "../api/loki";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { logRows, type LogRow } from "../model/data/loki";
import type { Range } from "../model/time/range";
import { useLoad } from "../state/useLoad";

const FIRST = 500;
/** A server answers at most 5,000 lines at once unless it is told otherwise. */
const PAGE = 2000;
/** More nobody reads, and each stays in memory. */
export const MOST_LINES = 20_000;

/** The lines behind the last of those that are there; those of its own moment come again, and are told by their ids. */
export function withPage(rows: readonly LogRow[], page: readonly LogRow[]): readonly LogRow[] {
  const known = new Set(rows.map((r) => r.id));
  const fresh = page.filter((r) => !known.has(r.id));
  return fresh.length === 0 ? rows : [...rows, ...fresh];
}

interface More {
  key: string;
  rows: readonly LogRow[];
  /** There are no more. */
  done: boolean;
  loading: boolean;
  error?: string;
}

export interface Pages {
  rows: readonly LogRow[] | undefined;
  bytesRead: number | undefined;
  error: string | undefined;
  loading: boolean;
  loadingMore: boolean;
  reload: () => void;
  /** Undefined where there is no more to read. */
  more: (() => void) | undefined;
}

/** The lines of a query, page by page, as far as somebody reads. */
export function usePages(source: DatasourceInfo, query: string, range: Range, newest: boolean, off: boolean): Pages {
  const key = JSON.stringify([source.uid, query, range, newest]);
  const direction = newest ? "backward" : "forward";
  const ask = async (start: string, end: string, limit: number, signal: AbortSignal) => {
    const answer = await lokiRange(source, { query, start, end, limit, direction }, signal);
    return { rows: answer.data.resultType === "streams" ? logRows(answer.data.result, newest) : [], bytesRead: answer.bytesRead };
  };
  const first = useLoad(off ? undefined : key, async (signal) => ({ key, ...(await ask(nanos(range.from), nanos(range.to), FIRST, signal)) }));
  const [more, setMore] = useState<More>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), [key]);
  const begun = first.data?.rows;
  const own = more?.key === key && first.data?.key === key ? more : undefined;
  const rows = own?.rows ?? begun;
  const last = rows?.[rows.length - 1];
  const full = rows !== undefined && (own === undefined ? rows.length >= FIRST : !own.done) && rows.length < MOST_LINES;
  const latest = useRef({ ask, rows, last });
  useEffect(() => {
    latest.current = { ask, rows, last };
  });
  const loadMore = useCallback(() => {
    const { ask: askNow, rows: before = [], last: end } = latest.current;
    if (end === undefined || abort.current?.signal.aborted === false) return;
    const controller = new AbortController();
    abort.current = controller;
    setMore({ key, rows: before, done: false, loading: true });
    const [from, to] = newest ? [nanos(range.from), String(BigInt(end.tsNs) + 1n)] : [end.tsNs, nanos(range.to)];
    askNow(from, to, PAGE, controller.signal).then(
      (page) => {
        const all = withPage(before, page.rows);
        setMore({ key, rows: all, done: page.rows.length < PAGE || all.length === before.length, loading: false });
      },
      (error: unknown) => {
        if (!isAbort(error)) setMore({ key, rows: before, done: false, loading: false, error: wordsFor(error) });
      },
    ).finally(() => controller.abort());
  }, [key, newest, range]);
  return { rows, bytesRead: first.data?.bytesRead, error: own?.error ?? first.error, loading: first.loading, loadingMore: own?.loading === true, reload: first.reload, more: full ? loadMore : undefined };
}
