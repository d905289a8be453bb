import { Badge, TextInput } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { homeDashboard, searchDashboards, type SearchHit } from "../api/grafana";
import { Icon } from "../components/Icon";
import { Link } from "../components/Link";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import { StarButton } from "../components/StarButton";
import { basePath } from "../api/http";
import { navigate } from "../state/location";
import { useSession } from "../state/session";
import { useShortcuts } from "../state/shortcuts";
import { useLoad } from "../state/useLoad";

function byFolder(hits: readonly SearchHit[]): readonly (readonly [string, readonly SearchHit[]])[] {
  const folders = new Map<string, SearchHit[]>();
  for (const hit of hits) {
    if (hit.kind === "folder") continue;
    const name = hit.folderTitle === "" ? "General" : hit.folderTitle;
    folders.set(name, [...(folders.get(name) ?? []), hit]);
  }
  return [...folders].sort(([a], [b]) => a.localeCompare(b));
}

function Card({ hit, onStar }: { hit: SearchHit; onStar: () => void }) {
  return (
    <li>
      <Link to={hit.url} className="card">
        <Icon name="dashboard" size={22} />
        <span className="card-title">{hit.title}</span>
        <span className="card-tags">
          {hit.tags.map((t) => (
            <Badge key={t} variant="light" size="sm" tt="none">
              {t}
            </Badge>
          ))}
        </span>
      </Link>
      <StarButton uid={hit.uid} title={hit.title} starred={hit.isStarred} onDone={onStar} />
    </li>
  );
}

/** The start page: the home dashboard of whoever chose one, else the list. */
export function HomePage() {
  const { data, error } = useLoad("home", (signal) => homeDashboard(signal).then((uri) => ({ uri })));
  useEffect(() => {
    // As the server writes it, with the path that the app lies below.
    if (data?.uri !== undefined) navigate(`/${new URL(data.uri, window.location.origin).pathname.slice(basePath().length)}`, undefined, "replace");
  }, [data]);
  if (data === undefined && error === undefined) return <Loading what="the start page" />;
  return data?.uri === undefined ? <DashboardsPage /> : null;
}

export function DashboardsPage() {
  const { data, error, loading, reload } = useLoad("all", (signal) => searchDashboards({}, signal));
  const { user } = useSession();
  const [filter, setFilter] = useState("");
  const [tag, setTag] = useState<string>();
  const input = useRef<HTMLInputElement>(null);
  useShortcuts([{ keys: "/", what: "Search dashboards", run: () => input.current?.focus() }]);
  const tags = useMemo(() => [...new Set((data ?? []).flatMap((h) => h.tags))].sort(), [data]);
  const shown = (data ?? []).filter((h) => h.title.toLowerCase().includes(filter.toLowerCase()) && (tag === undefined || h.tags.includes(tag)));
  const starred = shown.filter((h) => h.isStarred && h.kind === "dashboard");
  const sections = [...(starred.length === 0 ? [] : [["Starred", starred] as const]), ...byFolder(shown.filter((h) => !h.isStarred))];
  return (
    <div className="page">
      <PageHead title="Dashboards">
        <TextInput ref={input} aria-label="Search dashboards" placeholder="Search  /" leftSection={<Icon name="search" size={16} />} value={filter} onChange={(e) => setFilter(e.currentTarget.value)} />
        {user.role !== "Viewer" && (
          <>
            <Link to="/dashboard/import" className="button-link quiet"><Icon name="upload" size={15} /> Import</Link>
            <Link to="/dashboard/new" className="button-link"><Icon name="plus" size={15} /> New</Link>
          </>
        )}
      </PageHead>
      {tags.length > 1 && (
        <div className="tags" role="group" aria-label="Tags">
          {tags.map((t) => (
            <button key={t} type="button" className="tag" aria-pressed={t === tag} onClick={() => setTag(t === tag ? undefined : t)}>
              {t}
            </button>
          ))}
        </div>
      )}
      {error !== undefined && <ErrorNote title="The dashboards could not be listed" text={error} onRetry={reload} />}
      {data === undefined && loading && <Loading what="dashboards" />}
      {data !== undefined && shown.length === 0 && <Empty title="No dashboards">{filter === "" ? "Put Grafana JSON files into the provisioned folder." : "Nothing has that name."}</Empty>}
      {sections.map(([name, hits]) => (
        <section key={name} aria-label={name}>
          <h2 className="folder">{name}</h2>
          <ul className="cards">
            {hits.map((hit) => <Card key={hit.uid} hit={hit} onStar={reload} />)}
          </ul>
        </section>
      ))}
    </div>
  );
}
