import { ActionIcon, Button, Menu, Switch, Tooltip } from "@mantine/core";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { dashboardByUid, setHome, type DashboardAnswer, type Saved } from "../api/grafana";
import { wordsFor } from "../api/http";
import { Icon } from "../components/Icon";
import { Link } from "../components/Link";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import { StarButton } from "../components/StarButton";
import { TimePicker } from "../components/TimePicker";
import { save } from "../components/save";
import { DashboardContext, type DashboardView, type PanelActions } from "../dashboard/context";
import { DashboardLinks } from "../dashboard/DashboardLinks";
import { Sections } from "../dashboard/Sections";
import { useEditing } from "../dashboard/edit/useEditing";
import { useMarks } from "../dashboard/useMarks";
import { useVariables } from "../dashboard/useVariables";
import { VariableBar } from "../dashboard/VariableBar";
import { duplicatePanel, moveToRow, removePanel } from "../model/dashboard/edit";
import { loadDashboard } from "../model/dashboard/load";
import { repeatSections } from "../model/dashboard/repeat";
import type { Dashboard } from "../model/dashboard/types";
import type { JsonObject } from "../model/json";
import { quickRanges, refreshIntervals } from "../model/time/quick";
import type { Scope } from "../model/variables/interpolate";
import { navigate, setParams, usePlace } from "../state/location";
import { noteBoard } from "../state/recent";
import { useSession } from "../state/session";
import { useShortcuts } from "../state/shortcuts";
import { useTime } from "../state/time";
import { useLoad } from "../state/useLoad";

const EditMode = lazy(() => import("../dashboard/edit/EditMode").then((m) => ({ default: m.EditMode })));
const Versions = lazy(() => import("../dashboard/edit/Versions").then((m) => ({ default: m.Versions })));

type Meta = DashboardAnswer["meta"];

export function DashboardPage({ uid }: { uid: string }) {
  const { data, error, loading, reload } = useLoad(uid, (signal) => dashboardByUid(uid, signal));
  const dashboard = useMemo(() => (data === undefined ? undefined : loadDashboard(data.dashboard)), [data]);
  if (error !== undefined) return <div className="page"><ErrorNote title="The dashboard could not be opened" text={error} onRetry={reload} /></div>;
  if (data === undefined || dashboard === undefined) return loading ? <Loading what="the dashboard" /> : null;
  return <Opened loaded={dashboard} meta={data.meta} reload={reload} />;
}

const emptyMeta: Meta = { canSave: true, canEdit: true, canDelete: false, isStarred: false, provisioned: false, provisionedFile: "", folderTitle: "", folderUid: "", url: "", updated: "", version: 0, createdBy: "", updatedBy: "" };
const emptyJson: JsonObject = { id: null, uid: "", title: "New dashboard", tags: [], timezone: "browser", schemaVersion: 39, time: { from: "now-1h", to: "now" }, refresh: "30s", graphTooltip: 1, panels: [], templating: { list: [] }, annotations: { list: [] }, links: [] };

/** A dashboard that is nowhere yet; `json` when it was imported. */
export function NewDashboard({ json = emptyJson, folderUid = "" }: { json?: JsonObject; folderUid?: string }) {
  const dashboard = useMemo(() => loadDashboard(json), [json]);
  return <Opened loaded={dashboard} meta={{ ...emptyMeta, folderUid }} reload={() => undefined} fresh />;
}

