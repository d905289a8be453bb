import { useEffect, useRef, useState } from "react";
import { lokiTail, type Tail } from "../api/loki";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { logRows, type LogRow } from "../model/data/loki";

/** More than this nobody reads live; older lines leave. */
const KEEP = 1000;

export interface Live {
  rows: readonly LogRow[];
  why: string | undefined;
}

/** Follows a query while `on`; newest first. Lines are shown at most five times a second, however fast they come. */
export function useTail(source: DatasourceInfo, query: string, on: boolean, paused: boolean, onStop: () => void): Live {
  const [live, setLive] = useState<Live>({ rows: [], why: undefined });
  const stop = useRef(onStop);
  const hold = useRef(paused);
  useEffect(() => {
    stop.current = onStop;
    hold.current = paused;
  });
  useEffect(() => {
    if (!on) return;
    setLive({ rows: [], why: undefined });
    let waiting: LogRow[] = [];
    const flush = () => {
      if (waiting.length === 0 || hold.current) return;
      const arrived = waiting;
      waiting = [];
      setLive((l) => ({ ...l, rows: [...arrived, ...l.rows].slice(0, KEEP) }));
    };
    const timer = window.setInterval(flush, 200);
    let serial = 0;
    const tail: Tail = lokiTail(
      source,
      query,
      (streams) => {
        const rows = logRows(streams).map((r) => ({ ...r, id: `${serial++} ${r.id}` }));
        waiting = [...rows, ...waiting].slice(0, KEEP);
      },
      (why) => {
        setLive((l) => ({ ...l, why }));
        stop.current();
      },
    );
    return () => {
      window.clearInterval(timer);
      tail.close();
    };
  }, [source, query, on]);
  return live;
}
