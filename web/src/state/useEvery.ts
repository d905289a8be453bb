import { useEffect, useState } from "react";

/** A number that grows every so often while the page is seen: what a list is read anew by. */
export function useEvery(ms: number): number {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden) setTick((n) => n + 1);
    }, ms);
    return () => window.clearInterval(timer);
  }, [ms]);
  return tick;
}