function Opened({ loaded, meta, reload, fresh = false }: { loaded: Dashboard; meta: Meta; reload: () => void; fresh?: boolean }) {
  const { user, sources } = useSession();
  const { params } = usePlace();
  const editing = useEditing(loaded);
  const { draft, begin, change } = editing;
  const dashboard = useMemo(() => (draft === undefined ? loaded : loadDashboard(draft)), [draft, loaded]);
  const defaults = useMemo(() => ({ time: dashboard.time, refresh: dashboard.refresh, zone: dashboard.timezone, nowDelay: dashboard.nowDelay }), [dashboard]);
  const time = useTime(defaults);
  const zone = time.zone;
  const base = useMemo(
    () => ({ own: {}, range: time.range, zone, dashboard: { uid: dashboard.uid, title: dashboard.title }, user: { login: user.login, id: String(user.id), email: user.email }, extra: {} }),
    [time.range, zone, dashboard.uid, dashboard.title, user],
  );
  const { states, ready } = useVariables({ variables: dashboard.variables, params, range: time.range, sources, scope: base });
  const scope = useMemo((): Scope => ({ ...base, variables: states }), [base, states]);
  const sections = useMemo(() => repeatSections(dashboard.sections, states), [dashboard.sections, states]);
  const [off, setOff] = useState<Readonly<Record<string, boolean>>>({});
  const [versions, setVersions] = useState(false);
  const { marks, reload: annotated } = useMarks(dashboard, scope, ready, off);
  const mayRemark = user.role !== "Viewer" && dashboard.uid !== "";
  const mayEdit = meta.canEdit && user.role !== "Viewer";
  const wantsEditor = params.has("editPanel");
  useEffect(() => {
    if (mayEdit && (fresh || wantsEditor)) begin();
  }, [mayEdit, fresh, wantsEditor, begin]);
  const isEditing = draft !== undefined;
  const edit = useMemo((): PanelActions | undefined => {
    if (!mayEdit) return undefined;
    const open = (id: number) => {
      begin();
      setParams({ editPanel: String(id), viewPanel: undefined });
    };
    if (!isEditing) return { open };
    return {
      open,
      duplicate: (id) => change((j) => duplicatePanel(j, id)),
      remove: (id) => change((j) => removePanel(j, id)),
      rows: [{ id: 0, title: "" }, ...dashboard.sections.flatMap((s) => (s.title === undefined ? [] : [{ id: Number(s.key.replace(/^row-/, "")), title: s.title }]))],
      moveTo: (id, row) => change((j) => moveToRow(j, id, row)),
    };
  }, [mayEdit, isEditing, begin, change, dashboard.sections]);
  const view = useMemo((): DashboardView => ({ dashboard, time, zone, scope, marks, ready, ...(edit === undefined ? {} : { edit }), ...(mayRemark ? { annotated } : {}) }), [dashboard, time, zone, scope, marks, ready, edit, mayRemark, annotated]);
  const kiosk = params.has("kiosk");
  const toggleKiosk = useCallback(() => setParams({ kiosk: kiosk ? undefined : "1" }), [kiosk]);
  useShortcuts([{ keys: "d k", what: "Only the panels (kiosk)", run: toggleKiosk }, ...(mayEdit && !isEditing ? [{ keys: "e", what: "Edit the dashboard", run: begin }] : [])]);
  useEffect(() => {
    if (dashboard.uid !== "") noteBoard(dashboard.uid);
    document.title = `${dashboard.title} – Reba`;
    return () => {
      document.title = "Reba";
    };
  }, [dashboard.title, dashboard.uid]);
  useEffect(() => {
    if (!editing.dirty) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [editing.dirty]);
  const onSaved = (saved: Saved) => {
    editing.stop();
    if (saved.uid !== dashboard.uid) navigate(`/d/${saved.uid}`, undefined, fresh ? "replace" : "push");
    else {
      setParams({ editPanel: undefined }, "replace");
      reload();
    }
  };
  const annotations = dashboard.annotations.filter((a) => !a.hide && !a.builtIn);
  const alone = params.has("editPanel") && isEditing;
  return (
    <DashboardContext value={view}>
      <div className={kiosk ? "page full kiosk" : "page full"}>
        {!kiosk && (
          <PageHead
            title={
              <>
                <Link to="/dashboards" className="crumb">
                  {meta.folderTitle || "Dashboards"} /
                </Link>{" "}
                {dashboard.title}
                {!fresh && <StarButton uid={dashboard.uid} title={dashboard.title} starred={meta.isStarred} />}
              </>
            }
          >
            {!dashboard.hideTimePicker && <TimePicker time={time} intervals={dashboard.refreshIntervals.length > 0 ? dashboard.refreshIntervals : refreshIntervals} ranges={dashboard.quickRanges.length > 0 ? dashboard.quickRanges : quickRanges} />}
            {mayEdit && !isEditing && (
              <Tooltip label="Edit (e)">
                <ActionIcon variant="default" size={32} aria-label="Edit the dashboard" onClick={begin} className="wide-only"><Icon name="edit" size={16} /></ActionIcon>
              </Tooltip>
            )}
            <Menu position="bottom-end">
              <Menu.Target>
                <ActionIcon variant="default" size={32} aria-label="More for this dashboard">
                  <Icon name="more" size={18} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                {mayEdit && !isEditing && <Menu.Item leftSection={<Icon name="edit" size={16} />} onClick={begin}>Edit (e)</Menu.Item>}
                <Menu.Item leftSection={<Icon name="view" size={16} />} onClick={toggleKiosk}>Only the panels (d k)</Menu.Item>
                <Menu.Item leftSection={<Icon name="copy" size={16} />} onClick={() => void navigator.clipboard.writeText(window.location.href)}>Copy the link</Menu.Item>
                {!fresh && <Menu.Item leftSection={<Icon name="dashboards" size={16} />} onClick={() => void setHome(dashboard.uid).catch((error: unknown) => window.alert(wordsFor(error)))}>Open it first</Menu.Item>}
                {!fresh && <Menu.Item leftSection={<Icon name="history" size={16} />} onClick={() => setVersions(true)}>Versions</Menu.Item>}
                <Menu.Item leftSection={<Icon name="download" size={16} />} onClick={() => save(`${dashboard.title}.json`, "application/json", `${JSON.stringify(draft ?? loaded.raw, null, 2)}\n`)}>Download JSON</Menu.Item>
                <Menu.Divider />
                <Menu.Label>
                  {dashboard.raw["schemaVersion"] === undefined ? "no schema version" : `schema ${String(dashboard.raw["schemaVersion"])}`}
                  {meta.version > 0 && `, version ${meta.version}`}
                  {meta.provisioned && `, from ${meta.provisionedFile || "a file"}`}
                </Menu.Label>
              </Menu.Dropdown>
            </Menu>
          </PageHead>
        )}
        {(states.length > 0 || dashboard.variables.some((v) => v.hide !== 2) || dashboard.links.length > 0 || annotations.length > 0) && (
          <div className="variables">
            <VariableBar states={states} />
            {annotations.map((a) => (
              <Switch key={a.name} size="xs" label={a.name} checked={!(off[a.name] ?? !a.enable)} onChange={(e) => { const on = e.currentTarget.checked; setOff((o) => ({ ...o, [a.name]: !on })); }} />
            ))}
            {!alone && <DashboardLinks links={dashboard.links} scope={scope} raw={time.raw} />}
          </div>
        )}
        {dashboard.notices.map((n) => (
          <div key={n} className="note">{n}</div>
        ))}
        {isEditing ? (
          <Suspense fallback={<Loading what="the editor" />}>
            <EditMode loaded={loaded} dashboard={dashboard} meta={meta} editing={editing} onSaved={onSaved} />
          </Suspense>
        ) : (
          <>
            {dashboard.sections.length === 0 && <Empty title="This dashboard has no panels" />}
            <Sections sections={sections} scope={scope} />
          </>
        )}
        {versions && (
          <Suspense fallback={null}>
            <Versions uid={dashboard.uid} canSave={meta.canSave && mayEdit} onClose={() => setVersions(false)} onRestored={() => { setVersions(false); editing.stop(); reload(); }} />
          </Suspense>
        )}
        {kiosk && (
          <Tooltip label="Back (d k)">
            <Button variant="default" size="compact-sm" style={{ position: "fixed", right: 12, bottom: 12 }} onClick={toggleKiosk}>Show all</Button>
          </Tooltip>
        )}
      </div>
    </DashboardContext>
  );
}
