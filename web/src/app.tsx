import { lazy, Suspense, useEffect, useState } from "react";
import { currentUser, listDatasources } from "./api/grafana";
import { HttpError, isAbort, onLoggedOut, wordsFor } from "./api/http";
import { Empty, ErrorNote, Loading } from "./components/Notes";
import { Link } from "./components/Link";
import { Shell } from "./components/Shell";
import { DashboardsPage, HomePage } from "./pages/DashboardsPage";
import { LoginPage } from "./pages/LoginPage";
import { navigate, usePlace } from "./state/location";
import { SessionContext, type Session } from "./state/session";

const DashboardPage = lazy(() => import("./pages/DashboardPage").then((m) => ({ default: m.DashboardPage })));
const NewDashboard = lazy(() => import("./pages/DashboardPage").then((m) => ({ default: m.NewDashboard })));
const ImportPage = lazy(() => import("./pages/ImportPage").then((m) => ({ default: m.ImportPage })));
const ExplorePage = lazy(() => import("./pages/ExplorePage").then((m) => ({ default: m.ExplorePage })));
const AlertsPage = lazy(() => import("./pages/AlertsPage").then((m) => ({ default: m.AlertsPage })));
const GroupsPage = lazy(() => import("./alerting/GroupsPage").then((m) => ({ default: m.GroupsPage })));
const SilencesPage = lazy(() => import("./alerting/SilencesPage").then((m) => ({ default: m.SilencesPage })));
const SilencePage = lazy(() => import("./alerting/SilencePage").then((m) => ({ default: m.SilencePage })));
const RoutesPage = lazy(() => import("./alerting/RoutesPage").then((m) => ({ default: m.RoutesPage })));
const DemoPage = lazy(() => import("./alerting/DemoPage").then((m) => ({ default: m.DemoPage })));
const ReceiversPage = lazy(() => import("./alerting/ReceiversPage").then((m) => ({ default: m.ReceiversPage })));
const AdminPage = lazy(() => import("./admin/AdminPage").then((m) => ({ default: m.AdminPage })));
const ProfilePage = lazy(() => import("./admin/ProfilePage").then((m) => ({ default: m.ProfilePage })));
const StatusPage = lazy(() => import("./pages/StatusPage").then((m) => ({ default: m.StatusPage })));

type Phase = { is: "loading" } | { is: "login" } | { is: "failed"; why: string } | { is: "in"; session: Session };

const statusPaths = new Set(["/targets", "/rules", "/config", "/flags", "/tsdb-status", "/runtime", "/service-discovery"]);

/** Grafana's address of one panel alone, as people put it into frames of other pages. */
function Solo({ uid }: { uid: string }) {
  const { params } = usePlace();
  useEffect(() => {
    const next = new URLSearchParams(params);
    next.delete("panelId");
    next.set("viewPanel", params.get("panelId") ?? "");
    next.set("kiosk", "1");
    navigate(`/d/${uid}`, next, "replace");
  }, [uid, params]);
  return <Loading what="the panel" />;
}

function Page() {
  const { path } = usePlace();
  const solo = /^\/d-solo\/([^/]+)/.exec(path)?.[1];
  if (solo !== undefined) return <Solo uid={solo} />;
  const uid = /^\/d\/([^/]+)/.exec(path)?.[1];
  if (uid !== undefined) return <DashboardPage key={uid} uid={decodeURIComponent(uid)} />;
  if (path === "/") return <HomePage />;
  if (path === "/dashboards" || path.startsWith("/dashboards/f/")) return <DashboardsPage />;
  if (path === "/dashboard/new") return <NewDashboard />;
  if (path === "/dashboard/import") return <ImportPage />;
  if (path === "/explore" || path === "/graph") return <ExplorePage />;
  if (path === "/alerting/groups") return <GroupsPage />;
  if (path === "/alerting/silences") return <SilencesPage />;
  if (path === "/alerting/silence/new") return <SilencePage />;
  if (path === "/alerting/routes") return <RoutesPage />;
  if (path === "/alerting/notifications") return <ReceiversPage />;
  if (path === "/alerting/demo") return <DemoPage />;
  if (path === "/alerts" || path.startsWith("/alerting")) return <AlertsPage />;
  if (path === "/profile" || path.startsWith("/profile/")) return <ProfilePage />;
  if (path.startsWith("/admin") || path.startsWith("/org") || path.startsWith("/connections")) return <AdminPage />;
  // The addresses of Prometheus' own pages, which people have in their notes.
  if (path.startsWith("/status") || statusPaths.has(path)) return <StatusPage />;
  return (
    <div className="page">
      <Empty title="There is no such page">
        <Link to="/dashboards">To the dashboards</Link>
      </Empty>
    </div>
  );
}

export function App() {
  const [phase, setPhase] = useState<Phase>({ is: "loading" });
  const [round, setRound] = useState(0);
  const { path } = usePlace();
  useEffect(() => onLoggedOut(() => setPhase({ is: "login" })), []);
  useEffect(() => {
    const abort = new AbortController();
    Promise.all([currentUser(abort.signal), listDatasources(abort.signal)]).then(
      ([user, sources]) => setPhase({ is: "in", session: { user, sources } }),
      (error: unknown) => {
        if (isAbort(error)) return;
        if (error instanceof HttpError && error.status === 401) setPhase({ is: "login" });
        else setPhase({ is: "failed", why: wordsFor(error) });
      },
    );
    return () => abort.abort();
  }, [round]);
  const again = () => {
    setPhase({ is: "loading" });
    setRound((n) => n + 1);
  };
  useEffect(() => {
    if (phase.is === "in" && path === "/login") navigate("/dashboards", undefined, "replace");
  }, [phase.is, path]);
  if (phase.is === "loading") return <Loading what="Reba" />;
  if (phase.is === "login") return <LoginPage onDone={again} />;
  if (phase.is === "failed") return <ErrorNote title="Reba cannot be reached" text={phase.why} onRetry={again} />;
  return (
    <SessionContext value={phase.session}>
      <Shell>
        <Suspense fallback={<Loading what="the page" />}>
          <Page />
        </Suspense>
      </Shell>
    </SessionContext>
  );
}
