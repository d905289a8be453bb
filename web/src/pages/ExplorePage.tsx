import { useCallback, useEffect, useMemo, useRef } from "react";
import { ExplorePane } from "../explore/ExplorePane";
import { defaultRange, paneFromGraphLink, panesFromUrl, panesToUrl, type Pane } from "../model/explore/url";
import { navigate, usePlace } from "../state/location";

const empty: Pane = { id: "a", datasource: "", queries: [], range: defaultRange };

/** One or two panes side by side; all of what they show is in the URL. */
export function ExplorePage() {
  const { params } = usePlace();
  const panes = useMemo(() => {
    const found = panesFromUrl(params);
    return found.length > 0 ? found : [paneFromGraphLink(params) ?? empty];
  }, [params]);
  const latest = useRef({ panes, params });
  useEffect(() => {
    latest.current = { panes, params };
    document.title = "Explore – Reba";
    return () => {
      document.title = "Reba";
    };
  });
  const put = useCallback((next: readonly Pane[]) => {
    const url = panesToUrl(next);
    for (const key of ["refresh", "timezone"]) {
      const value = latest.current.params.get(key);
      if (value !== null) url.set(key, value);
    }
    if (url.toString() !== latest.current.params.toString()) navigate("/explore", url);
  }, []);
  const change = useCallback((pane: Pane) => put(latest.current.panes.map((p) => (p.id === pane.id ? pane : p))), [put]);
  return (
    <div className="page full">
      <h1 className="hidden-text">Explore</h1>
      <div className={panes.length > 1 ? "split" : undefined}>
        {panes.map((pane) => (
          <ExplorePane
            key={pane.id}
            pane={pane}
            onChange={change}
            {...(panes.length === 1 ? { onSplit: () => put([pane, { ...pane, id: pane.id === "b" ? "a" : "b" }]) } : { onClose: () => put(panes.filter((p) => p !== pane)) })}
          />
        ))}
      </div>
    </div>
  );
}
