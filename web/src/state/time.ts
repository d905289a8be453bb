/** The time range of a page, kept in its URL: `from`, `to`, `timezone`, `refresh`. */
import { useCallback, useEffect, useMemo, useState } from "react";
import { parseDuration } from "../model/time/duration";
import { parseTime, resolveRange, shift, zoomOut, type Range, type RawRange } from "../model/time/range";
import { setParams, usePlace } from "./location";

export interface TimeDefaults {
  time: RawRange;
  refresh: string;
  zone: string;
  /** Data of the last moments may not be there yet: `now` is taken that much earlier. */
  nowDelay?: string;
}

export interface TimeState {
  raw: RawRange;
  /** As of the last refresh. */
  range: Range;
  zone: string;
  refresh: string;
  setRaw: (raw: RawRange) => void;
  setRefresh: (refresh: string) => void;
  setZone: (zone: string) => void;
  refreshNow: () => void;
  zoomOut: () => void;
  shift: (direction: -1 | 1) => void;
  /** From dragging over a panel. */
  zoomTo: (range: Range) => void;
}

/** `time` and `time.window` say a middle and a width in place of two ends. */
function windowed(params: URLSearchParams): RawRange | undefined {
  const middle = parseTime(params.get("time") ?? "", Date.now(), false, "utc");
  const width = Number(params.get("time.window"));
  if (middle === undefined || !(width > 0)) return undefined;
  return { from: String(middle - width / 2), to: String(middle + width / 2) };
}

interface Kept {
  raw: RawRange;
  zone: string;
  refresh: string;
  nowDelay?: string;
  setRaw: (raw: RawRange) => void;
  setRefresh: (refresh: string) => void;
  setZone: (zone: string) => void;
}

/** A range that lives wherever its owner keeps it, with the clock that moves it on. The owner's setters must be stable. */
export function useTimeOf({ raw, zone, refresh, nowDelay, setRaw: keep, setRefresh, setZone }: Kept): TimeState {
  const { from: rawFrom, to: rawTo } = raw;
  const [now, setNow] = useState(() => Date.now());
  const refreshNow = useCallback(() => setNow(Date.now()), []);

  useEffect(() => {
    const every = parseDuration(refresh);
    if (every === undefined) return;
    // A tab that nobody sees asks nothing; it asks at once when it is seen again.
    const timer = window.setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, Math.max(5000, every));
    const seen = () => {
      if (!document.hidden) setNow((last) => (Date.now() - last > every ? Date.now() : last));
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [refresh]);

  const delay = parseDuration(nowDelay ?? "") ?? 0;
  const range = useMemo(() => resolveRange({ from: rawFrom, to: rawTo }, now - delay, zone), [rawFrom, rawTo, now, delay, zone]);
  const setRaw = useCallback(
    (next: RawRange) => {
      setNow(Date.now());
      keep(next);
    },
    [keep],
  );
  const back = useCallback(() => setRaw(zoomOut(range)), [range, setRaw]);
  const move = useCallback((direction: -1 | 1) => setRaw(shift(range, direction)), [range, setRaw]);
  const zoomTo = useCallback((r: Range) => setRaw({ from: String(Math.round(r.from)), to: String(Math.round(r.to)) }), [setRaw]);
  return useMemo(
    () => ({ raw: { from: rawFrom, to: rawTo }, range, zone, refresh, setRaw, setRefresh, setZone, refreshNow, zoomOut: back, shift: move, zoomTo }),
    [rawFrom, rawTo, range, zone, refresh, setRaw, setRefresh, setZone, refreshNow, back, move, zoomTo],
  );
}

const toUrl = (raw: RawRange) => setParams({ from: raw.from, to: raw.to, time: undefined, "time.window": undefined });
const refreshToUrl = (refresh: string) => setParams({ refresh }, "replace");
const zoneToUrl = (timezone: string) => setParams({ timezone });

export function useTime(defaults: TimeDefaults): TimeState {
  const { params } = usePlace();
  const from = params.get("from");
  const to = params.get("to");
  const both = from === null && to === null ? windowed(params) : undefined;
  return useTimeOf({
    raw: { from: both?.from ?? from ?? defaults.time.from, to: both?.to ?? to ?? defaults.time.to },
    zone: params.get("timezone") ?? params.get("tz") ?? defaults.zone,
    refresh: params.get("refresh") ?? defaults.refresh,
    ...(defaults.nowDelay === undefined ? {} : { nowDelay: defaults.nowDelay }),
    setRaw: toUrl,
    setRefresh: refreshToUrl,
    setZone: zoneToUrl,
  });
}
